/**
 * The configuration is reloaded again and again under load, everything in it in turn and with
 * mistakes of all kinds in between: nothing fails, no one is disconnected, and memory stays as it
 * was. `RELOADS` and `RELOAD_MS` make it longer (`make reloads`: 1,000 in five minutes; workers
 * killed in a second round).
 */

import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { missingAioquic, readySerialAioquic } from '../support/client/aioquic.ts';
import { connectH3, type H3Client } from '../support/client/h3.ts';
import { type Edge, type EdgeOptions, missingAddon, startEdge } from '../support/edge.ts';
import { type Inspected, inspect, inspectableBin, type ThreadMemory } from '../support/inspect.ts';
import { type Origin, startH2Origin } from '../support/origin/h2.ts';
import { BROKEN, issuePair, makePair, type Pair } from '../support/pairs.ts';
import { reload } from '../support/reload.ts';
import { createFeed, fed, startUnderWay } from '../support/under-way.ts';
import { until } from '../support/wait.ts';

const RELOADS = Number(process.env['RELOADS'] || 60);
/** From one reload to the next; 0 for at once. */
const RELOAD_MS = Number(process.env['RELOAD_MS'] || 0);
const KILLS = Number(process.env['KILLS'] || 8);
/**
 * What only a process that has run for a while has: compiled code, as many snapshots as are kept,
 * tables with room.
 */
const WARM_UP = Math.min(50, Math.floor(RELOADS / 2));
const GROWTH = 0.1;

const skip = missingAddon || missingAioquic;

t.setTimeout(1_200_000);

/** What the configuration says; each kind of change alters one part. */
interface State {
  /** Backends of the upstream that every path has: all origins but this one. */
  without: number;
  weights: number[];
  /** Further upstreams, with a route each. */
  extras: number;
  /** In a field of responses. */
  mark: number;
  limit: number;
  patience: number;
  pair: number;
  /** Of two, the authority that clients may show certificates of. */
  authority: number;
  /** Another listener is there. */
  hasExtra: boolean;
  /** Certificates have files of their own, or take the place of others. */
  isInPlace: boolean;
}

/** Kinds of change, in turn. */
const CHANGES: readonly { readonly what: string; change(state: State, round: number): void }[] = [
  { what: 'routes', change: (state, round) => alter(state, { mark: round, extras: round % 5 }) },
  { what: 'backends', change: (state) => alter(state, { without: (state.without + 1) % 3 }) },
  { what: 'weights', change: (state, round) => alter(state, { weights: [1, 2, 3].map((i) => 1 + ((round + i) % 8)) }) },
  { what: 'certificates', change: (state, round) => alter(state, { pair: state.pair + 1, isInPlace: round % 2 === 0 }) },
  { what: 'client authorities', change: (state) => alter(state, { authority: 1 - state.authority }) },
  { what: 'upstreams', change: (state, round) => alter(state, { extras: (state.extras + 1 + (round % 3)) % 7 }) },
  { what: 'listeners', change: (state) => alter(state, { hasExtra: !state.hasExtra }) },
  { what: 'limits', change: (state, round) => alter(state, { limit: 100_000 + round }) },
  {
    what: 'timeouts, retries, health checks, logging, settings of listeners',
    change: (state, round) => alter(state, { patience: 10 + (round % 20) }),
  },
];

function alter(state: State, parts: Partial<State>): void {
  Object.assign(state, parts);
}

/** Texts of a configuration that is wrong, made of one that is right. */
const MISTAKES: readonly { readonly what: string; readonly message: RegExp; make(sound: string): string }[] = [
  { what: 'half of a file', message: /error/, make: (sound) => sound.slice(0, sound.indexOf('routes:') + 20) },
  { what: 'an empty file', message: /error/, make: () => '' },
  { what: 'no YAML', message: /error/, make: (sound) => `${sound}\n  - ][\n` },
  { what: 'a route to nobody', message: /nobody/, make: (sound) => sound.replace('upstream: web', 'upstream: nobody') },
  { what: 'an unknown key', message: /nonsense/, make: (sound) => `${sound}nonsense: 1\n` },
];

/**
 * A stage for reloads: three origins, certificates, an edge with two shards, and a state that is
 * written to its file.
 */
async function setUp(t: Test, more: Partial<EdgeOptions>) {
  const folder = t.testdir();
  const feed = createFeed();
  const origins: Origin[] = [];
  for (const name of ['a', 'b', 'c']) origins.push(await startH2Origin(t, fed(feed, name)));
  const pairs = Array.from({ length: 8 }, () => issuePair(folder));
  const authorities = ['one', 'other'].map((name) => join(folder, `${name}-ca.pem`));
  for (const path of authorities) writeFileSync(path, makePair(folder).chain);
  const state: State = {
    without: 0,
    weights: [1, 1, 1],
    extras: 0,
    mark: 0,
    limit: 100_000,
    patience: 10,
    pair: 0,
    authority: 0,
    hasExtra: false,
    isInPlace: true,
  };
  const pairOf = (): Pair => pairs[state.pair % pairs.length] as Pair;
  const pathsOf = (): { chain: string; key: string } => {
    const name = state.isInPlace ? 'place' : `pair-${state.pair % pairs.length}`;
    return { chain: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) };
  };
  const put = ({ chain, key }: Pick<Pair, 'chain' | 'key'>): void => {
    const paths = pathsOf();
    writeFileSync(`${paths.key}.new`, key, { mode: 0o600 });
    writeFileSync(`${paths.chain}.new`, chain);
    renameSync(`${paths.key}.new`, paths.key);
    renameSync(`${paths.chain}.new`, paths.chain);
  };
  const options = (): EdgeOptions => {
    const { extras, weights, mark, limit, patience } = state;
    const timeouts = { exchange: `${patience}m`, idle: '10m' };
    const settings = {
      certificates: [{ names: ['localhost'], ...pathsOf() }],
      quic: { max_streams: 100 + patience, handshake_timeout: `${patience}s` },
      tls: { client_certificates: { mode: 'optional', ca: [authorities[state.authority]] } },
      max_connections: limit,
    };
    const names = Array.from({ length: extras }, (_, i) => `extra-${(mark + i) % 11}`);
    return {
      shards: 2,
      ...more,
      backends: [],
      config: {
        listeners: [
          { name: 'public', address: '127.0.0.1:0', ...settings },
          ...(state.hasExtra ? [{ name: 'extra', address: '127.0.0.1:0', ...settings }] : []),
        ],
        log: { level: patience % 2 === 0 ? 'info' : 'warn' },
        upstreams: {
          ...Object.fromEntries(names.map((name, i) => [name, { backends: [{ url: origins[i % 3]?.url }] }])),
          web: {
            backends: backends().map(({ url }, i) => ({ url, weight: weights[i] })),
            limits: { in_flight: limit },
            health: { path: '/', interval: `${patience}s` },
          },
        },
        routes: [
          ...names.map((name) => ({ name, match: { path: `/${name}` }, upstream: name })),
          {
            match: { path: '/' },
            upstream: 'web',
            timeouts,
            retries: { attempts: 1 + (patience % 3) },
            limits: { rate: [{ name: 'all', requests: limit }] },
            response_headers: { set: { 'x-mark': String(mark) } },
          },
        ],
      },
    };
  };
  const backends = (): Origin[] => origins.filter((_, i) => i !== state.without);
  put(pairOf());
  const edge = await startEdge(t, options());
  return { folder, feed, origins, state, edge, put, pathsOf, pairOf, pairs, options, write: () => edge.rewrite(options()) };
}

type Stage = Awaited<ReturnType<typeof setUp>>;

/** What a request shows of the configuration that decided it. */
async function checkInForce(t: Test, { state, origins }: Stage, client: H3Client, what: string): Promise<void> {
  const { status, text, headers } = await client.exchange();
  t.equal(status, 200, what);
  t.equal(headers['x-mark'], String(state.mark), `${what}: the route is the one of the file`);
  t.not(text, 'abc'[state.without], `${what}: and so are the backends`);
  t.equal(origins.length, 3);
}

/** The other listener is served, or gone. */
async function checkListeners(t: Test, { edge, state }: Stage, what: string): Promise<void> {
  const { listeners } = (await edge.ask('/v1/status')) as { listeners: { name: string; address: string; state: string }[] };
  const extra = listeners.find(({ name, state }) => name === 'extra' && state === 'serving');
  t.equal(extra !== undefined, state.hasExtra, `${what}: the other listener ${state.hasExtra ? 'is there' : 'is gone'}`);
  if (extra === undefined) return;
  const client = await connectH3(t, Number(extra.address.slice(extra.address.lastIndexOf(':') + 1)));
  t.equal((await client.exchange()).status, 200, `${what}: and is served`);
  await client.close();
}

/** Something that is wrong, which is refused and changes nothing. */
async function checkRefusal(t: Test, stage: Stage, round: number, generation: string): Promise<void> {
  const { edge, put, pairOf, pairs } = stage;
  if (round % 2 === 0) {
    const { what, message, make } = MISTAKES[(round >> 1) % MISTAKES.length] as (typeof MISTAKES)[number];
    const sound = readFileSync(edge.file, 'utf8');
    writeFileSync(edge.file, make(sound));
    const answer = await reload(edge);
    t.match(answer, { status: 422, result: 'invalid', generation }, `${what} is refused`);
    t.match(answer.problems.join('\n'), message, `${what} is told`);
    writeFileSync(edge.file, sound);
    return;
  }
  const { what, message, file, make } = BROKEN[(round >> 1) % BROKEN.length] as (typeof BROKEN)[number];
  put(make(pairOf(), pairs[(stage.state.pair + 1) % pairs.length] as Pair));
  const answer = await reload(edge);
  t.match(answer, { status: 422, result: 'invalid', generation }, `${what} is refused`);
  t.match(answer.problems.join('\n'), message, `${what} is told`);
  t.match(answer.problems.join('\n'), `listeners[0].certificates[0].${file}: `, 'and its place in the file');
  put(pairOf());
}

t.test(
  `${RELOADS} reloads of everything in turn, mistakes in between: no request, no stream and no connection is lost, and memory stays`,
  { skip, timeout: 1_100_000 },
  async (t) => {
    const stage = await setUp(t, { bin: inspectableBin(t) });
    const { edge, state, feed } = stage;
    const inside = await inspect(t, edge.pid);
    const underWay = await startUnderWay(t, edge.port, feed, { everyMs: 10, connectEveryMs: 250 });
    const client = await connectH3(t, edge.port);
    const startedMs = performance.now();
    const took: number[] = [];
    let before: Weight | undefined;
    let generation = ((await edge.ask('/v1/status')) as { generation: string }).generation;
    let refusals = 0;
    for (let round = 1; round <= RELOADS; round += 1) {
      const beganMs = performance.now();
      const { what, change } = CHANGES[round % CHANGES.length] as (typeof CHANGES)[number];
      if (round % 3 === 0) {
        await checkRefusal(t, stage, round / 3, generation);
        await checkInForce(t, stage, client, `${round}: after a refusal`);
        refusals += 1;
      }
      const serialAfter = what === 'certificates' ? readySerialAioquic(t) : undefined;
      change(state, round);
      if (what === 'certificates') stage.put(stage.pairOf());
      stage.write();
      const askedMs = performance.now();
      const answer = await reload(edge);
      took.push(performance.now() - askedMs);
      t.equal(answer.result, 'applied', `${round}: ${what}: ${answer.problems.join()}`);
      generation = answer.generation;
      await checkInForce(t, stage, client, `${round}: ${what}`);
      if (what === 'listeners') await checkListeners(t, stage, `${round}: ${what}`);
      if (serialAfter !== undefined)
        t.equal(
          await serialAfter(edge.port, { servername: 'localhost', ca: undefined }),
          stage.pairOf().serial,
          `${round}: the next handshake`,
        );
      if (round === WARM_UP) before = await weigh(inside);
      await sleep(Math.max(0, RELOAD_MS - (performance.now() - beganMs)));
    }
    const after = await weigh(inside);
    const tookMs = performance.now() - startedMs;
    inside.close();
    await underWay.end();

    const metrics = await edge.metrics();
    t.equal(metrics.sum('lychgate_config_reloads_total', { result: 'applied' }), RELOADS);
    t.equal(metrics.sum('lychgate_config_reloads_total', { result: 'invalid' }), refusals);
    t.equal(metrics.sum('lychgate_config_reloads_total'), RELOADS + refusals);
    t.equal(metrics.sum('lychgate_shard_restarts_total'), 0);
    t.equal(metrics.sum('lychgate_decide_failures_total'), 0);
    t.ok(before !== undefined);
    if (before === undefined) return;
    for (const [place, now] of after.threads.entries()) {
      const then = before.threads[place] as ThreadMemory;
      t.ok(isWithin(now.heap, then.heap), `heap of ${now.thread}: ${mib(then.heap)} before, ${mib(now.heap)} after`);
      t.ok(
        isWithin(now.external, then.external),
        `outside the heap of ${now.thread}: ${mib(then.external)} before, ${mib(now.external)} after`,
      );
      t.comment(`${now.thread}: heap ${mib(then.heap)} → ${mib(now.heap)}, outside of it ${mib(then.external)} → ${mib(now.external)}`);
    }
    // Of a process that has just begun a good part is still to come: only the long form says
    // something of it.
    if (RELOADS >= 1_000)
      t.ok(isWithin(after.resident, before.resident), `resident: ${mib(before.resident)} before, ${mib(after.resident)} after`);
    took.sort((a, b) => a - b);
    const [median = 0, worst = 0] = [took[Math.floor(RELOADS / 2)], took.at(-1)];
    const { requests, connections } = underWay.counts;
    t.comment(
      `${RELOADS} reloads and ${refusals} refusals in ${(tookMs / 1_000).toFixed(1)} s, answered after ${median.toFixed(0)} ms (median), ${worst.toFixed(0)} ms (worst)`,
    );
    t.comment(
      `${requests} requests on the kept connection, ${connections} new connections; resident ${mib(before.resident)} → ${mib(after.resident)}`,
    );
  },
);

t.test(
  `${KILLS} workers die while a reload is under way: one generation everywhere in the end, nothing fails and no one is disconnected`,
  { skip: missingAddon, timeout: 1_100_000 },
  async (t) => {
    const stage = await setUp(t, { env: { LYCHGATE_TEST_FAULTS: '1' } });
    const { edge, state, feed } = stage;
    const underWay = await startUnderWay(t, edge.port, feed, { everyMs: 10, connectEveryMs: 250 });
    // Some for each shard, in all likelihood.
    const clients: H3Client[] = [];
    for (let i = 0; i < 6; i += 1) clients.push(await connectH3(t, edge.port));
    for (let round = 1; round <= KILLS; round += 1) {
      const beganMs = performance.now();
      const { change, what } = CHANGES[round % CHANGES.length] as (typeof CHANGES)[number];
      change(state, round);
      CHANGES[0]?.change(state, round);
      if (what === 'certificates') stage.put(stage.pairOf());
      stage.write();
      // Before the reload, in its midst, and right behind it.
      const hurting = hurt(edge, round % 2, FAULTS[round % FAULTS.length] as string, round % 3 === 0 ? 'decide' : 'now');
      if (round % 5 === 0) await hurting;
      const answer = reload(edge);
      if (round % 4 === 0) await hurt(edge, (round + 1) % 2, 'exit', 'now');
      await hurting;
      t.equal((await answer).result, 'applied', `${round}: ${(await answer).problems.join()}`);
      for (const client of clients) await checkInForce(t, stage, client, `${round}: ${what}`);
      const { generation } = await answer;
      t.equal(((await edge.ask('/v1/status')) as { generation: string }).generation, generation);
      await sleep(Math.max(0, RELOAD_MS - (performance.now() - beganMs)));
    }
    await until('every worker lives', async () => {
      const { shards } = (await edge.ask('/v1/status')) as { shards: { state: string }[] };
      return shards.every(({ state }) => state === 'ready');
    });
    for (const client of clients) await checkInForce(t, stage, client, 'in the end');
    await underWay.end();
    const metrics = await edge.metrics();
    const deaths = metrics.sum('lychgate_shard_restarts_total');
    t.ok(deaths >= KILLS, `${deaths} workers died`);
    t.comment(
      `${KILLS} reloads, ${deaths} workers died; ${underWay.counts.requests} requests, ${underWay.counts.connections} new connections`,
    );
  },
);

const FAULTS = ['exit', 'throw'];

async function hurt(edge: Edge, shard: number, fault: string, at: string): Promise<void> {
  await until('the shard is there to be hurt', async () => {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${edge.admin}/v1/test/fault`, { method: 'POST', headers, body: JSON.stringify({ shard, fault, at }) });
    return response.ok;
  });
}

/** Memory after a collection. */
interface Weight {
  readonly threads: readonly ThreadMemory[];
  readonly resident: number;
}

async function weigh(inside: Inspected): Promise<Weight> {
  const threads = (await inside.memory()).toSorted((a, b) => a.thread.localeCompare(b.thread));
  return { threads, resident: inside.resident() };
}

/** A MiB is what the load itself makes of a difference. */
function isWithin(now: number, then: number): boolean {
  return now <= Math.max(then * (1 + GROWTH), then + 1024 * 1024);
}

function mib(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}
