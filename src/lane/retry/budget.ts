/**
 * Budgets of extra attempts, an upstream each, in shared memory: retries (and hedges) may be a
 * share of the requests of a window, plus a floor a second.
 */

import type { RetryBudgetSnapshot } from '../../config/snapshot/limit.ts';
import type { RoomSnapshot } from '../../config/snapshot/snapshot.ts';

/** Room for the retry and hedge budgets of every upstream. */
export function createBudgetTable({ upstreams, numbering }: BudgetRoom): SharedArrayBuffer {
  return new SharedArrayBuffer(BUDGET_BYTES * Math.max(1, (numbering?.room.upstreams ?? upstreams.length) * 2));
}

/** How many upstreams there are, or may be. */
export interface BudgetRoom {
  readonly upstreams: { readonly length: number };
  readonly numbering?: { readonly room: RoomSnapshot };
}

/** Another upstream has this number from now on. */
export function forgetBudgets(table: SharedArrayBuffer, upstream: number): void {
  new Int32Array(table).fill(0, upstream * 2 * WORDS, (upstream + 1) * 2 * WORDS);
}

/** Slices of a window: an old slice is forgotten whole. */
const SLICES = 8;
/**
 * Int32 words: the slice numbers, requests and extras of each slice; 1 while the budget denies, and
 * when it last did, ms.
 */
const WORDS = 32;
const BUDGET_BYTES = WORDS * 4;
const REQUESTS_WORD = SLICES;
const EXTRAS_WORD = SLICES * 2;
const DENYING_WORD = SLICES * 3;
const DENIED_AT_MS_WORD = DENYING_WORD + 1;

export class Budget {
  private readonly words: Int32Array;
  private readonly base: number;
  private readonly ratio: number;
  /** Extras that the window allows whatever the share. */
  private readonly floor: number;
  private readonly sliceMs: number;
  /** The slice of now, and until when it is. */
  private present = 0;
  private stamp = 0;
  private beginsMs = 0;
  private endsMs = 0;

  /** Budget `number` of `table`. */
  constructor(table: SharedArrayBuffer, number: number, terms: RetryBudgetSnapshot) {
    this.words = new Int32Array(table);
    this.base = number * WORDS;
    this.ratio = terms.ratio;
    this.floor = (terms.minPerSecond * terms.windowMs) / 1_000;
    this.sliceMs = terms.windowMs / SLICES;
  }

  /** A request came. */
  count(nowMs: number): void {
    Atomics.add(this.words, this.base + REQUESTS_WORD + this.slice(nowMs), 1);
  }

  /**
   * Takes one extra attempt if the budget has it. Two shards that ask at once may overdraw it by
   * one each.
   */
  take(nowMs: number): boolean {
    const slice = this.slice(nowMs);
    const now = Math.floor(nowMs / this.sliceMs);
    const words = this.words;
    let requests = 0;
    let extras = 0;
    for (let i = 0; i < SLICES; i++) {
      if ((now - words[this.base + i]!) % 0x4000_0000 >= SLICES) continue;
      requests += Atomics.load(words, this.base + REQUESTS_WORD + i);
      extras += Atomics.load(words, this.base + EXTRAS_WORD + i);
    }
    if (extras >= requests * this.ratio + this.floor) return false;
    Atomics.add(words, this.base + EXTRAS_WORD + slice, 1);
    return true;
  }

  /** An extra attempt was denied: true for the first of a while. */
  denied(nowMs: number): boolean {
    const { words, base } = this;
    Atomics.store(words, base + DENIED_AT_MS_WORD, nowMs | 0);
    return words[base + DENYING_WORD] === 0 && Atomics.compareExchange(words, base + DENYING_WORD, 0, 1) === 0;
  }

  /** True for the one who finds that nothing was denied for `quietMs`. */
  deniedNoMore(nowMs: number, quietMs: number): boolean {
    const { words, base } = this;
    if (words[base + DENYING_WORD] === 0) return false;
    if ((((nowMs | 0) - Atomics.load(words, base + DENIED_AT_MS_WORD)) | 0) < quietMs) return false;
    return Atomics.compareExchange(words, base + DENYING_WORD, 1, 0) === 1;
  }

  /** The slice of now, emptied by whoever comes to it first. */
  private slice(nowMs: number): number {
    if (nowMs >= this.endsMs || nowMs < this.beginsMs) this.goOn(nowMs);
    const { words, stamp, present: slice } = this;
    const known = words[this.base + slice]!;
    if (known !== stamp && Atomics.compareExchange(words, this.base + slice, known, stamp) === known) {
      Atomics.store(words, this.base + REQUESTS_WORD + slice, 0);
      Atomics.store(words, this.base + EXTRAS_WORD + slice, 0);
    }
    return slice;
  }

  private goOn(nowMs: number): void {
    const now = Math.floor(nowMs / this.sliceMs);
    this.present = now % SLICES;
    this.stamp = now % 0x4000_0000;
    this.beginsMs = now * this.sliceMs;
    this.endsMs = (now + 1) * this.sliceMs;
  }
}
