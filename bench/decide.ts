/**
 * What deciding costs by itself: heads and completions through a lane with its counters and a 1 % access log, without a reactor. A head and the completion
 * of an earlier one are offered together, as under steady load, so a figure is one whole exchange as the lane sees it.
 *
 *     node bench/decide.ts [--json FILE]
 *
 * Only the lane's own time is counted: records are encoded once and copied into the ring outside of the measured part, and a batch's
 * `decide()` is timed by the process's monotonic clock. The least of several rounds is shown, beside the median.
 */

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { createSharedState } from '../src/lane/shared.ts';
import { createLane } from '../src/lane/lane.ts';
import { packTag } from '../src/lane/tag.ts';
import { createCounters } from '../src/observe/counters.ts';
import { createLaneObserver } from '../src/observe/lane-observer.ts';
import { KIND_COMPLETION, KIND_HEAD } from '../src/record/layout.ts';
import { completionBytes, headBytes, ReactorSide, sampleCompletion, sampleHead } from '../test/support/records.ts';
import { type RouteWish, sampleSnapshot } from '../test/support/snapshots.ts';

const BATCHES = [1, 4, 16, 64];
const ROUTES = [50, 1_000, 10_000];
const BACKENDS = 8;
const ROUNDS = 15;
const EXCHANGES_A_ROUND = 40_000;
const DISTINCT_HEADS = 256;

interface Row {
  readonly routes: number;
  readonly batch: number;
  /** Nanoseconds of lane time an exchange: head, decision, completion, metrics. */
  readonly leastNs: number;
  readonly medianNs: number;
}

const { values } = parseArgs({ options: { json: { type: 'string' } } });
const rows = ROUTES.flatMap((routes) => BATCHES.map((batch) => measure(routes, batch)));

process.stdout.write(`\nlane time an exchange, ${BACKENDS} backends, peak EWMA, all metrics, access log 1 % (goal: at most 1,000 ns)\n\n`);
process.stdout.write('routes  batch  least ns  median ns\n');
for (const row of rows) {
  const cells = [
    String(row.routes).padStart(6),
    String(row.batch).padStart(5),
    row.leastNs.toFixed(0).padStart(8),
    row.medianNs.toFixed(0).padStart(9),
  ];
  process.stdout.write(`${cells.join('  ')}\n`);
}
if (values.json !== undefined)
  writeFileSync(values.json, `${JSON.stringify({ case: 'decide', backends: BACKENDS, rows }, undefined, 2)}\n`);

function measure(routeCount: number, batch: number): Row {
  const routes = Array.from({ length: routeCount }, (_, number) => routeOf(number));
  const snapshot = sampleSnapshot({
    upstreams: [{ balance: { policy: 'peak-ewma' }, backends: Array.from({ length: BACKENDS }, () => ({})) }],
    routes,
    log: { accessSample: 0.01 },
  });
  const reactor = new ReactorSide();
  const sink = { write: () => true, flushSync() {} };
  const observer = createLaneObserver({ shard: 0, snapshot, counters: createCounters(snapshot), sink });
  const lane = createLane({ ring: reactor.buffer, snapshot, shared: createSharedState(snapshot), observer, kick: () => {} });
  const heads = Array.from({ length: DISTINCT_HEADS }, (_, i) => headOf(i, routes));
  const completions = Array.from({ length: DISTINCT_HEADS }, (_, i) => completionOf(i, routeCount));

  let next = 0;
  const round = (): number => {
    let spentNs = 0;
    for (let done = 0; done < EXCHANGES_A_ROUND; done += batch) {
      for (let i = 0; i < batch; i++) {
        reactor.write(KIND_HEAD, heads[next % DISTINCT_HEADS]!);
        reactor.write(KIND_COMPLETION, completions[next % DISTINCT_HEADS]!);
        next += 1;
      }
      const start = performance.now();
      lane.decide();
      spentNs += (performance.now() - start) * 1e6;
      reactor.skipDecisions();
    }
    return spentNs / EXCHANGES_A_ROUND;
  };
  round();
  const found = Array.from({ length: ROUNDS }, round).sort((a, b) => a - b);
  lane.close();
  observer.close();
  return { routes: routeCount, batch, leastNs: found[0]!, medianNs: found[ROUNDS >> 1]! };
}

/** A mix as gateways have it: many hosts with a few paths each, some wildcards. */
function routeOf(number: number): RouteWish {
  const site = Math.floor(number / 5);
  const host = site % 10 === 9 ? `*.tenant-${site}.example.test` : `shop-${site}.example.test`;
  const path = ['/', '/api', '/api/v1/orders', '/static', '/api/v1/customers'][number % 5]!;
  return { name: `route-${number}`, match: { host, path } };
}

function headOf(i: number, routes: readonly RouteWish[]): Buffer {
  const route = routes[(i * 7_919) % routes.length]!;
  const { host = '*', path: below = '/' } = route.match ?? {};
  const path = `${below === '/' ? '' : below}/item-${i}?page=${i % 10}`;
  return headBytes(
    sampleHead({
      index: i,
      generation: i,
      authority: `${host.replace('*', 'eu')}:8443`,
      path,
      fields: [
        ['user-agent', 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36'],
        ['accept', 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'],
        ['accept-language', 'en-GB,en;q=0.9'],
        ['accept-encoding', 'gzip, deflate, br'],
        ['cookie', 'session=0123456789abcdef0123456789abcdef'],
      ],
    }),
  );
}

function completionOf(i: number, routeCount: number): Buffer {
  const tag = packTag(0, 1, (i * 7_919) % routeCount);
  return completionBytes(
    sampleCompletion({
      index: i,
      generation: i,
      tag,
      slot: i % BACKENDS,
      awaitUs: 300 + ((i * 131) % 900),
      totalUs: 500 + ((i * 137) % 2_000),
      path: '/api/v1/orders/item-1?page=1',
    }),
  );
}
