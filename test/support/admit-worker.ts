/**
 * A thread that charges buckets and takes places on tables that others use at the same time; says
 * what it got.
 */

import { parentPort, workerData } from 'node:worker_threads';
import type { Snapshot } from '../../src/config/snapshot/snapshot.ts';
import { Place, placeOfRoute } from '../../src/lane/admit/places.ts';
import { Limit } from '../../src/lane/admit/rate-limit/limit.ts';
import { listLimits, regionsOf } from '../../src/lane/admit/rate-limit/table.ts';
import { Random } from '../../src/lane/random.ts';
import type { SharedState } from '../../src/lane/shared.ts';

interface Orders {
  readonly snapshot: Snapshot;
  readonly shared: Pick<SharedState, 'places' | 'buckets'>;
  /** Int32 words: threads that are ready; places taken now, and the most there ever were. */
  readonly gate: SharedArrayBuffer;
  readonly threads: number;
  readonly shard: number;
  readonly turns: number;
  readonly keys: number;
}

const { snapshot, shared, gate, threads, shard, turns, keys } = workerData as Orders;
const limit = new Limit(shared.buckets, 0, regionsOf(listLimits(snapshot)).regions[0]!, listLimits(snapshot)[0]!.limit);
const place = new Place(shared.places, snapshot, shard, placeOfRoute(0));
const random = new Random(shard + 1);
const words = new Int32Array(gate);
Atomics.add(words, 0, 1);
while (Atomics.load(words, 0) < threads);

let taken = 0;
for (let turn = 0; turn < turns; turn++) {
  // The clock stands still, so that a bucket gives its burst and no more.
  const key = random.below(keys) + 1;
  if (limit.take(limit.cell(key, Math.imul(key, 0x9e37_79b9), 1e12))) taken += 1;
  if (!place.take(snapshot.routes[0]!.bulkhead.max)) continue;
  const now = Atomics.add(words, 1, 1) + 1;
  if (now > Atomics.load(words, 2)) Atomics.store(words, 2, now);
  Atomics.sub(words, 1, 1);
  place.giveBack();
}
parentPort?.postMessage(taken);
