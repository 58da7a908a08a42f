/**
 * Head edits compiled from routes: what the reactor does to request heads on their way to a backend
 * and to response heads on their way back. Decisions name a plan by number. Routes with equal edits
 * share one, so ten thousand routes usually need two or three.
 */

import type { ClaimsSnapshot } from '../../config/snapshot/process.ts';

/** One edit, as in the native interface (`BindingEdit`). */
export interface Edit {
  op: 'set' | 'add' | 'append' | 'remove' | 'remove-regex' | 'prefix';
  name: string;
  value: string;
  /** Only for `prefix`. */
  match: string;
}

export interface Plan {
  request: Edit[];
  response: Edit[];
  holdStatuses: number[];
  holdGrpcStatuses: number[];
  isPathCanonical: boolean;
  /** For a request's trailers, which the lane does not see. */
  underscores: ClaimsSnapshot['underscores'];
  underscoreNames: string[];
}

/** Every plan of a snapshot, and which ones each route uses. */
export interface Plans {
  readonly plans: Plan[];
  readonly ofRoute: readonly RoutePlans[];
}

/** The plans of a route as plain data for `RoutePlans`. */
export interface PlanSet {
  readonly plans: readonly (readonly (readonly number[])[])[];
  readonly answerPlan: number;
}

/** A plan with its number. */
export interface NumberedPlan {
  readonly number: number;
  readonly plan: Plan;
}

/** The plans of one route. */
export class RoutePlans {
  /**
   * By target, then by the peer's trust and whether names with an underscore are dropped (`setOf`),
   * then by position; one entry if all positions share a plan.
   */
  readonly plans: PlanSet['plans'];

  /** The plan whose response edits apply to the route's own answers. */
  readonly answerPlan: number;

  constructor({ plans, answerPlan }: PlanSet) {
    this.plans = plans;
    this.answerPlan = answerPlan;
  }

  /** The plan for the backend at `position` of the pool of target number `target`. */
  of(target: number, position: number, trust: number, areUnderscoresDropped = false): number {
    const plans = this.plans[target]![setOf(trust, areUnderscoresDropped)]!;
    return plans.length === 1 ? plans[0]! : (plans[position] ?? EDGE_PLAN);
  }
}

/** Index of a target's plans for peers of this trust (`Client.trust`). */
function setOf(trust: number, areUnderscoresDropped: boolean): number {
  return trust * 2 + (areUnderscoresDropped ? 1 : 0);
}

/** The plan of answers that belong to no route. */
export const EDGE_PLAN = 0;
