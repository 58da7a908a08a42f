import t from 'tap';
import { createBackendTable, IN_FLIGHT_WORD, LATENCY_EWMA_F64 } from '../../src/base/tables.ts';
import { AVOID_MS, Backends, FAILURE_PENALTY_US } from '../../src/lane/balance/backends.ts';
import { type Balancer, Members, NO_MEMBER } from '../../src/lane/balance/balancer.ts';
import { PeakEwma } from '../../src/lane/balance/peak-ewma.ts';
import { RoundRobin } from '../../src/lane/balance/round-robin.ts';
import { Random } from '../../src/lane/random.ts';

interface Stand {
  table: SharedArrayBuffer;
  backends: Backends;
  balancer: Balancer;
  pick(tried?: number, failed?: number): number;
  counts(picks: number): number[];
}

type Policy = (members: Members) => Balancer;

const POLICIES: Record<string, Policy> = {
  'round robin': (members) => new RoundRobin(members),
  'peak EWMA': (members) => new PeakEwma(members, new Random(7)),
};

function stand(policy: Policy, weights: readonly number[]): Stand {
  const table = createBackendTable(weights.length);
  const backends = new Backends(
    table,
    weights.map((_, slot) => ({ slot, decayMs: 10_000 })),
  );
  backends.begin(1_000_000);
  const members = new Members(
    weights.map((weight, slot) => ({ slot, weight })),
    backends,
  );
  const balancer = policy(members);
  const pick = (tried = 0, failed = NO_MEMBER) => balancer.pick(tried, failed);
  const counts = (picks: number) => {
    const found = weights.map(() => 0);
    for (let i = 0; i < picks; i++) found[pick()]! += 1;
    return found;
  };
  return { table, backends, balancer, pick, counts };
}

for (const [name, policy] of Object.entries(POLICIES)) {
  t.test(`${name} keeps what every balancer promises`, async (t) => {
    t.test('a backend of weight 0 is never picked', async (t) => {
      t.equal(stand(policy, [0, 1, 1]).counts(100)[0], 0);
      t.equal(stand(policy, [0, 0]).pick(), NO_MEMBER);
    });

    t.test('an upstream without members has nobody to pick', async (t) => {
      t.equal(stand(policy, []).pick(), NO_MEMBER);
    });

    t.test('a name without an address is never picked', async (t) => {
      const { backends, counts, pick } = stand(policy, [1, 1]);
      backends.setAddresses(0, 0);
      t.strictSame(counts(50), [0, 50]);
      backends.setAddresses(1, 0);
      t.equal(pick(), NO_MEMBER);
      backends.setAddresses(0, 2);
      t.equal(pick(), 0);
    });

    t.test('who was tried and who failed is not picked again', async (t) => {
      const { pick } = stand(policy, [1, 1, 1]);
      for (let i = 0; i < 30; i++) t.equal(pick(0b001, 2), 1);
      t.equal(pick(0b011, 2), NO_MEMBER);
    });

    t.test('who failed a moment ago is picked only when nobody else is left', async (t) => {
      const { backends, counts, pick } = stand(policy, [1, 1]);
      backends.avoid(0);
      t.strictSame(counts(50), [0, 50]);
      t.equal(pick(0b10), 0);
      backends.begin(1_000_000 + AVOID_MS);
      t.ok(counts(50)[0]! > 0);
    });

    t.test('equal members get equal shares', async (t) => {
      for (const count of stand(policy, [3, 3, 3, 3]).counts(4_000)) t.ok(count > 850 && count < 1_150, `${count} of 4,000`);
    });

    t.test('shares follow the weights', async (t) => {
      const [first, second, third] = stand(policy, [50, 30, 20]).counts(10_000) as [number, number, number];
      t.ok(first > 4_700 && first < 5_300, `${first} for 50`);
      t.ok(second > 2_700 && second < 3_300, `${second} for 30`);
      t.ok(third > 1_700 && third < 2_300, `${third} for 20`);
    });
  });
}

t.test('round robin spreads the turns of a heavy member', async (t) => {
  const { pick } = stand(POLICIES['round robin']!, [5, 1, 1]);
  t.equal(Array.from({ length: 7 }, () => 'abc'[pick()]).join(''), 'aabacaa');
});

t.test('peak EWMA prefers the quicker of two', async (t) => {
  const { backends, counts } = stand(POLICIES['peak EWMA']!, [1, 1]);
  backends.sample(0, 900);
  backends.sample(1, 300);
  t.strictSame(counts(20), [0, 20]);
});

t.test('peak EWMA weighs latency with what is in flight, its own picks of the turn included', async (t) => {
  const { table, backends, pick } = stand(POLICIES['peak EWMA']!, [1, 1]);
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
  const { backends, pick } = stand(POLICIES['peak EWMA']!, [1, 1]);
  backends.sample(0, 500);
  t.equal(pick(), 1);
  backends.take(1);
  t.equal(pick(), 0);
});

t.test('a slow answer counts at once, a quick one by and by', async (t) => {
  const { backends } = stand(POLICIES['peak EWMA']!, [1]);
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
  const { backends } = stand(POLICIES['peak EWMA']!, [1]);
  backends.sample(0, 1_000);
  backends.begin(1_000_000 + 10_000);
  t.ok(Math.abs(backends.latencyUs(0) - 1_000 / Math.E) < 1);
});

t.test('a failure is a penalty and never a quick answer', async (t) => {
  const { backends, counts } = stand(POLICIES['peak EWMA']!, [1, 1]);
  backends.sample(0, 2_000);
  backends.sample(1, 100);
  backends.fail(1);
  t.equal(backends.latencyUs(1), FAILURE_PENALTY_US);
  t.strictSame(counts(20), [20, 0]);
  backends.sampleUnwell(0, 10);
  t.equal(backends.latencyUs(0), 2_000);
});

t.test('samples of one lane are seen by another', async (t) => {
  const one = stand(POLICIES['peak EWMA']!, [1]);
  const other = new Backends(one.table, [{ slot: 0, decayMs: 10_000 }]);
  other.begin(1_000_000);
  one.backends.sample(0, 750);
  t.equal(other.latencyUs(0), 750);
  t.equal(new Float64Array(one.table)[LATENCY_EWMA_F64], 750);
});
