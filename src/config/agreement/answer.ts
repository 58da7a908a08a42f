/** Agreement within redirects, answers and changes of paths. */

import type { Complaint, KeyPath } from '../problem.ts';
import type { PathKeys, Redirect, Respond } from '../schema/answer.ts';
import type { Match } from '../schema/match.ts';
import { groupsOf, highestGroup } from '../schema/pattern.ts';
import { canMatchPath } from '../schema/reach.ts';
import { meaningless } from './seen.ts';

/** Statuses without a body (RFC 9110 §15.3.5, §15.4.5). */
const BODILESS: readonly number[] = [204, 205, 304];

/**
 * Bytes of an answer's fields, which many clients take no more of in a head and a record of the
 * lane has room for.
 */
const MAX_FIELD_BYTES = 16_384;

export function checkRespond(path: KeyPath, { status, headers, body }: Respond): Complaint[] {
  const complaints: Complaint[] = [];
  if (body !== '' && BODILESS.includes(status)) complaints.push(meaningless([...path, 'body'], `with ${status}, which has none`));
  // Counted as RFC 9114 §4.2.2 does.
  const bytes = Object.entries(headers).reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
  if (bytes > MAX_FIELD_BYTES) {
    complaints.push({
      path: [...path, 'headers'],
      isAboutKey: true,
      value: `${Object.keys(headers).length} fields`,
      message: `take ${bytes} bytes`,
      expected: `up to ${MAX_FIELD_BYTES}, names, values and 32 bytes for each field counted`,
    });
  }
  return complaints;
}

export function checkRedirect(path: KeyPath, redirect: Redirect, match: Match): Complaint[] {
  const { scheme, host, port, path: fixed } = redirect;
  const isPathEdited = hasPrefix(redirect) || redirect.regex !== '' || redirect.replacement !== '';
  if (fixed !== '' && isPathEdited) {
    const key = redirect.regex !== '' ? 'regex' : redirect.strip_prefix !== '' ? 'strip_prefix' : 'replace_prefix';
    return [meaningless([...path, key], 'beside path', 'one way to change the path')];
  }
  if (isPathEdited) return checkPathKeys(path, redirect, match);
  if (scheme === 'keep' && host === '' && port === 0 && fixed === '') {
    return [{ path, message: 'leads to where the request came from', expected: 'scheme, host, port, or another path' }];
  }
  return [];
}

export function checkPathKeys(path: KeyPath, keys: PathKeys, match: Match): Complaint[] {
  const { regex, replacement } = keys;
  if (regex === '') {
    if (replacement !== '') return [meaningless([...path, 'replacement'], 'without regex', 'regex beside it')];
    return hasPrefix(keys) ? checkPrefix(path, keys, match) : [{ path, message: 'changes nothing', expected: WAYS }];
  }
  if (hasPrefix(keys)) {
    const key = keys.strip_prefix !== '' ? 'strip_prefix' : 'replace_prefix';
    return [{ path: [...path, key], isAboutKey: true, message: 'stands beside regex', expected: WAYS }];
  }
  const [groups, asked] = [groupsOf(regex), highestGroup(replacement)];
  if (asked <= groups) {
    if (canMatchPath(regex, true)) return [];
    const message = 'is found in no path: a path has neither query nor blanks';
    return [
      { severity: 'warning', path: [...path, 'regex'], value: JSON.stringify(regex), message, expected: 'a pattern of the path alone' },
    ];
  }
  const expected = groups === 0 ? 'no $, as the pattern has no groups' : `at most $${groups}`;
  return [{ path: [...path, 'replacement'], value: JSON.stringify(replacement), message: `asks for group ${asked}`, expected }];
}

const WAYS = 'either strip_prefix and replace_prefix, or regex and replacement';

function checkPrefix(path: KeyPath, { strip_prefix: stripped }: PathKeys, match: Match): Complaint[] {
  if (match.path_regex !== '') {
    if (stripped !== '') return [];
    return [
      { path: [...path, 'strip_prefix'], message: 'is missing', expected: 'the prefix that is replaced, as the route matches by pattern' },
    ];
  }
  // A longer prefix than the matched one changes some of the requests; one that lies elsewhere
  // changes none.
  if (stripped === '' || isBelow(match.path, stripped) || (!match.exact && isBelow(stripped, match.path))) return [];
  const message = 'is never at the front of a path that this route takes';
  return [{ path: [...path, 'strip_prefix'], value: JSON.stringify(stripped), message, expected: `${match.path}, or a part of it` }];
}

/** True when `path` is `prefix` or lies below it. */
function isBelow(path: string, prefix: string): boolean {
  return path === prefix || path.startsWith(prefix.endsWith('/') ? prefix : `${prefix}/`);
}

function hasPrefix(keys: PathKeys): boolean {
  return keys.strip_prefix !== '' || keys.replace_prefix !== '';
}
