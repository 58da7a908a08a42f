/**
 * Breakers: a backend that fails gets no requests for a while, then a few probes, then its share
 * again. Each backend has one breaker for all shards. State changes are compare-and-swaps; the
 * shard that wins one reports it.
 *
 *     closed ── failures ──▶ open ── time ──▶ half-open ── probes succeed ──▶ closed, starts slowly
 *                             ▲                   │
 *                             └─── a probe fails ─┘   twice as long each consecutive time
 *
 * The pattern is M. Nygard's ("Release It!", 2007), the window is as in resilience4j, the growing
 * ejection time as in Envoy's outlier detection.
 */

import { noteNumber } from '../../base/notes.ts';
import type { Backends } from '../balance/backends.ts';
import type { Observer } from '../observer.ts';
import type { Crowd } from './crowd.ts';
import {
  AS_OUTLIER,
  BACKEND_FLOATS,
  BACKEND_WORDS,
  BREAKER_BITS,
  CONSECUTIVE_WORD,
  EJECTIONS_WORD,
  enter,
  HALF_OPEN,
  IN_ROW_WORD,
  LAST_EJECTION_F64,
  LAST_FAILURE_F64,
  LAST_REASON_WORD,
  LAST_STATUS_WORD,
  OPEN,
  OPEN_UNTIL_F64,
  PROBED_F64,
  PROBES_WORD,
  RETURNED_F64,
  raise,
  SINCE_F64,
  STARTS_SLOWLY,
  SUCCESSES_WORD,
} from './table.ts';
import type { StandingTerms } from './terms.ts';

const BREAKER_OPENED = noteNumber('breaker_opened');
const BREAKER_HALF_OPENED = noteNumber('breaker_half_opened');
const BREAKER_CLOSED = noteNumber('breaker_closed');
const OUTLIER_EJECTED = noteNumber('outlier_ejected');

/**
 * A probe without an outcome after this time, or whose worker died, no longer blocks the next one.
 */
export const PROBE_EXPIRY_MS = 10_000;

/**
 * The ejection count starts again once the backend has been fit for this many times its last
 * ejection, and for a window.
 */
const FORGET_FACTOR = 4;

/** More doublings than any configured maximum allows. */
const MAX_DOUBLINGS = 30;

export class Breakers {
  /** Milliseconds on the clock shared by all shards; set once per turn. */
  nowMs = 0;
  private readonly words: Int32Array;
  private readonly floats: Float64Array;
  private readonly crowd: Crowd;
  private readonly observer: Pick<Observer, 'noted'>;
  private readonly backends: Pick<Backends, 'forget'> | undefined;

  constructor(table: SharedArrayBuffer, crowd: Crowd, observer: Pick<Observer, 'noted'>, backends?: Pick<Backends, 'forget'>) {
    this.words = new Int32Array(table);
    this.floats = new Float64Array(table);
    this.crowd = crowd;
    this.observer = observer;
    this.backends = backends;
  }

  /**
   * Records a counted failure. `status` is that of the response, 0 if there was none. While the
   * backend is ejected, only probes count.
   */
  failed(terms: StandingTerms, slot: number, reason: number, status: number, isProbe: boolean): void {
    const { words } = this;
    const at = slot * BACKEND_WORDS;
    words[at + LAST_REASON_WORD] = reason;
    words[at + LAST_STATUS_WORD] = status;
    this.floats[slot * BACKEND_FLOATS + LAST_FAILURE_F64] = this.nowMs;
    const state = Atomics.load(words, at) & BREAKER_BITS;
    if (isProbe) this.giveBack(slot);
    if (state === HALF_OPEN && isProbe) this.reopen(terms, slot, reason);
    if (state !== 0) return;
    const inRow = Atomics.add(words, at + CONSECUTIVE_WORD, 1) + 1;
    if (terms.isWindowed) terms.windows.count(slot, true);
    if ((terms.consecutive > 0 && inRow >= terms.consecutive) || (terms.isWindowed && isWindowBad(terms, slot)))
      this.eject(terms, slot, false, reason);
  }

  /** Records a response that is no failure. */
  succeeded(terms: StandingTerms, slot: number, isProbe: boolean): void {
    const { words } = this;
    const at = slot * BACKEND_WORDS;
    if (words[at + CONSECUTIVE_WORD] !== 0) Atomics.store(words, at + CONSECUTIVE_WORD, 0);
    if (terms.isWindowed) terms.windows.count(slot, false);
    if (!isProbe) return;
    this.giveBack(slot);
    if ((Atomics.load(words, at) & BREAKER_BITS) !== HALF_OPEN) return;
    if (Atomics.add(words, at + SUCCESSES_WORD, 1) + 1 >= terms.successes) this.close(terms, slot);
  }

  /**
   * Ejects a backend, unless too many of its upstream are ejected already. Several shards may eject
   * different backends at once: a shard that finds too many ejected after its own change undoes it.
   */
  eject(terms: StandingTerms, slot: number, isOutlier: boolean, reason: number): boolean {
    const { words, floats, nowMs, crowd } = this;
    const at = slot * BACKEND_WORDS;
    const cell = slot * BACKEND_FLOATS;
    if (!crowd.allowsOut(terms, slot)) {
      crowd.deny(terms, slot, reason, nowMs);
      return false;
    }
    const fitMs = nowMs - floats[cell + SINCE_F64]!;
    const isForgotten = fitMs >= Math.max(terms.windowMs, FORGET_FACTOR * floats[cell + LAST_EJECTION_F64]!);
    const inRow = isForgotten ? 0 : Atomics.load(words, at + IN_ROW_WORD);
    floats[cell + OPEN_UNTIL_F64] = nowMs + ejectionMs(terms, inRow);
    if (!enter(words, at, 0, isOutlier ? OPEN | AS_OUTLIER : OPEN)) return false;
    if (!crowd.allowsOut(terms, slot)) {
      enter(words, at, OPEN, 0);
      crowd.deny(terms, slot, reason, nowMs);
      return false;
    }
    this.opened(terms, slot, inRow, isOutlier ? OUTLIER_EJECTED : BREAKER_OPENED, reason);
    return true;
  }

  /** Half-opens a breaker whose ejection time is over. */
  halfOpen(terms: StandingTerms, slot: number): void {
    if (this.nowMs < this.floats[slot * BACKEND_FLOATS + OPEN_UNTIL_F64]!) return;
    if (!enter(this.words, slot * BACKEND_WORDS, OPEN, HALF_OPEN | (Atomics.load(this.words, slot * BACKEND_WORDS) & AS_OUTLIER))) return;
    this.floats[slot * BACKEND_FLOATS + SINCE_F64] = this.nowMs;
    this.backends?.forget(slot);
    this.observer.noted(BREAKER_HALF_OPENED, terms.upstream, slot, 0);
  }

  /** Whether a half-open backend may get another probe. */
  hasProbePlace(terms: StandingTerms, slot: number): boolean {
    return Atomics.load(this.words, slot * BACKEND_WORDS + PROBES_WORD) < terms.probes || this.areProbesExpired(slot);
  }

  /**
   * Reserves a probe. False if none is left, for example because another shard took the last one:
   * the attempt is then no probe.
   */
  takeProbePlace(terms: StandingTerms, slot: number): boolean {
    const word = slot * BACKEND_WORDS + PROBES_WORD;
    for (;;) {
      const probes = Atomics.load(this.words, word);
      const isExpired = probes >= terms.probes && this.areProbesExpired(slot);
      if (probes >= terms.probes && !isExpired) return false;
      if (Atomics.compareExchange(this.words, word, probes, isExpired ? 1 : probes + 1) !== probes) continue;
      this.floats[slot * BACKEND_FLOATS + PROBED_F64] = this.nowMs;
      return true;
    }
  }

  /**
   * A probe ended, with any outcome. Has no effect if the probe was returned already or has
   * expired.
   */
  giveBack(slot: number): void {
    const word = slot * BACKEND_WORDS + PROBES_WORD;
    for (;;) {
      const probes = Atomics.load(this.words, word);
      if (probes <= 0 || Atomics.compareExchange(this.words, word, probes, probes - 1) === probes) return;
    }
  }

  private reopen(terms: StandingTerms, slot: number, reason: number): void {
    const inRow = Atomics.load(this.words, slot * BACKEND_WORDS + IN_ROW_WORD);
    this.floats[slot * BACKEND_FLOATS + OPEN_UNTIL_F64] = this.nowMs + ejectionMs(terms, inRow);
    if (enter(this.words, slot * BACKEND_WORDS, HALF_OPEN, OPEN)) this.opened(terms, slot, inRow, BREAKER_OPENED, reason);
  }

  /**
   * Run by the shard that opened the breaker. Nobody probes an open breaker, so this shard alone
   * writes the probe counts.
   */
  private opened(terms: StandingTerms, slot: number, inRow: number, note: number, reason: number): void {
    const { words, floats, nowMs } = this;
    const at = slot * BACKEND_WORDS;
    const cell = slot * BACKEND_FLOATS;
    floats[cell + LAST_EJECTION_F64] = floats[cell + OPEN_UNTIL_F64]! - nowMs;
    floats[cell + SINCE_F64] = nowMs;
    Atomics.store(words, at + IN_ROW_WORD, Math.min(MAX_DOUBLINGS, inRow + 1));
    Atomics.store(words, at + PROBES_WORD, 0);
    Atomics.store(words, at + SUCCESSES_WORD, 0);
    Atomics.add(words, at + EJECTIONS_WORD, 1);
    this.observer.noted(note, terms.upstream, slot, reason);
    this.crowd.look(terms);
  }

  /** Counts from before the ejection no longer matter. */
  private close(terms: StandingTerms, slot: number): void {
    const { words, floats, nowMs } = this;
    const at = slot * BACKEND_WORDS;
    const cell = slot * BACKEND_FLOATS;
    floats[cell + RETURNED_F64] = nowMs;
    if (terms.slowStartMs > 0) raise(words, at, STARTS_SLOWLY);
    terms.windows.clear(slot);
    Atomics.store(words, at + CONSECUTIVE_WORD, 0);
    if (!enter(words, at, HALF_OPEN, 0)) return;
    floats[cell + SINCE_F64] = nowMs;
    this.observer.noted(BREAKER_CLOSED, terms.upstream, slot, 0);
    this.crowd.look(terms);
  }

  private areProbesExpired(slot: number): boolean {
    return this.nowMs - this.floats[slot * BACKEND_FLOATS + PROBED_F64]! >= PROBE_EXPIRY_MS;
  }
}

/**
 * Checked on failures only, so that a window that fills up with successes never opens a breaker.
 */
function isWindowBad(terms: StandingTerms, slot: number): boolean {
  const failures = terms.windows.failures(slot);
  if (terms.count > 0 && failures >= terms.count) return true;
  if (terms.rate <= 0) return false;
  const outcomes = terms.windows.outcomes(slot);
  return outcomes >= terms.minRequests && failures >= terms.rate * outcomes;
}

function ejectionMs(terms: StandingTerms, inRow: number): number {
  return Math.min(terms.maxEjectMs, terms.ejectMs * 2 ** inRow);
}
