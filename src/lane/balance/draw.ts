/**
 * Weighted random draws in constant time: Walker's alias method ("An Efficient Method for
 * Generating Discrete Random Variables with General Distributions", 1977), with the table built as
 * by Vose (1991). If the drawn member may not be picked, another is drawn, so that its share goes
 * to all others by weight instead of to its neighbours.
 */

import type { Random } from '../random.ts';
import { NO_MEMBER } from './balancer.ts';
import type { Members } from './members.ts';

/**
 * Draws before all members are scanned. With half of them out, eight draws fail one time in 256.
 */
const DRAWS = 8;

export class Draw {
  private readonly members: Members;
  private readonly random: Random;
  /** Slow start makes a member less likely here. False for policies that raise its cost instead. */
  private readonly isShareDrawn: boolean;
  /** The chance that a column yields its own member, and the member it yields otherwise. */
  private readonly own: Float64Array;
  private readonly alias: Int32Array;

  constructor(members: Members, random: Random, isShareDrawn: boolean) {
    this.members = members;
    this.random = random;
    this.isShareDrawn = isShareDrawn && members.isStartSlow;
    this.own = new Float64Array(members.count);
    this.alias = new Int32Array(members.count);
    this.reweigh();
  }

  /**
   * Draws an eligible index other than `except` by weight; NO_MEMBER if there is none. The other
   * parameters are those of `Members.isEligible`.
   */
  pick(tried: number, failed: number, areAvoidedTaken: boolean, except: number): number {
    const { members, random } = this;
    if (members.count === 0) return NO_MEMBER;
    for (let i = 0; i < DRAWS; i++) {
      const place = this.any();
      if (place === except || !members.isEligible(place, tried, failed, areAvoidedTaken)) continue;
      if (!this.isShareDrawn) return place;
      const share = members.share(place);
      if (share >= 1 || random.next() < share) return place;
    }
    return this.pickOfAll(tried, failed, areAvoidedTaken, except);
  }

  /** Rebuilds the table after a change of weights. */
  reweigh(): void {
    const { members, own, alias } = this;
    const { count, weights } = members;
    const sum = weights.reduce((total, weight) => total + weight, 0);
    const poor: number[] = [];
    const rich: number[] = [];
    for (let i = 0; i < count; i++) {
      own[i] = sum === 0 ? 1 : (weights[i]! * count) / sum;
      alias[i] = i;
      (own[i]! < 1 ? poor : rich).push(i);
    }
    while (poor.length > 0 && rich.length > 0) {
      const less = poor.pop()!;
      const more = rich[rich.length - 1]!;
      alias[less] = more;
      own[more] = own[more]! + own[less]! - 1;
      if (own[more]! < 1) poor.push(rich.pop()!);
    }
    // What remains is 1, up to rounding errors.
    for (const place of poor) own[place] = 1;
    for (const place of rich) own[place] = 1;
  }

  private any(): number {
    const point = this.random.next() * this.members.count;
    const column = Math.floor(point);
    return this.members.areEqual || point - column < this.own[column]! ? column : this.alias[column]!;
  }

  /**
   * One pass over all members: each eligible one replaces the choice with probability weight / sum
   * so far.
   */
  private pickOfAll(tried: number, failed: number, areAvoidedTaken: boolean, except: number): number {
    const { members, random } = this;
    let found = NO_MEMBER;
    let sum = 0;
    for (let place = 0; place < members.count; place++) {
      if (place === except || !members.isEligible(place, tried, failed, areAvoidedTaken)) continue;
      const weight = members.weights[place]! * (this.isShareDrawn ? members.share(place) : 1);
      sum += weight;
      if (found === NO_MEMBER || random.next() * sum < weight) found = place;
    }
    return found;
  }
}
