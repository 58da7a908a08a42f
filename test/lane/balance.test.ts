import t from 'tap';
import { IN_FLIGHT_WORD, LATENCY_EWMA_F64 } from '../../src/base/tables.ts';
import { Backends, FAILURE_PENALTY_US } from '../../src/lane/balance/backends.ts';
import { NO_MEMBER } from '../../src/lane/balance/balancer.ts';
import { EarliestDeadline } from '../../src/lane/balance/earliest-deadline.ts';
import { LeastRequest } from '../../src/lane/balance/least-request.ts';
import { Maglev } from '../../src/lane/balance/maglev.ts';
import { PeakEwma } from '../../src/lane/balance/peak-ewma.ts';
import { RandomChoice } from '../../src/lane/balance/random-choice.ts';
import { RingHash } from '../../src/lane/balance/ring-hash.ts';
import { RoundRobin } from '../../src/lane/balance/round-robin.ts';
import { type BalancerContract, balancerContract } from '../contract/balancer.ts';
import { keyNumber, type PolicyMaker, setInFlight, standPool } from '../support/balancers.ts';

const ROUND_ROBIN: PolicyMaker = (members) => new RoundRobin(members);
const EARLIEST_DEADLINE: PolicyMaker = (members) => new EarliestDeadline(members);
const PEAK_EWMA: PolicyMaker = (members, random) => new PeakEwma(members, random);
const LEAST_REQUEST: PolicyMaker = (members, random) => new LeastRequest(members, random);
const RING: PolicyMaker = (members, random) => new RingHash(members, random, { points: 400, loadBound: 1.25 });
const MAGLEV: PolicyMaker = (members, random) => new Maglev(members, random, 4_093);

const CONTRACTS: readonly BalancerContract[] = [
  { name: 'random', policyOf: (members, random) => new RandomChoice(members, random) },
  { name: 'round robin', policyOf: ROUND_ROBIN },
  { name: 'round robin of many', policyOf: EARLIEST_DEADLINE },
  { name: 'least request', policyOf: LEAST_REQUEST },
  { name: 'peak EWMA', policyOf: PEAK_EWMA },
  { name: 'ring hash without keys', policyOf: RING },
  { name: 'ring hash with keys', policyOf: RING, keyOf: keyNumber, tolerance: 0.3 },
  { name: 'maglev without keys', policyOf: MAGLEV },
  { name: 'maglev with keys', policyOf: MAGLEV, keyOf: keyNumber, tolerance: 0.08 },
];

for (const contract of CONTRACTS) {
  t.test(`${contract.name} keeps what every balancer promises`, (t) => balancerContract(t, contract));
}

t.test('round robin spreads the turns of a heavy member', async (t) => {
  const { pick } = standPool(ROUND_ROBIN, [5, 1, 1]);
  t.equal(Array.from({ length: 7 }, () => 'abc'[pick()]).join(''), 'aabacaa');
});

t.test('round robin of many takes every member once a round, and one that was out without a burst', async (t) => {
  const weights = Array.from({ length: 100 }, () => 5);
  const { counts, fitness } = standPool(EARLIEST_DEADLINE, weights);
  t.strictSame(
    counts(100),
    weights.map(() => 1),
  );
  fitness.unfit.add(3);
  counts(1_000);
  fitness.unfit.delete(3);
  t.ok(counts(100)[3]! <= 1);
});

t.test('peak EWMA prefers the quicker of two', async (t) => {
  const { backends, counts } = standPool(PEAK_EWMA, [1, 1]);
  backends.sample(0, 900);
  backends.sample(1, 300);
  t.strictSame(counts(20), [0, 20]);
});

t.test('peak EWMA prefers the quicker one however heavy the other is', async (t) => {
  const { backends, counts } = standPool(PEAK_EWMA, [90, 10]);
  backends.sample(0, 900);
  backends.sample(1, 300);
  t.strictSame(counts(20), [0, 20]);
});

t.test('peak EWMA weighs latency with what is in flight, its own picks of the turn included', async (t) => {
  const { table, backends, pick } = standPool(PEAK_EWMA, [1, 1]);
  backends.sample(0, 900);
  backends.sample(1, 300);
  new Int32Array(table)[16 + IN_FLIGHT_WORD] = 1;
  t.equal(pick(), 1, '300 × 2 against 900 × 1');
  backends.take(1);
  backends.take(1);
  t.equal(pick(), 0, '300 × 4 against 900 × 1');
  backends.begin(1_000_000);
  t.equal(pick(), 1, 'the next turn counts by the table again');
});

t.test('an unknown backend is tried once and then waited for', async (t) => {
  const { backends, pick } = standPool(PEAK_EWMA, [1, 1]);
  backends.sample(0, 500);
  t.equal(pick(), 1);
  backends.take(1);
  t.equal(pick(), 0);
});

t.test('a slow answer counts at once, a quick one by and by', async (t) => {
  const { backends } = standPool(PEAK_EWMA, [1]);
  backends.sample(0, 1_000);
  backends.sample(0, 5_000);
  t.equal(backends.latencyUs(0), 5_000);
  backends.begin(1_000_100);
  backends.sample(0, 1_000);
  t.ok(backends.latencyUs(0) > 4_900 && backends.latencyUs(0) < 5_000, `${backends.latencyUs(0)} after 100 ms`);
  backends.begin(1_010_100);
  backends.sample(0, 1_000);
  t.ok(backends.latencyUs(0) > 2_300 && backends.latencyUs(0) < 2_600, `${backends.latencyUs(0)} after a time constant`);
});

t.test('an average nobody refreshes sinks', async (t) => {
  const { backends } = standPool(PEAK_EWMA, [1]);
  backends.sample(0, 1_000);
  backends.begin(1_000_000 + 10_000);
  t.ok(Math.abs(backends.latencyUs(0) - 1_000 / Math.E) < 1);
});

t.test('a failure is a penalty and never a quick answer', async (t) => {
  const { backends, counts } = standPool(PEAK_EWMA, [1, 1]);
  backends.sample(0, 2_000);
  backends.sample(1, 100);
  backends.fail(1);
  t.equal(backends.latencyUs(1), FAILURE_PENALTY_US);
  t.strictSame(counts(20), [20, 0]);
  backends.sampleUnwell(0, 10);
  t.equal(backends.latencyUs(0), 2_000);
});

t.test('samples of one lane are seen by another', async (t) => {
  const one = standPool(PEAK_EWMA, [1]);
  const other = new Backends(one.table, [{ slot: 0, decayMs: 10_000 }]);
  other.begin(1_000_000);
  one.backends.sample(0, 750);
  t.equal(other.latencyUs(0), 750);
  t.equal(new Float64Array(one.table)[LATENCY_EWMA_F64], 750);
});

t.test('least request takes the one with the fewest in flight for its weight', async (t) => {
  const stand = standPool(LEAST_REQUEST, [1, 1, 4]);
  for (const [slot, count] of [3, 2, 7].entries()) setInFlight(stand, slot, count);
  t.strictSame(stand.counts(20), [0, 0, 20], '7 / 4 is less than 2');
  setInFlight(stand, 2, 9);
  t.strictSame(stand.counts(20), [0, 20, 0]);
  t.equal(stand.pick(0b010), 2);
});

t.test('a member that starts slowly gets its share of its weight, in every policy', async (t) => {
  for (const { name, policyOf, keyOf = () => 0 } of CONTRACTS) {
    const { fitness, counts, pick } = standPool(policyOf, [1, 1, 1, 1], { isStartSlow: true });
    if (name === 'peak EWMA') continue;
    fitness.shares.set(0, 0.1);
    const [first] = counts(4_000, keyOf) as [number];
    t.ok(first > 60 && first < 150, `${name}: ${first} of 4,000 for a tenth of its weight`);
    t.equal(pick(0b1110, NO_MEMBER, keyOf(0)), 0, `${name}: it is taken where there is no other`);
  }
});

t.test('peak EWMA counts a member that starts slowly as dearer', async (t) => {
  const { backends, fitness, counts } = standPool(PEAK_EWMA, [1, 1], { isStartSlow: true });
  for (const slot of [0, 1]) backends.sample(slot, 500);
  fitness.shares.set(0, 0.1);
  t.strictSame(counts(50), [0, 50]);
  for (let i = 0; i < 10; i++) backends.take(1);
  t.strictSame(counts(50), [50, 0], '10 times as dear, and the other has 10 in flight');
});
