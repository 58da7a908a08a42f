/**
 * What one pick costs: every policy over pools of several sizes, with the standing, load and weight tables of a lane and a new turn after every sixteen picks.
 *
 *     node bench/balance.ts [--json FILE]
 *
 * Half of the members are busy and have a latency that is known. The least of several rounds is shown: what the work costs when nothing disturbs it.
 */

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import type { BalanceSnapshot } from '../src/config/snapshot.ts';
import { Backends } from '../src/lane/balance/backends.ts';
import { NO_MEMBER } from '../src/lane/balance/balancer.ts';
import { compilePools, type Pool } from '../src/lane/balance/pool.ts';
import { scatter } from '../src/lane/head/hash.ts';
import { Random } from '../src/lane/random.ts';
import { createSharedState } from '../src/lane/shared.ts';
import { Standing } from '../src/lane/standing/standing.ts';
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
if (values.json !== undefined) {
  writeFileSync(values.json, `${JSON.stringify({ case: 'balance', members: MEMBERS, rows }, undefined, 2)}\n`);
}

function measure(balance: Partial<BalanceSnapshot>, weights: (slot: number) => number, count: number): number {
  const snapshot = sampleSnapshot({
    upstreams: [{ balance, backends: Array.from({ length: count }, (_, slot) => ({ weight: weights(slot) })) }],
  });
  const shared = createSharedState(snapshot);
  const observer = noteInto({ attempts: [], failures: [], notes: [], errors: [], completions: [], turns: [] });
  const backends = new Backends(
    shared.backends,
    snapshot.backends.map(({ slot }) => ({ slot, decayMs: 10_000 })),
  );
  const standing = new Standing({ snapshot, table: shared.standing, observer, backends });
  const bytes = new Uint8Array(1);
  const { pools } = compilePools({ snapshot, backends, standing, weights: shared.weights, random: new Random(3), observer, bytes });
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
