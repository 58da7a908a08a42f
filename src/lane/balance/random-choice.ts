/**
 * Weighted random: no state, no memory, and no accidental agreement between shards. The baseline
 * for all other policies.
 */

import type { Random } from '../random.ts';
import { NO_MEMBER } from './balancer.ts';
import { Draw } from './draw.ts';
import type { Members } from './members.ts';
import type { Policy } from './policy.ts';

export class RandomChoice implements Policy {
  private readonly draw: Draw;

  constructor(members: Members, random: Random) {
    this.draw = new Draw(members, random, true);
  }

  pick(_key: number, tried: number, failed: number, areAvoidedTaken: boolean): number {
    return this.draw.pick(tried, failed, areAvoidedTaken, NO_MEMBER);
  }

  reweigh(): void {
    this.draw.reweigh();
  }
}
