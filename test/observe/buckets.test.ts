import fc from 'fast-check';
import t from 'tap';
import { BATCH_BUCKETS, Buckets, DECIDE_BUCKETS, DURATION_BUCKETS, LATENESS_BUCKETS } from '../../src/observe/buckets.ts';

t.test('a value is counted in the first bucket whose bound is not below it', async (t) => {
  for (const buckets of [DURATION_BUCKETS, DECIDE_BUCKETS, BATCH_BUCKETS, LATENESS_BUCKETS, new Buckets([3], 1)]) {
    const near = buckets.bounds.flatMap((bound) => [Math.max(0, bound - 1), bound, bound + 1]);
    fc.assert(
      fc.property(fc.oneof(fc.constantFrom(...near), fc.integer({ min: 0, max: 2 ** 32 - 1 })), (value) => {
        const table = new Float64Array(buckets.stride);
        buckets.observe(table, 0, value);
        const place = buckets.bounds.findIndex((bound) => value <= bound);
        return table[place === -1 ? buckets.bounds.length : place] === 1 && table.at(-1) === value;
      }),
    );
  }
  t.pass('all agree');
});

t.test('a value above 32 bits is counted above all bounds', async (t) => {
  const table = new Float64Array(DECIDE_BUCKETS.stride);
  DECIDE_BUCKETS.observe(table, 0, 6e9);
  t.equal(table[DECIDE_BUCKETS.bounds.length], 1);
});
