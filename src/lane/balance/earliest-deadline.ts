/**
 * Round robin for many members. Each has a deadline; the earliest is picked and gets its next one 1
 * / weight later ("virtual clock", Zhang, 1990). With a heap of the deadlines a pick costs O(log
 * n), where `./round-robin.ts` scans all members.
 */

import { NO_MEMBER } from './balancer.ts';
import type { Members } from './members.ts';
import type { Policy } from './policy.ts';

/** Members that are skipped as ineligible before the next eligible one is taken in order. */
const MAX_PASSES = 32;

export class EarliestDeadline implements Policy {
  private readonly members: Members;
  private readonly deadlines: Float64Array;
  /** Binary heap of the members with weight. */
  private readonly heap: Int32Array;
  private size = 0;

  constructor(members: Members) {
    this.members = members;
    this.deadlines = new Float64Array(members.count);
    this.heap = new Int32Array(members.count);
    this.reweigh();
  }

  pick(_key: number, tried: number, failed: number, areAvoidedTaken: boolean): number {
    const { members, heap } = this;
    if (this.size === 0) return NO_MEMBER;
    for (let i = 0; i < MAX_PASSES; i++) {
      const place = heap[0]!;
      // A skipped member has used its turn, or it would get a burst when it comes back.
      this.advance(place);
      if (members.isEligible(place, tried, failed, areAvoidedTaken)) return place;
    }
    return members.eligibleFrom(heap[0]!, tried, failed, areAvoidedTaken);
  }

  /** Members start at different points of their first interval, in configured order. */
  reweigh(): void {
    const { members, deadlines, heap } = this;
    this.size = 0;
    for (let place = 0; place < members.count; place++) {
      const weight = members.weights[place]!;
      if (weight <= 0) continue;
      deadlines[place] = (place + 1) / members.count / weight;
      heap[this.size++] = place;
    }
    for (let at = (this.size >> 1) - 1; at >= 0; at--) this.sink(at);
  }

  /** Sets the next deadline of the member on top of the heap. */
  private advance(place: number): void {
    const { members, deadlines } = this;
    deadlines[place] = deadlines[place]! + 1 / (members.weights[place]! * members.share(place));
    this.sink(0);
  }

  private sink(from: number): void {
    const { deadlines, heap, size } = this;
    const place = heap[from]!;
    const deadline = deadlines[place]!;
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && deadlines[heap[child + 1]!]! < deadlines[heap[child]!]!) child += 1;
      if (deadlines[heap[child]!]! >= deadline) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = place;
  }
}
