import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { viewLimits } from '../../src/lane/admit/rate-limit/view.ts';
import { viewPlaces } from '../../src/lane/admit/view.ts';
import { createSharedState } from '../../src/lane/shared.ts';
import { sampleSnapshot } from '../support/snapshots.ts';

const THREADS = 3;
const KEYS = 50;
const BURST = 1_000;

t.test('several threads take what buckets and places have, exactly', async (t) => {
  const limit = { name: 'all', keys: [{ kind: 'path', name: '', prefix4: 32, prefix6: 128 }], requests: BURST, periodMs: 1_000 } as const;
  const snapshot = {
    ...sampleSnapshot({
      routes: [
        {
          rateLimits: [{ ...limit, burst: BURST, maxKeys: 1_024, isShared: false, onStoreFailure: 'local' }],
          bulkhead: { max: 2, queue: 0, queueTimeoutMs: 1 },
        },
      ],
    }),
    shards: { count: THREADS, stallTimeoutMs: 1 },
  };
  const shared = createSharedState(snapshot);
  const gate = new SharedArrayBuffer(12);
  const taken = await Promise.all(
    Array.from({ length: THREADS }, async (_, shard) => {
      const worker = new Worker(new URL('../support/admit-worker.ts', import.meta.url), {
        workerData: { snapshot, shared, gate, threads: THREADS, shard, turns: 60_000, keys: KEYS },
      });
      const [count] = (await once(worker, 'message')) as [number];
      await once(worker, 'exit');
      return count;
    }),
  );
  const sum = taken.reduce((all, count) => all + count, 0);
  const [{ keys } = { keys: 0 }] = viewLimits(snapshot, shared.buckets);
  // Threads that see a key for the first time at the same instant may each make it a bucket. The
  // second is used until the first is whole, which takes long where its thread does not run.
  t.ok(sum >= KEYS * BURST && sum <= keys * BURST, `${sum} tokens of ${KEYS * BURST}, ${keys} cells`);
  t.ok(new Int32Array(gate)[2]! <= 2, `${new Int32Array(gate)[2]} places at once`);
  t.match(viewPlaces(snapshot, shared.places), [{ inFlight: 0, waiting: 0 }]);
});
