/**
 * Consistent hashing on a ring with bounded load: a key stays with its member while that is fit and
 * has room, and otherwise goes to the next on the ring. Requests without a key are drawn by weight.
 */

import { scatter } from '../head/hash.ts';
import type { Random } from '../random.ts';
import { NO_MEMBER } from './balancer.ts';
import { Draw } from './draw.ts';
import { LoadBound } from './load-bound.ts';
import type { Members } from './members.ts';
import type { Policy } from './policy.ts';
import { RINGS, type Ring } from './ring.ts';

export interface RingHashOptions {
  /** Points of a member of mean weight. */
  readonly points: number;
  /** Multiple of the fair share; 0 for no bound. */
  readonly loadBound: number;
}

export class RingHash implements Policy {
  /** How often the ring was replaced. */
  rebuilds = 0;

  private readonly onBuilt: (() => void) | undefined;
  private readonly members: Members;
  private readonly draw: Draw;
  private readonly bound: LoadBound | undefined;
  private readonly points: number;
  private ring: Ring;
  /** The pick in which each member was last checked, as members have many points. */
  private readonly seen: Float64Array;
  private picks = 0;

  constructor(members: Members, random: Random, options: RingHashOptions, onBuilt?: () => void) {
    this.onBuilt = onBuilt;
    this.members = members;
    this.draw = new Draw(members, random, true);
    this.bound = options.loadBound > 0 ? new LoadBound(members, options.loadBound) : undefined;
    this.points = options.points;
    this.seen = new Float64Array(members.count);
    this.ring = RINGS.of(members, this.points, onBuilt);
  }

  pick(key: number, tried: number, failed: number, areAvoidedTaken: boolean): number {
    if (key === 0) return this.draw.pick(tried, failed, areAvoidedTaken, NO_MEMBER);
    const { members, bound, seen } = this;
    const { owners } = this.ring;
    const pick = ++this.picks;
    bound?.begin();
    let full = NO_MEMBER;
    let looked = 0;
    let at = this.ring.find(key);
    for (let i = 0; i < owners.length; i++) {
      const place = owners[at]!;
      at = at + 1 === owners.length ? 0 : at + 1;
      if (seen[place] === pick) continue;
      seen[place] = pick;
      looked += 1;
      if (members.isEligible(place, tried, failed, areAvoidedTaken)) {
        if ((bound === undefined || bound.hasRoom(place)) && this.isShareOf(place, key)) return place;
        if (full === NO_MEMBER) full = place;
      }
      if (looked === members.count) break;
    }
    return full;
  }

  reweigh(): void {
    this.draw.reweigh();
    this.ring = RINGS.of(this.members, this.points, this.onBuilt);
    this.rebuilds += 1;
  }

  /** A member in slow start gets its keys back one by one, each for good. */
  private isShareOf(place: number, key: number): boolean {
    const share = this.members.share(place);
    return share >= 1 || scatter(key + place) < share * 2 ** 32;
  }
}
