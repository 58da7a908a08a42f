/**
 * Balancers under load, in simulated time: requests arrive, are served for a while and are sampled,
 * as a lane sees it.
 */

import t from 'tap';
import { LeastRequest } from '../../src/lane/balance/least-request.ts';
import { PeakEwma } from '../../src/lane/balance/peak-ewma.ts';
import { Random } from '../../src/lane/random.ts';
import { type PolicyMaker, type PoolStand, setInFlight, standPool } from '../support/balancers.ts';

const PEAK_EWMA: PolicyMaker = (members, random) => new PeakEwma(members, random);
const LEAST_REQUEST: PolicyMaker = (members, random) => new LeastRequest(members, random);

/** Milliseconds a request takes at each member, at a time since the start. */
type ServiceMs = (slot: number, atMs: number) => number;

/** Steps of a millisecond, `rate` requests in each; gives the picks of each member by second. */
function simulate(
  stand: PoolStand,
  count: number,
  seconds: number,
  rate: number,
  serviceMs: ServiceMs,
  watch?: (inFlight: number[]) => void,
) {
  const random = new Random(99);
  const inFlight = new Array<number>(count).fill(0);
  const ends = new Map<number, { slot: number; ms: number }[]>();
  const picked: number[][] = [];
  for (let atMs = 0; atMs < seconds * 1_000; atMs++) {
    stand.backends.begin(1_000_000 + atMs);
    for (const { slot, ms } of ends.get(atMs) ?? []) {
      inFlight[slot]! -= 1;
      setInFlight(stand, slot, inFlight[slot]!);
      stand.backends.sample(slot, ms * 1_000);
    }
    ends.delete(atMs);
    if (atMs % 1_000 === 0) picked.push(new Array<number>(count).fill(0));
    for (let due = rate + random.next(); due >= 1; due--) {
      const slot = stand.pick();
      picked[picked.length - 1]![slot]! += 1;
      inFlight[slot]! += 1;
      setInFlight(stand, slot, inFlight[slot]!);
      const ms = Math.max(1, Math.round(serviceMs(slot, atMs) * (0.5 + random.next())));
      ends.set(atMs + ms, [...(ends.get(atMs + ms) ?? []), { slot, ms }]);
    }
    watch?.(inFlight);
  }
  return picked;
}

const shareOf = (slot: number, seconds: readonly number[][]) => {
  const sum = (list: readonly number[]) => list.reduce((total, count) => total + count, 0);
  return sum(seconds.map((second) => second[slot]!)) / sum(seconds.map(sum));
};

for (const weights of [
  [1, 1],
  [1, 1, 1, 1],
  [3, 1, 1],
]) {
  t.test(
    `peak EWMA takes nine tenths of its share from a backend of ${weights.join(' ')} that turns slow, and gives it back`,
    async (t) => {
      const stand = standPool(PEAK_EWMA, weights);
      const seconds = simulate(stand, weights.length, 60, 1.5, (slot, atMs) => (slot === 0 && atMs >= 10_000 && atMs < 20_000 ? 400 : 10));
      const before = shareOf(0, seconds.slice(5, 10));
      const slow = shareOf(0, seconds.slice(12, 20));
      const after = shareOf(0, seconds.slice(50));
      t.ok(slow <= 0.1 * before, `${before.toFixed(3)} before, ${slow.toFixed(3)} while it is slow`);
      t.ok(after >= 0.7 * before, `${after.toFixed(3)} after`);
    },
  );
}

t.test('least request keeps in flight what follows the weights', async (t) => {
  const weights = [1, 2, 4];
  const stand = standPool(LEAST_REQUEST, weights);
  const sums = [0, 0, 0];
  let steps = 0;
  simulate(
    stand,
    3,
    12,
    1.5,
    () => 40,
    (inFlight) => {
      steps += 1;
      if (steps > 2_000) for (const [slot, count] of inFlight.entries()) sums[slot]! += count;
    },
  );
  t.ok(Math.abs(sums[1]! / sums[0]! - 2) < 0.3, `${(sums[1]! / sums[0]!).toFixed(2)} for 2`);
  t.ok(Math.abs(sums[2]! / sums[0]! - 4) < 0.5, `${(sums[2]! / sums[0]!).toFixed(2)} for 4`);
});

t.test('least request sends little to one that is slow, also in a pool of many', async (t) => {
  const weights = new Array<number>(20).fill(1);
  const stand = standPool(LEAST_REQUEST, weights);
  const seconds = simulate(stand, 20, 12, 6, (slot) => (slot === 3 ? 400 : 10));
  t.ok(shareOf(3, seconds.slice(4)) < 0.02, `${shareOf(3, seconds.slice(4)).toFixed(3)} of 0.05`);
});
