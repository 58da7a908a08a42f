/**
 * What one pick costs: every policy over pools of several sizes, with the standing, load and weight
 * tables of a lane and a new turn after every sixteen picks.
 *
 *     node bench/balance.ts [--json FILE]
 *
 * Half of the members are busy and have a latency that is known. Below it, what is asked before a
 * pick where a route or upstream wants it: keys, splits, cookies. The least of several rounds is
 * shown: what the work costs when nothing disturbs it.
 */

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { finish } from '../src/base/steps.ts';
import type { BalanceSnapshot } from '../src/config/snapshot/balance.ts';
import type { KeySnapshot } from '../src/config/snapshot/key.ts';
import type { Snapshot } from '../src/config/snapshot/snapshot.ts';
import { Backends } from '../src/lane/balance/backends.ts';
import { NO_MEMBER } from '../src/lane/balance/balancer.ts';
import { compilePools, type Pool } from '../src/lane/balance/pool.ts';
import { Split } from '../src/lane/balance/split.ts';
import { Weights } from '../src/lane/balance/weights.ts';
import { Client } from '../src/lane/head/client.ts';
import { scatter } from '../src/lane/head/hash.ts';
import { Lookups } from '../src/lane/head/lookups.ts';
import { Random } from '../src/lane/random.ts';
import { createSharedState } from '../src/lane/shared.ts';
import { Standing } from '../src/lane/standing/standing.ts';
import { headDesk } from '../test/support/heads.ts';
import { noteInto } from '../test/support/lanes.ts';
import { sampleSnapshot } from '../test/support/snapshots.ts';

const MEMBERS = [2, 10, 100, 1_000];
const ROUNDS = 12;
const PICKS_A_ROUND = 100_000;
const PICKS_A_TURN = 16;

interface Row {
  readonly policy: string;
  /** Nanoseconds a pick by number of members, as MEMBERS names them. */
  readonly ns: readonly number[];
}

const KEYED = { kind: 'path', name: '', prefix4: 32, prefix6: 128 } as const;
const CASES: readonly (readonly [name: string, balance: Partial<BalanceSnapshot>, weights: (slot: number) => number])[] = [
  ['random', { policy: 'random' }, () => 100],
  ['random, weighted', { policy: 'random' }, (slot) => 50 + (slot % 4) * 50],
  ['round-robin', { policy: 'round-robin' }, () => 100],
  ['least-request', { policy: 'least-request' }, () => 100],
  ['peak-ewma', { policy: 'peak-ewma' }, () => 100],
  ['peak-ewma, weighted', { policy: 'peak-ewma' }, (slot) => 50 + (slot % 4) * 50],
  ['ring-hash, bound 1.25', { policy: 'ring-hash', keys: [KEYED], loadBound: 1.25 }, () => 100],
  ['ring-hash, no bound', { policy: 'ring-hash', keys: [KEYED], loadBound: 0 }, () => 100],
  ['maglev', { policy: 'maglev', keys: [KEYED] }, () => 100],
];

const { values } = parseArgs({ options: { json: { type: 'string' } } });
const rows = CASES.map(([policy, balance, weights]): Row => ({ policy, ns: MEMBERS.map((count) => measure(balance, weights, count)) }));

process.stdout.write('\none pick, ns, by number of members (goal: at most 250 ns for 10)\n\n');
process.stdout.write(`${'policy'.padEnd(22)}${MEMBERS.map((count) => String(count).padStart(8)).join('')}\n`);
for (const { policy, ns } of rows) {
  process.stdout.write(`${policy.padEnd(22)}${ns.map((figure) => figure.toFixed(0).padStart(8)).join('')}\n`);
}

const parts = measureParts();
process.stdout.write('\nbefore it, ns\n\n');
for (const [part, ns] of parts) process.stdout.write(`${part.padEnd(36)}${ns.toFixed(0).padStart(8)}\n`);
if (values.json !== undefined) {
  writeFileSync(values.json, `${JSON.stringify({ case: 'balance', members: MEMBERS, rows, parts }, undefined, 2)}\n`);
}

function measure(balance: Partial<BalanceSnapshot>, weights: (slot: number) => number, count: number): number {
  const snapshot = sampleSnapshot({
    upstreams: [{ balance, backends: Array.from({ length: count }, (_, slot) => ({ weight: weights(slot) })) }],
  });
  const { shared, backends, standing, observer } = stand(snapshot);
  const lookups = new Lookups(new Uint8Array(1));
  const { pools } = finish(
    compilePools({ snapshot, backends, standing, weights: shared.weights, random: new Random(3), observer, lookups }),
  );
  let nowMs = 1_000_000;
  const turn = () => {
    nowMs += 0.2;
    backends.begin(nowMs);
    standing.begin(nowMs);
  };
  turn();
  const inFlight = new Int32Array(shared.backends);
  for (let slot = 0; slot < count; slot++) {
    if (slot % 2 === 0) inFlight[slot * 16] = 3 + (slot % 3);
    backends.sample(slot, 500 + ((slot * 37) % 400));
  }
  const rounds = Array.from({ length: ROUNDS }, () => round(pools[0]!, backends, turn));
  return Math.min(...rounds.slice(1));
}

function round(pool: Pool, backends: Backends, turn: () => void): number {
  const start = performance.now();
  for (let i = 0; i < PICKS_A_ROUND; i++) {
    if (i % PICKS_A_TURN === 0) turn();
    const position = pool.balancer.pick(scatter(i + 1), 0, NO_MEMBER);
    backends.take(pool.slots[position]!);
  }
  return ((performance.now() - start) * 1e6) / PICKS_A_ROUND;
}

/** Each asked of the same heads in turn: a browser's, with a session cookie among others. */
function measureParts(): [part: string, ns: number][] {
  const desk = headDesk();
  const sticky = { kind: 'cookie', cookie: 'stay', path: '/', maxAgeS: 3_600, key: new Uint8Array(32) } as const;
  const snapshot = sampleSnapshot({
    upstreams: [{ balance: { policy: 'random', sticky }, backends: Array.from({ length: 10 }, () => ({})) }],
    routes: [{ targets: [{ weight: 95 }, { weight: 5, subset: {} }] }],
  });
  const { shared, backends, standing, observer } = stand(snapshot);
  const parts = { snapshot, backends, standing, weights: shared.weights, random: new Random(3), observer, lookups: desk.lookups };
  const pool = finish(compilePools(parts)).pools[0]!;
  backends.begin(1_760_000_000_000);
  const cookie = pool.sticky!.setCookie(4).split(';')[0]!;
  const head = desk.read({ path: '/api/v1/orders/item-1?page=1', fields: browserFields(`a=1; theme=dark; ${cookie}`) });
  const client = new Client(snapshot.listeners, desk.lookups);
  client.read(head);
  const key = (kind: KeySnapshot['kind'], name = '') => {
    const found = desk.lookups.key([{ ...KEYED, kind, name }], 'first');
    return () => found.hash(head, client, -1, 0);
  };
  const split = (splitKeys: readonly KeySnapshot[]) => {
    const found = new Split({ ...snapshot.routes[0]!, splitKeys }, 0, [0, 1], new Weights(shared.weights), desk.lookups);
    return () => found.choose(head, client, -1);
  };
  // Each time as if it were another head: nothing that was found in the last is known.
  const anew = (ask: () => number) =>
    timed(() => {
      head.serial += 1;
      return ask();
    });
  return [
    ['key: path', anew(key('path'))],
    ['key: client', anew(key('client'))],
    ['key: header, the last of six', anew(key('header', 'cookie'))],
    ['key: cookie of 66 bytes, the third', anew(key('cookie', 'stay'))],
    ['split in turn', anew(split([]))],
    ['split by client', anew(split([{ ...KEYED, kind: 'client' }]))],
    ['sticky cookie', anew(() => pool.sticky!.read(head))],
  ];
}

function browserFields(cookie: string): [string, string][] {
  return [
    ['user-agent', 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36'],
    ['accept', 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'],
    ['accept-language', 'en-GB,en;q=0.9'],
    ['accept-encoding', 'gzip, deflate, br'],
    ['sec-fetch-mode', 'navigate'],
    ['cookie', cookie],
  ];
}

function timed(ask: () => number): number {
  const rounds = Array.from({ length: ROUNDS }, () => {
    const start = performance.now();
    for (let i = 0; i < PICKS_A_ROUND; i++) ask();
    return ((performance.now() - start) * 1e6) / PICKS_A_ROUND;
  });
  return Math.min(...rounds.slice(1));
}

/** A lane's tables for `snapshot`, and whoever reads them. */
function stand(snapshot: Snapshot) {
  const shared = createSharedState(snapshot);
  const observer = noteInto({ attempts: [], failures: [], notes: [], errors: [], completions: [], turns: [] });
  const backends = new Backends(
    shared.backends,
    snapshot.backends.map(({ slot }) => ({ slot, decayMs: 10_000 })),
  );
  return { shared, observer, backends, standing: new Standing({ snapshot, table: shared.standing, observer, backends }) };
}
