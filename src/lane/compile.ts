/**
 * A snapshot in the form that deciding wants: router, terms of every route, balancers. Made once when a snapshot is applied; exchanges
 * that began under an older one end under it, so a few of these live side by side.
 */

import type { RouteSnapshot, Snapshot } from '../config/snapshot.ts';
import { FORWARD_KEEP_REQUEST_ID, FORWARD_TELL_FAILURES } from '../record/layout.ts';
import type { ForwardTerms } from '../record/write.ts';
import { Backends } from './balance/backends.ts';
import { type Balancer, Members } from './balance/balancer.ts';
import { PeakEwma } from './balance/peak-ewma.ts';
import { RoundRobin } from './balance/round-robin.ts';
import type { Observer } from './observer.ts';
import { compilePlans, EDGE_PLAN } from './plan.ts';
import type { Random } from './random.ts';
import { Router } from './route/router.ts';
import { TAG_NO_ROUTE } from './tag.ts';

/** An upstream ready to pick from. */
export interface UpstreamTerms {
  readonly slots: Int32Array;
  readonly balancer: Balancer;
}

/** A route ready to decide with. */
export interface RouteTerms extends ForwardTerms {
  readonly number: number;
  /** Attempts beside the first. */
  readonly retries: number;
  readonly upstream: UpstreamTerms;
  /** By position of the backend; one entry when all backends share the plan. */
  readonly plans: readonly number[];
}

export interface Compiled {
  /** Which of the snapshots that are alive this is, for tags. */
  readonly epoch: number;
  readonly router: Router;
  readonly routes: readonly RouteTerms[];
  readonly backends: Backends;
  readonly observer: Observer;
}

export interface CompileParts {
  readonly snapshot: Snapshot;
  readonly backendTable: SharedArrayBuffer;
  readonly observer: Observer;
  readonly random: Random;
}

/** Throws a RangeError when the snapshot has more routes than a tag can name. */
export function compile(parts: CompileParts, epoch: number): Compiled {
  const { snapshot, observer } = parts;
  if (snapshot.routes.length >= TAG_NO_ROUTE) throw new RangeError(`${snapshot.routes.length} routes, ${TAG_NO_ROUTE - 1} at most`);
  const decayMs = new Map(snapshot.upstreams.map((upstream) => [upstream.name, upstream.decayMs]));
  const backends = new Backends(
    parts.backendTable,
    snapshot.backends.map(({ slot, upstream }) => ({ slot, decayMs: decayMs.get(upstream) ?? 10_000 })),
  );
  const upstreams = snapshot.upstreams.map((upstream) => {
    const members = new Members(
      upstream.slots.map((slot) => ({ slot, weight: snapshot.backends[slot]!.weight })),
      backends,
    );
    const balancer = upstream.policy === 'round-robin' ? new RoundRobin(members) : new PeakEwma(members, parts.random);
    return { slots: members.slots, balancer };
  });
  const { ofRoute } = compilePlans(snapshot);
  const routes = snapshot.routes.map((route, number) => routeTerms(route, number, upstreams[route.upstream]!, ofRoute[number]!));
  return { epoch, router: new Router(snapshot.routes), routes, backends, observer };
}

/** Plan of `route` towards the backend at `position`. */
export function planOf(route: RouteTerms, position: number): number {
  const plans = route.plans;
  return plans.length === 1 ? plans[0]! : (plans[position] ?? EDGE_PLAN);
}

function routeTerms(route: RouteSnapshot, number: number, upstream: UpstreamTerms, plans: readonly number[]): RouteTerms {
  return {
    number,
    flags: FORWARD_TELL_FAILURES | (route.isRequestIdKept ? FORWARD_KEEP_REQUEST_ID : 0),
    connectTimeoutMs: route.connectTimeoutMs,
    headTimeoutMs: route.headTimeoutMs,
    idleTimeoutMs: route.idleTimeoutMs,
    exchangeTimeoutMs: route.exchangeTimeoutMs,
    maxBodyBytes: route.maxBodyBytes,
    retries: route.retries,
    upstream,
    plans,
  };
}
