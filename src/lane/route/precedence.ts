/**
 * Precedence among routes with the same host and path: first the one with a method, then the one
 * with more header, query, cookie and certificate conditions, then the one with client networks,
 * then the one configured first. `docs/routing.md` documents this for operators.
 */

import type { MatchSnapshot } from '../../config/snapshot/match.ts';
import type { RouteSnapshot } from '../../config/snapshot/route.ts';
import { pathKey } from './path-table.ts';

/**
 * Compares the conditions of two routes: below zero if `a` goes before `b`, zero if their
 * configured order decides.
 */
export function compareConditions(a: MatchSnapshot, b: MatchSnapshot): number {
  return (
    Number(b.methods.length > 0) - Number(a.methods.length > 0) ||
    b.headers.length - a.headers.length ||
    b.query.length - a.query.length ||
    b.cookies.length - a.cookies.length ||
    b.certificate.length - a.certificate.length ||
    Number(b.networks.length > 0) - Number(a.networks.length > 0)
  );
}

/** Whether the route takes every request for its host and path. */
export function isUnconditional(match: MatchSnapshot): boolean {
  const { methods, headers, query, cookies, certificate, networks } = match;
  return methods.length + headers.length + query.length + cookies.length + certificate.length + networks.length === 0;
}

/**
 * Compares how specific hosts are: exact names before wildcards, longer wildcards before shorter
 * ones, any host last.
 */
function compareHosts(a: string, b: string): number {
  return hostRank(b) - hostRank(a) || (a < b ? -1 : a > b ? 1 : 0);
}

function hostRank(host: string): number {
  if (host === '*') return 0;
  return host.startsWith('*.') ? host.length : 1_000;
}

const PATH_RANKS = { exact: 2, regex: 1, prefix: 0 } as const;

/**
 * Exact paths before patterns before prefixes; longer prefixes before shorter ones, patterns as
 * configured.
 */
function comparePaths(a: MatchSnapshot, b: MatchSnapshot): number {
  const difference = PATH_RANKS[b.pathKind] - PATH_RANKS[a.pathKind];
  return difference !== 0 || a.pathKind !== 'prefix' ? difference : pathKey(b).length - pathKey(a).length;
}

/**
 * Numbers of `routes` by precedence: a request that two of them match goes to the earlier one. For
 * display only; the router needs no list.
 */
export function inPrecedence(routes: readonly RouteSnapshot[]): number[] {
  const firstAt = new Map<string, number>();
  const rows = routes.map(({ match }, number) => {
    const place = JSON.stringify([match.tenant, match.host, match.pathKind, pathKey(match)]);
    const first = firstAt.get(place) ?? number;
    firstAt.set(place, first);
    return { match, number, first };
  });
  rows.sort(
    (a, b) =>
      Number(a.match.tenant === -1) - Number(b.match.tenant === -1) ||
      a.match.tenant - b.match.tenant ||
      compareHosts(a.match.host, b.match.host) ||
      comparePaths(a.match, b.match) ||
      a.first - b.first ||
      compareConditions(a.match, b.match) ||
      a.number - b.number,
  );
  return rows.map(({ number }) => number);
}
