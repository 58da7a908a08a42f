import t from 'tap';
import { LATENESS_BUCKETS } from '../../src/observe/buckets.ts';
import { createCounters, SHARD_HEAP_BYTES, SHARD_LATENESS, SHARD_LOOP_UTILIZATION } from '../../src/observe/counters.ts';
import { watchEventLoop } from '../../src/observe/event-loop.ts';
import { sampleSnapshot } from '../support/snapshots.ts';

t.test('a loop that was held is seen as late and busy', async (t) => {
  const table = new Float64Array(createCounters(sampleSnapshot()));
  const watch = watchEventLoop(table);
  t.teardown(() => watch.close());
  const until = performance.now() + 320;
  while (performance.now() < until);
  await new Promise((resolve) => setTimeout(resolve, 20));
  const sumUs = table[SHARD_LATENESS + LATENESS_BUCKETS.stride - 1]!;
  t.ok(sumUs >= 50_000, `${sumUs} µs late`);
  t.ok(table[SHARD_LOOP_UTILIZATION]! > 0.5, `${table[SHARD_LOOP_UTILIZATION]} busy`);
  t.ok(table[SHARD_HEAP_BYTES]! > 1e6, `${table[SHARD_HEAP_BYTES]} bytes of heap`);
});
