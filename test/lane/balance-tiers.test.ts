import t, { type Test } from 'tap';
import { NO_MEMBER } from '../../src/lane/balance/balancer.ts';
import { RandomChoice } from '../../src/lane/balance/random-choice.ts';
import { RingHash } from '../../src/lane/balance/ring-hash.ts';
import { TIER_INTERVAL_MS } from '../../src/lane/balance/tiers.ts';
import { keyNumber, type PolicyMaker, type PoolStand, standPool } from '../support/balancers.ts';

const RANDOM: PolicyMaker = (members, random) => new RandomChoice(members, random);
const RING: PolicyMaker = (members, random) => new RingHash(members, random, { points: 100, loadBound: 0 });

const TIERS = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2];
const EQUAL = TIERS.map(() => 1);

/** Shares of 10,000 picks by tier, once the tiers were weighed anew. */
function shares(stand: PoolStand, keyOf?: (pick: number) => number): number[] {
  stand.backends.begin(stand.backends.nowMs + TIER_INTERVAL_MS);
  const counts = stand.counts(10_000, keyOf);
  return [0, 1, 2].map((tier) => counts.reduce((sum, count, slot) => sum + (TIERS[slot] === tier ? count : 0), 0) / 10_000);
}

function near(t: Test, found: readonly number[], wanted: readonly number[]): void {
  for (const [i, share] of found.entries()) t.ok(Math.abs(share - wanted[i]!) < 0.02, `${share} for ${wanted[i]}`);
}

t.test('the lowest tier carries everything while enough of it is fit', async (t) => {
  const stand = standPool(RANDOM, EQUAL, { tiers: TIERS });
  t.strictSame(shares(stand), [1, 0, 0]);
  stand.fitness.unfit.add(0);
  t.strictSame(shares(stand), [1, 0, 0], '75 % of 70 %');
});

t.test('below the threshold what is missing spills to the next tier, in proportion', async (t) => {
  const stand = standPool(RANDOM, EQUAL, { tiers: TIERS });
  stand.fitness.unfit.add(0).add(1);
  near(t, shares(stand), [0.5 / 0.7, 1 - 0.5 / 0.7, 0]);
  for (const slot of [2, 3]) stand.fitness.unfit.add(slot);
  near(t, shares(stand), [0, 1, 0]);
  for (const slot of [4, 5]) stand.fitness.unfit.add(slot);
  near(t, shares(stand), [0, 0.5 / 0.7, 1 - 0.5 / 0.7]);
});

t.test('where all tiers together cannot carry everything, each carries by what it can', async (t) => {
  const stand = standPool(RANDOM, EQUAL, { tiers: TIERS });
  for (const slot of [0, 1, 2, 4, 5, 6, 8, 9]) stand.fitness.unfit.add(slot);
  near(t, shares(stand), [0.5, 0.5, 0]);
});

t.test('a tier that fails between two looks is left at once', async (t) => {
  const stand = standPool(RANDOM, EQUAL, { tiers: TIERS });
  t.ok(stand.pick() < 4);
  for (const slot of [0, 1, 2, 3]) stand.fitness.unfit.add(slot);
  for (let i = 0; i < 50; i++) t.equal(TIERS[stand.pick()], 1);
});

t.test('an attempt whose tier has nobody else goes to the next tier', async (t) => {
  const stand = standPool(RANDOM, [1, 1, 1], { tiers: [0, 1, 1] });
  t.equal(stand.pick(), 0);
  t.ok(stand.pick(0b001) > 0);
  t.equal(stand.pick(0b011, 2), NO_MEMBER);
});

t.test('members that are drained do not count as missing', async (t) => {
  const stand = standPool(RANDOM, EQUAL, { tiers: TIERS });
  for (const slot of [0, 1, 2]) stand.setWeight(slot, 0);
  t.strictSame(shares(stand), [1, 0, 0]);
  stand.setWeight(3, 0);
  t.strictSame(shares(stand), [0, 1, 0]);
});

t.test('a key stays in its tier and with its member while the shares hold', async (t) => {
  const stand = standPool(RING, EQUAL, { tiers: TIERS });
  stand.fitness.unfit.add(0).add(1);
  near(t, shares(stand, keyNumber), [0.5 / 0.7, 1 - 0.5 / 0.7, 0]);
  for (let i = 0; i < 200; i++) {
    const first = stand.pick(0, NO_MEMBER, keyNumber(i));
    t.equal(stand.pick(0, NO_MEMBER, keyNumber(i)), first);
  }
});

t.test('in panic the lowest tier carries everything again', async (t) => {
  const stand = standPool(RANDOM, EQUAL, { tiers: TIERS });
  for (const slot of [0, 1, 2, 3]) stand.fitness.unfit.add(slot);
  stand.fitness.isPanicking = true;
  t.strictSame(shares(stand), [1, 0, 0]);
});
