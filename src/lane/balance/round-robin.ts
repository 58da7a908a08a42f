/**
 * Smooth weighted round robin: every member gains its weight each time, the richest is chosen and
 * pays what all gained. Members of weight 5, 1, 1 come as a a b a c a a rather than a a a a a b c.
 * The turn is the lane's own: with several shards each goes its own round.
 *
 * Every pick looks at every member; pools of many members take `./earliest-deadline.ts`.
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

  /** Credits of the old weights would favour who lost weight. */
  reweigh(): void {
    this.credits.fill(0);
  }
}
