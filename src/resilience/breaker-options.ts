/** How a breaker is wanted: when it opens and closes, and what counts as a failure. */

import type { BreakerSnapshot } from '../config/snapshot/standing.ts';
import type { Clock } from './clock.ts';
import { DeadlineError, ResilienceError } from './errors.ts';
import type { OnEvent } from './events.ts';
import { checkNumbers, withDefaults } from './options.ts';

/** What an outcome says of the resource; `abandoned` is nothing, as when the caller left. */
export type Verdict = 'succeeded' | 'failed' | 'abandoned';

/**
 * When it opens and closes: the terms of the edge's `upstreams.<name>.breaker`, whose defaults
 * these are too.
 */
export type BreakerTerms = Omit<BreakerSnapshot, 'failures'>;

export interface BreakerOptions extends Partial<BreakerTerms> {
  /** In errors and events. */
  readonly name?: string;
  /**
   * What an error says of the resource. By default all say that it failed, but for an abort by the
   * caller and refusals of this library.
   */
  readonly judgeError?: (error: unknown) => Verdict;
  /**
   * What a result says, for those that are failures all the same: a response with status 503. By
   * default none is.
   */
  readonly judgeResult?: (result: unknown) => Verdict;
  readonly onEvent?: OnEvent;
  readonly clock?: Clock;
  /**
   * `memory` of a breaker with the same options, in another thread: both are then one. Events are
   * told in the thread where they happen.
   */
  readonly memory?: SharedArrayBuffer;
}

export const BREAKER_DEFAULTS: BreakerTerms = {
  consecutive: 5,
  rate: 0,
  minRequests: 20,
  count: 0,
  windowMs: 10_000,
  ejectMs: 5_000,
  maxEjectMs: 300_000,
  probes: 1,
  successes: 2,
};

const MAX_COUNT = 1_000_000;
const MAX_MS = 86_400_000;
const BOUNDS = {
  consecutive: [0, MAX_COUNT],
  rate: [0, 1],
  minRequests: [1, MAX_COUNT],
  count: [0, MAX_COUNT],
  windowMs: [10, MAX_MS],
  ejectMs: [1, MAX_MS],
  maxEjectMs: [1, MAX_MS],
  probes: [1, MAX_COUNT],
  successes: [1, MAX_COUNT],
} as const;

/** The terms of `options`; throws `config_not_valid` where one is out of its range. */
export function readTerms(options: BreakerOptions): BreakerTerms {
  const terms = withDefaults<BreakerTerms>(options, BREAKER_DEFAULTS);
  checkNumbers('createBreaker', terms, BOUNDS);
  return terms;
}

/**
 * Judges results by their `status` or `statusCode` (a Response of fetch, of undici, of got): 502 to
 * 504 say that the resource is not there.
 */
export function judgeStatus(result: unknown): Verdict {
  const { status, statusCode } = (result ?? {}) as { readonly status?: unknown; readonly statusCode?: unknown };
  const said = Number(status ?? statusCode);
  return said >= 502 && said <= 504 ? 'failed' : 'succeeded';
}

/**
 * An abort is the caller's doing. What this library refused was never tried; only time that ran out
 * may be the resource's fault.
 */
export function judgeByDefault(error: unknown): Verdict {
  if (error instanceof ResilienceError) return error instanceof DeadlineError ? 'failed' : 'abandoned';
  return error instanceof Error && error.name === 'AbortError' ? 'abandoned' : 'failed';
}
