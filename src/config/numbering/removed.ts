/** What stands in the place of what was removed, for exchanges that began before. */

import type { ListenerSnapshot } from '../snapshot/listener.ts';
import type { RouteSnapshot } from '../snapshot/route.ts';
import type { UpstreamSnapshot } from '../snapshot/upstream.ts';

export function same<T>(item: T): T {
  return item;
}

/**
 * Its connections end; while one may be left, it is known who its proxies are and what of
 * certificates only the edge may tell.
 */
export function removedListener(listener: ListenerSnapshot, isForgotten: boolean): ListenerSnapshot {
  const removed = { ...listener, certificates: [], ticketKeys: [] };
  return isForgotten ? { ...removed, clientAuth: [], trustedNetworks: [] } : removed;
}

/** Its backends get nothing more; what it limited it goes on counting. */
export function removedUpstream(upstream: UpstreamSnapshot): UpstreamSnapshot {
  return upstream.slots.length === 0 ? upstream : { ...upstream, slots: [], health: undefined };
}

/**
 * Requests that were decided by it may end under it, and none is sent anywhere: what it meant may
 * be gone.
 */
export function removedRoute(route: RouteSnapshot): RouteSnapshot {
  if (route.targets.length === 0 && route.fixed === REMOVED) return route;
  return {
    ...route,
    targets: [],
    redirect: undefined,
    fixed: REMOVED,
    fallback: { kind: 'none' },
    retries: { ...route.retries, attempts: 0, on: NO_FAILURE, methods: [] },
    hedge: undefined,
    rateLimits: [],
    path: { kind: 'keep' },
    requestEdits: [],
    responseEdits: [],
    splitKeys: [],
  };
}

/**
 * What a request is told that waited for so long that its route and the snapshot it began with are
 * both gone.
 */
const REMOVED: NonNullable<RouteSnapshot['fixed']> = Object.freeze({ status: 503, fields: Object.freeze([]), body: '' });

const NO_FAILURE: RouteSnapshot['retries']['on'] = Object.freeze({
  isConnect: false,
  isRefused: false,
  isReset: false,
  isTimeout: false,
  statuses: Object.freeze([]),
  grpcStatuses: Object.freeze([]),
});
