/**
 * A sliding window of outcomes and failures of one backend, cut in slices that are forgotten whole.
 * A slice is one Int32 word that holds both its number (12 bits) and its count (20 bits), so that
 * any shard begins a new one with a single compare-and-exchange and no count is lost or outlives
 * its slice.
 */

import { wordsOf } from '../../base/views.ts';
import { Slices } from '../slices.ts';
import { BACKEND_WORDS, WINDOW_WORD } from './table.ts';

/** The window moves on by a tenth of its length at a time. */
export const SLICES = 10;

const COUNT_BITS = 20;
/**
 * A slice with more outcomes than this is full and counts no more: its share of failures is known
 * well enough.
 */
const MAX_COUNT = (1 << COUNT_BITS) - 1;
const STAMP_MASK = 0xfff;

/** Windows of all backends with the same length; knows the slice of now. */
export class Windows {
  private readonly words: Int32Array;
  private readonly slices: Slices;

  constructor(table: SharedArrayBuffer, windowMs: number) {
    this.words = wordsOf(table);
    this.slices = new Slices(windowMs, SLICES, STAMP_MASK + 1);
  }

  /** To be called before the others whenever time may have gone on. */
  at(nowMs: number): void {
    this.slices.at(nowMs);
  }

  /** An outcome at `slot` that may be a failure. */
  count(slot: number, isFailure: boolean): void {
    const outcomes = slot * BACKEND_WORDS + WINDOW_WORD + this.slices.place;
    if (this.add(outcomes) && isFailure) this.add(outcomes + SLICES);
  }

  /** Outcomes of the window. */
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

  /** False when the slice is full. */
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
