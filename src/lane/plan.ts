/**
 * Head edits compiled from routes: what the reactor does to request heads on their way to a backend and to response heads on their way back.
 * Decisions name a plan by number; routes that say the same share one, so ten thousand routes usually need two or three.
 *
 * `${authority}`, `${scheme}` and the client's address are the client's, whatever the edits before them did.
 */

import type { RouteSnapshot, Snapshot } from '../config/snapshot.ts';

/** One edit, as the native border knows it (`BindingEdit`). */
export interface Edit {
  op: 'set' | 'add' | 'append' | 'remove' | 'prefix';
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
}

/** Every plan of a snapshot, and which one each route uses. */
export interface Plans {
  readonly plans: Plan[];
  readonly ofRoute: readonly RoutePlans[];
}

/** The plans of one route. */
export class RoutePlans {
  /** By target, then by whether the peer is trusted, then by position; one entry where all positions share a plan. */
  private readonly plans: readonly (readonly (readonly number[])[])[];

  /** Plan whose response edits apply to the route's own answers. */
  readonly answerPlan: number;

  constructor(plans: readonly (readonly (readonly number[])[])[], answerPlan: number) {
    this.plans = plans;
    this.answerPlan = answerPlan;
  }

  /** Plan towards the backend at `position` of the pool of target number `target`. */
  of(target: number, position: number, isPeerTrusted: boolean): number {
    const plans = this.plans[target]![isPeerTrusted ? 1 : 0]!;
    return plans.length === 1 ? plans[0]! : (plans[position] ?? EDGE_PLAN);
  }
}

/** Lends its response edits to answers that belong to no route. */
export const EDGE_PLAN = 0;

const REQUEST_ID: Edit = { op: 'set', name: 'x-request-id', value: '${request_id}', match: '' };

/** What a proxy before us may have written, and a client may pretend. */
const FORWARDED_NAMES = ['forwarded', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-forwarded-port'];

/** Compiles the plans of `snapshot`; the same snapshot gives the same numbers on every thread. */
export function compilePlans(snapshot: Snapshot): Plans {
  const numbers = new Map<string, number>();
  const plans: Plan[] = [];
  const number = (plan: Plan): number => {
    const key = JSON.stringify(plan);
    const known = numbers.get(key);
    if (known !== undefined) return known;
    numbers.set(key, plans.length);
    return plans.push(plan) - 1;
  };
  number({ request: [], response: [REQUEST_ID], holdStatuses: [], holdGrpcStatuses: [] });
  const ofRoute = snapshot.routes.map((route) => {
    const targets = [...route.targets, ...(route.fallback.kind === 'upstream' ? [route.fallback.target] : [])];
    return new RoutePlans(
      targets.map((target) =>
        [false, true].map((isPeerTrusted) =>
          routeAuthorities(snapshot, route, target.upstream).map((authority) => number(routePlan(route, authority, isPeerTrusted))),
        ),
      ),
      EDGE_PLAN,
    );
  });
  return { plans, ofRoute };
}

/** Authorities to send instead of the client's, one a backend; a single undefined where the client's is kept. */
function routeAuthorities(snapshot: Snapshot, route: RouteSnapshot, upstream: number): (string | undefined)[] {
  if (route.hostPolicy === 'keep') return [undefined];
  if (route.hostPolicy === 'set') return [route.host];
  const slots = snapshot.upstreams[upstream]?.slots ?? [];
  return slots.map((slot) => {
    const { host, port, scheme } = snapshot.backends[slot]!;
    const name = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
    return port === (scheme === 'https' ? 443 : 80) ? name : `${name}:${port}`;
  });
}

function routePlan(route: RouteSnapshot, authority: string | undefined, isPeerTrusted: boolean): Plan {
  const request = [...forwardedEdits(route, isPeerTrusted), REQUEST_ID];
  if (authority !== undefined) request.push({ op: 'set', name: ':authority', value: authority, match: '' });
  const { statuses, grpcStatuses } = route.retries.on;
  return { request, response: [REQUEST_ID], holdStatuses: [...statuses], holdGrpcStatuses: [...grpcStatuses] };
}

/** X-Forwarded-… by custom, Forwarded by RFC 7239 §4; a trusted client's are appended to, any other's are dropped first. */
function forwardedEdits(route: RouteSnapshot, isPeerTrusted: boolean): Edit[] {
  const op = isPeerTrusted && route.forwardedTrusted === 'append' ? 'append' : 'set';
  const edits: Edit[] = op === 'append' ? [] : FORWARDED_NAMES.map((name) => ({ op: 'remove', name, value: '', match: '' }));
  if (route.forwarded === 'x-forwarded' || route.forwarded === 'both') {
    edits.push({ op, name: 'x-forwarded-for', value: '${client_address}', match: '' });
    edits.push({ op, name: 'x-forwarded-proto', value: '${scheme}', match: '' });
    edits.push({ op, name: 'x-forwarded-host', value: '${authority}', match: '' });
  }
  if (route.forwarded === 'forwarded' || route.forwarded === 'both') {
    edits.push({ op, name: 'forwarded', value: 'for=${forwarded_node};host="${authority}";proto=${scheme}', match: '' });
  }
  return edits;
}
