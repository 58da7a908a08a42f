import fc from 'fast-check';
import t from 'tap';
import type { KeySnapshot } from '../../src/config/snapshot/key.ts';
import { Split } from '../../src/lane/balance/split.ts';
import { createWeightTable, setTargetWeight, Weights } from '../../src/lane/balance/weights.ts';
import { Client } from '../../src/lane/head/client.ts';
import { headDesk } from '../support/heads.ts';
import { sampleListener, sampleSnapshot } from '../support/snapshots.ts';

const desk = headDesk();
const client = new Client([sampleListener()], desk.lookups);
const BY_USER: readonly KeySnapshot[] = [{ kind: 'header', name: 'x-user', prefix4: 32, prefix6: 128 }];

function stand(weights: readonly number[], splitKeys: readonly KeySnapshot[] = []) {
  const snapshot = sampleSnapshot({ routes: [{}, { targets: weights.map((weight) => ({ weight })), splitKeys }] });
  const table = createWeightTable(snapshot);
  // The pool behind the targets' is the fallback's.
  const pools = [...weights.keys(), 99];
  const split = new Split(snapshot.routes[1]!, 1, pools, new Weights(table), desk.lookups);
  const choose = (user?: string) => {
    const head = desk.read(user === undefined ? {} : { fields: [['x-user', user]] });
    client.read(head);
    return split.choose(head, client, -1);
  };
  return { choose, setWeight: (target: number, weight: number) => setTargetWeight(table, 1, target, weight) };
}

const weightLists = fc
  .array(fc.integer({ min: 0, max: 10_000 }), { minLength: 2, maxLength: 6 })
  .filter((list) => list.some((weight) => weight > 0));

t.test('10,000 requests without a key are split within 1 % of the weights, whatever these are', async (t) => {
  fc.assert(
    fc.property(weightLists, (weights) => {
      const { choose } = stand(weights);
      const counts = weights.map(() => 0);
      for (let i = 0; i < 10_000; i++) counts[choose()]! += 1;
      const sum = weights.reduce((total, weight) => total + weight, 0);
      return counts.every((count, i) => Math.abs(count / 10_000 - weights[i]! / sum) <= 0.01 && (weights[i]! > 0 || count === 0));
    }),
    { seed: 5, numRuns: 60 },
  );
  t.pass();
});

t.test('10,000 keys are split within 1 % of the weights', async (t) => {
  for (const weights of [
    [95, 5],
    [50, 50],
    [1, 2, 3, 4],
    [99, 1, 0],
  ]) {
    const { choose } = stand(weights, BY_USER);
    const counts = weights.map(() => 0);
    for (let i = 0; i < 10_000; i++) counts[choose(`user-${i}`)]! += 1;
    const sum = weights.reduce((total, weight) => total + weight, 0);
    for (const [i, count] of counts.entries())
      t.ok(Math.abs(count / 10_000 - weights[i]! / sum) <= 0.01, `${count} for ${weights[i]} of ${sum}`);
  }
});

t.test('a key stays with its target', async (t) => {
  const { choose } = stand([50, 30, 20], BY_USER);
  for (let i = 0; i < 50; i++) t.equal(choose(`user-${i}`), choose(`user-${i}`));
});

t.test('one weight that changes moves as many keys as its share changes, all to or from its target', async (t) => {
  fc.assert(
    fc.property(weightLists, fc.nat(), fc.integer({ min: 0, max: 10_000 }), (weights, nth, weight) => {
      const target = nth % weights.length;
      const changed = weights.map((old, i) => (i === target ? weight : old));
      const sum = (list: readonly number[]) => list.reduce((total, each) => total + each, 0);
      if (sum(changed) === 0) return true;
      const { choose, setWeight } = stand(weights, BY_USER);
      const users = Array.from({ length: 2_000 }, (_, i) => `user-${i}`);
      const before = users.map(choose);
      setWeight(target, weight);
      const moves = users.flatMap((user, i) => {
        const now = choose(user);
        return now === before[i] ? [] : [[before[i]!, now] as const];
      });
      const wanted = Math.abs(weights[target]! / sum(weights) - weight / sum(changed));
      return moves.every(([from, to]) => from === target || to === target) && Math.abs(moves.length / 2_000 - wanted) < 0.04;
    }),
    { seed: 6, numRuns: 60 },
  );
  t.pass();
});

t.test('a request without the key is split by turn all the same', async (t) => {
  const { choose } = stand([3, 1], BY_USER);
  t.strictSame(
    Array.from({ length: 8 }, () => choose()),
    [0, 0, 1, 0, 0, 0, 1, 0],
  );
});

t.test('a weight of 0 takes its target out at once; without any weight the first target is taken', async (t) => {
  const { choose, setWeight } = stand([50, 50]);
  choose();
  setWeight(0, 0);
  t.strictSame(new Set(Array.from({ length: 20 }, () => choose())), new Set([1]));
  setWeight(1, 0);
  t.equal(choose(), 0);
});
