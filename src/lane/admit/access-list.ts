/**
 * Access lists of routes: which clients may enter at all. Deny wins over allow. If there is an
 * allow list, all other clients are refused.
 */

import type { AccessSnapshot } from '../../config/snapshot/limit.ts';
import type { HeadReader } from '../../record/read.ts';
import type { Client } from '../head/client.ts';
import type { Lookups } from '../head/lookups.ts';
import { Networks } from '../head/networks.ts';
import { certificatePredicates, type Predicate } from '../route/predicate.ts';

/** All conditions of one certificate. */
type Certificate = readonly Predicate[];

export class AccessList {
  private readonly allow: Networks;
  private readonly deny: Networks;
  private readonly isOpen: boolean;
  private readonly certificates: readonly Certificate[];
  private readonly deniedCertificates: readonly Certificate[];

  /** Undefined if every client may enter. */
  static of(access: AccessSnapshot, lookups: Lookups): AccessList | undefined {
    const { allow, deny, certificates, deniedCertificates } = access;
    if (allow.length + deny.length + certificates.length + deniedCertificates.length === 0) return undefined;
    return lookups.once('access', [allow, deny, certificates, deniedCertificates], () => new AccessList(access, lookups));
  }

  private constructor({ allow, deny, certificates, deniedCertificates }: AccessSnapshot, lookups: Lookups) {
    this.allow = new Networks(allow);
    this.deny = new Networks(deny);
    this.isOpen = allow.length === 0;
    this.certificates = certificates.map((conditions) => certificatePredicates(conditions, lookups));
    this.deniedCertificates = deniedCertificates.map((conditions) => certificatePredicates(conditions, lookups));
  }

  admits(head: HeadReader, client: Client): boolean {
    const { family, address } = client;
    if (this.deny.has(family, address) || !(this.isOpen || this.allow.has(family, address))) return false;
    const { certificates, deniedCertificates } = this;
    if (deniedCertificates.length > 0 && fitsOne(deniedCertificates, head, client)) return false;
    return certificates.length === 0 || fitsOne(certificates, head, client);
  }
}

function fitsOne(certificates: readonly Certificate[], head: HeadReader, client: Client): boolean {
  for (let i = 0; i < certificates.length; i++) {
    const conditions = certificates[i]!;
    let fitting = 0;
    while (fitting < conditions.length && conditions[fitting]!.takes(head, client)) fitting += 1;
    // A rule without conditions names nobody.
    if (fitting === conditions.length && fitting > 0) return true;
  }
  return false;
}
