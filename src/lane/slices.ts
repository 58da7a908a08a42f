/** A sliding window cut into slices that are dropped whole, and which slice is the current one. */
export class Slices {
  /** Index of the current slice in the window. */
  place = 0;
  /** Number of the current slice; a slice with another number is outdated. */
  stamp = 0;

  private readonly sliceMs: number;
  private readonly count: number;
  private readonly stamps: number;
  private beginsMs = 0;
  private endsMs = 0;

  /** `count` slices in `windowMs`; slice numbers wrap at `stamps`. */
  constructor(windowMs: number, count: number, stamps: number) {
    this.sliceMs = windowMs / count;
    this.count = count;
    this.stamps = stamps;
  }

  /** Moves to `nowMs`. Call before reading `place` and `stamp` when time may have passed. */
  at(nowMs: number): void {
    if (nowMs < this.endsMs && nowMs >= this.beginsMs) return;
    const slice = Math.floor(nowMs / this.sliceMs);
    this.place = slice % this.count;
    this.stamp = slice % this.stamps;
    this.beginsMs = slice * this.sliceMs;
    this.endsMs = (slice + 1) * this.sliceMs;
  }
}
