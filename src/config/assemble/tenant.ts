/** Tenants of a snapshot. */

import { factSpelling, isCertificateFact } from '../schema/certificate-fact.ts';
import type { Tenant } from '../schema/tenant.ts';
import type { TenantSnapshot } from '../snapshot/tenant.ts';
import { rateLimitSnapshots } from './limit.ts';

export function tenantSnapshot(
  name: string,
  { hosts, header, value, path, client_certificate: certificate, limits }: Tenant,
): TenantSnapshot {
  const told = value === '' ? name : value;
  return {
    name,
    hosts,
    header,
    headerValue: header === '' ? '' : told,
    pathPrefix: path,
    certificate: isCertificateFact(certificate) ? certificate : '',
    certificateValue: certificate === '' ? '' : factSpelling(certificate, told),
    rateLimits: rateLimitSnapshots(tenantOwner(name), limits.rate),
    maxInFlight: limits.in_flight,
  };
}

/** What limits of a tenant are called after; no route has a colon after `tenant` in its name. */
export function tenantOwner(name: string): string {
  return `tenant:${name}`;
}
