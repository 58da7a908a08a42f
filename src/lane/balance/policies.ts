/** All policies, by their names in the configuration. */

import type { BalanceSnapshot } from '../../config/snapshot/balance.ts';
import type { Random } from '../random.ts';
import { EarliestDeadline } from './earliest-deadline.ts';
import { LeastRequest } from './least-request.ts';
import { Maglev } from './maglev.ts';
import type { Members } from './members.ts';
import { PeakEwma } from './peak-ewma.ts';
import type { Policy } from './policy.ts';
import { RandomChoice } from './random-choice.ts';
import { RingHash } from './ring-hash.ts';
import { RoundRobin } from './round-robin.ts';

/** Up to this many members use smooth round robin, which scans all of them on every pick. */
const MAX_SMOOTH = 16;

/**
 * The policy that `balance` configures, over `members`. `onBuilt` is called for each hash table
 * that has to be built.
 */
export function policyOf(balance: BalanceSnapshot, members: Members, random: Random, onBuilt?: () => void): Policy {
  // A sticky connection stays with its backend as long as it can: a bound would move it for a short
  // burst.
  if (balance.sticky?.kind === 'connection') return new RingHash(members, random, { points: balance.ringPoints, loadBound: 0 }, onBuilt);
  switch (balance.policy) {
    case 'random':
      return new RandomChoice(members, random);
    case 'round-robin':
      return members.count <= MAX_SMOOTH ? new RoundRobin(members) : new EarliestDeadline(members);
    case 'least-request':
      return new LeastRequest(members, random);
    case 'ring-hash':
      return new RingHash(members, random, { points: balance.ringPoints, loadBound: balance.loadBound }, onBuilt);
    case 'maglev':
      return new Maglev(members, random, balance.maglevSize, onBuilt);
    default:
      return new PeakEwma(members, random);
  }
}
