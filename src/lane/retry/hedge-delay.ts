/**
 * When a hedge is sent: after a fixed delay, or after a percentile of the route's recent response
 * times ("The Tail at Scale", Dean and Barroso, 2013). The percentile is taken over two histograms
 * with logarithmic buckets, the current and the previous one, so that old samples are forgotten.
 * The histograms of all routes share one array.
 */

import type { HedgeSnapshot } from '../../config/snapshot/route.ts';

/** Buckets per octave (power of two), and octaves from 128 µs on. */
const STEP_BITS = 3;
const STEPS = 1 << STEP_BITS;
const OCTAVES = 20;
const FIRST_BITS = 7;
const FIRST_US = 1 << FIRST_BITS;
const BUCKETS = STEPS * OCTAVES;
/** Samples of a histogram before the next begins, and the fewest samples for a percentile. */
const TURN = 1_024;
const ENOUGH = 64;
/** The percentile is computed again after this many samples. */
const REFRESH = 32;

/** Elements of the array that one route uses. */
export const HEDGE_COUNTS = BUCKETS * 2;

export class HedgeDelay {
  /** Milliseconds, at least 1. */
  delayMs: number;

  private readonly snapshot: HedgeSnapshot;
  private readonly isFixed: boolean;
  private readonly counts: Uint16Array;
  /** Where the current and the previous histogram begin. */
  private present: number;
  private before: number;
  private total = 0;
  private totalBefore = 0;

  /** `counts` has HEDGE_COUNTS free elements from `at` on, all zero. */
  constructor(snapshot: HedgeSnapshot, counts: Uint16Array = new Uint16Array(HEDGE_COUNTS), at = 0) {
    this.snapshot = snapshot;
    this.isFixed = snapshot.delayMs > 0;
    this.delayMs = this.isFixed ? snapshot.delayMs : Math.max(1, snapshot.minDelayMs);
    this.counts = counts;
    this.present = at;
    this.before = at + BUCKETS;
  }

  /** Records a response head that came after `us`. */
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

/** An octave is cut into equal parts: the bits after the leading one select the part. */
function bucketOf(us: number): number {
  if (us < FIRST_US) return 0;
  const octave = 31 - FIRST_BITS - Math.clz32(us);
  return octave >= OCTAVES ? BUCKETS - 1 : (octave << STEP_BITS) | ((us >>> (octave + FIRST_BITS - STEP_BITS)) & (STEPS - 1));
}

/** Upper bound of the samples in `bucket`. */
function upperUs(bucket: number): number {
  return FIRST_US * 2 ** (bucket >> STEP_BITS) * (1 + ((bucket & (STEPS - 1)) + 1) / STEPS);
}
