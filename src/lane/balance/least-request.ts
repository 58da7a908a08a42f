/**
 * Least request: the fewest attempts in flight relative to weight, counted over all shards. Small
 * pools are scanned, with ties broken by weight, so that an idle pool follows the weights too. In
 * large pools the better of two weighted draws is taken ("The Power of Two Choices in Randomized
 * Load Balancing", Mitzenmacher, 2001), or all shards would pick the same member.
 */

import type { Random } from '../random.ts';
import { NO_MEMBER } from './balancer.ts';
import { Draw } from './draw.ts';
import type { Members } from './members.ts';
import type { Policy } from './policy.ts';

/** Pools of up to this many members are scanned. */
const MAX_SCANNED = 16;

export class LeastRequest implements Policy {
  private readonly members: Members;
  private readonly random: Random;
  private readonly draw: Draw;

  constructor(members: Members, random: Random) {
    this.members = members;
    this.random = random;
    this.draw = new Draw(members, random, false);
  }

  pick(_key: number, tried: number, failed: number, areAvoidedTaken: boolean): number {
    return this.members.count <= MAX_SCANNED
      ? this.pickOfAll(tried, failed, areAvoidedTaken)
      : this.pickOfTwo(tried, failed, areAvoidedTaken);
  }

  reweigh(): void {
    this.draw.reweigh();
  }

  private pickOfAll(tried: number, failed: number, areAvoidedTaken: boolean): number {
    const { members, random } = this;
    let found = NO_MEMBER;
    let least = 0;
    let tied = 0;
    for (let place = 0; place < members.count; place++) {
      if (!members.isEligible(place, tried, failed, areAvoidedTaken)) continue;
      const weight = members.weights[place]! * members.share(place);
      const load = members.inFlight(place) / weight;
      if (found === NO_MEMBER || load < least) {
        found = place;
        least = load;
        tied = weight;
      } else if (load === least) {
        tied += weight;
        if (random.next() * tied < weight) found = place;
      }
    }
    return found;
  }

  private pickOfTwo(tried: number, failed: number, areAvoidedTaken: boolean): number {
    const one = this.draw.pick(tried, failed, areAvoidedTaken, NO_MEMBER);
    if (one === NO_MEMBER) return one;
    const other = this.draw.pick(tried, failed, areAvoidedTaken, one);
    return other === NO_MEMBER || this.load(one) <= this.load(other) ? one : other;
  }

  private load(place: number): number {
    const { members } = this;
    return members.inFlight(place) / (members.weights[place]! * members.share(place));
  }
}
