/** The properties of a backend that a route's plan for it depends on. */

import { usualAuthority } from '../../base/authority.ts';
import type { LaneSnapshot } from '../../config/route-table.ts';
import type { RouteSnapshot, TargetSnapshot } from '../../config/snapshot/route.ts';
import type { BackendSnapshot } from '../../config/snapshot/upstream.ts';
import { slotsOf } from '../balance/subset.ts';

/** What a route's plan for one backend depends on. */
export interface Aim {
  readonly isFallback: boolean;
  readonly isCookieSet: boolean;
  /** `host:port`; the same for all backends if the plan does not use it. */
  readonly backend: string;
  /** The backend's scheme; empty if the plan does not use it. */
  readonly scheme: BackendSnapshot['scheme'] | '';
  readonly upstream: string;
}

/** One per backend if the plan depends on it, else a single one. */
export function aimsOf(snapshot: LaneSnapshot, route: RouteSnapshot, target: TargetSnapshot, isFallback: boolean): Aim[] {
  const upstream = snapshot.upstreams[target.upstream];
  const common = {
    isFallback,
    isCookieSet: upstream?.balance.sticky?.kind === 'cookie',
    upstream: upstream?.name ?? '',
  };
  const isBackendTold = tellsBackend(route);
  if (!isBackendTold && route.via === '') return [{ ...common, backend: '', scheme: '' }];
  const aims = slotsOf(snapshot, target).map((slot) => ({
    ...common,
    backend: isBackendTold ? usualAuthority(snapshot.backends[slot]!) : '',
    scheme: route.via === '' ? ('' as const) : snapshot.backends[slot]!.scheme,
  }));
  const isOneForAll = !isBackendTold && new Set(aims.map(({ scheme }) => scheme)).size === 1;
  return isOneForAll ? aims.slice(0, 1) : aims;
}

export function tellsBackend({ hostPolicy, requestEdits, responseEdits }: RouteSnapshot): boolean {
  if (hostPolicy === 'backend') return true;
  return [...requestEdits, ...responseEdits].some(({ value }) => value.includes('${backend}'));
}
