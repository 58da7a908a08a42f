/** A sliding window cut in slices that are forgotten whole, and which of them is now's. */
export class Slices {
  /** Where the slice of now is among the slices of the window. */
  place = 0;
  /** Its number, by which what is left of an older one in its place is known. */
  stamp = 0;

  private readonly sliceMs: number;
  private readonly count: number;
  private readonly stamps: number;
  private beginsMs = 0;
  private endsMs = 0;

  /** `count` slices in `windowMs`; numbers of slices begin anew at `stamps`. */
  constructor(windowMs: number, count: number, stamps: number) {
    this.sliceMs = windowMs / count;
    this.count = count;
    this.stamps = stamps;
  }

  /** To be called before `place` and `stamp` are read, whenever time may have gone on. */
  at(nowMs: number): void {
    if (nowMs < this.endsMs && nowMs >= this.beginsMs) return;
    const slice = Math.floor(nowMs / this.sliceMs);
    this.place = slice % this.count;
    this.stamp = slice % this.stamps;
    this.beginsMs = slice * this.sliceMs;
    this.endsMs = (slice + 1) * this.sliceMs;
  }
}
