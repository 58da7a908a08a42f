/**
 * Other attempts at something that failed, with the edge's back-off and the edge's budget: retries
 * are a share of the calls, so that a resource that is down is not asked several times as often as
 * a sound one.
 */

import { backoffMs } from '../lane/retry/backoff.ts';
import { Budget, createBudgetTable } from '../lane/retry/budget.ts';
import { type Clock, pause, systemClock } from './clock.ts';
import { ResilienceError } from './errors.ts';
import { type OnEvent, type ResilienceEventCode, tell } from './events.ts';
import { checkNumbers, memoryFor, withDefaults } from './options.ts';

/** The names and defaults are those of the edge's `upstreams.<name>.retry_budget`. */
export interface RetryBudgetTerms {
  /** Share of the calls of the window that may be tried again. */
  readonly ratio: number;
  /** Retries a second that are allowed whatever the share. */
  readonly minPerSecond: number;
  readonly windowMs: number;
}

export interface RetryBudgetOptions extends Partial<RetryBudgetTerms> {
  readonly clock?: Clock;
  /** `memory` of a budget with the same options, in another thread: both are then one. */
  readonly memory?: SharedArrayBuffer;
}

export interface RetryBudget {
  /** A call begins. */
  count(): void;
  /** Takes one retry, if there is one. */
  take(): boolean;
  readonly memory: SharedArrayBuffer;
}

export interface RetryTerms {
  /** Attempts beside the first. */
  readonly attempts: number;
  /**
   * A random time up to this passes before the first retry, up to twice as much before each further
   * one; 0 for at once.
   */
  readonly backoffMs: number;
  readonly maxBackoffMs: number;
}

export interface RetryOptions extends Partial<RetryTerms> {
  /** Shared by all calls to the same resource. Without one only `attempts` bounds the retries. */
  readonly budget?: RetryBudget;
  /** In events. */
  readonly name?: string;
  /**
   * Is another attempt safe, and of use? By default yes, but after an abort by the caller and
   * refusals of this library. Only for work that may be done twice.
   */
  readonly isRetryable?: (error: unknown, attempt: number) => boolean;
  /** Ends the pause and all further attempts; handed to `work`. */
  readonly signal?: AbortSignal;
  readonly onEvent?: OnEvent;
  readonly clock?: Clock;
  /** Of [0, 1), for the jitter. */
  readonly random?: () => number;
}

/** What `work` is told. */
export interface RetryAttempt {
  /** From 1. */
  readonly number: number;
  readonly signal: AbortSignal | undefined;
}

export const RETRY_BUDGET_DEFAULTS: RetryBudgetTerms = { ratio: 0.2, minPerSecond: 10, windowMs: 10_000 };
export const RETRY_DEFAULTS: RetryTerms = { attempts: 1, backoffMs: 25, maxBackoffMs: 250 };

/**
 * A budget for all retries at one resource. Throws `config_not_valid` where an option is out of its
 * range.
 */
export function createRetryBudget(options: RetryBudgetOptions = {}): RetryBudget {
  const terms = withDefaults<RetryBudgetTerms>(options, RETRY_BUDGET_DEFAULTS);
  checkNumbers('createRetryBudget', terms, { ratio: [0, 1], minPerSecond: [0, 100_000], windowMs: [10, 86_400_000] });
  const clock = options.clock ?? systemClock;
  const memory = memoryFor('createRetryBudget', options.memory, () => createBudgetTable({ upstreams: { length: 1 } }));
  const budget = new Budget(memory, 0, terms);
  return { memory, count: () => budget.count(clock.now()), take: () => budget.take(clock.now()) };
}

/**
 * Calls `work` until it succeeds, and gives what it gives. When it may not be tried again, the last
 * error is thrown; when the signal aborts in a pause, the signal's reason. Throws
 * `config_not_valid` where an option is out of its range.
 */
export async function retry<Result>(
  work: (attempt: RetryAttempt) => Result | PromiseLike<Result>,
  options: RetryOptions = {},
): Promise<Result> {
  const terms = withDefaults<RetryTerms>(options, RETRY_DEFAULTS);
  checkNumbers('retry', terms, { attempts: [0, 1_000], backoffMs: [0, 86_400_000], maxBackoffMs: [0, 86_400_000] });
  const { budget, signal, clock = systemClock, random = Math.random } = options;
  signal?.throwIfAborted();
  budget?.count();
  for (let number = 1; ; number++) {
    try {
      return await work({ number, signal });
    } catch (error) {
      if (signal?.aborted) throw error;
      const denial = denialOf(error, number, terms, options);
      const waitMs = denial === undefined ? backoffMs(number, random(), terms.backoffMs, terms.maxBackoffMs) : 0;
      tell(options.onEvent, { event: denial ?? 'retried', name: options.name ?? '', atMs: clock.now(), error, waitMs });
      if (denial !== undefined) throw error;
      if (waitMs > 0) await pause(clock, waitMs, signal);
    }
  }
}

/**
 * Why there is no other attempt; undefined when there is one, which is then taken from the budget.
 */
function denialOf(error: unknown, number: number, { attempts }: RetryTerms, options: RetryOptions): ResilienceEventCode | undefined {
  if (!(options.isRetryable ?? isRetryableByDefault)(error, number)) return 'retry_denied_unsafe';
  if (number > attempts) return 'retry_denied_attempts';
  return options.budget === undefined || options.budget.take() ? undefined : 'retry_denied_budget';
}

function isRetryableByDefault(error: unknown): boolean {
  return !(error instanceof ResilienceError) && !(error instanceof Error && error.name === 'AbortError');
}
