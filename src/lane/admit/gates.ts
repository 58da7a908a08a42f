/**
 * The gates of a snapshot: what limits routes, tenants and upstreams. One that has no limits has no
 * gate.
 */

import { reasonNumber } from '../../base/errors.ts';
import type { Steps } from '../../base/steps.ts';
import type { LaneSnapshot } from '../../config/route-table.ts';
import type { UpstreamSnapshot } from '../../config/snapshot/upstream.ts';
import type { DecisionWriter } from '../../record/write.ts';
import type { Lookups } from '../head/lookups.ts';
import type { Observer } from '../observer.ts';
import { HAS_PLACES, isOpen, PRIORITY_SHIFT } from '../tables.ts';
import { AccessList } from './access-list.ts';
import type { Lives } from './life.ts';
import { isGuarded, OverloadGuard } from './overload/guard.ts';
import { hasEarlier, Place, placeLayout, placeOfRoute, placeOfTenant, placeOfUpstream } from './places.ts';
import { Bulkhead, type BulkheadParts } from './queue/bulkhead.ts';
import { UpstreamGate } from './upstream-gate.ts';

const ROUTE_FULL = reasonNumber('route_full');

/** Places of an earlier worker that no exchange has returned after this time are written off. */
const WRITE_OFF_MS = 60_000;

/** The limits of a route. */
export interface RouteGate {
  readonly access: AccessList | undefined;
  readonly bulkhead: Bulkhead | undefined;
}

/** The limits of a tenant. */
export interface TenantGate {
  readonly place: Place | undefined;
  readonly max: number;
}

export interface GateParts {
  readonly snapshot: LaneSnapshot;
  /** By route, as `LaneTables.gates` has it. */
  readonly gates: Uint8Array;
  /** The table of places. */
  readonly table: SharedArrayBuffer;
  readonly observer: Observer;
  readonly writer: DecisionWriter;
  readonly lookups: Lookups;
  readonly lives: Lives;
  readonly nowMs: number;
}

export class Gates {
  readonly tenants: readonly (TenantGate | undefined)[];
  readonly upstreams: (UpstreamGate | undefined)[] = [];
  /** Guards of upstreams that have no limits of their own. */
  readonly guards: (OverloadGuard | undefined)[] = [];
  /** Bulkheads and guards that could not wake all they have places for. */
  readonly owed: BulkheadParts['owed'] = [];

  /** Gates by route; undefined for routes without limits and routes that were never asked for. */
  private readonly routes: (RouteGate | undefined)[];
  private readonly ofRoutes: Uint8Array;
  private readonly makeGate: (route: number) => RouteGate;
  private readonly isOwedByRoute: (route: number) => boolean;
  private writeOffAtMs = 0;

  /** Upstream by upstream. */
  static *compile(parts: GateParts): Steps<Gates> {
    const gates = new Gates(parts);
    const addUpstream = gates.upstreamsOf(parts);
    for (const [number, upstream] of parts.snapshot.upstreams.entries()) {
      addUpstream(upstream, number);
      yield;
    }
    parts.lives.forgetOthers(parts.snapshot);
    return gates;
  }

  private constructor({ snapshot, gates, table, writer, lookups, lives }: GateParts) {
    const place = (number: number): Place => new Place(table, snapshot, lives.shard, number);
    const { owed } = this;
    this.routes = new Array<undefined>(snapshot.routes.length).fill(undefined);
    this.ofRoutes = gates;
    this.makeGate = (number) => {
      const route = snapshot.routes.at(number)!;
      const access = AccessList.of(route.access, lookups);
      if (route.bulkhead.max === 0) return { access, bulkhead: undefined };
      const parts = { place: place(placeOfRoute(number)), writer, shards: snapshot.shards.count, owed };
      return { access, bulkhead: new Bulkhead(parts, route.bulkhead, 1, ROUTE_FULL) };
    };
    const isOwed = hasEarlier(table, snapshot, lives.shard);
    this.isOwedByRoute = (route) => isOwed(placeOfRoute(route));
    this.tenants = snapshot.tenants.map(({ maxInFlight, rateLimits }, number): TenantGate | undefined => {
      if (maxInFlight === 0 && rateLimits.length === 0) return undefined;
      return { place: maxInFlight === 0 ? undefined : place(placeOfTenant(snapshot, number)), max: maxInFlight };
    });
  }

  private upstreamsOf(parts: GateParts): (upstream: UpstreamSnapshot, number: number) => void {
    const { snapshot, table, writer, lives, observer, nowMs } = parts;
    const { upstreams, guards, owed } = this;
    const layout = placeLayout(snapshot);
    const place = (number: number): Place => new Place(table, snapshot, lives.shard, placeOfUpstream(snapshot, number));
    return (upstream, number) => {
      const gateParts = () => ({ place: place(number), writer, shards: snapshot.shards.count, owed, table, layout, observer });
      upstreams.push(UpstreamGate.of(gateParts, upstream, number));
      if (!isGuarded(upstream)) guards.push(undefined);
      else {
        const queue = lives.queueOf(upstream, nowMs);
        guards.push(new OverloadGuard({ place: place(number), writer, observer, queue, owed }, upstream.overload, number));
      }
    };
  }

  /** Undefined if nothing limits the route. */
  ofRoute(route: number): RouteGate | undefined {
    if (isOpen(this.ofRoutes, route)) return undefined;
    this.routes[route] ??= this.makeGate(route);
    return this.routes[route];
  }

  priorityOf(route: number): number {
    return this.ofRoutes[route]! >> PRIORITY_SHIFT;
  }

  /** Wakes those for whom there was no room in the turn before. */
  grantOwed(nowMs: number): void {
    const { owed } = this;
    const count = owed.length;
    for (let i = 0; i < count; i++) owed[i]!.grantOwed(nowMs);
    owed.splice(0, count);
  }

  /** Tells when limiting and shedding have ended, and writes off what earlier workers took. */
  sweep(nowMs: number): void {
    if (this.writeOffAtMs === 0) this.writeOffAtMs = nowMs + WRITE_OFF_MS;
    else if (nowMs >= this.writeOffAtMs) this.writeOff();
    for (const gate of this.upstreams) gate?.sweep(nowMs);
    for (const guard of this.guards) guard?.sweep(nowMs);
  }

  private writeOff(): void {
    this.writeOffAtMs = Number.POSITIVE_INFINITY;
    // Gates of routes that nobody asked for would be made here, thousands at once.
    for (let route = 0; route < this.ofRoutes.length; route++) {
      if ((this.ofRoutes[route]! & HAS_PLACES) !== 0 && this.isOwedByRoute(route)) this.ofRoute(route)?.bulkhead?.place.writeOff();
    }
    for (const gate of this.upstreams) gate?.bulkhead.place.writeOff();
    for (const gate of this.tenants) gate?.place?.writeOff();
  }
}
