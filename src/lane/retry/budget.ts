/**
 * Budgets of extra attempts (retries and hedges), one per upstream, in shared memory. They allow a
 * share of the requests of a window, plus a floor per second.
 */

import { wordsOf } from '../../base/views.ts';
import type { RetryBudgetSnapshot } from '../../config/snapshot/limit.ts';
import type { RoomSnapshot } from '../../config/snapshot/snapshot.ts';
import { fallQuiet, strike } from '../latch.ts';
import { Slices } from '../slices.ts';

/** A table for the retry and hedge budgets of every upstream. */
export function createBudgetTable({ upstreams, numbering }: BudgetRoom): SharedArrayBuffer {
  return new SharedArrayBuffer(BUDGET_BYTES * Math.max(1, (numbering?.room.upstreams ?? upstreams.length) * 2));
}

/** How many upstreams there are, or may be. */
export interface BudgetRoom {
  readonly upstreams: { readonly length: number };
  readonly numbering?: { readonly room: RoomSnapshot };
}

/** Resets the budgets of a number that was reused for another upstream. */
export function forgetBudgets(table: SharedArrayBuffer, upstream: number): void {
  new Int32Array(table).fill(0, upstream * 2 * WORDS, (upstream + 1) * 2 * WORDS);
}

/** Slices of a window: an old slice is dropped whole. */
const SLICES = 8;
/** Slice numbers wrap here. */
const STAMPS = 0x4000_0000;
/**
 * Int32 words: number, requests and extras of each slice; 1 while the budget denies, and when it
 * last did, in ms.
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
  private readonly slices: Slices;

  /** Budget `number` of `table`. */
  constructor(table: SharedArrayBuffer, number: number, terms: RetryBudgetSnapshot) {
    this.words = wordsOf(table);
    this.base = number * WORDS;
    this.ratio = terms.ratio;
    this.floor = (terms.minPerSecond * terms.windowMs) / 1_000;
    this.slices = new Slices(terms.windowMs, SLICES, STAMPS);
  }

  /** Counts a request. */
  count(nowMs: number): void {
    Atomics.add(this.words, this.base + REQUESTS_WORD + this.slice(nowMs), 1);
  }

  /**
   * Takes one extra attempt if the budget allows it. Two shards that ask at once may overdraw it by
   * one each.
   */
  take(nowMs: number): boolean {
    const slice = this.slice(nowMs);
    const { words, slices } = this;
    let requests = 0;
    let extras = 0;
    for (let i = 0; i < SLICES; i++) {
      if ((slices.stamp - words[this.base + i]! + STAMPS) % STAMPS >= SLICES) continue;
      requests += Atomics.load(words, this.base + REQUESTS_WORD + i);
      extras += Atomics.load(words, this.base + EXTRAS_WORD + i);
    }
    if (extras >= requests * this.ratio + this.floor) return false;
    Atomics.add(words, this.base + EXTRAS_WORD + slice, 1);
    return true;
  }

  /** An extra attempt was denied. True for the first denial after a quiet time. */
  denied(nowMs: number): boolean {
    return strike(this.words, this.base + DENYING_WORD, this.base + DENIED_AT_MS_WORD, nowMs);
  }

  /** True for the one caller that finds that nothing was denied for `quietMs`. */
  deniedNoMore(nowMs: number, quietMs: number): boolean {
    return fallQuiet(this.words, this.base + DENYING_WORD, this.base + DENIED_AT_MS_WORD, nowMs, quietMs);
  }

  /** The current slice, emptied by the first shard that reaches it. */
  private slice(nowMs: number): number {
    const { words, slices } = this;
    slices.at(nowMs);
    const { stamp, place: slice } = slices;
    const known = words[this.base + slice]!;
    if (known !== stamp && Atomics.compareExchange(words, this.base + slice, known, stamp) === known) {
      Atomics.store(words, this.base + REQUESTS_WORD + slice, 0);
      Atomics.store(words, this.base + EXTRAS_WORD + slice, 0);
    }
    return slice;
  }
}
