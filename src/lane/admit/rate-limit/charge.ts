/**
 * The charge of one request: all limits that apply to it, each with the cell of its key. All must
 * pass before any is charged, so that a refusal by one limit does not use up another.
 */

import type { Limit } from './limit.ts';

/**
 * Initial capacity. More limits on one request would be a mistake of configuration; then the lists
 * grow once.
 */
const USUAL = 8;

export class Charge {
  /** The limit that refused the last `settle`, and when it would let a request pass. */
  refusing: Limit | undefined;
  waitMs = 0;
  private readonly limits: Limit[] = new Array<Limit>(USUAL);
  private readonly cells: number[] = new Array<number>(USUAL).fill(0);
  private count = 0;

  begin(): void {
    this.count = 0;
    this.refusing = undefined;
  }

  /** Adds a limit; `cell` comes from `limit.cell(…)`. */
  add(limit: Limit, cell: number): void {
    this.limits[this.count] = limit;
    this.cells[this.count] = cell;
    this.count += 1;
  }

  /** Whether all limits would pass. If several refuse, the one that refuses longest is reported. */
  fits(): boolean {
    this.waitMs = 0;
    for (let i = 0; i < this.count; i++) {
      const limit = this.limits[i]!;
      if (!limit.peek(this.cells[i]!) && limit.waitMs > this.waitMs) this.refuseBy(limit);
    }
    return this.refusing === undefined;
  }

  /** Charges all of them, or none. */
  settle(): boolean {
    // A single limit needs no look beforehand.
    if (this.count > 1 && !this.fits()) return false;
    for (let i = 0; i < this.count; i++) {
      const limit = this.limits[i]!;
      if (limit.take(this.cells[i]!)) continue;
      // Another shard took the last token: what was taken goes back.
      for (let taken = i - 1; taken >= 0; taken--) this.limits[taken]!.untake(this.cells[taken]!);
      this.refuseBy(limit);
      return false;
    }
    return true;
  }

  private refuseBy(limit: Limit): void {
    this.refusing = limit;
    this.waitMs = limit.waitMs;
  }
}
