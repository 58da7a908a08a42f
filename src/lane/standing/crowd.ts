/**
 * The backends of an upstream as a crowd: how many may be out at once, and whether so few are fit
 * that all of them are to be used. Both keep a judgement about single backends from becoming an
 * outage of the whole upstream: when most of them fail, it is more likely the load, the network or
 * the judge.
 */

import { noteNumber } from '../../base/notes.ts';
import { wordsOf } from '../../base/views.ts';
import type { Observer } from '../observer.ts';
import { BACKEND_WORDS, BARRING_BITS, BREAKER_BITS, DENIED_WORD, DOWN, PANIC_WORD, upstreamWord } from './table.ts';
import type { StandingTerms } from './terms.ts';

const EJECT_DENIED = noteNumber('eject_denied');
const PANIC_BEGAN = noteNumber('panic_began');
const PANIC_ENDED = noteNumber('panic_ended');

export class Crowd {
  private readonly words: Int32Array;
  private readonly backendCount: number;
  private readonly observer: Pick<Observer, 'noted'>;

  constructor(table: SharedArrayBuffer, backendCount: number, observer: Pick<Observer, 'noted'>) {
    this.words = wordsOf(table);
    this.backendCount = backendCount;
    this.observer = observer;
  }

  /**
   * May `slot` be out, next to those that are? Backends that active health found down are out as
   * well: the rest that must carry the load is the same whoever took the others away.
   */
  allowsOut(terms: StandingTerms, slot: number): boolean {
    let out = 1;
    for (let i = 0; i < terms.slots.length; i++) {
      const other = terms.slots[i]!;
      if (other !== slot && (Atomics.load(this.words, other * BACKEND_WORDS) & (BREAKER_BITS | DOWN)) !== 0) out += 1;
    }
    return out <= terms.maxOut;
  }

  /** Is anyone but `slot` admitted? */
  hasOther(terms: StandingTerms, slot: number): boolean {
    for (let i = 0; i < terms.slots.length; i++) {
      const other = terms.slots[i]!;
      if (other !== slot && (Atomics.load(this.words, other * BACKEND_WORDS) & BARRING_BITS) === 0) return true;
    }
    return false;
  }

  /** Tells that an ejection was denied, at most once a second a backend whoever denies it. */
  deny(terms: StandingTerms, slot: number, reason: number, nowMs: number): void {
    const second = Math.floor(nowMs / 1_000) | 0;
    const word = slot * BACKEND_WORDS + DENIED_WORD;
    const told = Atomics.load(this.words, word);
    if (told === second || Atomics.compareExchange(this.words, word, told, second) !== told) return;
    this.observer.noted(EJECT_DENIED, terms.upstream, slot, reason);
  }

  /** So few are fit that all are to be used. */
  isPanicking(upstream: number): boolean {
    // Asked with every pick, so without a fence.
    return this.words[upstreamWord(this.backendCount, upstream) + PANIC_WORD] !== 0;
  }

  /**
   * Looks again whether the upstream panics, and tells when that changes, with the share that is
   * fit in percent.
   */
  look(terms: StandingTerms): void {
    if (terms.panicBelow <= 0) return;
    let fit = 0;
    for (let i = 0; i < terms.slots.length; i++) {
      if ((Atomics.load(this.words, terms.slots[i]! * BACKEND_WORDS) & BARRING_BITS) === 0) fit += 1;
    }
    const share = fit / terms.slots.length;
    const panics = share < terms.panicBelow ? 1 : 0;
    const word = upstreamWord(this.backendCount, terms.upstream) + PANIC_WORD;
    if (Atomics.load(this.words, word) === panics || Atomics.exchange(this.words, word, panics) === panics) return;
    this.observer.noted(panics === 1 ? PANIC_BEGAN : PANIC_ENDED, terms.upstream, -1, Math.round(share * 100));
  }
}
