/**
 * What hash policies promise beside the contract: who changes costs only its own keys, load stays
 * bounded, tables are built when they must be.
 */

import fc from 'fast-check';
import t from 'tap';
import { NO_MEMBER } from '../../src/lane/balance/balancer.ts';
import { buildMaglev, MAGLEV_TABLES, Maglev } from '../../src/lane/balance/maglev.ts';
import { buildRing, RINGS } from '../../src/lane/balance/ring.ts';
import { RingHash } from '../../src/lane/balance/ring-hash.ts';
import { setBackendWeight } from '../../src/lane/balance/weights.ts';
import { keyNumber, type PolicyMaker, setInFlight, standPool } from '../support/balancers.ts';
import { standLane } from '../support/lanes.ts';
import { sampleSnapshot } from '../support/snapshots.ts';

const RING: PolicyMaker = (members, random) => new RingHash(members, random, { points: 200, loadBound: 0 });
const MAGLEV: PolicyMaker = (members, random) => new Maglev(members, random, 65_537);
const POLICIES: Record<string, PolicyMaker> = { ring: RING, maglev: MAGLEV };
const KEYS = 5_000;

/** Position of the member of each key, by name. */
function owners(policyOf: PolicyMaker, names: readonly string[], weights: readonly number[]): string[] {
  const { pick } = standPool(policyOf, weights, { names });
  return Array.from({ length: KEYS }, (_, i) => names[pick(0, NO_MEMBER, keyNumber(i))]!);
}

const backendNames = (count: number) => Array.from({ length: count }, (_, i) => `https://backend-${i}.test:443`);

for (const [name, policyOf] of Object.entries(POLICIES)) {
  t.test(`${name}: a member that comes or goes moves no more keys than its share`, async (t) => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 3, max: 20 }), fc.nat(), async (count, nth) => {
        const names = backendNames(count);
        const gone = names[nth % count]!;
        const all = owners(policyOf, names, new Array<number>(count).fill(100));
        const others = names.filter((name) => name !== gone);
        const without = owners(policyOf, others, new Array<number>(count - 1).fill(100));
        const moved = all.filter((owner, i) => owner !== without[i]).length / KEYS;
        const needless = all.filter((owner, i) => owner !== gone && owner !== without[i]).length / KEYS;
        return moved <= 1 / count + 0.06 && needless <= (name === 'ring' ? 0 : 0.04);
      }),
      { seed: 9, numRuns: 12 },
    );
    t.pass('held for pools of 3 to 20');
  });

  t.test(`${name}: a member that is out leaves the keys of the others where they are, and finds its own again`, async (t) => {
    const stand = standPool(policyOf, [1, 1, 1, 1, 1]);
    const pick = (i: number) => stand.pick(0, NO_MEMBER, keyNumber(i));
    const before = Array.from({ length: 1_000 }, (_, i) => pick(i));
    stand.fitness.unfit.add(2);
    const during = before.map((_, i) => pick(i));
    t.ok(before.every((owner, i) => owner === 2 || owner === during[i]));
    const heirs = new Set(during.filter((_, i) => before[i] === 2));
    t.strictSame([...heirs].sort(), [0, 1, 3, 4], 'its keys are spread over all others');
    stand.fitness.unfit.delete(2);
    t.strictSame(
      before.map((_, i) => pick(i)),
      before,
    );
  });

  t.test(`${name}: every lane and every process sends a key to the same member`, async (t) => {
    const names = backendNames(7);
    const weights = [1, 2, 3, 4, 5, 6, 7];
    t.strictSame(owners(policyOf, names, weights), owners(policyOf, names, weights));
    const backwards = owners(policyOf, [...names].reverse(), [...weights].reverse());
    const isSame = owners(policyOf, names, weights).filter((owner, i) => owner === backwards[i]).length;
    t.ok(isSame / KEYS > (name === 'ring' ? 0.999 : 0.9), `${isSame} of ${KEYS} whatever the order they are configured in`);
  });

  t.test(`${name}: less weight gives away its own keys only`, async (t) => {
    const names = backendNames(6);
    const before = owners(policyOf, names, [100, 100, 100, 100, 100, 100]);
    const after = owners(policyOf, names, [50, 100, 100, 100, 100, 100]);
    const moved = before.filter((owner, i) => owner !== after[i]);
    const share = moved.filter((owner) => owner === names[0]).length;
    t.ok(share / KEYS > 0.04 && share / KEYS < 0.14, `${share} of ${KEYS}`);
    t.ok((moved.length - share) / KEYS <= (name === 'ring' ? 0 : 0.06), `${moved.length - share} others`);
  });

  t.test(`${name}: its table is exchanged for a change of weight and for nothing else`, async (t) => {
    const stand = standPool(policyOf, [1, 2, 3, 4]);
    const policy = stand.policies[0] as RingHash | Maglev;
    const tables = name === 'ring' ? RINGS : MAGLEV_TABLES;
    const built = tables.builds;
    for (let i = 0; i < 5_000; i++) {
      if (i % 100 === 0) stand.fitness.unfit.add(i % 4);
      if (i % 150 === 0) stand.fitness.unfit.clear();
      stand.backends.take(stand.pick(0, NO_MEMBER, keyNumber(i)));
    }
    t.equal(policy.rebuilds, 0);
    stand.setWeight(0, 9);
    stand.pick(0, NO_MEMBER, keyNumber(1));
    stand.pick(0, NO_MEMBER, keyNumber(2));
    t.equal(policy.rebuilds, 1);
    t.equal(tables.builds, built + 1);
    stand.setWeight(0, 1);
    stand.pick(0, NO_MEMBER, keyNumber(3));
    t.equal(tables.builds, built + 1, 'the table of the weights before is found again');
    standPool(policyOf, [1, 2, 3, 4]);
    t.equal(tables.builds, built + 1, 'so does a reload that changes nothing');
  });
}

t.test('a ring has points by weight, ascending, and every member with weight at least one', async (t) => {
  const ring = buildRing(['a', 'b', 'c', 'd'], [1, 10_000, 20_000, 0], 100);
  const counts = [0, 1, 2, 3].map((place) => ring.owners.filter((owner) => owner === place).length);
  t.equal(counts[3], 0);
  t.equal(counts[0], 1);
  t.ok(Math.abs(counts[2]! / counts[1]! - 2) < 0.05);
  t.ok(ring.points.every((point, i) => i === 0 || point >= ring.points[i - 1]!));
  t.strictSame([ring.find(0), ring.find(0xffff_ffff)], [0, 0], 'around the end');
});

t.test('a Maglev table is full and gives shares within 2 % of the weights', async (t) => {
  const weights = [100, 200, 300, 400];
  const table = buildMaglev(backendNames(4), weights, 65_537);
  for (const [place, weight] of weights.entries()) {
    const share = table.filter((owner) => owner === place).length / table.length;
    t.ok(Math.abs(share - weight / 1_000) <= 0.02 * (weight / 1_000), `${share} for ${weight / 1_000}`);
  }
});

t.test('no member of a ring has more in flight than its bound, however few the keys are', async (t) => {
  for (const keys of [1, 3, 50]) {
    const bounded: PolicyMaker = (members, random) => new RingHash(members, random, { points: 100, loadBound: 1.25 });
    const weights = [1, 1, 1, 1, 1, 1, 1, 5];
    const stand = standPool(bounded, weights);
    const inFlight = weights.map(() => 0);
    for (let i = 0; i < 2_400; i++) {
      const picked = stand.pick(0, NO_MEMBER, keyNumber(i % keys));
      inFlight[picked]! += 1;
      setInFlight(stand, picked, inFlight[picked]!);
      const total = i + 1;
      if (inFlight[picked]! > Math.ceil((1.25 * total * weights[picked]!) / 12) + 1) t.fail(`${inFlight.join(' ')} of ${total}`);
    }
    t.pass(`${keys} keys: ${inFlight.join(' ')}`);
  }
});

t.test('a key that is full at its member goes to the next, and comes back when there is room', async (t) => {
  const bounded: PolicyMaker = (members, random) => new RingHash(members, random, { points: 100, loadBound: 1.25 });
  const stand = standPool(bounded, [1, 1, 1, 1]);
  const home = stand.pick(0, NO_MEMBER, keyNumber(5));
  setInFlight(stand, home, 40);
  for (let i = 0; i < 8; i++) stand.pick(0, NO_MEMBER, keyNumber(5));
  t.not(stand.pick(0, NO_MEMBER, keyNumber(5)), home);
  setInFlight(stand, home, 0);
  for (let i = 0; i < 8; i++) stand.pick(0, NO_MEMBER, keyNumber(5));
  t.equal(stand.pick(0, NO_MEMBER, keyNumber(5)), home);
});

t.test('hash tables that a lane builds are counted by upstream: at the start and for new weights, never by load', async (t) => {
  for (const policy of ['ring-hash', 'maglev'] as const) {
    const backends = [{ url: `h2c://${policy}-a` }, { url: `h2c://${policy}-b` }, { url: `h2c://${policy}-c` }];
    const snapshot = sampleSnapshot({
      upstreams: [{ backends, balance: { policy, keys: [{ kind: 'path', name: '', prefix4: 32, prefix6: 128 }] } }],
    });
    const stand = standLane(snapshot);
    const built = () => stand.noted.notes.filter(({ note }) => note === 'hash_table_built');
    t.match(built(), [{ upstream: 0 }], policy);
    for (let i = 0; i < 500; i++) stand.ask({ path: `/${i}` });
    t.equal(built().length, 1, `${policy}: not by load`);
    setBackendWeight(stand.shared.weights, 1, 7);
    for (let i = 0; i < 10; i++) stand.ask({ path: `/${i}` });
    t.equal(built().length, 2, `${policy}: once for a weight`);
  }
});
