/**
 * The bound on a member's load: no more in flight than a multiple of its fair share of all that is
 * (Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2018). A key that
 * is in fashion fills its member and then flows over to the next, instead of drowning it.
 */

import type { Members } from './members.ts';

/**
 * Picks between two sums: a quarter as many as there are members, so that the cost of a pick does
 * not grow with them. What ended meanwhile makes the bound looser by a quarter of an attempt a
 * member at most.
 */
const PICKS_A_MEMBER = 0.25;
const MIN_PICKS = 4;

export class LoadBound {
  private readonly members: Members;
  /** 1.25 for a quarter above the fair share. */
  private readonly factor: number;
  private inFlight = 0;
  private weight = 0;
  private picksLeft = 0;

  constructor(members: Members, factor: number) {
    this.members = members;
    this.factor = factor;
  }

  /** To be called once a pick, before `hasRoom`. */
  begin(): void {
    // The pick before this one is in flight by now.
    this.inFlight += 1;
    this.picksLeft -= 1;
    if (this.picksLeft <= 0) this.sum();
  }

  /** May the member have one more? */
  hasRoom(place: number): boolean {
    const { members } = this;
    const fair = (this.factor * (this.inFlight + 1) * members.weights[place]!) / this.weight;
    return members.inFlight(place) < Math.ceil(fair);
  }

  /** Over members that are fit: what the others cannot take, these must. */
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
