/** Rate limits as the main thread sees them: for metrics and the admin API. */

import type { Snapshot } from '../../../config/snapshot/snapshot.ts';
import { HELD, listLimits, REFUSED, REFUSING, regionsOf, STORE_LOST } from './table.ts';

export interface LimitView {
  /** Number in events. */
  readonly number: number;
  readonly name: string;
  readonly owner: 'route' | 'tenant';
  /** Name of the route or tenant. */
  readonly of: string;
  /** Keys held, and how many may be. */
  readonly keys: number;
  readonly maxKeys: number;
  /** Requests refused, modulo 2^32. */
  readonly refused: number;
  /** It refused within the last seconds. */
  readonly isRefusing: boolean;
  readonly isShared: boolean;
}

/** Every limit of `snapshot`; `table` was made for it. */
export function viewLimits(snapshot: Snapshot, table: SharedArrayBuffer): LimitView[] {
  const limits = listLimits(snapshot);
  const { regions } = regionsOf(limits);
  const words = new Int32Array(table);
  return limits.map(({ limit, owner, of }, number) => {
    const region = regions[number]!;
    return {
      number,
      name: limit.name,
      owner,
      of: (owner === 'route' ? snapshot.routes : snapshot.tenants)[of]!.name,
      keys: Atomics.load(words, region.at + HELD),
      maxKeys: region.sets * region.ways,
      refused: Atomics.load(words, region.at + REFUSED) >>> 0,
      isRefusing: Atomics.load(words, region.at + REFUSING) !== 0,
      isShared: limit.isShared,
    };
  });
}

/** How many shards miss the store of shared limits. */
export function viewStoreLost(table: SharedArrayBuffer): number {
  let bits = Atomics.load(new Int32Array(table), STORE_LOST) >>> 0;
  let count = 0;
  for (; bits !== 0; bits &= bits - 1) count += 1;
  return count;
}
