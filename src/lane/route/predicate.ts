/**
 * Compiled conditions of a route beyond host and path. Each carries its own description, so that
 * the explanation of a match names the very object that decided it.
 */

import type { CertificateFact } from '../../config/schema/certificate-fact.ts';
import type { ConditionSnapshot, MatchSnapshot } from '../../config/snapshot/match.ts';
import type { HeadReader } from '../../record/read.ts';
import type { Client } from '../head/client.ts';
import { isAt, type Walk } from '../head/fields.ts';
import { Lookups } from '../head/lookups.ts';
import { Networks } from '../head/networks.ts';
import { ValueTest } from './value-test.ts';

export interface Predicate {
  /** One line for people: `header x-canary is "1"`. */
  readonly text: string;
  takes(head: HeadReader, client: Client): boolean;
}

/** All conditions of `match`, the cheap ones first. Routes with equal conditions share the list. */
export function compilePredicates(
  { methods, networks, headers, cookies, query, certificate }: MatchSnapshot,
  lookups: Lookups,
): readonly Predicate[] {
  if (methods.length + networks.length + headers.length + cookies.length + query.length + certificate.length === 0) return NONE;
  return lookups.once('predicates', [methods, networks, headers, cookies, query, certificate], () => [
    ...(methods.length === 0 ? [] : [new MethodPredicate(methods, lookups.bytes)]),
    ...(networks.length === 0 ? [] : [new NetworkPredicate(networks)]),
    ...headers.map((condition) => new ValuePredicate('header', condition, lookups.field(condition.name))),
    ...cookies.map((condition) => new ValuePredicate('cookie', condition, lookups.cookie(condition.name))),
    ...query.map((condition) => new ValuePredicate('query', condition, lookups.query(condition.name))),
    ...certificatePredicates(certificate, lookups),
  ]);
}

/** Conditions on the client's certificate. */
export function certificatePredicates(conditions: readonly ConditionSnapshot[], lookups: Lookups): ValuePredicate[] {
  const walk = (fact: string) => lookups.certificate(fact as CertificateFact);
  return conditions.map((condition) => new ValuePredicate('client certificate', condition, walk(condition.name)));
}
const NONE: readonly Predicate[] = [];

/** The conditions of `match` as text. */
export function conditionsOf(match: MatchSnapshot): string[] {
  return compilePredicates(match, new Lookups(new Uint8Array(0))).map(({ text }) => text);
}

/** The conditions of one certificate as text. */
export function certificateText(conditions: readonly ConditionSnapshot[]): string {
  return certificatePredicates(conditions, new Lookups(new Uint8Array(0)))
    .map(({ text }) => text)
    .join(' and ');
}

class MethodPredicate implements Predicate {
  readonly text: string;
  private readonly methods: readonly Uint8Array[];
  private readonly bytes: Uint8Array;

  constructor(methods: readonly string[], bytes: Uint8Array) {
    this.text = `method is ${methods.join(' or ')}`;
    this.methods = methods.map((method) => Buffer.from(method, 'latin1'));
    this.bytes = bytes;
  }

  takes(head: HeadReader): boolean {
    const { methods, bytes } = this;
    for (let i = 0; i < methods.length; i++) {
      const method = methods[i]!;
      if (method.length === head.methodLength && isAt(bytes, head.methodByte, method)) return true;
    }
    return false;
  }
}

class NetworkPredicate implements Predicate {
  readonly text: string;
  private readonly networks: Networks;

  constructor(blocks: readonly string[]) {
    this.text = `client is in ${blocks.join(' or ')}`;
    this.networks = new Networks(blocks);
  }

  takes(_head: HeadReader, client: Client): boolean {
    return this.networks.has(client.family, client.address);
  }
}

/**
 * A field, cookie or query parameter: one of its values matches, or with `absent` there is none.
 */
class ValuePredicate implements Predicate {
  readonly text: string;
  private readonly walk: Walk;
  private readonly test: ValueTest;
  private readonly isAbsent: boolean;

  constructor(what: string, condition: ConditionSnapshot, walk: Walk) {
    this.text = `${what} ${condition.name} ${wording(condition)}`;
    this.walk = walk;
    this.test = new ValueTest(condition);
    this.isAbsent = condition.kind === 'absent';
  }

  takes(head: HeadReader): boolean {
    const { walk, test, isAbsent } = this;
    walk.begin(head);
    while (walk.next(head)) {
      if (test.takes(walk.bytes, walk.start, walk.length)) return !isAbsent;
    }
    return isAbsent;
  }
}

function wording({ kind, value }: ConditionSnapshot): string {
  if (kind === 'present') return 'is there';
  if (kind === 'absent') return 'is not there';
  if (kind === 'regex') return `matches ${value}`;
  const verbs = { exact: 'is', prefix: 'begins with', suffix: 'ends with', contains: 'contains' } as const;
  return `${verbs[kind]} ${JSON.stringify(value)}`;
}
