/**
 * Random numbers that need spread but no secrecy: xorshift32 (Marsaglia, "Xorshift RNGs", 2003).
 * Costs a few instructions per number, and a seed makes tests repeatable.
 */
export class Random {
  private state: number;

  /**
   * `seed` is any integer. It is mixed first, because small seeds give small first numbers; zero,
   * the fixed point of xorshift, is replaced.
   */
  constructor(seed: number) {
    let state = Math.imul((seed | 0) ^ 0x9e3779b9, 0x85ebca6b);
    state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
    this.state = (state ^ (state >>> 16)) | 0 || 0x2545f491;
  }

  /** An integer in [0, `bound`). */
  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  /** A number in [0, 1). */
  next(): number {
    let state = this.state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.state = state;
    return (state >>> 0) * 2 ** -32;
  }
}
