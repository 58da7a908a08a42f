/**
 * The charge of one request: every limit it is under, each with the cell of its key. All must let
 * it pass before any of them is charged, so that who is refused by one limit does not use up
 * another.
 */

import type { Limit } from './limit.ts';

/**
 * More limits than this on one request would be a mistake of whoever wrote them down; those beyond
 * grow the lists once.
 */
const USUAL = 8;

export class Charge {
  /** The one that refused the last `settle`, and when it would let a request pass. */
  refusing: Limit | undefined;
  waitMs = 0;
  private readonly limits: Limit[] = new Array<Limit>(USUAL);
  private readonly cells: number[] = new Array<number>(USUAL).fill(0);
  private count = 0;

  begin(): void {
    this.count = 0;
    this.refusing = undefined;
  }

  /** `cell` of `limit.cell(…)`. */
  add(limit: Limit, cell: number): void {
    this.limits[this.count] = limit;
    this.cells[this.count] = cell;
    this.count += 1;
  }

  /** Would it pass? Where several refuse, the one that does so longest counts. */
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
    // One alone is looked at once.
    if (this.count > 1 && !this.fits()) return false;
    for (let i = 0; i < this.count; i++) {
      const limit = this.limits[i]!;
      if (limit.take(this.cells[i]!)) continue;
      // Another shard was faster with the last token: what was taken goes back.
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
