/**
 * Breakers: a backend that fails gets no requests for a time, then a few to see whether it works
 * again, then its share. One breaker a backend for all shards; each change of state is made by a
 * compare-and-exchange, and the shard that wins it tells.
 *
 *     closed ── failures ──▶ open ── time ──▶ half-open ── probes succeed ──▶ closed, starts slowly
 *                             ▲                   │
 *                             └─── a probe fails ─┘   each time in a row twice as long
 *
 * (M. Nygard, "Release It!", 2007; the window after resilience4j's, the growing time after Envoy's
 * outlier detection.)
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
 * A probe that says nothing for so long, or whose worker died, no longer keeps another from being
 * sent.
 */
export const PROBE_EXPIRY_MS = 10_000;

/**
 * Ejections are no longer in a row when the backend was fit for this many times the last one, and
 * for a window.
 */
const FORGET_FACTOR = 4;

/** A ladder of 31 doublings is longer than any maximum. */
const MAX_DOUBLINGS = 30;

export class Breakers {
  /** Milliseconds on the clock all shards share; set once a turn. */
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
   * A counted failure. `status` is that of the answer, 0 when there was none. Of a backend that is
   * out, only its probes say something new.
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

  /** An answer that is no failure. */
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
   * Takes a backend out for a time, unless too many of its upstream are. Several shards may come
   * here at once with different backends: who finds too many out after its own change takes it
   * back.
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

  /** Half-opens a breaker whose time is over. */
  halfOpen(terms: StandingTerms, slot: number): void {
    if (this.nowMs < this.floats[slot * BACKEND_FLOATS + OPEN_UNTIL_F64]!) return;
    if (!enter(this.words, slot * BACKEND_WORDS, OPEN, HALF_OPEN | (Atomics.load(this.words, slot * BACKEND_WORDS) & AS_OUTLIER))) return;
    this.floats[slot * BACKEND_FLOATS + SINCE_F64] = this.nowMs;
    this.backends?.forget(slot);
    this.observer.noted(BREAKER_HALF_OPENED, terms.upstream, slot, 0);
  }

  /** Is there a place for another probe of a half-open backend? */
  hasProbePlace(terms: StandingTerms, slot: number): boolean {
    return Atomics.load(this.words, slot * BACKEND_WORDS + PROBES_WORD) < terms.probes || this.areProbesExpired(slot);
  }

  /**
   * Takes a place for a probe; false when none is left, as when another shard took it in between:
   * the attempt then says nothing.
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
   * A probe ended, whatever it said. One that was given back already, or had expired, changes
   * nothing.
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
   * What the shard does that opened it. Nobody probes an open breaker, so the counts of probes are
   * its own.
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

  /** What was counted before the ejection is no evidence any more. */
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
 * Looked at with every failure, so that a window that fills up with successes never opens anything.
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
