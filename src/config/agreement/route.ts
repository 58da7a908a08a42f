/** Agreement within and between routes: where they lead, and what they say about the way. */

import stringify from 'fast-json-stable-stringify';
import type { Complaint, KeyPath } from '../problem.ts';
import { routeNames } from '../route-names.ts';
import type { Config } from '../schema/config.ts';
import { type FieldEdits, MAX_NAME_PATTERNS } from '../schema/edit.ts';
import type { Route } from '../schema/route.ts';
import { formatDuration } from '../units.ts';
import { checkPathKeys, checkRedirect, checkRespond } from './answer.ts';
import { checkQueue } from './limit.ts';
import { checkCertificate, checkMatch, Matches } from './match.ts';
import { checkNever } from './never.ts';
import { checkName, checkOneOf, checkOrder, type IsMended, meaningless, Seen } from './seen.ts';

type Upstreams = Config['upstreams'];

export function checkRoutes({ routes, upstreams, tenants }: Config, isMended: IsMended): Complaint[] {
  const complaints: Complaint[] = [];
  const matches = new Matches(isMended);
  const names = new Seen('route', isMended);
  const called = routeNames(routes);
  const tenantNames = Object.keys(tenants);
  // Most of them are good: what is said of them is nothing, and nothing is put together for it.
  const add = (found: readonly Complaint[]): void => {
    if (found.length > 0) complaints.push(...found);
  };
  for (let place = 0; place < routes.length; place++) {
    const route = routes[place]!;
    const path = ['routes', place] as const;
    const matchPath = [...path, 'match'];
    add(matches.note(route.match, matchPath, path));
    add(names.note(called[place] ?? '', [...path, 'name'], path));
    add(checkMatch(matchPath, route.match, tenantNames));
    add(checkAccess([...path, 'access'], route.access));
    add(checkOutcome(path, route, upstreams));
    if (route.fallback !== undefined) add(checkFallback([...path, 'fallback'], route, upstreams));
    add(checkTries(path, route));
    add(checkNever(path, route, upstreams));
    add(checkQueue([...path, 'limits'], route.limits));
    if (route.request_headers.remove.length > 0) add(checkRemoved([...path, 'request_headers', 'remove'], route.request_headers.remove));
    if (route.response_headers.remove.length > 0) add(checkRemoved([...path, 'response_headers', 'remove'], route.response_headers.remove));
    if (route.rewrite !== undefined) add(checkPathKeys([...path, 'rewrite'], route.rewrite, route.match));
  }
  return complaints;
}

function checkAccess(path: KeyPath, access: Route['access']): Complaint[] {
  return (['client_certificates', 'deny_client_certificates'] as const).flatMap((key) =>
    access[key].flatMap((conditions, place) => {
      const at = [...path, key, place];
      if (Object.keys(conditions).length > 0) return checkCertificate(at, conditions);
      return [{ path: at, message: 'says nothing of the certificate', expected: 'conditions such as verdict: verified' }];
    }),
  );
}

function checkRemoved(path: KeyPath, removed: FieldEdits['remove']): Complaint[] {
  const expected = 'exactly one of name and regex';
  const complaints = removed.flatMap(({ name, regex }, place): Complaint[] => {
    if (name === undefined && regex === undefined) return [{ path: [...path, place], message: 'names no field', expected }];
    if (name === undefined || regex === undefined) return [];
    return [{ path: [...path, place, 'regex'], isAboutKey: true, message: 'stands beside name', expected }];
  });
  const further = removed.flatMap(({ regex }, place) => (regex === undefined ? [] : [{ place, regex }])).slice(MAX_NAME_PATTERNS);
  for (const { place, regex } of further) {
    const most = `${MAX_NAME_PATTERNS} at most; one pattern may have several branches`;
    complaints.push({ path: [...path, place, 'regex'], value: JSON.stringify(regex), message: 'is a pattern too many', expected: most });
  }
  return complaints;
}

function checkOutcome(path: KeyPath, route: Route, upstreams: Upstreams): Complaint[] {
  const { upstream, subset, split, redirect, respond } = route;
  const complaints = checkOneOf(path, {
    upstream: upstream !== '',
    split: split.length > 0,
    redirect: redirect !== undefined,
    respond: respond !== undefined,
  });
  if (upstream !== '') complaints.push(...checkTarget(path, upstream, subset, upstreams));
  else if (Object.keys(subset).length > 0) complaints.push(meaningless([...path, 'subset'], 'without upstream', 'upstream beside it'));
  for (const [place, part] of split.entries())
    complaints.push(...checkTarget([...path, 'split', place], part.upstream, part.subset, upstreams));
  complaints.push(...checkSplit(path, route));
  if (redirect !== undefined) complaints.push(...checkRedirect([...path, 'redirect'], redirect, route.match));
  if (respond !== undefined) complaints.push(...checkRespond([...path, 'respond'], respond));
  if (redirect !== undefined || respond !== undefined) {
    for (const key of ['fallback', 'hedge', 'rewrite'] as const) {
      if (route[key] !== undefined) complaints.push(meaningless([...path, key], 'where no backend is asked', 'upstream or split'));
    }
  }
  return complaints;
}

function checkTarget(path: KeyPath, upstream: string, subset: Route['subset'], upstreams: Upstreams): Complaint[] {
  const unknown = Object.hasOwn(upstreams, upstream)
    ? []
    : checkName([...path, 'upstream'], upstream, Object.keys(upstreams), 'an upstream');
  const wanted = Object.entries(subset);
  const { backends } = upstreams[upstream] ?? { backends: [] };
  const isMet = wanted.length === 0 || backends.some(({ labels }) => wanted.every(([name, value]) => labels[name] === value));
  if (unknown.length > 0 || isMet) return unknown;
  const shown = wanted.map(([name, value]) => `${name}: ${value}`).join(', ');
  const expected = `labels of a backend of ${upstream}`;
  return [{ path: [...path, 'subset'], value: `{ ${shown} }`, message: 'is what no backend is labelled with', expected }];
}

function checkSplit(path: KeyPath, { split, split_by: keys }: Route): Complaint[] {
  const complaints: Complaint[] = [];
  if (split.length > 0 && split.every(({ weight }) => weight === 0)) {
    const message = 'has only weights of 0, so that nothing could be sent';
    complaints.push({ path: [...path, 'split'], message, expected: 'one weight above 0' });
  }
  if (split.length === 0 && keys.length > 0) complaints.push(meaningless([...path, 'split_by'], 'without split', 'split beside it'));
  const parts = new Seen('part', () => false);
  for (const [place, { upstream, subset }] of split.entries()) {
    const where = `split[${place}]`;
    complaints.push(...parts.note(stringify({ upstream, subset }), [...path, 'split', place, 'upstream'], where, upstream));
  }
  return complaints;
}

function checkFallback(path: KeyPath, { fallback, upstream, subset, split }: Route, upstreams: Upstreams): Complaint[] {
  if (fallback === undefined) return [];
  const complaints = checkOneOf(path, { upstream: fallback.upstream !== '', respond: fallback.respond !== undefined });
  if (fallback.respond !== undefined) complaints.push(...checkRespond([...path, 'respond'], fallback.respond));
  if (fallback.upstream === '') return complaints;
  complaints.push(...checkName([...path, 'upstream'], fallback.upstream, Object.keys(upstreams), 'an upstream'));
  const own = upstream === '' ? split : [{ upstream, subset }];
  // Where the route takes a subset only, the whole upstream is something else to fall back to.
  if (own.length > 0 && own.every((target) => target.upstream === fallback.upstream && Object.keys(target.subset).length === 0)) {
    const message = "is the route's own upstream";
    complaints.push({ path: [...path, 'upstream'], value: JSON.stringify(fallback.upstream), message, expected: 'another one' });
  }
  return complaints;
}

function checkTries(path: KeyPath, { retries, hedge }: Route): Complaint[] {
  const where = [...path, 'retries'];
  const complaints = checkOrder(where, ['backoff', retries.backoff], ['max_backoff', retries.max_backoff], formatDuration);
  if (retries.retry_after > 0 && retries.statuses.length === 0) {
    complaints.push(meaningless([...where, 'retry_after'], 'where no status is repeated', 'statuses beside it'));
  }
  if (hedge === undefined) return complaints;
  const { min_delay: least, max_delay: most } = hedge;
  return [...complaints, ...checkOrder([...path, 'hedge'], ['min_delay', least], ['max_delay', most], formatDuration)];
}
