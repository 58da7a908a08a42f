/**
 * A rate limit: a token bucket per key, kept as one number, the time at which the bucket is full
 * again (the generic cell rate algorithm, ITU-T I.371 §A).
 *
 * A request moves that time forward by the period of one token, and is refused if it would lie more
 * than a whole bucket ahead. So refilling is exact and free, and all shards can share a bucket by
 * compare-and-swap. Times are counted in fractions of a token's period, modulo 2^32. A bucket that
 * was unused for so long that this could be ambiguous is full.
 */

import { wordsOf } from '../../../base/views.ts';
import type { RateLimitSnapshot } from '../../../config/snapshot/limit.ts';
import { fallQuiet, strike } from '../../latch.ts';
import {
  CELL_WORDS,
  cellsOf,
  FULL_AT,
  HELD,
  REFUSED,
  REFUSED_AT_MS,
  REFUSING,
  type Region,
  TAG_HIGH,
  TAG_LOW,
  USED_AT_MS,
} from './table.ts';

/** Fractions of a token, at most; fewer if a bucket would not fit into 30 bits. */
const PARTS = 1_024;
/** Smallest fraction, milliseconds. */
const MIN_PART_MS = 0.001;
/** No cell was available: other shards are claiming them all at this moment. */
const NO_CELL = -1;
const CLAIM_TRIES = 4;
/** Upper bound for the difference between the shards' clocks. */
const CLOCK_SLACK_MS = 60_000;

export class Limit {
  /** When the next request would pass, after a `peek` or `take` that refused. */
  waitMs = 0;
  /** Index in `listLimits`. */
  readonly number: number;
  readonly snapshot: RateLimitSnapshot;

  private readonly words: Int32Array;
  /** Where the region begins, where its cells begin, the number of sets, and the words per set. */
  private readonly at: number;
  private readonly cells: number;
  private readonly sets: number;
  private readonly setWords: number;
  /** Of one token, and of a whole bucket. */
  private readonly parts: number;
  private readonly bucketParts: number;
  private readonly partMs: number;
  private readonly forgottenAfterMs: number;
  /** The present time as cells hold it: in milliseconds and in fractions, both modulo 2^32. */
  private nowMs = 0;
  private now = 0;

  constructor(table: SharedArrayBuffer, number: number, region: Region, snapshot: RateLimitSnapshot) {
    this.number = number;
    this.snapshot = snapshot;
    this.words = wordsOf(table);
    this.at = region.at;
    this.cells = cellsOf(region);
    this.sets = region.sets;
    this.setWords = region.ways * CELL_WORDS;
    const tokenMs = snapshot.periodMs / snapshot.requests;
    const burst = snapshot.burst === 0 ? snapshot.requests : snapshot.burst;
    this.parts = Math.max(1, Math.min(PARTS, Math.floor(2 ** 29 / burst), Math.floor(tokenMs / MIN_PART_MS)));
    this.bucketParts = this.parts * burst;
    this.partMs = tokenMs / this.parts;
    this.forgottenAfterMs = Math.floor(Math.min(2 ** 30, 2 ** 30 * this.partMs));
  }

  /** The cell of a key; claims one if it has none. */
  cell(low: number, high: number, nowMs: number): number {
    this.nowMs = nowMs | 0;
    this.now = Math.floor(nowMs / this.partMs) | 0;
    const { words, setWords } = this;
    const tagLow = low === 0 ? 1 : low | 0;
    const tagHigh = high | 0;
    const first = this.cells + Math.floor((high >>> 0) * 2 ** -32 * this.sets) * setWords;
    const end = first + setWords;
    for (let at = first; at < end; at += CELL_WORDS) {
      if (words[at + TAG_LOW] === tagLow && words[at + TAG_HIGH] === tagHigh) return at;
    }
    for (let tries = 0; tries < CLAIM_TRIES; tries++) {
      const at = this.claim(first, end, tagLow, tagHigh);
      if (at !== NO_CELL) return at;
    }
    return NO_CELL;
  }

  /** Whether a request would pass at `cell`. */
  peek(cell: number): boolean {
    if (cell === NO_CELL) return true;
    if (this.fits(this.debt(cell, Atomics.load(this.words, cell + FULL_AT)))) return true;
    // A key that keeps asking is in use, though it is refused.
    Atomics.store(this.words, cell + USED_AT_MS, this.nowMs);
    return false;
  }

  /** Takes a token. False, with nothing taken, if there is none. */
  take(cell: number): boolean {
    if (cell === NO_CELL) return true;
    const { words } = this;
    for (;;) {
      const known = Atomics.load(words, cell + FULL_AT);
      const debt = this.debt(cell, known);
      if (!this.fits(debt)) return false;
      if (Atomics.compareExchange(words, cell + FULL_AT, known, (this.now + debt + this.parts) | 0) !== known) continue;
      // A plain store: the value only ranks cells by age.
      words[cell + USED_AT_MS] = this.nowMs;
      return true;
    }
  }

  /** Whole tokens in the bucket of `cell`. */
  remaining(cell: number): number {
    return Math.max(0, Math.floor((this.bucketParts - this.debtOf(cell)) / this.parts));
  }

  /** Milliseconds until the bucket of `cell` is full. */
  fullInMs(cell: number): number {
    return this.debtOf(cell) * this.partMs;
  }

  /** Returns a token that was just taken. */
  untake(cell: number): void {
    if (cell !== NO_CELL) Atomics.sub(this.words, cell + FULL_AT, this.parts);
  }

  /** A request was refused; true for the first in a while. */
  refused(nowMs: number): boolean {
    const { words, at } = this;
    Atomics.add(words, at + REFUSED, 1);
    return strike(words, at + REFUSING, at + REFUSED_AT_MS, nowMs);
  }

  /** True, once, if nothing was refused for `quietMs`. */
  refusedNoMore(nowMs: number, quietMs: number): boolean {
    return fallQuiet(this.words, this.at + REFUSING, this.at + REFUSED_AT_MS, nowMs, quietMs);
  }

  /** Fractions missing from the bucket. */
  private debt(cell: number, fullAt: number): number {
    const debt = (fullAt - this.now) | 0;
    if (debt <= 0 || debt > this.bucketParts) return 0;
    const idleMs = (this.nowMs - this.words[cell + USED_AT_MS]!) | 0;
    return idleMs > this.forgottenAfterMs || idleMs < -CLOCK_SLACK_MS ? 0 : debt;
  }

  private debtOf(cell: number): number {
    return cell === NO_CELL ? 0 : this.debt(cell, Atomics.load(this.words, cell + FULL_AT));
  }

  private fits(debt: number): boolean {
    const missing = debt + this.parts - this.bucketParts;
    if (missing <= 0) return true;
    this.waitMs = missing * this.partMs;
    return false;
  }

  /**
   * Claims an empty cell of the set, or the one unused longest. Shards compete for the low half of
   * the tag. The high half is written last, so that the cell belongs to nobody until its bucket is
   * full, even if the claiming worker dies in between.
   */
  private claim(first: number, end: number, tagLow: number, tagHigh: number): number {
    const { words } = this;
    const stamp = this.nowMs;
    let oldest = first;
    let oldestMs = -1;
    for (let at = first; at < end; at += CELL_WORDS) {
      const low = Atomics.load(words, at + TAG_LOW);
      if (low === tagLow && Atomics.load(words, at + TAG_HIGH) === tagHigh) return at;
      const idleMs = low === 0 ? 2 ** 32 : (stamp - words[at + USED_AT_MS]!) >>> 0;
      // A clock slightly ahead of ours does not mean that the cell was unused for weeks.
      const ageMs = idleMs > 2 ** 32 - CLOCK_SLACK_MS && low !== 0 ? 0 : idleMs;
      if (ageMs <= oldestMs) continue;
      oldest = at;
      oldestMs = ageMs;
    }
    const before = Atomics.load(words, oldest + TAG_LOW);
    if (Atomics.compareExchange(words, oldest + TAG_LOW, before, tagLow) !== before) return NO_CELL;
    if (before === 0) Atomics.add(words, this.at + HELD, 1);
    Atomics.store(words, oldest + FULL_AT, this.now);
    Atomics.store(words, oldest + USED_AT_MS, stamp);
    Atomics.store(words, oldest + TAG_HIGH, tagHigh);
    return oldest;
  }
}
