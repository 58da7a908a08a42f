/** What a route of a snapshot takes. */

import { factSpelling } from '../schema/certificate-fact.ts';
import type { Condition, Match } from '../schema/match.ts';
import type { ConditionSnapshot, MatchSnapshot } from '../snapshot/match.ts';
import { madeOnce } from './once.ts';

/** A match; `tenant` is the place of its tenant, -1 for none. */
export function matchSnapshot(match: Match, tenant: number): MatchSnapshot {
  const isPattern = match.path_regex !== '';
  return {
    host: match.host,
    path: isPattern ? match.path_regex : match.path,
    pathKind: isPattern ? 'regex' : match.exact ? 'exact' : 'prefix',
    methods: match.methods,
    headers: conditionSnapshots(match.headers),
    query: conditionSnapshots(match.query),
    cookies: conditionSnapshots(match.cookies),
    certificate: certificateSnapshots(match.client_certificate),
    networks: match.networks,
    tenant,
  };
}

/** Kinds of conditions in the order of their keys. */
export const CONDITION_KINDS = ['exact', 'prefix', 'suffix', 'contains', 'regex'] as const;

/** Conditions on a certificate; a wildcard of names is what they end with. */
export const certificateSnapshots = madeOnce((conditions: Readonly<Record<string, Condition>>): readonly ConditionSnapshot[] =>
  conditionSnapshots(conditions).map(({ name, kind, value }): ConditionSnapshot => {
    const spelled = kind === 'regex' ? value : factSpelling(name, value);
    if (name === 'dns' && kind === 'exact' && spelled.startsWith('*.')) return { name, kind: 'suffix', value: spelled.slice(1) };
    return { name, kind, value: spelled };
  }),
);

const conditionSnapshots = madeOnce((conditions: Readonly<Record<string, Condition>>): readonly ConditionSnapshot[] =>
  Object.entries(conditions).map(([name, condition]) => {
    if (condition.present !== undefined) return { name, kind: condition.present ? 'present' : 'absent', value: '' };
    const kind = CONDITION_KINDS.find((candidate) => condition[candidate] !== undefined);
    // Without any key only its presence is left to be asked for; the agreement between keys refuses
    // that before.
    return kind === undefined ? { name, kind: 'present', value: '' } : { name, kind, value: condition[kind] ?? '' };
  }),
);
