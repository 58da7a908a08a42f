/** Weights of targets and backends that can be changed at run time, in shared memory. */

import type { Snapshot } from '../../config/snapshot.ts';

/** Room for the weights of `snapshot`. */
export function createWeightTable(_snapshot: Snapshot): SharedArrayBuffer {
  return new SharedArrayBuffer(64);
}
