/**
 * What lanes need of every route, made once by the main thread and posted in shared memory: the
 * router, plan numbers, regions of rate limits, and the routes themselves. So taking a snapshot
 * costs a lane the same with ten routes or ten thousand. A lane compiles a route when its first
 * request arrives.
 */

import { inSharedMemory } from '../base/views.ts';
import type { LaneSnapshot } from '../config/route-table.ts';
import type { RouteSnapshot } from '../config/snapshot/route.ts';
import { PRIORITIES } from './admit/concurrency/shedding.ts';
import { type LimitTable, tableOfLimits } from './admit/rate-limit/table.ts';
import { FALLBACK_FIELD, FixedAnswer } from './answer/fixed-answer.ts';
import { LastHopAnswer } from './answer/last-hop.ts';
import { OwnAnswer } from './answer/own-answer.ts';
import { Lookups } from './head/lookups.ts';
import type { PlanBook } from './plan/book.ts';
import { type PlanTable, tableOfPlans } from './plan/table.ts';
import { type PackedRouter, Router } from './route/router.ts';

/** Bits of `LaneTables.gates`: which checks a route has. Its priority is in the bits above. */
const HAS_ACCESS_LIST = 1;
export const HAS_PLACES = 2;
const IS_RATED = 4;
export const PRIORITY_SHIFT = 3;
const HAS_GATE = HAS_ACCESS_LIST | HAS_PLACES | IS_RATED;

export interface LaneTables {
  readonly router: PackedRouter;
  readonly plans: PlanTable;
  readonly limits: LimitTable;
  /** Indexed by route. */
  readonly gates: Uint8Array;
  /** Whether any route hedges. */
  readonly isHedged: boolean;
  /** Bytes of the largest answer that a route gives itself. */
  readonly maxAnswerBytes: number;
}

/** Whether the route has no admission checks. */
export function isOpen(gates: Uint8Array, route: number): boolean {
  return (gates[route]! & HAS_GATE) === 0;
}

/** The tables of `snapshot`. Its plans get numbers from `book`. */
export function tablesOf(snapshot: LaneSnapshot, book: PlanBook): LaneTables {
  const { routes } = snapshot;
  const gates = new Uint8Array(routes.length);
  const answers = new Answers();
  let isHedged = false;
  for (let number = 0; number < routes.length; number++) {
    const route = routes.at(number)!;
    gates[number] = gatesOf(route);
    isHedged ||= route.hedge !== undefined;
    answers.add(route);
  }
  return {
    router: new Router(snapshot, new Lookups(new Uint8Array(0))).pack(),
    plans: tableOfPlans(snapshot, book),
    limits: tableOfLimits(snapshot),
    gates: inSharedMemory(gates),
    isHedged,
    maxAnswerBytes: answers.maxBytes,
  };
}

function gatesOf({ access, bulkhead, rateLimits, priority }: RouteSnapshot): number {
  return (
    (access.allow.length + access.deny.length + access.certificates.length + access.deniedCertificates.length > 0 ? HAS_ACCESS_LIST : 0) |
    (bulkhead.max > 0 ? HAS_PLACES : 0) |
    (rateLimits.length > 0 ? IS_RATED : 0) |
    (PRIORITIES.indexOf(priority) << PRIORITY_SHIFT)
  );
}

/** Measures each answer once, however many routes give it. */
class Answers {
  maxBytes = 0;
  private readonly known = new Set<object>();

  add(route: RouteSnapshot): void {
    const { redirect, fixed, fallback, match } = route;
    const own = redirect ?? fixed;
    if (own !== undefined && this.isNew(own)) this.take(OwnAnswer.of(route)?.maxBytes ?? 0);
    if (fallback.kind === 'fixed' && this.isNew(fallback.answer)) {
      this.take(new FixedAnswer(fallback.answer, 'fallback_response', [FALLBACK_FIELD]).maxBytes);
    }
    if (this.isNew(match.methods)) this.take(new LastHopAnswer(route).maxBytes);
  }

  private isNew(part: object): boolean {
    if (this.known.has(part)) return false;
    this.known.add(part);
    return true;
  }

  private take(bytes: number): void {
    this.maxBytes = Math.max(this.maxBytes, bytes);
  }
}
