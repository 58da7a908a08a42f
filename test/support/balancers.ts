/**
 * A pool of one upstream to pick from, with standing, weights, load and clock in the test's hand.
 */

import { createBackendTable } from '../../src/base/tables.ts';
import { Backends } from '../../src/lane/balance/backends.ts';
import { type Balancer, NO_MEMBER } from '../../src/lane/balance/balancer.ts';
import { Members } from '../../src/lane/balance/members.ts';
import type { Policy } from '../../src/lane/balance/policy.ts';
import { Tiers } from '../../src/lane/balance/tiers.ts';
import { createWeightTable, setBackendWeight, Weights } from '../../src/lane/balance/weights.ts';
import { scatter } from '../../src/lane/head/hash.ts';
import { Random } from '../../src/lane/random.ts';
import type { Standing } from '../../src/lane/standing/standing.ts';
import { sampleSnapshot } from './snapshots.ts';

export type PolicyMaker = (members: Members, random: Random) => Policy;

/** What a test says of fitness. */
export interface Fitness {
  readonly unfit: Set<number>;
  readonly shares: Map<number, number>;
  isPanicking: boolean;
}

export interface PoolStand {
  readonly backends: Backends;
  /** In-flight words and latencies of all lanes. */
  readonly table: SharedArrayBuffer;
  readonly weights: SharedArrayBuffer;
  readonly fitness: Fitness;
  readonly balancer: Balancer;
  /** By tier, the lowest first. */
  readonly policies: readonly Policy[];
  pick(tried?: number, failed?: number, key?: number): number;
  /** How often each member was picked; `keyOf` gives the key of each pick, none unless given. */
  counts(picks: number, keyOf?: (pick: number) => number): number[];
  setWeight(slot: number, weight: number): void;
}

export interface StandOptions {
  readonly seed?: number;
  /** By member; all 0 unless given. */
  readonly tiers?: readonly number[];
  /** Another lane's stand, whose tables are shared. */
  readonly beside?: PoolStand;
  readonly isStartSlow?: boolean;
  readonly healthyShare?: number;
  readonly names?: readonly string[];
}

/** Members of `weights`, one backend each, slot by slot. */
export function standPool(policyOf: PolicyMaker, weights: readonly number[], options: StandOptions = {}): PoolStand {
  const { beside, seed = 7, tiers = [], isStartSlow = false, healthyShare = 0.7, names } = options;
  const fitness = beside?.fitness ?? { unfit: new Set<number>(), shares: new Map<number, number>(), isPanicking: false };
  const standing = {
    admits: (slot: number) => !fitness.unfit.has(slot),
    share: (slot: number) => fitness.shares.get(slot) ?? 1,
    isPanicking: () => fitness.isPanicking,
  } as unknown as Standing;
  const snapshot = sampleSnapshot({ upstreams: [{ backends: weights.map((weight) => ({ weight })) }] });
  const weightTable = beside?.weights ?? createWeightTable(snapshot);
  const table = beside?.table ?? createBackendTable(weights.length);
  const backends = new Backends(
    table,
    weights.map((_, slot) => ({ slot, decayMs: 10_000 })),
  );
  backends.begin(1_000_000);
  const random = new Random(seed);
  const members = weights.map((weight, slot) => ({ slot, weight, position: slot, name: names?.[slot] ?? `h2c://10.0.0.${slot}:80` }));
  const numbers = [...new Set(weights.map((_, slot) => tiers[slot] ?? 0))].sort((a, b) => a - b);
  const made = numbers.map((tier) => {
    const ofTier = new Members(
      members.filter(({ slot }) => (tiers[slot] ?? 0) === tier),
      { backends, standing, upstream: 0, isStartSlow },
    );
    return { members: ofTier, policy: policyOf(ofTier, random) };
  });
  const balancer = new Tiers({ tiers: made, healthyShare, weights: new Weights(weightTable), random });
  const pick = (tried = 0, failed = NO_MEMBER, key = 0) => balancer.pick(key, tried, failed);
  const counts = (picks: number, keyOf: (pick: number) => number = () => 0) => {
    const found = weights.map(() => 0);
    for (let i = 0; i < picks; i++) found[pick(0, NO_MEMBER, keyOf(i))]! += 1;
    return found;
  };
  const setWeight = (slot: number, weight: number) => setBackendWeight(weightTable, slot, weight);
  return { backends, table, weights: weightTable, fitness, balancer, policies: made.map(({ policy }) => policy), pick, counts, setWeight };
}

/** Key number `i` of a test: spread like hashes of real ones, and never 0. */
export function keyNumber(i: number): number {
  return scatter(i + 1) || 1;
}

/** Attempts in flight as the reactors count them. */
export function setInFlight(stand: PoolStand, slot: number, count: number): void {
  new Int32Array(stand.table)[slot * 16] = count;
}

/** Pearson's statistic of `found` against shares that sum up to 1. */
export function chiSquare(found: readonly number[], shares: readonly number[]): number {
  const total = found.reduce((sum, count) => sum + count, 0);
  return found.reduce((sum, count, i) => sum + (count - total * shares[i]!) ** 2 / (total * shares[i]!), 0);
}
