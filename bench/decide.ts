/**
 * What deciding costs by itself: heads and completions through a lane with its counters and a 1 %
 * access log, without a reactor. A head and the completion of an earlier exchange, with the tag and
 * memo that the lane gave it, are offered together, as under steady load; so a figure is one whole
 * exchange as the lane sees it. Rounds in which a call has only heads or only completions say what
 * of it is the decision.
 *
 *     node bench/decide.ts [--json FILE] [--only plain,limits,everything] [--batch 16]
 *
 * Only the lane's own time is counted: records are encoded once and copied into the ring outside of
 * the measured part, and a batch's `decide()` is timed by the process's monotonic clock. The least
 * of several rounds is shown, beside the median. Each case runs in a process of its own: an edge
 * has one configuration, and code that was compiled for another is slower.
 */

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { KeySnapshot } from '../src/config/snapshot/key.ts';
import type { RateLimitSnapshot } from '../src/config/snapshot/limit.ts';
import { createLane } from '../src/lane/lane.ts';
import { createSharedState } from '../src/lane/shared.ts';
import { createCounters } from '../src/observe/counters.ts';
import { createLaneObserver } from '../src/observe/lane-observer.ts';
import { KIND_COMPLETION, KIND_FORWARD, KIND_HEAD } from '../src/record/layout.ts';
import { ReactorSide, wordOf } from '../test/support/records.ts';
import { type RouteWish, type SnapshotWishes, sampleSnapshot, type UpstreamWish } from '../test/support/snapshots.ts';
import { completionOf, headOf } from './decide-records.ts';

const BATCHES = [1, 16, 64];
const ROUTES = [50, 1_000, 10_000];
const BACKENDS = 8;
const ROUNDS = 15;
const EXCHANGES_A_ROUND = 40_000;
const DISTINCT_HEADS = 256;
/** Words of a Forward that come back with the completion. */
const CARRIED = [
  ...['tag', 'slot'].map((name) => ({ from: wordOf('Forward', name), to: wordOf('Completion', name) })),
  ...[0, 1, 2].map((i) => ({ from: wordOf('Forward', 'memo') + i, to: wordOf('Completion', 'memo') + i })),
];

/** What a case turns on; everything else is as the configuration defaults it. */
interface Feature {
  readonly name: string;
  readonly prose: string;
  readonly route?: RouteWish;
  readonly upstream?: UpstreamWish;
  readonly tenants?: SnapshotWishes['tenants'];
  /** Heads as a browser sends them; otherwise those of a small client. */
  readonly isBrowser?: boolean;
}

const key = (kind: KeySnapshot['kind'], name = ''): KeySnapshot => ({ kind, name, prefix4: 32, prefix6: 64 });

const limit = (name: string, keys: readonly KeySnapshot[]): RateLimitSnapshot => ({
  name,
  keys,
  requests: 1_000_000,
  periodMs: 1,
  burst: 1_000_000,
  maxKeys: 1_000,
  isShared: false,
  onStoreFailure: 'local',
});

const FEATURES: readonly Feature[] = [
  {
    name: 'conditions',
    prose: 'method, one header, one query parameter',
    route: {
      match: {
        methods: ['GET', 'HEAD'],
        headers: [{ name: 'accept-language', kind: 'prefix', value: 'en' }],
        query: [{ name: 'page', kind: 'present', value: '' }],
      },
    },
  },
  {
    name: 'split',
    prose: 'two targets, sticky by cookie',
    route: {
      targets: [
        { upstream: 0, weight: 90 },
        { upstream: 0, weight: 10, subset: { version: 'canary' } },
      ],
      splitKeys: [key('cookie', 'session')],
    },
  },
  {
    name: 'ring hash',
    prose: 'by cookie, load bound 1.25',
    upstream: { balance: { policy: 'ring-hash', keys: [key('cookie', 'session')] } },
  },
  { name: 'least request', prose: 'instead of peak EWMA', upstream: { balance: { policy: 'least-request' } } },
  {
    name: 'breakers',
    prose: 'consecutive (as by default), rate and count windows, outliers, slow start',
    upstream: { breaker: { rate: 0.5, count: 1_000 }, outlier: { isOn: true }, slowStartMs: 10_000 },
  },
  {
    name: 'retries',
    prose: 'statuses held, budget',
    route: { retries: { attempts: 2, on: { statuses: [502, 503, 504] } } },
  },
  {
    name: 'hedging',
    prose: 'at the 95th percentile',
    route: { hedge: { delayMs: 0, percentile: 0.95, minDelayMs: 1, maxDelayMs: 1_000 } },
  },
  { name: 'deadline', prose: 'grpc-timeout obeyed', route: { isGrpcTimeoutObeyed: true, exchangeTimeoutMs: 60_000 } },
  { name: 'access list', prose: '100 networks', route: { access: { allow: networks(100), deny: ['198.51.100.0/24'] } } },
  {
    name: 'rate limits',
    prose: 'by client and by cookie',
    route: { rateLimits: [limit('client', [key('client')]), limit('user', [key('cookie', 'session')])] },
  },
  {
    name: 'bulkheads',
    prose: 'route and upstream, with queues',
    route: { bulkhead: { max: 100_000, queue: 100, queueTimeoutMs: 1_000 } },
    upstream: { bulkhead: { max: 100_000, queue: 100, queueTimeoutMs: 1_000 } },
  },
  {
    name: 'adaptive',
    prose: 'gradient concurrency limit with brownout',
    upstream: {
      concurrency: {
        algorithm: 'gradient',
        initial: 10_000,
        min: 1_000,
        max: 100_000,
        targetMs: 1_000,
        tolerance: 2,
        brownout: [0.6, 0.8, 0.95],
      },
    },
  },
  {
    name: 'tenants',
    prose: 'four, told by header, with a limit each',
    tenants: ['a', 'b', 'c', 'd'].map((name) => ({
      name,
      hosts: [],
      header: 'x-tenant',
      headerValue: name,
      rateLimits: [limit(`tenant-${name}`, [])],
      maxInFlight: 100_000,
    })),
  },
];

interface Row {
  readonly name: string;
  readonly routes: number;
  readonly batch: number;
  /** Nanoseconds of lane time an exchange: head, decision, completion, metrics. */
  readonly leastNs: number;
  readonly medianNs: number;
  /**
   * Least of calls that had only heads, and of calls that had only completions; each with the whole
   * cost of a turn.
   */
  readonly decideNs: number;
  readonly completeNs: number;
}

/** One line of the table. */
interface Case {
  readonly feature: Feature;
  readonly routes: number;
  readonly batch: number;
}

const PLAIN: Feature = { name: 'plain', prose: 'peak EWMA, one retry, consecutive breaker: the defaults' };
const EVERYTHING: Feature = mergeAll(FEATURES.filter(({ name }) => name !== 'least request'));
const BROWSER: Feature = {
  ...EVERYTHING,
  name: 'browser',
  prose: 'all of them, heads of 18 fields with a cookie of 300 bytes',
  isBrowser: true,
};

const CASES: readonly Case[] = [
  ...ROUTES.flatMap((routes) => BATCHES.map((batch) => ({ feature: PLAIN, routes, batch }))),
  ...FEATURES.map((feature) => ({ feature, routes: 1_000, batch: 16 })),
  ...[EVERYTHING, BROWSER].flatMap((feature) => BATCHES.map((batch) => ({ feature, routes: 1_000, batch }))),
];

const { values } = parseArgs({
  options: { json: { type: 'string' }, only: { type: 'string' }, batch: { type: 'string' }, case: { type: 'string' } },
});

if (values.case !== undefined) process.stdout.write(JSON.stringify(measure(CASES[Number(values.case)]!)));
else tabulate();

function tabulate(): void {
  const only = values.only?.split(',');
  const rows: Row[] = [];
  process.stdout.write(
    `\nlane time an exchange, ${BACKENDS} backends, all metrics, access log 1 % (goal: 1,500 ns a decision with everything on)\n\n` +
      `${'case'.padEnd(14)} routes  batch  least ns  median ns  decide  complete\n`,
  );
  for (const [number, { feature, batch }] of CASES.entries()) {
    if (only?.includes(feature.name) === false || (values.batch !== undefined && batch !== Number(values.batch))) continue;
    const row = measureApart(number);
    rows.push(row);
    show(row, feature);
  }
  if (values.json !== undefined) {
    writeFileSync(values.json, `${JSON.stringify({ case: 'decide', backends: BACKENDS, rows }, undefined, 2)}\n`);
  }
}

/** `measure` in a process of its own. */
function measureApart(number: number): Row {
  const ran = spawnSync(process.execPath, [import.meta.filename, '--case', String(number)], { stdio: ['ignore', 'pipe', 'inherit'] });
  if (ran.status !== 0) throw new Error(`${CASES[number]!.feature.name} ended with ${ran.status ?? ran.signal}`);
  return JSON.parse(ran.stdout.toString()) as Row;
}

function show(row: Row, { prose }: Feature): void {
  const cells = [
    row.name.padEnd(14),
    String(row.routes).padStart(6),
    String(row.batch).padStart(5),
    row.leastNs.toFixed(0).padStart(8),
    row.medianNs.toFixed(0).padStart(9),
    row.decideNs.toFixed(0).padStart(6),
    row.completeNs.toFixed(0).padStart(8),
  ];
  process.stdout.write(`${cells.join('  ')}  ${prose}\n`);
}

function measure({ feature, routes: routeCount, batch }: Case): Row {
  const routes = Array.from({ length: routeCount }, (_, number) => routeOf(number, feature.route));
  const snapshot = sampleSnapshot({
    upstreams: [
      {
        ...feature.upstream,
        balance: { policy: 'peak-ewma', ...feature.upstream?.balance },
        backends: Array.from({ length: BACKENDS }, (_, slot) => ({ labels: { version: slot % 4 === 3 ? 'canary' : 'stable' } })),
      },
    ],
    routes,
    ...(feature.tenants === undefined ? {} : { tenants: feature.tenants }),
    log: { accessSample: 0.01 },
  });
  const reactor = new ReactorSide();
  const sink = { batchBytes: 65_536, write() {}, drain: async () => {} };
  const observer = createLaneObserver({ shard: 0, snapshot, counters: createCounters(snapshot), sink });
  const lane = createLane({ ring: reactor.buffer, snapshot, shared: createSharedState(snapshot), observer, kick: () => {} });
  const heads = Array.from({ length: DISTINCT_HEADS }, (_, i) => headOf(i, routes, feature.isBrowser === true));
  const completions = Array.from({ length: DISTINCT_HEADS }, (_, i) => completionOf(i));

  /** Exchanges that were decided and whose completions are offered with the next batch. */
  let decided = 0;
  const note = (words: Uint32Array, at: number) => {
    if (words[at + 1] !== KIND_FORWARD)
      throw new Error(`${feature.name}: a decision of kind ${words[at + 1]}, reason ${words[at + wordOf('Respond', 'reason')]}`);
    const completion = completions[decided++ % DISTINCT_HEADS]!;
    for (const { from, to } of CARRIED) completion.writeUInt32LE(words[at + from]!, to * 4);
  };
  let next = 0;
  const offerHeads = () => {
    for (let i = 0; i < batch; i++) reactor.write(KIND_HEAD, heads[next++ % DISTINCT_HEADS]!);
  };
  const offerCompletions = () => {
    for (let i = 0; i < decided; i++) reactor.write(KIND_COMPLETION, completions[i]!);
  };
  const timed = (): number => {
    const start = performance.now();
    lane.decide();
    return (performance.now() - start) * 1e6;
  };
  const takeDecisions = () => {
    decided = 0;
    reactor.visitDecisions(note);
  };
  const together = (): number => {
    let spentNs = 0;
    for (let done = 0; done < EXCHANGES_A_ROUND; done += batch) {
      offerCompletions();
      offerHeads();
      spentNs += timed();
      takeDecisions();
    }
    return spentNs / EXCHANGES_A_ROUND;
  };
  const apart = (): { decideNs: number; completeNs: number } => {
    let decideNs = 0;
    let completeNs = 0;
    for (let done = 0; done < EXCHANGES_A_ROUND; done += batch) {
      offerCompletions();
      completeNs += timed();
      offerHeads();
      decideNs += timed();
      takeDecisions();
    }
    return { decideNs: decideNs / EXCHANGES_A_ROUND, completeNs: completeNs / EXCHANGES_A_ROUND };
  };
  together();
  const found = Array.from({ length: ROUNDS }, together).sort((a, b) => a - b);
  const halves = Array.from({ length: ROUNDS }, apart);
  lane.close();
  void observer.close();
  return {
    name: feature.name,
    routes: routeCount,
    batch,
    leastNs: found[0]!,
    medianNs: found[ROUNDS >> 1]!,
    decideNs: Math.min(...halves.map(({ decideNs }) => decideNs)),
    completeNs: Math.min(...halves.map(({ completeNs }) => completeNs)),
  };
}

/** All features at once. */
function mergeAll(features: readonly Feature[]): Feature {
  const merged = (part: 'route' | 'upstream') => Object.assign({}, ...features.map((feature) => feature[part] ?? {}));
  return {
    name: 'everything',
    prose: 'all of them at once',
    route: merged('route'),
    upstream: merged('upstream'),
    tenants: features.flatMap(({ tenants }) => tenants ?? []),
  };
}

/** A mix as gateways have it: many hosts with a few paths each, some wildcards. */
function routeOf(number: number, wish: RouteWish = {}): RouteWish {
  const site = Math.floor(number / 5);
  const host = site % 10 === 9 ? `*.tenant-${site}.example.test` : `shop-${site}.example.test`;
  const path = ['/', '/api', '/api/v1/orders', '/static', '/api/v1/customers'][number % 5]!;
  return { ...wish, name: `route-${number}`, match: { ...wish.match, host, path } };
}

function networks(count: number): string[] {
  return Array.from({ length: count }, (_, i) => (i === count >> 1 ? '127.0.0.0/8' : `10.${i}.0.0/16`));
}
