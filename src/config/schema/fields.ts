/**
 * What keys about HTTP take: methods, field names and values, cookies, statuses. Normal forms are
 * those in which heads are compared.
 */

import type { TextRule } from './values.ts';

/** RFC 9110 §5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/**
 * Fields of one connection, which never pass a proxy (RFC 9110 §7.6.1), and those the edge writes
 * by itself.
 */
const RESERVED = new Map([
  ['connection', 'belongs to one connection'],
  ['http2-settings', 'belongs to one connection'],
  ['keep-alive', 'belongs to one connection'],
  ['proxy-connection', 'belongs to one connection'],
  ['te', 'belongs to one connection'],
  ['trailer', 'belongs to one connection'],
  ['transfer-encoding', 'belongs to one connection'],
  ['upgrade', 'belongs to one connection'],
  ['content-length', 'is the length of the body, which is not edited'],
  ['host', "is set by the route's key host"],
]);

/** A method; the registered ones are all upper case (RFC 9110 §9.1). */
export const METHOD_RULE: TextRule = {
  expected: 'a method such as GET',
  range: 'method',
  normalise: (given) => (TOKEN.test(given) && given.length <= 32 ? given.toUpperCase() : undefined),
};

/** Name of a field that is looked at. */
export const FIELD_NAME_RULE: TextRule = {
  expected: 'the name of a header field, such as x-user',
  range: 'field name',
  normalise: (given) => (TOKEN.test(given) && given.length <= 128 ? given.toLowerCase() : undefined),
};

/**
 * Name of a field that is written. A `*` is a character of names like any other, but here it would
 * look like a glob and be none.
 */
export const EDITED_NAME_RULE: TextRule = {
  expected: 'the name of a header field that may be edited: not one of a connection, not host, content-length or a pseudo-header',
  range: 'field name',
  normalise: (given) => (given.includes('*') ? undefined : editedName(given)),
  explain: (given) => (given.includes('*') ? 'has a *, which only stands for any text where fields are removed' : explainReserved(given)),
};

/** Name of a field that is removed, or a glob. */
export const REMOVED_NAME_RULE: TextRule = {
  expected: 'the name of a header field, in which * stands for any text, such as x-internal-*',
  range: 'field name, glob',
  normalise: editedName,
  explain: explainReserved,
};

function editedName(given: string): string | undefined {
  const name = FIELD_NAME_RULE.normalise(given);
  return name === undefined || RESERVED.has(name) ? undefined : name;
}

function explainReserved(given: string): string | undefined {
  if (given.startsWith(':')) return 'is a pseudo-header, which has keys of its own';
  return RESERVED.get(given.toLowerCase());
}

/** Value of a field: printable ASCII (RFC 9110 §5.5, without what receivers only tolerate). */
export const FIELD_VALUE_RULE: TextRule = {
  expected: 'printable ASCII without spaces at its ends',
  range: 'text',
  normalise: (given) => (/^(?:[!-~](?:[\t -~]*[!-~])?)?$/.test(given) && given.length <= 4096 ? given : undefined),
};

/** What `Via` calls the edge: a pseudonym with or without a port (RFC 9110 §7.6.3). */
export const VIA_RULE: TextRule = {
  expected: 'a name of letters, digits, dots and dashes, with or without a port, such as edge or edge.example.com:443',
  range: 'name, name:port',
  normalise: (given) =>
    /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?(?::\d{1,5})?$/.test(given) && given.length <= 128 ? given : undefined,
};

/** Text that a value is compared with. */
export const COMPARED_RULE: TextRule = { ...FIELD_VALUE_RULE, range: 'text' };

/** RFC 6265 §4.1.1. */
export const COOKIE_NAME_RULE: TextRule = {
  expected: 'the name of a cookie: letters, digits and punctuation that needs no quotes',
  range: 'cookie name',
  normalise: (given) => (TOKEN.test(given) && given.length <= 128 ? given : undefined),
};

/** Name of a query parameter, as it stands in the query. */
export const QUERY_NAME_RULE: TextRule = {
  expected: 'the name of a query parameter as it stands in the query, without & = # or spaces',
  range: 'parameter name',
  normalise: (given) => (/^[!-~]+$/.test(given) && !/[&=#]/.test(given) && given.length <= 128 ? given : undefined),
};

/** A status, a range of them, or a class. The normal form is a number or a range. */
export const STATUSES_RULE: TextRule = {
  expected: 'a status from 100 to 599, a range such as 502-504, or a class such as 5xx',
  range: 'status, range, class',
  normalise: (given) => {
    const [first, last] = statusBounds(given) ?? [];
    if (first === undefined || last === undefined || first < 100 || last > 599 || first > last) return undefined;
    return first === last ? String(first) : `${first}-${last}`;
  },
};

function statusBounds(given: string): [number, number] | undefined {
  const hundred = /^([1-5])xx$/i.exec(given)?.[1];
  if (hundred !== undefined) return [Number(hundred) * 100, Number(hundred) * 100 + 99];
  const range = /^(\d{3})(?:-(\d{3}))?$/.exec(given);
  return range === null ? undefined : [Number(range[1]), Number(range[2] ?? range[1])];
}

/** Statuses that a list in normal form names, ascending, each once. */
export function statusesOf(listed: readonly string[]): number[] {
  const all = new Set<number>();
  for (const part of listed) {
    const [first, last] = statusBounds(part) ?? [0, -1];
    for (let status = first; status <= last; status++) all.add(status);
  }
  return [...all].sort((a, b) => a - b);
}

/** Codes of gRPC by number; 0 is success. */
const GRPC_CODES = [
  'ok',
  'cancelled',
  'unknown',
  'invalid_argument',
  'deadline_exceeded',
  'not_found',
  'already_exists',
  'permission_denied',
  'resource_exhausted',
  'failed_precondition',
  'aborted',
  'out_of_range',
  'unimplemented',
  'internal',
  'unavailable',
  'data_loss',
  'unauthenticated',
];

/** A failing gRPC status, by name or number. The normal form is the name. */
export const GRPC_STATUS_RULE: TextRule = {
  expected: 'a failing gRPC status by name or number, such as unavailable or 14',
  range: 'gRPC status',
  normalise: (given) => {
    const number = /^\d{1,2}$/.test(given) ? Number(given) : GRPC_CODES.indexOf(given.toLowerCase().replaceAll('-', '_'));
    return number > 0 ? GRPC_CODES[number] : undefined;
  },
};

/** Numbers of gRPC statuses in normal form, ascending, each once. */
export function grpcStatusesOf(listed: readonly string[]): number[] {
  return [...new Set(listed.map((name) => GRPC_CODES.indexOf(name)))].sort((a, b) => a - b);
}
