/** Answers and edits of the routes of a snapshot. */

import type { PathKeys, Redirect, Respond } from '../schema/answer.ts';
import type { FieldEdits } from '../schema/edit.ts';
import type { Route } from '../schema/route.ts';
import type { EditSnapshot, FixedSnapshot, PathEditSnapshot, RedirectSnapshot } from '../snapshot/route.ts';
import { madeOnce } from './once.ts';

/** An answer; its body becomes the bytes of UTF-8, a character each. */
export function fixedSnapshot({ status, headers, body }: Respond): FixedSnapshot {
  const fields = Object.entries(headers);
  if (body !== '' && !('content-type' in headers)) fields.push(['content-type', 'text/plain; charset=utf-8']);
  return { status, fields, body: Buffer.from(body, 'utf8').toString('latin1') };
}

export function redirectSnapshot(redirect: Redirect, route: Pick<Route, 'match'>): RedirectSnapshot {
  const { status, scheme, host, port, path } = redirect;
  return {
    status,
    scheme: scheme === 'keep' ? '' : scheme,
    host,
    port,
    path: path === '' ? pathEditSnapshot(redirect, route) : { kind: 'regex', pattern: '^.*$', replacement: path },
    isQueryKept: redirect.keep_query,
  };
}

/** How a path is changed; a prefix that is not named is the one the route matched. */
export function pathEditSnapshot(keys: PathKeys, { match }: Pick<Route, 'match'>): PathEditSnapshot {
  const { strip_prefix: stripped, replace_prefix: replacement, regex } = keys;
  if (regex !== '') return { kind: 'regex', pattern: regex, replacement: keys.replacement };
  if (stripped === '' && replacement === '') return { kind: 'keep' };
  return { kind: 'prefix', prefix: stripped === '' ? match.path : stripped, replacement };
}

/** In the order in which they are documented: removed, set, added, appended. */
export const editSnapshots = madeOnce(({ remove, set, add, append }: FieldEdits): readonly EditSnapshot[] => {
  const edits = (op: 'set' | 'add' | 'append', values: Readonly<Record<string, string>>): EditSnapshot[] =>
    Object.entries(values).map(([name, value]) => ({ op, name, value }));
  return [
    ...remove.flatMap(({ name }): EditSnapshot[] => (name === undefined ? [] : [{ op: 'remove', name, value: '' }])),
    ...patternEdits(remove.flatMap(({ regex }) => (regex === undefined ? [] : [regex]))),
    ...edits('set', set),
    ...edits('add', add),
    ...edits('append', append),
  ];
});

/** All patterns as one, so that a name is looked at once. */
function patternEdits(patterns: readonly string[]): EditSnapshot[] {
  if (patterns.length === 0) return [];
  return [{ op: 'remove-regex', name: patterns.length === 1 ? patterns[0]! : patterns.map((one) => `(?:${one})`).join('|'), value: '' }];
}
