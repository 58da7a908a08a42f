/** Access lists of routes: which clients may come at all. Deny wins over allow; with an allow list everyone else stays outside. */

import type { AccessSnapshot } from '../../config/snapshot.ts';
import type { Client } from '../head/client.ts';
import type { Lookups } from '../head/lookups.ts';
import { Networks } from '../head/networks.ts';

export class AccessList {
  private readonly allow: Networks;
  private readonly deny: Networks;
  private readonly isOpen: boolean;

  /** Undefined where everyone may come. */
  static of({ allow, deny }: AccessSnapshot, lookups: Lookups): AccessList | undefined {
    if (allow.length === 0 && deny.length === 0) return undefined;
    return lookups.once('access', [allow, deny], () => new AccessList(allow, deny));
  }

  private constructor(allow: readonly string[], deny: readonly string[]) {
    this.allow = new Networks(allow);
    this.deny = new Networks(deny);
    this.isOpen = allow.length === 0;
  }

  admits({ family, address }: Client): boolean {
    return !this.deny.has(family, address) && (this.isOpen || this.allow.has(family, address));
  }
}
