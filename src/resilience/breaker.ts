/**
 * A breaker before something that can fail: another service, a database. It is the edge's own (`src/lane/standing`), of an upstream with a single backend: what is
 * added here is the way to use it around a promise.
 */

import { reasonNumber } from '../base/errors.ts';
import { noteNumber } from '../base/notes.ts';
import type { BreakerSnapshot, FailureSnapshot } from '../config/snapshot.ts';
import { Standing } from '../lane/standing/standing.ts';
import { BARS_WORD, BREAKER_BITS, createStandingTable, HALF_OPEN, OPEN_UNTIL_F64 } from '../lane/standing/table.ts';
import type { StandingSource } from '../lane/standing/terms.ts';
import { type BreakerState, viewStanding } from '../lane/standing/view.ts';
import { type Clock, systemClock } from './clock.ts';
import { BreakerOpenError, DeadlineError, ResilienceError } from './errors.ts';
import { type OnEvent, type ResilienceEventCode, tell } from './events.ts';
import { checkNumbers, memoryFor, withDefaults } from './options.ts';

export type { BreakerState } from '../lane/standing/view.ts';

/** What an outcome says of the resource; `abandoned` is nothing, as when the caller left. */
export type Verdict = 'succeeded' | 'failed' | 'abandoned';

/** When it opens and closes; the names and defaults are those of the edge's `upstreams.<name>.breaker`. */
export interface BreakerTerms {
  /** Failures in a row that open it; 0 for never. */
  readonly consecutive: number;
  /** Share of failures in the window that opens it, 0 to 1; 0 for never. */
  readonly rate: number;
  /** Calls there must be in the window before `rate` is looked at. */
  readonly minRequests: number;
  /** Failures in the window that open it whatever their share; 0 for never. */
  readonly count: number;
  readonly windowMs: number;
  /** How long it is open the first time; each time in a row it is twice as long. */
  readonly ejectMs: number;
  readonly maxEjectMs: number;
  /** Calls at once that try the resource after that. */
  readonly probes: number;
  /** So many of them must succeed before it closes. */
  readonly successes: number;
}

export interface BreakerOptions extends Partial<BreakerTerms> {
  /** In errors and events. */
  readonly name?: string;
  /** What an error says of the resource. By default all say that it failed, but for an abort by the caller and refusals of this library. */
  readonly judgeError?: (error: unknown) => Verdict;
  /** What a result says, for those that are failures all the same: a response with status 503. By default none is. */
  readonly judgeResult?: (result: unknown) => Verdict;
  readonly onEvent?: OnEvent;
  readonly clock?: Clock;
  /** `memory` of a breaker with the same options, in another thread: both are then one. Events are told in the thread where they happen. */
  readonly memory?: SharedArrayBuffer;
}

/** A call that the breaker let through. It says once how it ended; what it says later counts for nothing. */
export interface BreakerAttempt {
  succeeded(): void;
  /** `error` goes along with the event if this opens the breaker. */
  failed(error?: unknown): void;
  /** It says nothing about the resource. */
  abandoned(): void;
}

/** How a breaker stands. Times are milliseconds on its clock, 0 for never. */
export interface BreakerView {
  readonly name: string;
  readonly state: BreakerState;
  readonly sinceMs: number;
  readonly openUntilMs: number;
  readonly probesInFlight: number;
  readonly consecutiveFailures: number;
  readonly windowOutcomes: number;
  readonly windowFailures: number;
  /** How often it opened, and how often in a row. */
  readonly ejections: number;
  readonly ejectionsInRow: number;
  readonly lastFailureAtMs: number;
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

/** Nobody can say when a probe will be back. */
const PROBING_RETRY_MS = 1_000;

/** Every failure here is of one kind; the terms count it. */
const FAILED = reasonNumber('backend_reset');
const FAILURES: FailureSnapshot = {
  isConnectCounted: false,
  isResetCounted: true,
  isTimeoutCounted: false,
  statuses: [],
  grpcStatuses: [],
};

const EVENTS: ReadonlyMap<number, ResilienceEventCode> = new Map(
  (['breaker_opened', 'breaker_half_opened', 'breaker_closed'] as const).map((code) => [noteNumber(code), code]),
);

/** Its only slot. */
const SLOT = 0;

export class Breaker {
  readonly name: string;
  /** Hand it to another thread to share the breaker. */
  readonly memory: SharedArrayBuffer;

  private readonly source: StandingSource;
  private readonly standing: Standing;
  private readonly words: Int32Array;
  private readonly times: Float64Array;
  private readonly clock: Clock;
  private readonly onEvent: OnEvent | undefined;
  private readonly judgeError: (error: unknown) => Verdict;
  private readonly judgeResult: ((result: unknown) => Verdict) | undefined;
  private lastError: unknown;

  constructor(options: BreakerOptions) {
    const terms = withDefaults<BreakerTerms>(options, BREAKER_DEFAULTS);
    checkNumbers('createBreaker', terms, BOUNDS);
    this.source = sourceOf({ ...terms, failures: FAILURES });
    this.name = options.name ?? '';
    this.memory = memoryFor('createBreaker', options.memory, () => createStandingTable(this.source));
    this.words = new Int32Array(this.memory);
    this.times = new Float64Array(this.memory);
    this.clock = options.clock ?? systemClock;
    this.onEvent = options.onEvent;
    this.judgeError = options.judgeError ?? judgeByDefault;
    this.judgeResult = options.judgeResult;
    this.standing = new Standing({ snapshot: this.source, table: this.memory, observer: { noted: (note) => this.noted(note) } });
  }

  /**
   * Calls `work` and gives what it gives, or throws BreakerOpenError without a call. Of what it throws `judgeError` says whether the resource is to blame.
   */
  async run<Result>(work: () => Result | PromiseLike<Result>): Promise<Result> {
    const attempt = this.attempt();
    let result: Result;
    try {
      result = await work();
    } catch (error) {
      conclude(attempt, this.judgeError(error), error);
      throw error;
    }
    conclude(attempt, this.judgeResult?.(result) ?? 'succeeded', result);
    return result;
  }

  /** The same for work that is no single call: throws BreakerOpenError, or gives what the outcome is to be told to. */
  attempt(): BreakerAttempt {
    if (!this.allows()) {
      tell(this.onEvent, { event: 'circuit_open', name: this.name, atMs: this.clock.now() });
      throw new BreakerOpenError(this.name, this.retryAfterMs);
    }
    const isProbe = this.standing.attempted(SLOT);
    let isOver = false;
    const end = (verdict: Verdict, error: unknown) => {
      if (isOver) return;
      isOver = true;
      this.ended(verdict, isProbe, error);
    };
    return {
      succeeded: () => end('succeeded', undefined),
      failed: (error) => end('failed', error),
      abandoned: () => end('abandoned', undefined),
    };
  }

  /** Would a call be let through now? */
  allows(): boolean {
    this.standing.begin(this.clock.now());
    return this.standing.admits(SLOT);
  }

  get state(): BreakerState {
    this.allows();
    const state = Atomics.load(this.words, BARS_WORD) & BREAKER_BITS;
    if (state === 0) return 'closed';
    return state === HALF_OPEN ? 'half-open' : 'open';
  }

  /** In how many milliseconds a call may be let through: 0 when one is now. */
  get retryAfterMs(): number {
    if (this.allows()) return 0;
    return this.state === 'open' ? Math.max(1, Math.ceil(this.times[OPEN_UNTIL_F64]! - this.clock.now())) : PROBING_RETRY_MS;
  }

  view(): BreakerView {
    this.allows();
    const seen = viewStanding(this.memory, this.source, this.clock.now()).backends[SLOT]!;
    return {
      name: this.name,
      state: seen.state,
      sinceMs: seen.sinceMs,
      openUntilMs: seen.openUntilMs,
      probesInFlight: seen.probesInFlight,
      consecutiveFailures: seen.consecutiveFailures,
      windowOutcomes: seen.windowOutcomes,
      windowFailures: seen.windowFailures,
      ejections: seen.ejections,
      ejectionsInRow: seen.ejectionsInRow,
      lastFailureAtMs: seen.lastFailure?.atMs ?? 0,
    };
  }

  private ended(verdict: Verdict, isProbe: boolean, error: unknown): void {
    this.standing.begin(this.clock.now());
    this.lastError = error;
    if (verdict === 'failed') this.standing.failed(SLOT, FAILED, isProbe);
    else if (verdict === 'succeeded') this.standing.succeeded(SLOT, isProbe);
    else this.standing.abandoned(SLOT, isProbe);
    this.lastError = undefined;
  }

  private noted(note: number): void {
    const event = EVENTS.get(note);
    if (event === undefined) return;
    const about = { event, name: this.name, atMs: this.clock.now() };
    tell(this.onEvent, this.lastError === undefined ? about : { ...about, error: this.lastError });
  }
}

/** A breaker; see `BreakerOptions`. Throws `config_not_valid` where an option is out of its range. */
export function createBreaker(options: BreakerOptions = {}): Breaker {
  return new Breaker(options);
}

/** Judges results by their `status` or `statusCode` (a Response of fetch, of undici, of got): 502 to 504 say that the resource is not there. */
export function judgeStatus(result: unknown): Verdict {
  const { status, statusCode } = (result ?? {}) as { readonly status?: unknown; readonly statusCode?: unknown };
  const said = Number(status ?? statusCode);
  return said >= 502 && said <= 504 ? 'failed' : 'succeeded';
}

/** An abort is the caller's doing. What this library refused was never tried; only time that ran out may be the resource's fault. */
function judgeByDefault(error: unknown): Verdict {
  if (error instanceof ResilienceError) return error instanceof DeadlineError ? 'failed' : 'abandoned';
  return error instanceof Error && error.name === 'AbortError' ? 'abandoned' : 'failed';
}

function conclude(attempt: BreakerAttempt, verdict: Verdict, error: unknown): void {
  if (verdict === 'failed') attempt.failed(error);
  else attempt[verdict]();
}

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

/** An upstream with one backend, which is compared with nobody, never panics and may always be out. */
function sourceOf(breaker: BreakerSnapshot): StandingSource {
  return {
    backends: { length: 1 },
    upstreams: [
      {
        slots: [SLOT],
        breaker,
        outlier: { isOn: false, intervalMs: 1_000, minBackends: 2, minRequests: 1, deviations: 1 },
        maxEjected: 1,
        panicBelow: 0,
        slowStartMs: 0,
      },
    ],
  };
}
