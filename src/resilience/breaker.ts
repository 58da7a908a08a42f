/**
 * A breaker before something that can fail: another service, a database. It is the edge's own
 * (`src/lane/standing`), of an upstream with a single backend: what is added here is the way to use
 * it around a promise.
 */

import { type ReasonCode, reasonNumber } from '../base/errors.ts';
import { noteNumber } from '../base/notes.ts';
import type { FailureSnapshot } from '../config/snapshot/standing.ts';
import { Standing } from '../lane/standing/standing.ts';
import { BARS_WORD, BREAKER_BITS, createStandingTable, HALF_OPEN, OPEN_UNTIL_F64 } from '../lane/standing/table.ts';
import type { StandingSource } from '../lane/standing/terms.ts';
import { type BreakerState, viewStanding } from '../lane/standing/view.ts';
import { type BreakerOptions, type BreakerTerms, judgeByDefault, readTerms, type Verdict } from './breaker-options.ts';
import { type Clock, systemClock } from './clock.ts';
import { BreakerOpenError, ResilienceError } from './errors.ts';
import { type OnEvent, type ResilienceEventCode, tell } from './events.ts';
import { memoryFor } from './options.ts';

export type { BreakerState } from '../lane/standing/view.ts';

/**
 * A call that the breaker let through. It says once how it ended; what it says later counts for
 * nothing.
 */
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
  /**
   * `response_status` for a result that was judged to be a failure, the code of an error of this
   * library (`exchange_timeout`), `backend_reset` for every other error; empty while nothing
   * failed.
   */
  readonly lastFailureReason: '' | ReasonCode;
}

/** Nobody can say when a probe will be back. */
const PROBING_RETRY_MS = 1_000;

/** There was no answer, and one that was judged to be a failure. */
const NO_ANSWER = reasonNumber('backend_reset');
const BAD_ANSWER = reasonNumber('response_status');
/** Whoever calls has judged what counts. */
const FAILURES: FailureSnapshot = {
  isConnectCounted: false,
  isResetCounted: false,
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
    this.source = sourceOf(readTerms(options));
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
   * Calls `work` and gives what it gives, or throws BreakerOpenError without a call. Of what it
   * throws `judgeError` says whether the resource is to blame.
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

  /**
   * The same for work that is no single call: throws BreakerOpenError, or gives what the outcome is
   * to be told to.
   */
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
      lastFailureReason: seen.lastFailure?.reason ?? '',
    };
  }

  private ended(verdict: Verdict, isProbe: boolean, error: unknown): void {
    this.standing.begin(this.clock.now());
    this.lastError = error;
    if (verdict === 'failed') this.standing.judgedFailed(SLOT, failureReason(error), isProbe);
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

/**
 * A breaker; see `BreakerOptions`. Throws `config_not_valid` where an option is out of its range.
 */
export function createBreaker(options: BreakerOptions = {}): Breaker {
  return new Breaker(options);
}

function conclude(attempt: BreakerAttempt, verdict: Verdict, error: unknown): void {
  if (verdict === 'failed') attempt.failed(error);
  else attempt[verdict]();
}

function failureReason(failure: unknown): number {
  if (failure instanceof ResilienceError) return reasonNumber(failure.code);
  return failure === undefined || failure instanceof Error ? NO_ANSWER : BAD_ANSWER;
}

/**
 * An upstream with one backend, which is compared with nobody, never panics and may always be out.
 */
function sourceOf(terms: BreakerTerms): StandingSource {
  return {
    backends: { length: 1 },
    upstreams: [
      {
        slots: [SLOT],
        breaker: { ...terms, failures: FAILURES },
        outlier: { isOn: false, intervalMs: 1_000, minBackends: 2, minRequests: 1, deviations: 1 },
        maxEjected: 1,
        panicBelow: 0,
        slowStartMs: 0,
      },
    ],
  };
}
