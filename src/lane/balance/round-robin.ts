/**
 * Smooth weighted round robin: on each pick every member gains its weight; the one with the most
 * credit is picked and pays what all gained. Weights 5, 1, 1 give a a b a c a a rather than a a a a
 * a b c. The state is the lane's own, so each shard has its own rotation. Every pick scans all
 * members; large pools use `./earliest-deadline.ts`.
 */

import { NO_MEMBER } from './balancer.ts';
import type { Members } from './members.ts';
import type { Policy } from './policy.ts';

export class RoundRobin implements Policy {
  private readonly members: Members;
  private readonly credits: Float64Array;

  constructor(members: Members) {
    this.members = members;
    this.credits = new Float64Array(members.count);
  }

  pick(_key: number, tried: number, failed: number, areAvoidedTaken: boolean): number {
    const { members, credits } = this;
    let richest = NO_MEMBER;
    let total = 0;
    for (let place = 0; place < members.count; place++) {
      if (!members.isEligible(place, tried, failed, areAvoidedTaken)) continue;
      const weight = members.weights[place]! * members.share(place);
      total += weight;
      credits[place] = credits[place]! + weight;
      if (richest === NO_MEMBER || credits[place]! > credits[richest]!) richest = place;
    }
    if (richest !== NO_MEMBER) credits[richest] = credits[richest]! - total;
    return richest;
  }

  /** Credit from the old weights would favour members that lost weight. */
  reweigh(): void {
    this.credits.fill(0);
  }
}
