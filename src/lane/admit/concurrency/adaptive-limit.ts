/**
 * The adaptive concurrency limit of an upstream, shared by all shards.
 *
 * Answers are collected in windows. At the end of a window the algorithm computes the next limit.
 * The base latency has to be measured without a queue, or the limit would follow its own queue
 * upwards. It is learned whenever the upstream is not busy. If the upstream is always busy, the
 * limit is at least halved for two windows now and then: in the first the queue drains, in the
 * second the latency is measured. At the minimum limit there is no queue either.
 */

import { wordsOf } from '../../../base/views.ts';
import type { ConcurrencySnapshot } from '../../../config/snapshot/limit.ts';
import { aimdLimit } from './aimd.ts';
import {
  AFTER_PROBE,
  BASE_US,
  DROPS,
  LATE,
  LATEST_US,
  LIMIT,
  LIMIT_UNIT,
  PEAK,
  PROBE_AT_MS,
  PROBE_PHASE,
  SAMPLES,
  SUM,
  WINDOW_AT_MS,
} from './cells.ts';
import { gradientLimit } from './gradient.ts';
import type { WindowOfSamples } from './window.ts';

/**
 * A window lasts at least this long and two round trips, and has at least this many answers. A
 * window with fewer answers ends after LONGEST_MS.
 */
const WINDOW_MS = 100;
const ENOUGH = 10;
const LONGEST_MS = 1_000;
/** Samples beyond this number are not added to a window. */
const MOST = 1_024;
/** The sum counts in units of 16 µs; longer samples count as the longest. */
const SUM_SHIFT = 4;
const SUM_MOST = 2 ** 20;
/** Interval between measurements of the base latency, ±25 %. */
const PROBE_EVERY_MS = 10_000;

const DRAINING = 1;
const MEASURING = 2;

export class AdaptiveLimit {
  private readonly words: Int32Array;
  private readonly at: number;
  private readonly terms: ConcurrencySnapshot;
  private readonly targetUs: number;
  private readonly window: WindowOfSamples = { samples: 0, meanUs: 0, late: 0, drops: 0, peak: 0 };

  /** `at` is the first word of the upstream's cells (`./cells.ts`) in `table`. */
  constructor(table: SharedArrayBuffer, at: number, terms: ConcurrencySnapshot) {
    this.words = wordsOf(table);
    this.at = at;
    this.terms = terms;
    this.targetUs = terms.targetMs * 1_000;
  }

  /** Exchanges that may be in flight. */
  get limit(): number {
    return Math.max(1, this.words[this.at + LIMIT]! >> 8);
  }

  /** Records an answer after `us` with `inFlight` exchanges. `random` lies in [0, 1). */
  sample(us: number, inFlight: number, nowMs: number, random: number): void {
    const { words, at } = this;
    if (Atomics.add(words, at + SAMPLES, 1) < MOST)
      Atomics.add(words, at + SUM, Math.min(SUM_MOST, (us + (1 << (SUM_SHIFT - 1))) >> SUM_SHIFT));
    if (us > this.targetUs) Atomics.add(words, at + LATE, 1);
    if (words[at + PEAK]! < inFlight) words[at + PEAK] = inFlight;
    this.closeWhenDue(nowMs, random);
  }

  /** Records an attempt that failed or timed out. */
  drop(inFlight: number, nowMs: number, random: number): void {
    const { words, at } = this;
    Atomics.add(words, at + DROPS, 1);
    if (words[at + PEAK]! < inFlight) words[at + PEAK] = inFlight;
    this.closeWhenDue(nowMs, random);
  }

  private closeWhenDue(nowMs: number, random: number): void {
    const { words, at } = this;
    const now = nowMs | 0;
    const began = words[at + WINDOW_AT_MS]!;
    const ageMs = (now - began) | 0;
    // The clock of another shard may be slightly behind: that does not end the window.
    if (ageMs > -LONGEST_MS && ageMs < WINDOW_MS) return;
    const isLong = ageMs >= LONGEST_MS + words[at + LATEST_US]! / 500;
    const isFull = words[at + SAMPLES]! + words[at + DROPS]! >= ENOUGH && ageMs >= words[at + LATEST_US]! / 500;
    if (ageMs >= 0 && !isLong && !isFull) return;
    if (Atomics.compareExchange(words, at + WINDOW_AT_MS, began, now) === began) this.close(now, random);
  }

  /**
   * Closes the window; one shard does this. Samples that others add meanwhile count in this window
   * or the next.
   */
  private close(now: number, random: number): void {
    const { words, at, window, terms } = this;
    const samples = Atomics.exchange(words, at + SAMPLES, 0);
    const sum = Atomics.exchange(words, at + SUM, 0);
    window.samples = samples;
    window.meanUs = samples === 0 ? 0 : (sum / Math.min(samples, MOST)) * 2 ** SUM_SHIFT;
    window.late = Atomics.exchange(words, at + LATE, 0);
    window.drops = Atomics.exchange(words, at + DROPS, 0);
    window.peak = Atomics.exchange(words, at + PEAK, 0);
    words[at + LATEST_US] = window.meanUs;
    const limit = words[at + LIMIT]! / LIMIT_UNIT;
    if (terms.algorithm === 'aimd') this.set(aimdLimit(limit, window));
    else if (words[at + PROBE_PHASE] !== 0) this.probe(now, random);
    else this.follow(limit, now, random);
  }

  private follow(limit: number, now: number, random: number): void {
    const { words, at, window, terms } = this;
    this.learnBase(limit);
    const isBusy = window.peak * 2 >= limit;
    if (!isBusy || limit <= terms.min || words[at + PROBE_AT_MS] === 0) this.postpone(now, random);
    if (isBusy && ((now - words[at + PROBE_AT_MS]!) | 0) >= 0) {
      words[at + AFTER_PROBE] = words[at + LIMIT]!;
      words[at + PROBE_PHASE] = DRAINING;
      // The limit settles where the queue is as long as the tolerance allows. The cut has to
      // undercut it by that much.
      this.set(limit / Math.max(2, terms.tolerance * 1.3));
      return;
    }
    this.set(gradientLimit(limit, window, words[at + BASE_US]!, terms.tolerance));
  }

  /**
   * Keeps the best latency so far. At the minimum limit, where there is no queue, it takes slower
   * ones too.
   */
  private learnBase(limit: number): void {
    const { words, at, window, terms } = this;
    if (window.samples === 0) return;
    const base = words[at + BASE_US]!;
    const mean = Math.max(1, window.meanUs);
    if (base === 0 || mean < base || limit <= terms.min) words[at + BASE_US] = mean;
    else if (window.peak * 2 < limit) words[at + BASE_US] = base + (mean - base) / 8;
  }

  private probe(now: number, random: number): void {
    const { words, at, window } = this;
    if (words[at + PROBE_PHASE] === DRAINING) {
      words[at + PROBE_PHASE] = MEASURING;
      return;
    }
    if (window.samples > 0) words[at + BASE_US] = Math.max(1, window.meanUs);
    words[at + LIMIT] = words[at + AFTER_PROBE]!;
    words[at + PROBE_PHASE] = 0;
    this.postpone(now, random);
  }

  private postpone(now: number, random: number): void {
    // 0 means "never set".
    this.words[this.at + PROBE_AT_MS] = (now + PROBE_EVERY_MS * (0.75 + random / 2)) | 0 || 1;
  }

  private set(limit: number): void {
    const { min, max } = this.terms;
    this.words[this.at + LIMIT] = Math.round(Math.min(max, Math.max(min, limit)) * LIMIT_UNIT);
  }
}
