/** Keys: what of a request tells it from others, as a hash, for balancers, splits and limits. */

import type { KeySnapshot } from '../../config/snapshot.ts';
import type { HeadReader } from '../../record/read.ts';
import type { Client } from './client.ts';

export class Key {
  /** Upper half of the last hash, for those who need 64 bits. */
  high = 0;

  constructor(_keys: readonly KeySnapshot[], _mode: 'first' | 'all', _bytes: Uint8Array) {}

  /** Hash of the key of `head`, u32; 0 when it has none (a key that hashes to 0 is 1). */
  hash(_head: HeadReader, _client: Client, _tenant: number, _route: number): number {
    return 0;
  }
}
