/**
 * Buckets of a histogram whose values are whole numbers: finding one costs a table look-up by the
 * value's bit length and a comparison or two, so that a completion can be counted in ten histograms
 * without being noticed.
 *
 * A histogram lies in a counter table as a count for each bucket (not cumulated), one for what is
 * above all bounds, then the sum.
 */

export class Buckets {
  /** Upper bounds in stored units, ascending. */
  readonly bounds: readonly number[];
  /** Stored units times this are the base units of the metric. */
  readonly scale: number;
  /** Numbers that a histogram takes in a table. */
  readonly stride: number;

  private readonly uppers: Float64Array;
  /** By bit length of a value: the first bucket it can belong to. */
  private readonly firsts: Uint8Array;

  constructor(bounds: readonly number[], scale: number) {
    this.bounds = bounds;
    this.scale = scale;
    this.stride = bounds.length + 2;
    this.uppers = Float64Array.from([...bounds, Number.POSITIVE_INFINITY]);
    this.firsts = Uint8Array.from({ length: 33 }, (_, bits) => {
      const least = bits === 0 ? 0 : 2 ** (bits - 1);
      return this.uppers.findIndex((upper) => least <= upper);
    });
  }

  /**
   * Counts `value` (0 … 2^32-1; what is above counts as that) in the histogram that begins at `at`
   * of `table`.
   */
  observe(table: Float64Array, at: number, value: number): void {
    const uppers = this.uppers;
    let bucket = this.firsts[32 - Math.clz32(Math.min(value, 0xffff_ffff))]!;
    while (value > uppers[bucket]!) bucket += 1;
    table[at + bucket] = table[at + bucket]! + 1;
    const sum = at + this.stride - 1;
    table[sum] = table[sum]! + value;
  }
}

const MICROSECONDS = 1e-6;
const NANOSECONDS = 1e-9;

/** Microseconds, 50 µs to one minute. */
export const DURATION_BUCKETS = new Buckets(
  [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000,
    30_000_000, 60_000_000,
  ],
  MICROSECONDS,
);

/** Nanoseconds, 1 µs to 100 ms. */
export const DECIDE_BUCKETS = new Buckets(
  [1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 10_000_000, 100_000_000],
  NANOSECONDS,
);

/** Records a call of the lane took. */
export const BATCH_BUCKETS = new Buckets([0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024], 1);

/** Microseconds in which a shard takes a configuration, 500 µs to 1 s. */
export const APPLY_BUCKETS = new Buckets([500, 1_000, 2_500, 5_000, 10_000, 20_000, 50_000, 100_000, 250_000, 1_000_000], MICROSECONDS);

/** Microseconds a timer came late, 100 µs to 5 s. */
export const LATENESS_BUCKETS = new Buckets(
  [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000],
  MICROSECONDS,
);
