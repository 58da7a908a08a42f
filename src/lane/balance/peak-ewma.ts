/**
 * Peak EWMA with the power of two choices: draw two members, take the one whose latency times its load is less. Two draws are nearly as
 * even as looking at all (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001), cost the same for any number of
 * members, and do not send every shard to the same best member at once.
 *
 * Weight is how often a member is drawn; cost decides between the two drawn.
 */

import type { Random } from '../random.ts';
import { type Balancer, type Members, NO_MEMBER } from './balancer.ts';

/** Cost of one attempt in flight at a member whose latency nobody knows: it is tried once, then waits for that answer. Microseconds. */
const UNKNOWN_LATENCY_US = 1_000_000;

export class PeakEwma implements Balancer {
  private readonly members: Members;
  private readonly random: Random;
  /** Running sums of the weights; undefined when all are equal and a draw is one multiplication. */
  private readonly sums: Float64Array | undefined;

  constructor(members: Members, random: Random) {
    this.members = members;
    this.random = random;
    this.sums = runningSums(members.weights);
  }

  pick(_key: number, tried: number, failed: number): number {
    const first = this.pickAmong(tried, failed, false);
    return first === NO_MEMBER ? this.pickAmong(tried, failed, true) : first;
  }

  private pickAmong(tried: number, failed: number, areAvoidedTaken: boolean): number {
    const one = this.members.eligibleFrom(this.draw(), tried, failed, areAvoidedTaken);
    if (one === NO_MEMBER || this.members.count === 1) return one;
    const other = this.members.eligibleFrom(this.drawOther(one), tried, failed, areAvoidedTaken);
    return other === one || this.cost(one) <= this.cost(other) ? one : other;
  }

  private draw(): number {
    if (this.sums === undefined) return this.random.below(this.members.count);
    const sums = this.sums;
    const sought = this.random.next() * sums[sums.length - 1]!;
    let low = 0;
    let high = sums.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (sums[middle]! <= sought) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Equal members are never drawn against themselves. With weights the second draw is free, or of two members weight would say nothing. */
  private drawOther(one: number): number {
    if (this.sums !== undefined) return this.draw();
    const count = this.members.count;
    const other = one + 1 + this.random.below(count - 1);
    return other >= count ? other - count : other;
  }

  private cost(position: number): number {
    const { backends, slots } = this.members;
    const slot = slots[position]!;
    const latency = backends.latencyUs(slot);
    const inFlight = backends.inFlight(slot);
    return latency === 0 ? inFlight * UNKNOWN_LATENCY_US : latency * (inFlight + 1);
  }
}

function runningSums(weights: Float64Array): Float64Array | undefined {
  if (weights.every((weight) => weight === weights[0])) return undefined;
  let sum = 0;
  return weights.map((weight) => {
    sum += weight;
    return sum;
  });
}
