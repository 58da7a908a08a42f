/**
 * Peak EWMA with the power of two choices: draw two members, take the one whose latency times its
 * load is less. Two draws are nearly as even as looking at all (Mitzenmacher, "The Power of Two
 * Choices in Randomized Load Balancing", 2001), cost the same for any number of members, and do not
 * send every shard to the same best member at once. The latency is that of `./backends.ts`.
 *
 * Weight is how often a member is drawn, and how much in flight counts as one; two that cost the
 * same fall by weight. Latency is not divided by it: a heavy member that turns slow is as slow as a
 * light one.
 */

import type { Random } from '../random.ts';
import { NO_MEMBER } from './balancer.ts';
import { Draw } from './draw.ts';
import type { Members } from './members.ts';
import type { Policy } from './policy.ts';

/**
 * Cost of one attempt in flight at a member whose latency nobody knows: it is tried once, then
 * waits for that answer. Microseconds.
 */
const UNKNOWN_LATENCY_US = 1_000_000;

export class PeakEwma implements Policy {
  private readonly members: Members;
  private readonly draw: Draw;

  constructor(members: Members, random: Random) {
    this.members = members;
    this.draw = new Draw(members, random, false);
  }

  pick(_key: number, tried: number, failed: number, areAvoidedTaken: boolean): number {
    const one = this.draw.pick(tried, failed, areAvoidedTaken, NO_MEMBER);
    if (one === NO_MEMBER || this.members.count === 1) return one;
    // Never against itself, or a slow member of much weight would keep the square of its share.
    const other = this.draw.pick(tried, failed, areAvoidedTaken, one);
    return other === NO_MEMBER || this.cost(one) <= this.cost(other) ? one : other;
  }

  reweigh(): void {
    this.draw.reweigh();
  }

  private cost(place: number): number {
    const { members } = this;
    const latency = members.backends.latencyUs(members.slots[place]!);
    const load = (members.inFlight(place) * members.meanWeight) / members.weights[place]!;
    return (latency === 0 ? load * UNKNOWN_LATENCY_US : latency * (load + 1)) / members.share(place);
  }
}
