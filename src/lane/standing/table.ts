/** What is known of each backend's fitness, in shared memory. */

import type { Snapshot } from '../../config/snapshot.ts';

/** Room for the backends and upstreams of `snapshot`. */
export function createStandingTable(_snapshot: Snapshot): SharedArrayBuffer {
  return new SharedArrayBuffer(64);
}
