/** The plans of a snapshot, and which of them each route uses. */

import { clientFieldsOf } from '../../config/numbering/in-use.ts';
import type { LaneSnapshot } from '../../config/route-table.ts';
import type { RouteSnapshot, TargetSnapshot } from '../../config/snapshot/route.ts';
import { aimsOf } from './aim.ts';
import { Alike } from './alike.ts';
import { PlanBook } from './book.ts';
import { answerPlan, edit, FORWARDED_NAMES, forwardedEdits, isName, operatorEdits, routePlan } from './edits.ts';
import { type Edit, type NumberedPlan, type Plan, type PlanSet, type Plans, RoutePlans } from './plan.ts';

/** The plans of a snapshot as sent to shards; compiled once for all of them. */
export interface PlanTable {
  /** Plans that the reactor must get before a decision names them; it has the others already. */
  readonly numbered: readonly NumberedPlan[];
  readonly sets: readonly PlanSet[];
  /** By route, an index into `sets`; in shared memory. */
  readonly ofRoute: Uint32Array;
}

/**
 * Fields in which some listener tells backends about client certificates, without duplicates: no
 * client may send them.
 */
export function certificateFields({ listeners }: Pick<LaneSnapshot, 'listeners'>): string[] {
  return [...new Set(listeners.flatMap(({ clientAuth }) => clientAuth.flatMap(({ forward }) => forward.map(({ name }) => name))))];
}

/** Compiles the plans of `snapshot`; a new book gives the same numbers on every thread. */
export function compilePlans(snapshot: LaneSnapshot, book: PlanBook = new PlanBook()): Plans {
  book.turn();
  const number = (plan: Plan, common?: readonly Edit[]): number => book.number(plan, common);
  const known = new Map<string, RoutePlans>();
  const routePlans = (ofTargets: number[][][], answer: number): RoutePlans => {
    const key = JSON.stringify([ofTargets, answer]);
    const plans = known.get(key) ?? new RoutePlans({ plans: ofTargets, answerPlan: answer });
    known.set(key, plans);
    return plans;
  };
  // In the order of `Client.trust`.
  const trusts = ['', ...clientFieldsOf(snapshot)];
  const untold = [...new Set([...FORWARDED_NAMES, ...trusts.filter(isName), ...snapshot.claims.fields])].map((name) =>
    edit('remove', name, ''),
  );
  number(answerPlan(untold, []));
  const dropped = snapshot.claims.underscores === 'drop' ? [edit('remove', '*_*', snapshot.claims.underscoreNames.join(','))] : [];
  const drops = [[], dropped];
  const told = certificateFields(snapshot).map((name) => edit('set', name, `\${client_certificate:${name}}`));
  const commons = new Map<string, Edit[]>();
  /** What the edge says of the client, shared by many routes. */
  const commonOf = (route: RouteSnapshot, believed: string): Edit[] => {
    const key = `${route.forwarded} ${route.forwardedTrusted} ${believed}`;
    const edits = commons.get(key) ?? [...forwardedEdits(snapshot.claims, trusts, route, believed), ...told];
    commons.set(key, edits);
    return edits;
  };
  const alike = new Alike(snapshot);
  const madeOf = (route: RouteSnapshot): RoutePlans => {
    const plansOf = (target: TargetSnapshot, isFallback: boolean): number[][] => {
      const aims = aimsOf(snapshot, route, target, isFallback);
      return trusts.flatMap((believed) => {
        const common = commonOf(route, believed);
        return drops.map((dropped) => aims.map((aim) => number(routePlan(snapshot.claims, [...dropped, ...common], route, aim), common)));
      });
    };
    const ofTargets = route.targets.map((target) => plansOf(target, false));
    if (route.fallback.kind === 'upstream') ofTargets.push(plansOf(route.fallback.target, true));
    return routePlans(ofTargets, number(answerPlan(untold, operatorEdits(route, route.responseEdits, '', ''))));
  };
  const made = new Map<string, RoutePlans>();
  const { routes } = snapshot;
  const ofRoute = Array.from({ length: routes.length }, (_, number) => {
    const route = routes.at(number)!;
    const key = alike.key(route);
    const plans = made.get(key) ?? madeOf(route);
    made.set(key, plans);
    return plans;
  });
  return { plans: book.plans, ofRoute };
}

/** The plans of `snapshot` for shards. `numbered` are those that are new in `book`. */
export function tableOfPlans(snapshot: LaneSnapshot, book: PlanBook): PlanTable {
  const { ofRoute } = compilePlans(snapshot, book);
  const places = new Map<RoutePlans, number>();
  const table = new Uint32Array(new SharedArrayBuffer(ofRoute.length * Uint32Array.BYTES_PER_ELEMENT));
  for (const [route, plans] of ofRoute.entries()) {
    const place = places.get(plans) ?? places.size;
    places.set(plans, place);
    table[route] = place;
  }
  const sets = [...places.keys()].map(({ plans, answerPlan }) => ({ plans, answerPlan }));
  return { numbered: book.takeFresh(), sets, ofRoute: table };
}
