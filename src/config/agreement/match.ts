/**
 * Agreement of matches: within one, and between those of different routes, of which no two may be
 * the same.
 */

import stringify from 'fast-json-stable-stringify';
import { CONDITION_KINDS } from '../assemble/match.ts';
import type { Complaint, KeyPath } from '../problem.ts';
import { factSpelling } from '../schema/certificate-fact.ts';
import type { Condition, Match } from '../schema/match.ts';
import { canMatchPath } from '../schema/reach.ts';
import { checkName, checkOneOf, type IsMended, meaningless, standsAlready } from './seen.ts';

export function checkMatch(path: KeyPath, match: Match, tenants: readonly string[]): Complaint[] {
  const complaints: Complaint[] = [];
  if (match.path.includes('*')) {
    const stem = match.path.replace(/\/?\*.*$/, '') || '/';
    const message = 'has a *, which stands for nothing but itself here';
    const expected = `${stem}, which takes all that lies below it, or path_regex`;
    complaints.push({ severity: 'warning', path: [...path, 'path'], value: JSON.stringify(match.path), message, expected });
  }
  if (match.path_regex !== '' && !canMatchPath(match.path_regex, false)) {
    const message = 'matches no path: a path begins with /, has neither query nor blanks, and the pattern takes the whole of it';
    const expected = 'a pattern such as /v[0-9]+/orders/.*; a query is looked at by query';
    complaints.push({ severity: 'warning', path: [...path, 'path_regex'], value: JSON.stringify(match.path_regex), message, expected });
  }
  if (match.path_regex !== '') {
    if (match.path !== '/') complaints.push(...checkOneOf(path, { path: true, path_regex: true }));
    if (match.exact) complaints.push(meaningless([...path, 'exact'], 'beside path_regex, which takes the whole path', 'path'));
  }
  for (const group of ['headers', 'query', 'cookies'] as const) {
    for (const [name, condition] of Object.entries(match[group])) complaints.push(...checkCondition([...path, group, name], condition));
  }
  complaints.push(...checkCertificate([...path, 'client_certificate'], match.client_certificate));
  if (match.tenant !== '') complaints.push(...checkName([...path, 'tenant'], match.tenant, tenants, 'a tenant'));
  return complaints;
}

/** Conditions on a certificate: a text that no certificate can have is a mistake. */
export function checkCertificate(path: KeyPath, conditions: Readonly<Record<string, Condition>>): Complaint[] {
  return Object.entries(conditions).flatMap(([fact, condition]) => {
    const complaints = checkCondition([...path, fact], condition);
    const { exact } = condition;
    const expected = exact === undefined ? undefined : expectedOf(fact, factSpelling(fact, exact));
    if (expected === undefined) return complaints;
    return [...complaints, { path: [...path, fact], value: JSON.stringify(exact), message: 'is what no certificate has', expected }];
  });
}

/** Undefined where a certificate may have the value. */
function expectedOf(fact: string, value: string): string | undefined {
  if (fact === 'fingerprint' && !/^[0-9a-f]{64}$/.test(value)) return 'SHA-256 of the certificate: 64 hex digits, with colons or without';
  if (fact === 'serial' && !/^[0-9A-F]+$/.test(value)) return 'hex digits, with colons or without';
  return fact === 'verdict' && value !== 'verified' && value !== 'unverified' ? 'verified or unverified' : undefined;
}

function checkCondition(path: KeyPath, condition: Condition): Complaint[] {
  const kinds = [...CONDITION_KINDS, 'present'] as const;
  const given = kinds.filter((kind) => condition[kind] !== undefined);
  if (given.length === 1) return [];
  const expected = `exactly one of ${kinds.join(', ')}`;
  if (given.length === 0) return [{ path, message: 'says nothing of the value', expected }];
  return given.slice(1).map((kind) => ({ path: [...path, kind], isAboutKey: true, message: `stands beside ${given[0]}`, expected }));
}

/**
 * Remembers matches and complains of one that takes what an earlier one takes: equal in every part,
 * and with a method in common.
 */
export class Matches {
  readonly #isMended: IsMended;
  readonly #met = new Map<string, { readonly methods: readonly string[]; readonly where: KeyPath }[]>();

  constructor(isMended: IsMended) {
    this.#isMended = isMended;
  }

  note(match: Match, path: KeyPath, where: KeyPath): Complaint[] {
    if (this.#isMended(path)) return [];
    const key = keyOf(match);
    const same = this.#met.get(key) ?? [];
    if (same.length === 0) this.#met.set(key, same);
    const rival = same.find(({ methods }) => haveCommon(methods, match.methods));
    same.push({ methods: match.methods, where });
    return rival === undefined ? [] : [standsAlready(path, show(match), rival.where, 'route')];
  }
}

/**
 * A match with methods goes before one without; two that both name methods, or both do not, are
 * rivals where these overlap.
 */
function haveCommon(one: readonly string[], other: readonly string[]): boolean {
  if (one.length === 0 || other.length === 0) return one.length === other.length;
  return one.some((method) => other.includes(method));
}

/** Everything but the methods, in one order. */
function keyOf({
  host,
  path,
  exact,
  path_regex: pattern,
  headers,
  query,
  cookies,
  client_certificate: certificate,
  networks,
  tenant,
}: Match): string {
  return stringify([host, path, exact, pattern, headers, query, cookies, certificate, networks.toSorted(), tenant]);
}

function show({ host, path, exact, path_regex: pattern, methods }: Match): string {
  const where = pattern === '' ? `${exact ? 'exactly ' : ''}${host} ${path}` : `${host} ~ ${pattern}`;
  return methods.length === 0 ? where : `${methods.join(',')} ${where}`;
}
