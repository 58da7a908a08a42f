/** The standing of backends and upstreams for the admin API and metrics. Only reads the table. */

import { type ReasonCode, reasonByNumber } from '../../base/errors.ts';
import { finish } from '../../base/steps.ts';
import { HEALTH_STATES, type HealthState } from './health.ts';
import {
  AS_OUTLIER,
  BACKEND_FLOATS,
  BACKEND_WORDS,
  BARRING_BITS,
  BREAKER_BITS,
  backendRoom,
  CONSECUTIVE_WORD,
  DOWN,
  EJECTIONS_WORD,
  HALF_OPEN,
  HEALTH_WORD,
  HELD_OFF,
  HELD_UNTIL_F64,
  IN_ROW_WORD,
  LAST_FAILURE_F64,
  LAST_REASON_WORD,
  LAST_STATUS_WORD,
  OPEN,
  OPEN_UNTIL_F64,
  PANIC_WORD,
  PROBES_WORD,
  RETURNED_F64,
  SINCE_F64,
  STARTS_SLOWLY,
  upstreamWord,
} from './table.ts';
import { compileTerms, type StandingSource, type StandingTerms } from './terms.ts';

export type BreakerState = 'closed' | 'open' | 'half-open';

/** One backend. Times are milliseconds since the epoch, 0 for never. */
export interface BackendStanding {
  readonly slot: number;
  /** Whether it gets requests, apart from probes of a half-open breaker. */
  readonly isAdmitted: boolean;
  readonly state: BreakerState;
  /** What ejected it; null while the breaker is closed. */
  readonly ejectedAs: 'breaker' | 'outlier' | null;
  readonly sinceMs: number;
  /** When an open breaker starts to let probes through; 0 if it is not open. */
  readonly openUntilMs: number;
  readonly probesInFlight: number;
  readonly health: HealthState;
  /** End of its hold-off; 0 if it has none. */
  readonly heldOffUntilMs: number;
  /** The share of its weight that it may have: below 1 during slow start. */
  readonly share: number;
  readonly consecutiveFailures: number;
  /** Counts of the breaker's window; 0 if neither a rate nor a count is configured. */
  readonly windowOutcomes: number;
  readonly windowFailures: number;
  /** Since the start, and consecutive. */
  readonly ejections: number;
  readonly ejectionsInRow: number;
  /**
   * The last failure that counted: its reason, its status if it was a response (else 0), its time.
   * Null if there was none.
   */
  readonly lastFailure: { readonly reason: ReasonCode; readonly status: number; readonly atMs: number } | null;
}

export interface UpstreamStanding {
  readonly isPanicking: boolean;
  readonly admitted: number;
  readonly ejected: number;
}

export interface StandingView {
  /** Indexed by slot. */
  readonly backends: readonly BackendStanding[];
  /** Indexed by upstream. */
  readonly upstreams: readonly UpstreamStanding[];
}

/** `nowMs` is on the clock shared by all shards. */
export function viewStanding(
  table: SharedArrayBuffer,
  snapshot: StandingSource,
  nowMs: number = performance.timeOrigin + performance.now(),
): StandingView {
  const words = new Int32Array(table);
  const backends: BackendStanding[] = [];
  const upstreams = finish(compileTerms(snapshot, table)).map((terms, number) => {
    terms.windows.at(nowMs);
    const members = Array.from(terms.slots, (slot) => {
      backends[slot] = viewBackend(table, terms, slot, nowMs);
      return backends[slot];
    });
    return {
      isPanicking: Atomics.load(words, upstreamWord(backendRoom(snapshot), number) + PANIC_WORD) !== 0,
      admitted: members.filter(({ isAdmitted }) => isAdmitted).length,
      ejected: members.filter(({ state }) => state !== 'closed').length,
    };
  });
  return { backends, upstreams };
}

function viewBackend(table: SharedArrayBuffer, terms: StandingTerms, slot: number, nowMs: number): BackendStanding {
  const words = new Int32Array(table, slot * BACKEND_WORDS * 4, BACKEND_WORDS);
  const floats = new Float64Array(table, slot * BACKEND_WORDS * 4, BACKEND_FLOATS);
  const load = (word: number) => Atomics.load(words, word);
  const time = (cell: number) => Math.round(floats[cell] ?? 0);
  const bars = load(0);
  const breaker = bars & BREAKER_BITS;
  // A hold-off ends with its time, although its bit stays until a lane next looks.
  const isHeld = (bars & HELD_OFF) !== 0 && floats[HELD_UNTIL_F64]! > nowMs;
  return {
    slot,
    isAdmitted: (bars & BARRING_BITS & ~HELD_OFF) === 0 && !isHeld,
    state: breaker === 0 ? 'closed' : breaker === HALF_OPEN ? 'half-open' : 'open',
    ejectedAs: breaker === 0 ? null : (bars & AS_OUTLIER) !== 0 ? 'outlier' : 'breaker',
    sinceMs: time(SINCE_F64),
    openUntilMs: breaker === OPEN ? time(OPEN_UNTIL_F64) : 0,
    probesInFlight: breaker === HALF_OPEN ? load(PROBES_WORD) : 0,
    health: (bars & DOWN) !== 0 ? 'down' : (HEALTH_STATES[load(HEALTH_WORD)] ?? 'unknown'),
    heldOffUntilMs: isHeld ? time(HELD_UNTIL_F64) : 0,
    share: (bars & STARTS_SLOWLY) === 0 ? 1 : terms.shareAfter(nowMs - floats[RETURNED_F64]!),
    consecutiveFailures: load(CONSECUTIVE_WORD),
    windowOutcomes: terms.isWindowed ? terms.windows.outcomes(slot) : 0,
    windowFailures: terms.isWindowed ? terms.windows.failures(slot) : 0,
    ejections: load(EJECTIONS_WORD),
    ejectionsInRow: load(IN_ROW_WORD),
    lastFailure:
      load(LAST_REASON_WORD) === 0
        ? null
        : {
            reason: reasonByNumber(load(LAST_REASON_WORD)).code as ReasonCode,
            status: load(LAST_STATUS_WORD),
            atMs: time(LAST_FAILURE_F64),
          },
  };
}
