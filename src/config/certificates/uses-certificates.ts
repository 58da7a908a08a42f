/** Whether any rule of a snapshot asks what client certificates say: only then are lanes told. */

import type { KeySnapshot } from '../snapshot/key.ts';
import type { RouteSnapshot } from '../snapshot/route.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';

export function usesCertificates({ routes, tenants, upstreams }: Pick<Snapshot, 'routes' | 'tenants' | 'upstreams'>): boolean {
  return (
    routes.some(asks) ||
    tenants.some(({ certificate, rateLimits }) => certificate !== '' || rateLimits.some(({ keys }) => countsBy(keys))) ||
    upstreams.some(({ balance }) => countsBy(balance.keys))
  );
}

function asks({ match, access, rateLimits, splitKeys }: RouteSnapshot): boolean {
  const { certificates, deniedCertificates } = access;
  const isAsked = match.certificate.length + certificates.length + deniedCertificates.length > 0;
  return isAsked || countsBy(splitKeys) || rateLimits.some(({ keys }) => countsBy(keys));
}

function countsBy(keys: readonly KeySnapshot[]): boolean {
  return keys.some(({ kind }) => kind === 'certificate');
}
