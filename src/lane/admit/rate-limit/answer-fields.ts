/**
 * Fields of a refusal: Retry-After (RFC 9110 §10.2.3) and, for rate limits, RateLimit-Policy and
 * RateLimit (draft-ietf-httpapi-ratelimit-headers-10): the quota `q` of a window of `w` seconds,
 * the remaining `r`, and the seconds `t` until there is more.
 */

import type { RateLimitSnapshot } from '../../../config/snapshot/limit.ts';
import type { Answer } from '../../../record/write.ts';

/** The longest time a client is told to stay away. */
const MAX_SECONDS = 86_400;

/** Milliseconds as the whole seconds of a Retry-After: rounded up, at least 1. */
function secondsOf(ms: number): number {
  return Math.min(MAX_SECONDS, Math.max(1, Math.ceil(ms / 1_000)));
}

export function retryAfterFields(ms: number): Answer['fields'] {
  return [['retry-after', String(secondsOf(ms))]];
}

/** After a refusal by `limit`, whose next token is due in `waitMs`. */
export function rateLimitFields(limit: RateLimitSnapshot, waitMs: number): Answer['fields'] {
  return [...retryAfterFields(waitMs), ...quotaFields(limit, 0, waitMs)];
}

/** `remaining` tokens of `limit` are left; there are more in `moreMs`. */
export function quotaFields(
  limit: Pick<RateLimitSnapshot, 'name' | 'requests' | 'periodMs'>,
  remaining: number,
  moreMs: number,
): Answer['fields'] {
  const name = quoted(limit.name);
  return [
    ['ratelimit-policy', `${name};${policyOf(limit)}`],
    ['ratelimit', `${name};r=${remaining};t=${secondsOf(moreMs)}`],
  ];
}

/** Upper bound for the bytes that the fields of any of `limits` add to an answer. */
export function maxFieldBytes(limits: readonly RateLimitSnapshot[]): number {
  const sizes = limits.map((limit) => rateLimitFields(limit, Number.MAX_SAFE_INTEGER).flat().join('').length + 16);
  return Math.max(32, ...sizes);
}

/** The window is in whole seconds. A shorter period is given as its equivalent for one second. */
function policyOf({ requests, periodMs }: Pick<RateLimitSnapshot, 'requests' | 'periodMs'>): string {
  const seconds = Math.max(1, Math.round(periodMs / 1_000));
  return `q=${Math.round((requests * seconds * 1_000) / periodMs)};w=${seconds}`;
}

/** A string of structured fields (RFC 9651 §3.3.3). */
function quoted(text: string): string {
  return `"${text.replace(/[^ -~]/g, '?').replace(/["\\]/g, '\\$&')}"`;
}
