/** Routes of a snapshot. */

import { grpcStatusesOf, statusesOf } from '../schema/fields.ts';
import { keyOf } from '../schema/key.ts';
import type { Route } from '../schema/route.ts';
import type { FallbackSnapshot, HedgeSnapshot, RetrySnapshot, RouteSnapshot, TargetSnapshot } from '../snapshot/route.ts';
import { editSnapshots, fixedSnapshot, pathEditSnapshot, redirectSnapshot } from './answer.ts';
import { bulkheadSnapshot, rateLimitSnapshots } from './limit.ts';
import { certificateSnapshots, matchSnapshot } from './match.ts';
import { madeOnce } from './once.ts';

/** Places of named parts in the snapshot's lists. */
export interface Places {
  readonly upstreams: ReadonlyMap<string, number>;
  readonly tenants: ReadonlyMap<string, number>;
  /** Targets of routes that go to one upstream, by it and its labels: made as they come. */
  readonly wholes: Map<string, Map<object, readonly TargetSnapshot[]>>;
}

/** Weight of the only target: any but 0. */
const WHOLE = 100;

export function routeSnapshot(name: string, route: Route, places: Places): RouteSnapshot {
  const { match, timeouts, redirect, respond, forwarded, host } = route;
  const isHostSet = host !== 'keep' && host !== 'backend';
  return {
    name,
    match: matchSnapshot(match, places.tenants.get(match.tenant) ?? -1),
    targets: targetSnapshots(route, places),
    redirect: redirect === undefined ? undefined : redirectSnapshot(redirect, route),
    fixed: respond === undefined ? undefined : fixedSnapshot(respond),
    splitKeys: splitKeys(route.split_by),
    fallback: fallbackSnapshot(route, places),
    fallbackOn: route.fallback === undefined ? NO_STATUSES : fallbackOn(route.fallback),
    connectTimeoutMs: timeouts.connect,
    placeTimeoutMs: timeouts.place,
    headTimeoutMs: timeouts.head,
    idleTimeoutMs: timeouts.idle,
    exchangeTimeoutMs: timeouts.exchange,
    attemptTimeoutMs: timeouts.attempt,
    deadlineHeader: timeouts.deadline_header,
    isGrpcTimeoutObeyed: timeouts.grpc,
    maxBodyBytes: route.max_body,
    retries: retrySnapshot(route.retries),
    hedge: route.hedge === undefined ? undefined : hedgeSnapshot(route.hedge),
    rateLimits: rateLimitSnapshots(name, route.limits.rate),
    access: accessSnapshot(route.access),
    bulkhead: bulkheadSnapshot(route.limits),
    priority: route.priority,
    path: route.rewrite === undefined ? KEPT : pathEditSnapshot(route.rewrite, route),
    requestEdits: editSnapshots(route.request_headers),
    responseEdits: editSnapshots(route.response_headers),
    isRequestIdKept: route.request_id.trust,
    forwarded: forwarded.style,
    forwardedTrusted: forwarded.trusted,
    hostPolicy: isHostSet ? 'set' : host,
    isPathCanonical: route.forward === 'canonical',
    host: isHostSet ? host : '',
    via: route.via,
  };
}

function targetSnapshots({ upstream, subset, split }: Route, places: Places): readonly TargetSnapshot[] {
  const target = (name: string, weight: number, labels: Route['subset']): TargetSnapshot => ({
    upstream: places.upstreams.get(name) ?? -1,
    weight,
    subset: labels,
  });
  if (upstream === '') return split.map((part) => target(part.upstream, part.weight, part.subset));
  const known = places.wholes.get(upstream)?.get(subset);
  if (known !== undefined) return known;
  const targets = [target(upstream, WHOLE, subset)];
  const ofUpstream = places.wholes.get(upstream) ?? new Map();
  places.wholes.set(upstream, ofUpstream.set(subset, targets));
  return targets;
}

const KEPT: RouteSnapshot['path'] = Object.freeze({ kind: 'keep' });
const NO_FALLBACK: FallbackSnapshot = Object.freeze({ kind: 'none' });
const NO_STATUSES: RouteSnapshot['fallbackOn'] = Object.freeze({ statuses: Object.freeze([]), grpcStatuses: Object.freeze([]) });

const accessSnapshot = madeOnce((access: Route['access']): RouteSnapshot['access'] => ({
  allow: access.allow,
  deny: access.deny,
  certificates: access.client_certificates.map(certificateSnapshots),
  deniedCertificates: access.deny_client_certificates.map(certificateSnapshots),
}));

const splitKeys = madeOnce((keys: Route['split_by']) => keys.map(keyOf));

const fallbackOn = madeOnce((fallback: NonNullable<Route['fallback']>) => ({
  statuses: statusesOf(fallback.statuses),
  grpcStatuses: grpcStatusesOf(fallback.grpc_statuses),
}));

function fallbackSnapshot({ fallback }: Route, places: Places): FallbackSnapshot {
  if (fallback?.respond !== undefined) return { kind: 'fixed', answer: fixedSnapshot(fallback.respond) };
  if (fallback === undefined || fallback.upstream === '') return NO_FALLBACK;
  return { kind: 'upstream', target: { upstream: places.upstreams.get(fallback.upstream) ?? -1, weight: WHOLE, subset: {} } };
}

const retrySnapshot = madeOnce(
  (retries: Route['retries']): RetrySnapshot => ({
    attempts: retries.attempts,
    on: {
      isConnect: retries.failures.includes('connect'),
      isRefused: retries.failures.includes('refused'),
      isReset: retries.failures.includes('reset'),
      isTimeout: retries.failures.includes('timeout'),
      statuses: statusesOf(retries.statuses),
      grpcStatuses: grpcStatusesOf(retries.grpc_statuses),
    },
    methods: retries.methods,
    backoffBaseMs: retries.backoff,
    backoffMaxMs: retries.max_backoff,
    maxRetryAfterMs: retries.retry_after,
    bufferBytes: retries.buffer,
  }),
);

const hedgeSnapshot = madeOnce(
  (hedge: NonNullable<Route['hedge']>): HedgeSnapshot => ({
    delayMs: hedge.delay,
    percentile: hedge.percentile,
    minDelayMs: hedge.min_delay,
    maxDelayMs: hedge.max_delay,
  }),
);
