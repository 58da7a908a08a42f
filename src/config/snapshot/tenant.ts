/** Tenants, as a snapshot has them. */

import type { CertificateFact } from '../schema/certificate-fact.ts';
import type { RateLimitSnapshot } from './limit.ts';

/** Part of the edge's clients, told by exactly one of host, header or path prefix. */
export interface TenantSnapshot {
  readonly name: string;
  /** Exact or `*.` wildcards; empty when told otherwise. */
  readonly hosts: readonly string[];
  readonly header: string;
  readonly headerValue: string;
  /** Prefix on a segment border; empty when told otherwise. */
  readonly pathPrefix: string;
  /** The fact of certificates that tells it by `certificateValue`; empty when told otherwise. */
  readonly certificate: '' | CertificateFact;
  readonly certificateValue: string;
  readonly rateLimits: readonly RateLimitSnapshot[];
  /** Exchanges in flight; 0 for no limit. */
  readonly maxInFlight: number;
}
