/**
 * When a hedge is sent: after a fixed delay, or after a percentile of what the route's responses
 * took lately ("The Tail at Scale", Dean and Barroso, 2013).
 *
 * The percentile comes from two histograms with logarithmic buckets, the present one and the one
 * before, so that it forgets. Those of all routes lie in one array.
 */

import type { HedgeSnapshot } from '../../config/snapshot/route.ts';

/** Buckets an octave (a power of two), and octaves from 128 µs on. */
const STEP_BITS = 3;
const STEPS = 1 << STEP_BITS;
const OCTAVES = 20;
const FIRST_BITS = 7;
const FIRST_US = 1 << FIRST_BITS;
const BUCKETS = STEPS * OCTAVES;
/**
 * Samples a histogram takes before the next begins, and samples without which the percentile says
 * nothing.
 */
const TURN = 1_024;
const ENOUGH = 64;
/** Samples after which the percentile is made anew. */
const REFRESH = 32;

/** What the histograms of one route take of an array. */
export const HEDGE_COUNTS = BUCKETS * 2;

export class HedgeDelay {
  /** Milliseconds, at least 1. */
  delayMs: number;

  private readonly snapshot: HedgeSnapshot;
  private readonly isFixed: boolean;
  private readonly counts: Uint16Array;
  /** Where the present histogram begins, and the one before. */
  private present: number;
  private before: number;
  private total = 0;
  private totalBefore = 0;

  /** `counts` has room for HEDGE_COUNTS from `at` on, all zero. */
  constructor(snapshot: HedgeSnapshot, counts: Uint16Array = new Uint16Array(HEDGE_COUNTS), at = 0) {
    this.snapshot = snapshot;
    this.isFixed = snapshot.delayMs > 0;
    this.delayMs = this.isFixed ? snapshot.delayMs : Math.max(1, snapshot.minDelayMs);
    this.counts = counts;
    this.present = at;
    this.before = at + BUCKETS;
  }

  /** A response head came after `us`. */
  sample(us: number): void {
    if (this.isFixed) return;
    const { counts } = this;
    const at = this.present + bucketOf(us);
    counts[at] = counts[at]! + 1;
    this.total += 1;
    if ((this.total & (REFRESH - 1)) === 0) this.refresh();
    if (this.total < TURN) return;
    const emptied = this.before;
    this.before = this.present;
    this.totalBefore = this.total;
    this.present = emptied;
    this.total = 0;
    counts.fill(0, emptied, emptied + BUCKETS);
  }

  private refresh(): void {
    const all = this.total + this.totalBefore;
    if (all < ENOUGH) return;
    const { counts, present, before } = this;
    const { percentile, minDelayMs, maxDelayMs } = this.snapshot;
    let left = Math.ceil(all * percentile);
    let bucket = 0;
    for (; bucket < BUCKETS - 1; bucket++) {
      left -= counts[present + bucket]! + counts[before + bucket]!;
      if (left <= 0) break;
    }
    this.delayMs = Math.max(1, minDelayMs, Math.min(maxDelayMs, Math.ceil(upperUs(bucket) / 1_000)));
  }
}

/** An octave is cut into equal parts: the bits behind a number's first one say which. */
function bucketOf(us: number): number {
  if (us < FIRST_US) return 0;
  const octave = 31 - FIRST_BITS - Math.clz32(us);
  return octave >= OCTAVES ? BUCKETS - 1 : (octave << STEP_BITS) | ((us >>> (octave + FIRST_BITS - STEP_BITS)) & (STEPS - 1));
}

/** What no sample of `bucket` is above. */
function upperUs(bucket: number): number {
  return FIRST_US * 2 ** (bucket >> STEP_BITS) * (1 + ((bucket & (STEPS - 1)) + 1) / STEPS);
}
