/**
 * When a hedge is sent: after a fixed delay, or after a percentile of what the route's responses took lately ("The Tail at Scale", Dean and Barroso, 2013).
 *
 * The percentile comes from two histograms with logarithmic buckets, the present one and the one before, so that it forgets.
 */

import type { HedgeSnapshot } from '../../config/snapshot.ts';

/** Buckets an octave, and octaves from 128 µs on. */
const STEPS = 8;
const OCTAVES = 20;
const FIRST_US = 128;
/** Samples a histogram takes before the next begins, and samples without which the percentile says nothing. */
const TURN = 1_024;
const ENOUGH = 64;
/** Samples after which the percentile is made anew. */
const REFRESH = 32;

export class HedgeDelay {
  private readonly snapshot: HedgeSnapshot;
  private counts = new Uint32Array(STEPS * OCTAVES);
  private before = new Uint32Array(STEPS * OCTAVES);
  private total = 0;
  private totalBefore = 0;
  private delay: number;

  constructor(snapshot: HedgeSnapshot) {
    this.snapshot = snapshot;
    this.delay = snapshot.delayMs > 0 ? snapshot.delayMs : Math.max(1, snapshot.minDelayMs);
  }

  /** Milliseconds, at least 1. */
  get delayMs(): number {
    return this.delay;
  }

  /** A response head came after `us`. */
  sample(us: number): void {
    if (this.snapshot.delayMs > 0) return;
    this.counts[bucketOf(us)]!++;
    this.total += 1;
    if (this.total % REFRESH === 0) this.refresh();
    if (this.total < TURN) return;
    const emptied = this.before;
    this.before = this.counts;
    this.totalBefore = this.total;
    this.counts = emptied.fill(0);
    this.total = 0;
  }

  private refresh(): void {
    const all = this.total + this.totalBefore;
    if (all < ENOUGH) return;
    const { percentile, minDelayMs, maxDelayMs } = this.snapshot;
    let left = Math.ceil(all * percentile);
    let bucket = 0;
    for (; bucket < STEPS * OCTAVES - 1; bucket++) {
      left -= this.counts[bucket]! + this.before[bucket]!;
      if (left <= 0) break;
    }
    const ms = Math.ceil((FIRST_US * 2 ** ((bucket + 1) / STEPS)) / 1_000);
    this.delay = Math.max(1, minDelayMs, Math.min(maxDelayMs, ms));
  }
}

function bucketOf(us: number): number {
  if (us <= FIRST_US) return 0;
  return Math.min(STEPS * OCTAVES - 1, Math.floor(Math.log2(us / FIRST_US) * STEPS));
}
