/**
 * Smooth weighted round robin: every member gains its weight each time, the richest is chosen and pays what all gained. Members of weight
 * 5, 1, 1 come as a a b a c a a rather than a a a a a b c. The turn is the lane's own: with several shards each goes its own round.
 */

import { type Balancer, type Members, NO_MEMBER } from './balancer.ts';

export class RoundRobin implements Balancer {
  private readonly members: Members;
  private readonly credits: Float64Array;

  constructor(members: Members) {
    this.members = members;
    this.credits = new Float64Array(members.count);
  }

  pick(_key: number, tried: number, failed: number): number {
    const first = this.pickAmong(tried, failed, false);
    return first === NO_MEMBER ? this.pickAmong(tried, failed, true) : first;
  }

  private pickAmong(tried: number, failed: number, areAvoidedTaken: boolean): number {
    const { members, credits } = this;
    let richest = NO_MEMBER;
    let total = 0;
    for (let position = 0; position < members.count; position++) {
      if (!members.isEligible(position, tried, failed, areAvoidedTaken)) continue;
      const weight = members.weights[position]!;
      total += weight;
      credits[position] = credits[position]! + weight;
      if (richest === NO_MEMBER || credits[position]! > credits[richest]!) richest = position;
    }
    if (richest !== NO_MEMBER) credits[richest] = credits[richest]! - total;
    return richest;
  }
}
