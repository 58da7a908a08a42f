/**
 * The compiled router: finds the route of a head. The cost depends on the length of authority and
 * path and on the conditions of the routes at that host and path, not on the number of routes. Of
 * the routes that match, those of the request's tenant go first, then the one with the most
 * specific host (exact, then the longest wildcard, then any); within a host the exact path, then
 * patterns as configured, then the longest prefix; within a host and path `./precedence.ts`
 * decides. A route whose conditions fail is passed over, and the search goes on to less specific
 * paths, then hosts, then to routes of no tenant. Paths are compared as they are in the head, up to
 * the query: they were made canonical before. Hosts are compared without case, port and trailing
 * dot.
 */

import { inSharedMemory } from '../../base/views.ts';
import { inUse } from '../../config/numbering/in-use.ts';
import type { LaneSnapshot } from '../../config/route-table.ts';
import type { HeadReader } from '../../record/read.ts';
import type { Client } from '../head/client.ts';
import type { Lookups } from '../head/lookups.ts';
import { HostTable, type PackedHosts } from './host-table.ts';
import { NO_PATH, type PackedPaths, type PathEntry, PathTable, pathKey } from './path-table.ts';
import { compareConditions, isUnconditional } from './precedence.ts';
import { compilePredicates, type Predicate } from './predicate.ts';
import { NO_TENANT, Tenants } from './tenants.ts';

/** No route matches. */
export const NO_ROUTE = -1;

/** A route that matched by host and path but did not take the request. */
export interface PassedOver {
  readonly route: number;
  /** The first condition that failed, as text. */
  readonly failed: string;
}

export interface Explanation {
  /** Number of the request's tenant, -1 for none. */
  readonly tenant: number;
  /** In the order in which they were tried. */
  readonly passedOver: readonly PassedOver[];
  /** NO_ROUTE if none takes it. */
  readonly route: number;
}

/** The part of a snapshot that matching needs. */
export type RouterSource = Pick<LaneSnapshot, 'routes' | 'tenants' | 'numbering'>;

/** A router that can be posted: its memory is shared. */
export interface PackedRouter {
  readonly sites: number;
  readonly hosts: PackedHosts;
  readonly paths: PackedPaths;
  readonly starts: Int32Array;
  readonly ordered: Int32Array;
}

/** Routes of one tenant, host and path, by precedence. */
interface Place {
  readonly site: number;
  readonly entry: Omit<PathEntry, 'value'>;
  readonly routes: number[];
}

export class Router {
  /** Number of the last head's tenant, -1 for none. */
  tenant = NO_TENANT;

  private readonly bytes: Uint8Array;
  private readonly tenants: Tenants | undefined;
  /** Scopes are tenant + 1. Values are sites: the pairs of tenant and host that routes name. */
  private readonly hosts: HostTable;
  /**
   * A value below `count` is a route without conditions; `count + n` is place number n, whose
   * routes have conditions.
   */
  private readonly paths: PathTable;
  private readonly count: number;
  /** Routes by place: those of place n are from `starts[n]` to `starts[n + 1]`. */
  private readonly starts: Int32Array;
  private readonly ordered: Int32Array;
  /** By route; only the routes used so far. */
  private readonly predicates: (readonly Predicate[] | undefined)[];
  private readonly routes: RouterSource['routes'];
  private readonly lookups: Lookups;
  private readonly sites: number;
  /** While a match is explained: the routes passed over. */
  private trace: PassedOver[] | undefined;

  /** `packed` is used as it is, instead of being built again. */
  constructor(source: RouterSource, lookups: Lookups, packed?: PackedRouter) {
    const { routes, tenants } = source;
    this.bytes = lookups.bytes;
    this.tenants = Tenants.of(source, lookups);
    this.count = routes.length;
    this.routes = routes;
    this.predicates = new Array<undefined>(routes.length).fill(undefined);
    this.lookups = lookups;
    if (packed !== undefined) {
      this.sites = packed.sites;
      this.hosts = new HostTable(packed.hosts, tenants.length + 1);
      this.starts = packed.starts;
      this.ordered = packed.ordered;
      this.paths = new PathTable(packed.paths, packed.sites, this.count);
      return;
    }
    const { sites, places } = placesOf(source);
    this.sites = sites.length;
    this.hosts = new HostTable(
      sites.map(({ tenant, host }, value) => ({ scope: tenant + 1, host, value })),
      tenants.length + 1,
    );
    const starts: number[] = [0];
    const ordered: number[] = [];
    const entries: PathEntry[] = [];
    for (const { entry, routes: here } of places) {
      if (isUnconditional(routes.at(here[0]!)!.match)) {
        entries.push({ ...entry, value: here[0]! });
        continue;
      }
      entries.push({ ...entry, value: this.count + starts.length - 1 });
      ordered.push(...here);
      starts.push(ordered.length);
    }
    this.starts = Int32Array.from(starts);
    this.ordered = Int32Array.from(ordered);
    this.paths = new PathTable(entries, sites.length, this.count);
  }

  pack(): PackedRouter {
    const { sites, hosts, paths, starts, ordered } = this;
    return { sites, hosts: hosts.pack(), paths: paths.pack(), starts: inSharedMemory(starts), ordered: inSharedMemory(ordered) };
  }

  /** The route of `head` from `client`, or NO_ROUTE. */
  match(head: HeadReader, client: Client): number {
    const tenant = this.tenants === undefined ? NO_TENANT : this.tenants.find(head);
    this.tenant = tenant;
    if (tenant !== NO_TENANT && this.hosts.isUsed(tenant + 1)) {
      const route = this.find(tenant + 1, head, client);
      if (route !== NO_ROUTE) return route;
    }
    return this.find(0, head, client);
  }

  /** Matches `head` and reports the routes passed over. */
  explain(head: HeadReader, client: Client): Explanation {
    const passedOver: PassedOver[] = [];
    this.trace = passedOver;
    try {
      const route = this.match(head, client);
      return { tenant: this.tenant, passedOver, route };
    } finally {
      this.trace = undefined;
    }
  }

  private find(scope: number, head: HeadReader, client: Client): number {
    const hosts = this.hosts;
    let candidate = hosts.find(scope, this.bytes, head.authorityByte, head.authorityLength);
    while (candidate > 0) {
      candidate -= 1;
      const route = this.findAt(hosts.found[candidate]!, head, client);
      if (route !== NO_ROUTE) return route;
    }
    return NO_ROUTE;
  }

  private findAt(site: number, head: HeadReader, client: Client): number {
    const paths = this.paths;
    paths.walk(site, this.bytes, head.pathByte, head.pathLength);
    if (paths.exact !== NO_PATH) {
      const route = this.first(paths.exact, head, client);
      if (route !== NO_ROUTE) return route;
    }
    const patterns = paths.patterns;
    for (let i = 0; i < patterns.length; i++) {
      const { pattern, value } = patterns[i]!;
      if (!pattern.takes(this.bytes, head.pathByte, paths.length)) {
        if (this.trace !== undefined) this.pass(value, `path matches ${pattern.text}`);
        continue;
      }
      const route = this.first(value, head, client);
      if (route !== NO_ROUTE) return route;
    }
    for (let i = paths.prefixCount - 1; i >= 0; i--) {
      const route = this.first(paths.prefixes[i]!, head, client);
      if (route !== NO_ROUTE) return route;
    }
    return NO_ROUTE;
  }

  /** The first route for a value of `paths` whose conditions hold. */
  private first(value: number, head: HeadReader, client: Client): number {
    if (value < this.count) return value;
    const place = value - this.count;
    const end = this.starts[place + 1]!;
    for (let i = this.starts[place]!; i < end; i++) {
      const route = this.ordered[i]!;
      const failed = failedOf(this.predicates[route] ?? this.compilePredicates(route), head, client);
      if (failed === undefined) return route;
      if (this.trace !== undefined) this.trace.push({ route, failed: failed.text });
    }
    return NO_ROUTE;
  }

  private compilePredicates(route: number): readonly Predicate[] {
    const predicates = compilePredicates(this.routes.at(route)!.match, this.lookups);
    this.predicates[route] = predicates;
    return predicates;
  }

  /** Notes that all routes of a value were passed over for the same reason. */
  private pass(value: number, failed: string): void {
    const place = value - this.count;
    const routes = place < 0 ? [value] : this.ordered.subarray(this.starts[place]!, this.starts[place + 1]!);
    for (const route of routes) this.trace?.push({ route, failed });
  }
}

/** The first condition that fails; undefined if all hold. */
function failedOf(predicates: readonly Predicate[], head: HeadReader, client: Client): Predicate | undefined {
  for (let i = 0; i < predicates.length; i++) {
    const predicate = predicates[i]!;
    if (!predicate.takes(head, client)) return predicate;
  }
  return undefined;
}

/**
 * Sites and places of `routes`. Omits unreachable routes, because an earlier one of their place
 * takes everything.
 */
function placesOf(source: Pick<LaneSnapshot, 'routes' | 'numbering'>): { sites: { tenant: number; host: string }[]; places: Place[] } {
  const sites: { tenant: number; host: string }[] = [];
  const siteOf = new Map<string, number>();
  const placeOf = new Map<string, Place>();
  const { routes } = source;
  for (const number of inUse(source, 'routes')) {
    const { match } = routes.at(number)!;
    const { tenant, host, pathKind: kind } = match;
    const siteKey = `${tenant} ${host}`;
    const site = siteOf.get(siteKey) ?? sites.push({ tenant, host }) - 1;
    siteOf.set(siteKey, site);
    const path = pathKey(match);
    const key = `${site} ${kind} ${path}`;
    const place = placeOf.get(key);
    if (place === undefined) placeOf.set(key, { site, entry: { site, kind, path }, routes: [number] });
    else place.routes.push(number);
  }
  const places = [...placeOf.values()];
  for (const place of places) {
    // The sort is stable: among equals the configured order stays.
    place.routes.sort((a, b) => compareConditions(routes.at(a)!.match, routes.at(b)!.match));
    const last = place.routes.findIndex((number) => isUnconditional(routes.at(number)!.match));
    if (last !== -1) place.routes.length = last + 1;
  }
  return { sites, places };
}
