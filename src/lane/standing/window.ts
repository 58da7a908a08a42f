/**
 * A sliding window of the outcomes and failures of one backend, cut into slices that are dropped
 * whole. A slice is one Int32 word with its number (12 bits) and its count (20 bits), so that any
 * shard can begin a new one with a single compare-and-swap and no count is lost or outlives its
 * slice.
 */

import { wordsOf } from '../../base/views.ts';
import { Slices } from '../slices.ts';
import { BACKEND_WORDS, WINDOW_WORD } from './table.ts';

/** The window moves on in steps of a tenth of its length. */
export const SLICES = 10;

const COUNT_BITS = 20;
/** A full slice counts no more outcomes: its share of failures is known well enough by then. */
const MAX_COUNT = (1 << COUNT_BITS) - 1;
const STAMP_MASK = 0xfff;

/** The windows of all backends with the same length; holds the current slice. */
export class Windows {
  private readonly words: Int32Array;
  private readonly slices: Slices;

  constructor(table: SharedArrayBuffer, windowMs: number) {
    this.words = wordsOf(table);
    this.slices = new Slices(windowMs, SLICES, STAMP_MASK + 1);
  }

  /** Moves to the slice of `nowMs`. Call before the other methods when time may have passed. */
  at(nowMs: number): void {
    this.slices.at(nowMs);
  }

  /** Counts an outcome of `slot`. */
  count(slot: number, isFailure: boolean): void {
    const outcomes = slot * BACKEND_WORDS + WINDOW_WORD + this.slices.place;
    if (this.add(outcomes) && isFailure) this.add(outcomes + SLICES);
  }

  /** The number of outcomes in the window. */
  outcomes(slot: number): number {
    return this.sum(slot * BACKEND_WORDS + WINDOW_WORD);
  }

  failures(slot: number): number {
    return this.sum(slot * BACKEND_WORDS + WINDOW_WORD + SLICES);
  }

  clear(slot: number): void {
    const from = slot * BACKEND_WORDS + WINDOW_WORD;
    for (let i = 0; i < SLICES * 2; i++) Atomics.store(this.words, from + i, 0);
  }

  /** False if the slice is full. */
  private add(word: number): boolean {
    const { stamp } = this.slices;
    for (;;) {
      const known = Atomics.load(this.words, word);
      if (known >>> COUNT_BITS === stamp) {
        if ((known & MAX_COUNT) === MAX_COUNT) return false;
        if (Atomics.compareExchange(this.words, word, known, known + 1) === known) return true;
      } else if (Atomics.compareExchange(this.words, word, known, (stamp << COUNT_BITS) | 1) === known) return true;
    }
  }

  private sum(from: number): number {
    const { stamp } = this.slices;
    let sum = 0;
    for (let i = 0; i < SLICES; i++) {
      const known = Atomics.load(this.words, from + i);
      if (((stamp - (known >>> COUNT_BITS)) & STAMP_MASK) < SLICES) sum += known & MAX_COUNT;
    }
    return sum;
  }
}
