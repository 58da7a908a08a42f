/**
 * The members of one tier of a pool, and which of them may be picked now. Every policy asks here,
 * so that none can forget a rule.
 */

import type { Standing } from '../standing/standing.ts';
import type { Backends } from './backends.ts';
import { NO_MEMBER, TRIED_BITS } from './balancer.ts';
import type { Weights } from './weights.ts';

export interface Member {
  readonly slot: number;
  /** Position in the pool. */
  readonly position: number;
  /** Share of attempts relative to the other members of the tier; 0 gets none. */
  readonly weight: number;
  /** The name that hash policies use: the same on every shard and after every reload. */
  readonly name: string;
}

export interface MembersParts {
  readonly backends: Backends;
  readonly standing: Standing;
  /** Number of their upstream. */
  readonly upstream: number;
  /** Whether backends that come back start slowly, so that `Standing.share` applies. */
  readonly isStartSlow: boolean;
}

export class Members {
  readonly count: number;
  readonly slots: Int32Array;
  readonly positions: Int32Array;
  readonly names: readonly string[];
  /** Current weights. */
  readonly weights: Float64Array;
  readonly backends: Backends;
  readonly isStartSlow: boolean;
  /** Mean of the weights above 0; 1 if there are none. */
  meanWeight = 1;
  /** Whether all weights are equal and above 0. */
  areEqual = false;

  private readonly standing: Standing;
  private readonly upstream: number;
  /** The upstream panics: fitness is ignored. */
  private isPanicking = false;

  constructor(members: readonly Member[], parts: MembersParts) {
    this.count = members.length;
    this.slots = Int32Array.from(members, ({ slot }) => slot);
    this.positions = Int32Array.from(members, ({ position }) => position);
    this.names = members.map(({ name }) => name);
    this.weights = Float64Array.from(members, ({ weight }) => weight);
    this.backends = parts.backends;
    this.standing = parts.standing;
    this.upstream = parts.upstream;
    this.isStartSlow = parts.isStartSlow;
    this.summarise();
  }

  /** Call before a pick. */
  begin(): void {
    this.isPanicking = this.standing.isPanicking(this.upstream);
  }

  /** Reads the weights from the table; true if the weight of one of these members changed. */
  takeWeights(table: Weights): boolean {
    let isChanged = false;
    for (let i = 0; i < this.count; i++) {
      const weight = table.ofBackend(this.slots[i]!);
      if (weight === this.weights[i]) continue;
      this.weights[i] = weight;
      isChanged = true;
    }
    if (isChanged) this.summarise();
    return isChanged;
  }

  /** `areAvoidedTaken` is set in the second pass, if the first found nobody. */
  isEligible(place: number, tried: number, failed: number, areAvoidedTaken: boolean): boolean {
    const position = this.positions[place]!;
    if (position === failed || this.weights[place]! <= 0) return false;
    if (position < TRIED_BITS && (tried & (1 << position)) !== 0) return false;
    const slot = this.slots[place]!;
    if (!this.backends.hasAddress(slot)) return false;
    if (!areAvoidedTaken && this.backends.isAvoided(slot)) return false;
    return this.isPanicking || this.standing.admits(slot);
  }

  /** Whether it has weight and an address and is fit, whatever this request has tried. */
  isFit(place: number): boolean {
    return this.isEligible(place, 0, NO_MEMBER, true);
  }

  /** The first eligible index from `start` on, wrapping around; NO_MEMBER if there is none. */
  eligibleFrom(start: number, tried: number, failed: number, areAvoidedTaken: boolean): number {
    for (let i = 0, place = start; i < this.count; i++) {
      if (this.isEligible(place, tried, failed, areAvoidedTaken)) return place;
      place = place + 1 === this.count ? 0 : place + 1;
    }
    return NO_MEMBER;
  }

  /** The share of its weight that a member may have now: below 1 during slow start, never 0. */
  share(place: number): number {
    return this.isStartSlow ? Math.max(MIN_SHARE, this.standing.share(this.slots[place]!)) : 1;
  }

  inFlight(place: number): number {
    return this.backends.inFlight(this.slots[place]!);
  }

  private summarise(): void {
    let sum = 0;
    let weighted = 0;
    let isSame = true;
    for (const weight of this.weights) {
      sum += weight;
      if (weight > 0) weighted += 1;
      if (weight !== this.weights[0]) isSame = false;
    }
    this.meanWeight = weighted === 0 ? 1 : sum / weighted;
    this.areEqual = isSame && weighted > 0;
  }
}

/** Above 0, because costs are divided by the share. */
const MIN_SHARE = 0.01;
