/**
 * The edge's resilience parts for services written in Node: breaker, retries with a budget, rate
 * limit, bulkhead, deadline. The code is the edge's own where it decides something; here stands the
 * way to use it around promises. `docs/library.md` shows each part at work; `./fastify.ts` and
 * `./express.ts` put them before handlers.
 */

export { LychgateError } from '../base/errors.ts';
export { addressKey, CLIENT_PREFIXES } from './address-key.ts';
export { type Breaker, type BreakerAttempt, type BreakerState, type BreakerView, createBreaker } from './breaker.ts';
export { BREAKER_DEFAULTS, type BreakerOptions, type BreakerTerms, judgeStatus, type Verdict } from './breaker-options.ts';
export { type Breakers, type BreakersOptions, createBreakers } from './breakers.ts';
export {
  BULKHEAD_DEFAULTS,
  type Bulkhead,
  type BulkheadOptions,
  type BulkheadTerms,
  createBulkhead,
  type Release,
} from './bulkhead.ts';
export { type Clock, createManualClock, type ManualClock, systemClock } from './clock.ts';
export { DEADLINE_DEFAULTS, type Deadline, type DeadlineOptions, type DeadlineTerms, deadlineOf, type FieldsLike } from './deadline.ts';
export { BreakerOpenError, BulkheadFullError, DeadlineError, QueueTimeoutError, RateLimitedError, ResilienceError } from './errors.ts';
export type { OnEvent, ResilienceEvent, ResilienceEventCode } from './events.ts';
export type { Guard, GuardOptions } from './guard.ts';
export {
  createRateLimiter,
  RATE_LIMITER_DEFAULTS,
  type RateLimiter,
  type RateLimiterOptions,
  type RateLimiterTerms,
  type RateLimiterView,
  type RateLimitTaken,
} from './rate-limiter.ts';
export {
  createRetryBudget,
  RETRY_BUDGET_DEFAULTS,
  RETRY_DEFAULTS,
  type RetryAttempt,
  type RetryBudget,
  type RetryBudgetOptions,
  type RetryBudgetTerms,
  type RetryOptions,
  type RetryTerms,
  retry,
} from './retry.ts';
