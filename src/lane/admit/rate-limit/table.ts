/** Buckets of rate limits in shared memory. */

import type { Snapshot } from '../../../config/snapshot.ts';

/** Room for the buckets of every limit of `snapshot`. */
export function createBucketTable(_snapshot: Snapshot): SharedArrayBuffer {
  return new SharedArrayBuffer(64);
}
