/**
 * The compiled router: authority and path of a head to a route's number, at a cost that depends on how long they are and not on how many
 * routes there are.
 *
 * Of the routes that match, the one with the most exact host wins (exact, then the longest wildcard, then any), and among those of the same
 * host the exact path, then the longest prefix. A host whose paths do not match is not the end: the next less exact host is asked. Of two routes that say
 * the same, the first stands. Paths are compared as sent, byte for byte, up to the query; hosts without case, port and trailing dot.
 */

import type { RouteSnapshot, TenantSnapshot } from '../../config/snapshot.ts';
import type { HeadReader } from '../../record/read.ts';
import type { Client } from '../head/client.ts';
import { ByteTable, HASH_START, hashByte } from './byte-table.ts';

/** What the router needs to know of a route (`RouteSnapshot` has it). */
export interface RouteMatch {
  /** Lower case, no port; `*.a.test` for a wildcard of one or more labels; `*` for any. */
  readonly host: string;
  readonly path: string;
  readonly pathKind: 'prefix' | 'exact';
}

/** No route matches. */
export const NO_ROUTE = -1;

const SLASH = 0x2f;
const QUERY = 0x3f;
const COLON = 0x3a;
const DOT = 0x2e;
const BRACKET = 0x5d;
/** Names are at most 253 bytes (RFC 1035 §3.1); a longer authority can only match routes of any host. */
const MAX_HOST_BYTES = 255;
/** Every second byte of a name can be a dot. */
const MAX_CANDIDATES = MAX_HOST_BYTES / 2 + 3;

export class Router {
  /** Whole names, and the names behind `*.`, to the site of their routes. Hashed from the last byte to the first. */
  private readonly names: ByteTable;
  private readonly suffixes: ByteTable;
  private readonly anySite: number;
  /** Paths by site, hashed from the first byte to the last. */
  private readonly exacts: ByteTable;
  private readonly prefixes: ByteTable;
  /** Longest path of a site: what lies behind it in a request's path need not be walked. */
  private readonly longestOfSite: Int32Array;
  /** Route of `/` as a prefix, by site, or NO_ROUTE: the most usual route, known without asking. */
  private readonly rootOfSite: Int32Array;

  /** Scratch: the host without case, and the sites that could answer, from the least exact to the most. */
  private readonly host = new Uint8Array(MAX_HOST_BYTES);
  private readonly candidates = new Int32Array(MAX_CANDIDATES);

  /** Place of the tenant the last head belonged to, -1 for none. */
  tenant = -1;

  private readonly bytes: Uint8Array;

  constructor(snapshots: readonly RouteSnapshot[], _tenants: readonly TenantSnapshot[], bytes: Uint8Array) {
    this.bytes = bytes;
    const routes: RouteMatch[] = snapshots.map(({ match }) => ({
      host: match.host,
      path: match.path,
      pathKind: match.pathKind === 'exact' ? 'exact' : 'prefix',
    }));
    const sites = [...new Set(routes.map((route) => route.host))];
    const siteOf = new Map(sites.map((host, site) => [host, site]));
    this.names = new ByteTable(sites.length);
    this.suffixes = new ByteTable(sites.length);
    this.anySite = siteOf.get('*') ?? -1;
    for (const [host, site] of siteOf) this.addHost(host, site);

    this.exacts = new ByteTable(routes.length);
    this.prefixes = new ByteTable(routes.length);
    this.longestOfSite = new Int32Array(sites.length);
    this.rootOfSite = new Int32Array(sites.length).fill(NO_ROUTE);
    for (const [number, route] of routes.entries()) this.addPath(siteOf.get(route.host)!, route, number);
  }

  /** Route of `head` from `client`, or NO_ROUTE. */
  match(head: HeadReader, _client: Client): number {
    return this.find(this.bytes, head.authorityByte, head.authorityLength, head.pathByte, head.pathLength);
  }

  /** Route of the authority and path (with or without query) that lie in `bytes`, or NO_ROUTE. */
  private find(bytes: Uint8Array, authority: number, authorityLength: number, path: number, pathLength: number): number {
    let candidate = this.findSites(bytes, authority, authorityLength);
    while (candidate > 0) {
      candidate -= 1;
      const route = this.findPath(this.candidates[candidate]!, bytes, path, pathLength);
      if (route !== NO_ROUTE) return route;
    }
    return NO_ROUTE;
  }

  /** Fills `candidates` and says how many there are. */
  private findSites(bytes: Uint8Array, start: number, length: number): number {
    const candidates = this.candidates;
    let count = 0;
    if (this.anySite !== -1) candidates[count++] = this.anySite;
    const end = hostEnd(bytes, start, length);
    const size = end - start;
    if (size <= 0 || size > MAX_HOST_BYTES) return count;

    const host = this.host;
    let hash = HASH_START;
    for (let i = size - 1; i >= 0; i--) {
      let byte = bytes[start + i]!;
      if (byte >= 0x41 && byte <= 0x5a) byte |= 0x20;
      host[i] = byte;
      // What follows a dot is a suffix that a wildcard may stand before; going left, each one found is longer than the last.
      if (byte === DOT && i > 0) {
        const site = this.suffixes.find(hash, 0, host, i + 1, size - i - 1);
        if (site !== -1) candidates[count++] = site;
      }
      hash = hashByte(hash, byte);
    }
    const site = this.names.find(hash, 0, host, 0, size);
    if (site !== -1) candidates[count++] = site;
    return count;
  }

  private findPath(site: number, bytes: Uint8Array, start: number, length: number): number {
    const longest = this.longestOfSite[site]!;
    let found = this.rootOfSite[site]!;
    let hash = HASH_START;
    let i = 0;
    for (; i < length; i++) {
      const byte = bytes[start + i]!;
      if (byte === QUERY) break;
      if (i > longest) return found;
      if (byte === SLASH && i > 0) {
        const route = this.prefixes.find(hash, site, bytes, start, i);
        if (route !== -1) found = route;
      }
      hash = hashByte(hash, byte);
    }
    if (i > longest) return found;
    const exact = this.exacts.find(hash, site, bytes, start, i);
    if (exact !== -1) return exact;
    const route = this.prefixes.find(hash, site, bytes, start, i);
    return route === -1 ? found : route;
  }

  private addHost(host: string, site: number): void {
    if (host === '*') return;
    const isWildcard = host.startsWith('*.');
    const name = Buffer.from(isWildcard ? host.slice(2) : host, 'latin1');
    (isWildcard ? this.suffixes : this.names).set(name.reduceRight(hashByte, HASH_START), 0, name, site);
  }

  private addPath(site: number, route: RouteMatch, number: number): void {
    const isExact = route.pathKind === 'exact';
    // `/a/` as a prefix says the same as `/a`: both stand for the segment.
    const path = Buffer.from(isExact ? route.path : route.path.replace(/\/+$/, ''), 'latin1');
    if (path.length === 0) {
      if (this.rootOfSite[site] === NO_ROUTE) this.rootOfSite[site] = number;
      return;
    }
    (isExact ? this.exacts : this.prefixes).set(path.reduce(hashByte, HASH_START), site, path, number);
    this.longestOfSite[site] = Math.max(this.longestOfSite[site]!, path.length);
  }
}

/** End of the host within an authority: before the port, if any, and before one trailing dot. `[::1]:443` keeps its brackets. */
function hostEnd(bytes: Uint8Array, start: number, length: number): number {
  let end = start + length;
  for (let i = end - 1; i >= start; i--) {
    const byte = bytes[i]!;
    if (byte === COLON) {
      end = i;
      break;
    }
    if (byte < 0x30 || byte > 0x39 || byte === BRACKET) break;
  }
  return end > start && bytes[end - 1] === DOT ? end - 1 : end;
}
