/** What every policy promises, whatever it prefers. Run by the test of each. */

import fc from 'fast-check';
import type { Test } from 'tap';
import { AVOID_MS } from '../../src/lane/balance/backends.ts';
import { NO_MEMBER } from '../../src/lane/balance/balancer.ts';
import { chiSquare, keyNumber, type PolicyMaker, setInFlight, standPool } from '../support/balancers.ts';

/** Upper 0.1 % points of chi-square by degrees of freedom. */
const CHI_SQUARE = [0, 10.83, 13.82, 16.27, 18.47, 20.52, 22.46, 24.32, 26.12, 27.88, 29.59];

export interface BalancerContract {
  readonly name: string;
  readonly policyOf: PolicyMaker;
  /**
   * Shares without keys follow the weights only so closely (hash tables with keys): share of the
   * weight's own. Default: chi-square at 0.1 %.
   */
  readonly keyOf?: (pick: number) => number;
  readonly tolerance?: number;
}

export async function balancerContract(t: Test, contract: BalancerContract): Promise<void> {
  const { policyOf, keyOf = () => 0 } = contract;
  const stand = (weights: readonly number[], options = {}) => standPool(policyOf, weights, options);

  t.test('a member of weight 0 is never picked', async (t) => {
    t.equal(stand([0, 1, 1]).counts(100, keyOf)[0], 0);
    t.equal(stand([0, 0]).pick(0, NO_MEMBER, keyOf(0)), NO_MEMBER);
  });

  t.test('a pool without members has nobody to pick', async (t) => {
    t.equal(stand([]).pick(0, NO_MEMBER, keyOf(0)), NO_MEMBER);
  });

  t.test('a name without an address is never picked', async (t) => {
    const { backends, counts, pick } = stand([1, 1]);
    backends.setAddresses(0, 0);
    t.strictSame(counts(50, keyOf), [0, 50]);
    backends.setAddresses(1, 0);
    t.equal(pick(0, NO_MEMBER, keyOf(0)), NO_MEMBER);
    backends.setAddresses(0, 2);
    t.equal(pick(0, NO_MEMBER, keyOf(0)), 0);
  });

  t.test('who was tried and who failed is not picked again', async (t) => {
    const { pick } = stand([1, 1, 1]);
    for (let i = 0; i < 30; i++) t.equal(pick(0b001, 2, keyOf(i)), 1);
    t.equal(pick(0b011, 2, keyOf(0)), NO_MEMBER);
  });

  t.test('of many members the one that failed is not picked again', async (t) => {
    const { pick } = stand(Array.from({ length: 40 }, () => 1));
    for (let i = 0; i < 400; i++) t.not(pick(0, 30, keyOf(i)), 30);
  });

  t.test('who failed a moment ago is picked only when nobody else is left', async (t) => {
    const { backends, counts, pick } = stand([1, 1]);
    backends.avoid(0);
    t.strictSame(counts(50, keyOf), [0, 50]);
    t.equal(pick(0b10, NO_MEMBER, keyOf(0)), 0);
    backends.begin(1_000_000 + AVOID_MS);
    t.ok(counts(50, keyOf)[0]! > 0);
  });

  t.test('who is not fit is never picked, but in panic', async (t) => {
    const { fitness, counts, pick } = stand([1, 1, 1]);
    fitness.unfit.add(0).add(2);
    t.strictSame(counts(50, keyOf), [0, 50, 0]);
    fitness.unfit.add(1);
    t.equal(pick(0, NO_MEMBER, keyOf(0)), NO_MEMBER);
    fitness.isPanicking = true;
    for (const count of counts(300, keyOf)) t.ok(count > 0);
  });

  t.test('a weight changed at run time counts at the next pick, for both of two lanes', async (t) => {
    const one = stand([1, 1]);
    const other = stand([1, 1], { beside: one, seed: 8 });
    one.pick(0, NO_MEMBER, keyOf(0));
    one.setWeight(0, 0);
    for (const lane of [one, other]) t.strictSame(lane.counts(40, keyOf), [0, 40]);
    one.setWeight(0, 1);
    for (const lane of [one, other]) t.ok(lane.counts(40, keyOf)[0]! > 0);
  });

  t.test('nobody is picked exactly when nobody may be', async () => {
    const member = fc.record({ weight: fc.nat(3), isFit: fc.boolean(), hasAddress: fc.boolean(), isAvoided: fc.boolean() });
    fc.assert(
      fc.property(
        fc.array(member, { maxLength: 24 }),
        fc.nat(255),
        fc.integer({ min: -1, max: 23 }),
        fc.nat(),
        (members, tried, failed, i) => {
          const { backends, fitness, pick } = stand(members.map(({ weight }) => weight));
          for (const [slot, { isFit, hasAddress, isAvoided }] of members.entries()) {
            if (!isFit) fitness.unfit.add(slot);
            if (!hasAddress) backends.setAddresses(slot, 0);
            if (isAvoided) backends.avoid(slot);
          }
          const may = members.flatMap(({ weight, isFit, hasAddress }, at) =>
            weight > 0 && isFit && hasAddress && at !== failed && !(at < 8 && (tried & (1 << at)) !== 0) ? [at] : [],
          );
          const first = may.filter((at) => !members[at]!.isAvoided);
          const picked = pick(tried, failed, keyOf(i));
          return may.length === 0 ? picked === NO_MEMBER : (first.length > 0 ? first : may).includes(picked);
        },
      ),
      { seed: 4, numRuns: 400 },
    );
  });

  for (const weights of [
    [3, 3, 3, 3],
    [50, 30, 20],
    [1, 2, 3, 4, 5, 6, 7],
  ]) {
    t.test(`shares follow the weights ${weights.join(', ')}`, async (t) => {
      const sum = weights.reduce((total, weight) => total + weight, 0);
      const shares = weights.map((weight) => weight / sum);
      const found = stand(weights).counts(20_000, keyOf);
      for (const [place, count] of found.entries()) {
        const { tolerance } = contract;
        if (tolerance === undefined) break;
        const share = shares[place]!;
        t.ok(Math.abs(count / 20_000 - share) <= share * tolerance, `${count} of 20,000 for ${weights[place]} of ${sum}`);
      }
      if (contract.tolerance === undefined) t.ok(chiSquare(found, shares) < CHI_SQUARE[weights.length - 1]!, found.join(' '));
    });
  }

  t.test('the share of one that is out falls to the others by their weights', async (t) => {
    const { fitness, counts } = stand([10, 10, 20, 40, 20]);
    fitness.unfit.add(3);
    const found = counts(12_000, keyOf);
    t.equal(found[3], 0);
    const shares = [1 / 6, 1 / 6, 1 / 3, 1 / 3];
    const tolerance = contract.tolerance ?? 0.1;
    for (const [i, count] of [found[0]!, found[1]!, found[2]!, found[4]!].entries()) {
      t.ok(Math.abs(count / 12_000 - shares[i]!) <= shares[i]! * (tolerance + 0.1), found.join(' '));
    }
  });

  t.test('two lanes on one table never pick whom neither may, and count each other', async (t) => {
    const one = stand([1, 1, 1, 1]);
    const other = stand([1, 1, 1, 1], { beside: one, seed: 11 });
    one.fitness.unfit.add(2);
    for (let i = 0; i < 400; i++) {
      const lane = i % 2 === 0 ? one : other;
      const picked = lane.pick(0, NO_MEMBER, keyNumber(i));
      t.not(picked, 2);
      setInFlight(one, picked, (i % 7) + 1);
    }
  });
}
