/** Tenants of a snapshot. */

import type { Tenant } from '../schema/tenant.ts';
import type { TenantSnapshot } from '../snapshot.ts';
import { rateLimitSnapshots } from './limit.ts';

export function tenantSnapshot(name: string, { hosts, header, value, path, limits }: Tenant): TenantSnapshot {
  return {
    name,
    hosts,
    header,
    headerValue: header === '' ? '' : value === '' ? name : value,
    pathPrefix: path,
    rateLimits: rateLimitSnapshots(tenantOwner(name), limits.rate),
    maxInFlight: limits.in_flight,
  };
}

/** What limits of a tenant are called after; no route has a colon after `tenant` in its name. */
export function tenantOwner(name: string): string {
  return `tenant:${name}`;
}
