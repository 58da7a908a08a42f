/**
 * Limits across all backends of an upstream: how many may be ejected at once, and when so few are
 * fit that all are used (panic). Both keep verdicts about single backends from becoming an outage
 * of the upstream: if most backends fail, the likely cause is the load, the network or the check
 * itself.
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
   * Whether `slot` may be ejected in addition to those that are. Backends that active checks found
   * down count as ejected: the rest has to carry the load either way.
   */
  allowsOut(terms: StandingTerms, slot: number): boolean {
    let out = 1;
    for (let i = 0; i < terms.slots.length; i++) {
      const other = terms.slots[i]!;
      if (other !== slot && (Atomics.load(this.words, other * BACKEND_WORDS) & (BREAKER_BITS | DOWN)) !== 0) out += 1;
    }
    return out <= terms.maxOut;
  }

  /** Whether any backend except `slot` is admitted. */
  hasOther(terms: StandingTerms, slot: number): boolean {
    for (let i = 0; i < terms.slots.length; i++) {
      const other = terms.slots[i]!;
      if (other !== slot && (Atomics.load(this.words, other * BACKEND_WORDS) & BARRING_BITS) === 0) return true;
    }
    return false;
  }

  /** Reports that an ejection was denied, at most once per second and backend across all shards. */
  deny(terms: StandingTerms, slot: number, reason: number, nowMs: number): void {
    const second = Math.floor(nowMs / 1_000) | 0;
    const word = slot * BACKEND_WORDS + DENIED_WORD;
    const told = Atomics.load(this.words, word);
    if (told === second || Atomics.compareExchange(this.words, word, told, second) !== told) return;
    this.observer.noted(EJECT_DENIED, terms.upstream, slot, reason);
  }

  /** Whether so few backends are fit that all of them are used. */
  isPanicking(upstream: number): boolean {
    // Read on every pick, so without a fence.
    return this.words[upstreamWord(this.backendCount, upstream) + PANIC_WORD] !== 0;
  }

  /**
   * Recomputes the panic state of the upstream. A change is reported with the share of fit backends
   * in percent.
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
