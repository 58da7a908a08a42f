/**
 * Random numbers for choices that need spread and no secrecy: xorshift32 (Marsaglia, "Xorshift RNGs", 2003). A few instructions a number, and
 * a seed makes a test repeatable.
 */
export class Random {
  private state: number;

  /** `seed` is any integer; zero, xorshift's fixed point, is replaced. */
  constructor(seed: number) {
    this.state = seed | 0 || 0x2545f491;
  }

  /** An integer of 0 … `bound`-1. */
  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  /** A number of [0, 1). */
  next(): number {
    let state = this.state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.state = state;
    return (state >>> 0) * 2 ** -32;
  }
}
