/**
 * Peak EWMA with the power of two choices: draws two members and takes the one with the lower
 * product of latency and load. Two draws are nearly as even as a scan (Mitzenmacher, "The Power of
 * Two Choices in Randomized Load Balancing", 2001), cost the same for any number of members, and do
 * not send every shard to the same best member at once. Latency is that of `./backends.ts`. Weight
 * sets how often a member is drawn and scales its load; ties fall by weight. Latency is not divided
 * by weight: a heavy member that turns slow is as slow as a light one.
 */

import type { Random } from '../random.ts';
import { NO_MEMBER } from './balancer.ts';
import { Draw } from './draw.ts';
import type { Members } from './members.ts';
import type { Policy } from './policy.ts';

/**
 * Cost, in microseconds, of an attempt in flight at a member of unknown latency: it gets one
 * attempt, then waits for the answer.
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
    // Never drawn against itself, or a slow member of large weight would keep the square of its
    // share.
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
