/**
 * Head edits compiled from routes: what the reactor does to request heads on their way to a backend and to response heads on their way back.
 * Decisions name a plan by number; routes that say the same share one, so ten thousand routes usually need two or three.
 *
 * `${authority}`, `${scheme}` and the client's address are the client's, whatever the edits before them did.
 */

import type { RouteSnapshot, Snapshot } from '../config/snapshot.ts';

/** One edit, as the native border knows it (`BindingEdit`). */
export interface Edit {
  op: 'set' | 'append' | 'remove';
  name: string;
  value: string;
}

export interface Plan {
  request: Edit[];
  response: Edit[];
}

/** Every plan of a snapshot, and which one each route uses. */
export interface Plans {
  readonly plans: Plan[];
  /** By route: plan by position of the backend in the upstream; one entry when they are all the same. */
  readonly ofRoute: readonly (readonly number[])[];
}

/** Lends its response edits to answers that belong to no route. */
export const EDGE_PLAN = 0;

const REQUEST_ID: Edit = { op: 'set', name: 'x-request-id', value: '${request_id}' };

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
  number({ request: [], response: [REQUEST_ID] });
  const ofRoute = snapshot.routes.map((route) => routeAuthorities(snapshot, route).map((authority) => number(routePlan(route, authority))));
  return { plans, ofRoute };
}

/** Authorities to send instead of the client's, one a backend; a single undefined where the client's is kept. */
function routeAuthorities(snapshot: Snapshot, route: RouteSnapshot): (string | undefined)[] {
  if (route.hostPolicy === 'keep') return [undefined];
  const slots = snapshot.upstreams[route.upstream]?.slots ?? [];
  return slots.map((slot) => {
    const { host, port, scheme } = snapshot.backends[slot]!;
    const name = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
    return port === (scheme === 'https' ? 443 : 80) ? name : `${name}:${port}`;
  });
}

function routePlan(route: RouteSnapshot, authority: string | undefined): Plan {
  const request = [...forwardedEdits(route), REQUEST_ID];
  if (authority !== undefined) request.push({ op: 'set', name: ':authority', value: authority });
  return { request, response: [REQUEST_ID] };
}

/** X-Forwarded-… by custom, Forwarded by RFC 7239 §4; a trusted client's are appended to, any other's are dropped first. */
function forwardedEdits(route: RouteSnapshot): Edit[] {
  const op = route.forwardedTrust ? 'append' : 'set';
  const edits: Edit[] = route.forwardedTrust ? [] : FORWARDED_NAMES.map((name) => ({ op: 'remove', name, value: '' }));
  if (route.forwarded === 'x-forwarded' || route.forwarded === 'both') {
    edits.push({ op, name: 'x-forwarded-for', value: '${client_address}' });
    edits.push({ op, name: 'x-forwarded-proto', value: '${scheme}' });
    edits.push({ op, name: 'x-forwarded-host', value: '${authority}' });
  }
  if (route.forwarded === 'forwarded' || route.forwarded === 'both') {
    edits.push({ op, name: 'forwarded', value: 'for=${forwarded_node};host="${authority}";proto=${scheme}' });
  }
  return edits;
}
