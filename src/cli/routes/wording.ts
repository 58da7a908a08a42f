/**
 * Routes in the words in which operators configure them: what they take, where it goes, which
 * limits hold.
 */

import type { KeySnapshot } from '../../config/snapshot/key.ts';
import type { RateLimitSnapshot } from '../../config/snapshot/limit.ts';
import type { MatchSnapshot } from '../../config/snapshot/match.ts';
import type { RouteSnapshot } from '../../config/snapshot/route.ts';
import type { Snapshot } from '../../config/snapshot/snapshot.ts';
import { formatDuration, formatSize } from '../../config/units.ts';
import { certificateText, conditionsOf } from '../../lane/route/predicate.ts';

/** `/api` and below, exactly `/api`, or a pattern. */
export function pathText({ path, pathKind }: MatchSnapshot): string {
  if (pathKind === 'regex') return `~ ${path}`;
  if (pathKind === 'exact') return path;
  return path.endsWith('/') ? `${path}*` : `${path}/*`;
}

/** Conditions beyond host and path, in the order in which they are asked. */
export function conditionsText(match: MatchSnapshot): string {
  return conditionsOf(match).join(', ');
}

/** What becomes of the requests of a route, in a few words. */
export function outcomeText({ targets, redirect, fixed }: RouteSnapshot, upstreams: Snapshot['upstreams']): string {
  if (redirect !== undefined) return `redirect ${redirect.status}`;
  if (fixed !== undefined) return `respond ${fixed.status}`;
  const whole = targets.reduce((sum, { weight }) => sum + weight, 0);
  const named = targets.map(({ upstream, weight, subset }) => {
    const share = targets.length === 1 ? '' : ` ${percent(whole === 0 ? 0 : (weight / whole) * 100)}`;
    return `${upstreams[upstream]?.name ?? ''}${subsetText(subset)}${share}`;
  });
  return named.join(', ');
}

/** ` (version=2)`, or nothing. */
export function subsetText(subset: Readonly<Record<string, string>>): string {
  const labels = Object.entries(subset).map(([name, value]) => `${name}=${value}`);
  return labels.length === 0 ? '' : ` (${labels.join(', ')})`;
}

export function percent(share: number): string {
  return `${Number(share.toFixed(1))} %`;
}

/**
 * What the requests of a route get when nothing else can be had; undefined when there is nothing.
 */
export function fallbackText({ fallback }: RouteSnapshot, upstreams: Snapshot['upstreams']): string | undefined {
  if (fallback.kind === 'none') return undefined;
  if (fallback.kind === 'fixed') return `respond ${fallback.answer.status}`;
  const { upstream, subset } = fallback.target;
  return `${upstreams[upstream]?.name ?? ''}${subsetText(subset)}, once`;
}

/** Limits that hold on a route, each with its name; those that are off are left out. */
export function limitRows(route: RouteSnapshot): [name: string, text: string][] {
  const { access, bulkhead, retries, hedge, rateLimits } = route;
  const rows: [string, string][] = [];
  const isForwarded = route.targets.length > 0;
  if (isForwarded) rows.push(['time', timeText(route)]);
  if (route.maxBodyBytes >= 0) rows.push(['body', `at most ${formatSize(route.maxBodyBytes)}`]);
  if (access.deny.length > 0) rows.push(['denied', access.deny.join(', ')]);
  if (access.allow.length > 0) rows.push(['allowed', `only ${access.allow.join(', ')}`]);
  if (access.deniedCertificates.length > 0) rows.push(['denied', certificatesText(access.deniedCertificates)]);
  if (access.certificates.length > 0) rows.push(['allowed', `only ${certificatesText(access.certificates)}`]);
  for (const limit of rateLimits) rows.push(['rate', rateText(limit)]);
  if (bulkhead.max > 0) {
    const queue = bulkhead.queue === 0 ? '' : `, ${bulkhead.queue} more wait at most ${formatDuration(bulkhead.queueTimeoutMs)}`;
    rows.push(['in flight', `${bulkhead.max}${queue}`]);
  }
  if (route.priority !== 'normal') rows.push(['priority', route.priority]);
  if (isForwarded && retries.attempts > 0) rows.push(['retries', retryText(route)]);
  if (hedge !== undefined) {
    const delay = hedge.delayMs > 0 ? formatDuration(hedge.delayMs) : `the ${percent(hedge.percentile * 100)} slowest would take`;
    rows.push(['hedge', `after ${delay}`]);
  }
  return rows;
}

function certificatesText(certificates: RouteSnapshot['access']['certificates']): string {
  return certificates.map(certificateText).join(' or ');
}

function timeText(route: RouteSnapshot): string {
  const parts: [string, number][] = [
    ['connect', route.connectTimeoutMs],
    ['place', route.placeTimeoutMs],
    ['head', route.headTimeoutMs],
    ['idle', route.idleTimeoutMs],
    ['attempt', route.attemptTimeoutMs],
    ['exchange', route.exchangeTimeoutMs],
  ];
  return parts
    .filter(([, ms]) => ms > 0)
    .map(([name, ms]) => `${name} ${formatDuration(ms)}`)
    .join(', ');
}

function rateText({ name, requests, periodMs, burst, keys, isShared }: RateLimitSnapshot): string {
  const by = keys.length === 0 ? '' : ` by ${keys.map(keyText).join(', ')}`;
  const shared = isShared ? ', shared' : '';
  return `${name}: ${requests} in ${formatDuration(periodMs)}${burst === requests ? '' : `, ${burst} at once`}${by}${shared}`;
}

function keyText({ kind, name, prefix4, prefix6 }: KeySnapshot): string {
  if (kind === 'client') return prefix4 === 32 && prefix6 === 64 ? kind : `client/${prefix4},${prefix6}`;
  return name === '' ? kind : `${kind}:${name}`;
}

function retryText({ retries }: RouteSnapshot): string {
  const { isConnect, isRefused, isReset, isTimeout, statuses, grpcStatuses } = retries.on;
  const causes = [
    ...(isConnect ? ['connect'] : []),
    ...(isRefused ? ['refused'] : []),
    ...(isReset ? ['reset'] : []),
    ...(isTimeout ? ['timeout'] : []),
    ...statuses.map(String),
    ...grpcStatuses.map((status) => `gRPC ${status}`),
  ];
  return `${retries.attempts} on ${causes.join(', ')}`;
}
