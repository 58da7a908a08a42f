/**
 * What a refused client is told: Retry-After (RFC 9110 §10.2.3) and, by rate limits,
 * RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10): the quota `q` of a
 * window of `w` seconds, what remains of it `r`, and in how many seconds there is more `t`.
 */

import type { RateLimitSnapshot } from '../../../config/snapshot/limit.ts';
import type { Answer } from '../../../record/write.ts';

/** Nobody is told to stay away for longer. */
const MAX_SECONDS = 86_400;

/** Milliseconds as the whole seconds of a Retry-After: never too early, never 0. */
function secondsOf(ms: number): number {
  return Math.min(MAX_SECONDS, Math.max(1, Math.ceil(ms / 1_000)));
}

export function retryAfterFields(ms: number): Answer['fields'] {
  return [['retry-after', String(secondsOf(ms))]];
}

/** After a refusal by `limit`, whose next token comes in `waitMs`. */
export function rateLimitFields(limit: RateLimitSnapshot, waitMs: number): Answer['fields'] {
  return [...retryAfterFields(waitMs), ...quotaFields(limit, 0, waitMs)];
}

/** `remaining` tokens of `limit` are left, and there are more in `moreMs`. */
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

/** Bytes that the fields of any of `limits` add to an answer, at most. */
export function maxFieldBytes(limits: readonly RateLimitSnapshot[]): number {
  const sizes = limits.map((limit) => rateLimitFields(limit, Number.MAX_SAFE_INTEGER).flat().join('').length + 16);
  return Math.max(32, ...sizes);
}

/** Windows are whole seconds; a shorter one is told as what fits a second. */
function policyOf({ requests, periodMs }: Pick<RateLimitSnapshot, 'requests' | 'periodMs'>): string {
  const seconds = Math.max(1, Math.round(periodMs / 1_000));
  return `q=${Math.round((requests * seconds * 1_000) / periodMs)};w=${seconds}`;
}

/** A string of structured fields (RFC 9651 §3.3.3). */
function quoted(text: string): string {
  return `"${text.replace(/[^ -~]/g, '?').replace(/["\\]/g, '\\$&')}"`;
}
