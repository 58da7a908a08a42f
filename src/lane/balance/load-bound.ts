/**
 * Bounds a member's load to a multiple of its fair share of all attempts in flight (Mirrokni,
 * Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2018). A popular key fills its
 * member and then overflows to the next, instead of overloading it.
 */

import type { Members } from './members.ts';

/**
 * Picks between two sums, per member, so that the cost of a pick does not grow with the pool.
 * Attempts that end meanwhile loosen the bound by at most a quarter of an attempt per member.
 */
const PICKS_A_MEMBER = 0.25;
const MIN_PICKS = 4;

export class LoadBound {
  private readonly members: Members;
  /** 1.25 means a quarter above the fair share. */
  private readonly factor: number;
  private inFlight = 0;
  private weight = 0;
  private picksLeft = 0;

  constructor(members: Members, factor: number) {
    this.members = members;
    this.factor = factor;
  }

  /** Call once per pick, before `hasRoom`. */
  begin(): void {
    // The previous pick is in flight by now.
    this.inFlight += 1;
    this.picksLeft -= 1;
    if (this.picksLeft <= 0) this.sum();
  }

  /** Whether the member may take one more attempt. */
  hasRoom(place: number): boolean {
    const { members } = this;
    const fair = (this.factor * (this.inFlight + 1) * members.weights[place]!) / this.weight;
    return members.inFlight(place) < Math.ceil(fair);
  }

  /** Sums over the fit members only: they have to carry the load of the others. */
  private sum(): void {
    const { members } = this;
    this.inFlight = 0;
    this.weight = 0;
    for (let place = 0; place < members.count; place++) {
      if (!members.isFit(place)) continue;
      this.inFlight += members.inFlight(place);
      this.weight += members.weights[place]!;
    }
    this.picksLeft = Math.max(MIN_PICKS, Math.floor(members.count * PICKS_A_MEMBER));
  }
}
