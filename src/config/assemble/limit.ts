/** Limits of a snapshot: bulkheads and rate limits of routes, upstreams and tenants. */

import { keyOf } from '../schema/key.ts';
import type { Route } from '../schema/route.ts';
import type { BulkheadSnapshot, RateLimitSnapshot } from '../snapshot/limit.ts';
import { madeOnce } from './once.ts';

type Limits = Route['limits'];

const NONE: readonly RateLimitSnapshot[] = Object.freeze([]);

const keysOf = madeOnce((keys: Limits['rate'][number]['by']) => keys.map(keyOf));

export const bulkheadSnapshot = madeOnce(
  ({ in_flight: max, queue, queue_timeout: queueTimeoutMs }: Omit<Limits, 'rate'>): BulkheadSnapshot => ({ max, queue, queueTimeoutMs }),
);

/** Rate limits with names: configured, or that of their owner, numbered where it has several. */
export function rateLimitSnapshots(owner: string, rates: Limits['rate']): readonly RateLimitSnapshot[] {
  if (rates.length === 0) return NONE;
  return rates.map((rate, place) => ({
    name: rateName(owner, rate, place),
    keys: keysOf(rate.by),
    requests: rate.requests,
    periodMs: rate.per,
    burst: rate.burst === 0 ? rate.requests : rate.burst,
    maxKeys: rate.max_keys,
    isShared: rate.shared,
    onStoreFailure: rate.on_store_failure,
  }));
}

/** Name of the limit at `place` of its owner's list. */
export function rateName(owner: string, { name }: Limits['rate'][number], place: number): string {
  return name === '' ? `${owner}${place === 0 ? '' : `#${place + 1}`}` : name;
}
