/** Places in flight and waiting, in shared memory: one entry of 64 bytes for each route, upstream and tenant. */

import type { Snapshot } from '../../config/snapshot.ts';

/** Room for every route, upstream and tenant of `snapshot`. */
export function createPlaceTable(snapshot: Snapshot): SharedArrayBuffer {
  return new SharedArrayBuffer(64 * (snapshot.routes.length + snapshot.upstreams.length + snapshot.tenants.length + 1));
}
