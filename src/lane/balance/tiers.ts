/**
 * Tiers: near backends first. A tier carries everything while enough of it is fit, and passes on
 * the rest below that: with a threshold of 70 %, a tier that is half fit keeps 50 / 70 of the load.
 * This is the rule of Envoy's priority levels, with the reciprocal of its overprovisioning factor.
 * Every pick goes through here; most pools have one tier, which costs nothing.
 */

import { scatter } from '../head/hash.ts';
import type { Random } from '../random.ts';
import { type Balancer, NO_MEMBER } from './balancer.ts';
import type { Members } from './members.ts';
import type { Policy } from './policy.ts';
import type { Weights } from './weights.ts';

/** How long the shares of tiers are valid. */
export const TIER_INTERVAL_MS = 100;

/** The members of one tier and their policy. */
export interface Tier {
  readonly members: Members;
  readonly policy: Policy;
}

export interface TiersParts {
  /** The nearest tier first. */
  readonly tiers: readonly Tier[];
  /** Share of a tier that must be fit for it to carry everything. */
  readonly healthyShare: number;
  readonly weights: Weights;
  readonly random: Random;
}

export class Tiers implements Balancer {
  private readonly tiers: readonly Tier[];
  private readonly healthyShare: number;
  private readonly weights: Weights;
  private readonly random: Random;
  /** Share of the load by tier; the sum is 1. */
  private readonly loads: Float64Array;
  private version = 0;
  private weighedMs = -TIER_INTERVAL_MS;

  constructor(parts: TiersParts) {
    this.tiers = parts.tiers;
    this.healthyShare = Math.max(parts.healthyShare, Number.EPSILON);
    this.weights = parts.weights;
    this.random = parts.random;
    this.loads = new Float64Array(parts.tiers.length);
  }

  pick(key: number, tried: number, failed: number): number {
    const { tiers } = this;
    if (tiers.length === 0) return NO_MEMBER;
    if (this.weights.version() !== this.version) this.reweigh();
    for (let i = 0; i < tiers.length; i++) tiers[i]!.members.begin();
    const first = tiers.length > 1 ? this.draw(key) : 0;
    const found = this.look(first, key, tried, failed, false);
    return found === NO_MEMBER ? this.look(first, key, tried, failed, true) : found;
  }

  isAvailable(position: number): boolean {
    if (this.weights.version() !== this.version) this.reweigh();
    for (const { members } of this.tiers) {
      const place = members.positions.indexOf(position);
      if (place === -1) continue;
      members.begin();
      return members.isEligible(place, 0, NO_MEMBER, false);
    }
    return false;
  }

  /** Picks from the drawn tier, then from the others, the nearest first. */
  private look(first: number, key: number, tried: number, failed: number, areAvoidedTaken: boolean): number {
    const { tiers } = this;
    let found = pickFrom(tiers[first]!, key, tried, failed, areAvoidedTaken);
    for (let i = 0; i < tiers.length && found === NO_MEMBER; i++) {
      if (i !== first) found = pickFrom(tiers[i]!, key, tried, failed, areAvoidedTaken);
    }
    return found;
  }

  /** Draws a tier by its share of the load; the same for the same key while the shares hold. */
  private draw(key: number): number {
    const { loads } = this;
    const nowMs = this.tiers[0]!.members.backends.nowMs;
    if (nowMs - this.weighedMs >= TIER_INTERVAL_MS || nowMs < this.weighedMs) this.weigh(nowMs);
    let point = key === 0 ? this.random.next() : scatter(key) * 2 ** -32;
    for (let tier = 0; tier < loads.length; tier++) {
      point -= loads[tier]!;
      if (point < 0) return tier;
    }
    return 0;
  }

  /**
   * Computes what each tier can carry, the nearest first. If all together cannot carry everything,
   * the shares are scaled up.
   */
  private weigh(nowMs: number): void {
    const { tiers, loads } = this;
    this.weighedMs = nowMs;
    let left = 1;
    for (let tier = 0; tier < tiers.length; tier++) {
      loads[tier] = Math.min(left, fitShare(tiers[tier]!.members) / this.healthyShare);
      left -= loads[tier]!;
    }
    if (left <= 0 || left === 1) return;
    for (let tier = 0; tier < tiers.length; tier++) loads[tier] = loads[tier]! / (1 - left);
  }

  private reweigh(): void {
    this.version = this.weights.version();
    for (const { members, policy } of this.tiers) {
      if (members.takeWeights(this.weights)) policy.reweigh();
    }
    this.weighedMs = -TIER_INTERVAL_MS;
  }
}

/** The position of the member that the tier's policy picks. */
function pickFrom({ members, policy }: Tier, key: number, tried: number, failed: number, areAvoidedTaken: boolean): number {
  const place = policy.pick(key, tried, failed, areAvoidedTaken);
  return place === NO_MEMBER ? NO_MEMBER : members.positions[place]!;
}

/**
 * The share of members that are fit. Drained members do not count as missing: whoever drains them
 * wants the others to carry on.
 */
function fitShare(members: Members): number {
  let all = 0;
  let fit = 0;
  for (let place = 0; place < members.count; place++) {
    if (members.weights[place] === 0) continue;
    all += 1;
    if (members.isFit(place)) fit += 1;
  }
  return all === 0 ? 0 : fit / all;
}
