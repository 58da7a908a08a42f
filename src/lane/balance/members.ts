/**
 * The members of one tier of a pool, and who of them may be chosen now. Every policy asks here, so
 * that none can forget a rule.
 */

import type { Standing } from '../standing/standing.ts';
import type { Backends } from './backends.ts';
import { NO_MEMBER, TRIED_BITS } from './balancer.ts';
import type { Weights } from './weights.ts';

export interface Member {
  readonly slot: number;
  /** In the pool. */
  readonly position: number;
  /** Share of attempts relative to the other members of the tier; 0 gets none. */
  readonly weight: number;
  /** What hash policies know it by: the same on every shard and after every reload. */
  readonly name: string;
}

export interface MembersParts {
  readonly backends: Backends;
  readonly standing: Standing;
  /** Place of their upstream. */
  readonly upstream: number;
  /** A backend that comes back gets its share by and by: `Standing.share` is asked. */
  readonly isStartSlow: boolean;
}

export class Members {
  readonly count: number;
  readonly slots: Int32Array;
  readonly positions: Int32Array;
  readonly names: readonly string[];
  /** As they are now. */
  readonly weights: Float64Array;
  readonly backends: Backends;
  readonly isStartSlow: boolean;
  /** Mean of the weights that are not 0; 1 when all are. */
  meanWeight = 1;
  /** All weights are the same, and not 0. */
  areEqual = false;

  private readonly standing: Standing;
  private readonly upstream: number;
  /** So few of the upstream are fit that fitness is not asked for. */
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

  /** To be called before a pick. */
  begin(): void {
    this.isPanicking = this.standing.isPanicking(this.upstream);
  }

  /** Takes the weights of the table; true when one of these members has another than before. */
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

  /** `areAvoidedTaken`: the second look, when nobody was left in the first. */
  isEligible(place: number, tried: number, failed: number, areAvoidedTaken: boolean): boolean {
    const position = this.positions[place]!;
    if (position === failed || this.weights[place]! <= 0) return false;
    if (position < TRIED_BITS && (tried & (1 << position)) !== 0) return false;
    const slot = this.slots[place]!;
    if (!this.backends.hasAddress(slot)) return false;
    if (!areAvoidedTaken && this.backends.isAvoided(slot)) return false;
    return this.isPanicking || this.standing.admits(slot);
  }

  /** Whether it has weight, an address and is fit, whatever this request tried. */
  isFit(place: number): boolean {
    return this.isEligible(place, 0, NO_MEMBER, true);
  }

  /** The first eligible place from `start` on, around the end; NO_MEMBER when there is none. */
  eligibleFrom(start: number, tried: number, failed: number, areAvoidedTaken: boolean): number {
    for (let i = 0, place = start; i < this.count; i++) {
      if (this.isEligible(place, tried, failed, areAvoidedTaken)) return place;
      place = place + 1 === this.count ? 0 : place + 1;
    }
    return NO_MEMBER;
  }

  /** Share of its weight that a member may have now: below 1 while it starts slowly, never 0. */
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

/** Costs are divided by the share. */
const MIN_SHARE = 0.01;
