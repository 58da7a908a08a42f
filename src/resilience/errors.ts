/**
 * What callers get when a part refuses. Codes and statuses are rows of the edge's registry
 * (`docs/errors.md`); `status` and `headers` are what fastify and express look for, so that an
 * error nobody catches becomes the right answer, with Retry-After.
 */

import { type ErrorContext, LychgateError, type ReasonCode } from '../base/errors.ts';
import { retryAfterFields } from '../lane/admit/rate-limit/answer-fields.ts';

/**
 * Nothing was tried: a part of this library refused. Another attempt at once would be refused as
 * well.
 */
export class ResilienceError extends LychgateError {
  override readonly name: string = 'ResilienceError';
  declare readonly code: ReasonCode;
  /** When it may be worth while to come again; 0 where that cannot be said. */
  readonly retryAfterMs: number;
  /** Fields of an answer that this error becomes, in lower case. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: ReasonCode, detail: string, context: ErrorContext, retryAfterMs: number, headers?: Readonly<Record<string, string>>) {
    super(code, detail, context, undefined);
    this.retryAfterMs = retryAfterMs;
    this.headers = headers ?? (retryAfterMs > 0 ? Object.fromEntries(retryAfterFields(retryAfterMs)) : {});
  }
}

/**
 * `circuit_open`, 503: the breaker is open, or half-open with as many probes out as there may be.
 */
export class BreakerOpenError extends ResilienceError {
  override readonly name = 'BreakerOpenError';

  constructor(breaker: string, retryAfterMs: number) {
    super('circuit_open', `The breaker of ${breaker || 'the resource'} is open`, { breaker }, retryAfterMs);
  }
}

/** `rate_limited`, 429. */
export class RateLimitedError extends ResilienceError {
  override readonly name = 'RateLimitedError';

  constructor(limit: string, retryAfterMs: number, headers: Readonly<Record<string, string>>) {
    super('rate_limited', 'More requests than the rate allows', { limit }, retryAfterMs, headers);
  }
}

/** `route_full`, 503: as many are in flight and waiting as may be. */
export class BulkheadFullError extends ResilienceError {
  override readonly name = 'BulkheadFullError';

  constructor(bulkhead: string, retryAfterMs: number) {
    super('route_full', `No place in ${bulkhead || 'the bulkhead'}, nor in its queue`, { bulkhead }, retryAfterMs);
  }
}

/** `queue_timeout`, 503: no place became free in time. */
export class QueueTimeoutError extends ResilienceError {
  override readonly name = 'QueueTimeoutError';

  constructor(bulkhead: string, waitedMs: number, retryAfterMs: number) {
    super('queue_timeout', `No place in ${bulkhead || 'the bulkhead'} within ${waitedMs} ms`, { bulkhead, waitedMs }, retryAfterMs);
  }
}

/**
 * `exchange_timeout`, 504: the time that was given is over. It is the reason of the deadline's
 * signal.
 */
export class DeadlineError extends ResilienceError {
  override readonly name = 'DeadlineError';

  constructor(givenMs: number) {
    super('exchange_timeout', `The ${givenMs} ms that were given are over`, { givenMs }, 0);
  }
}
