/**
 * Keys that tell one request from another, for hashing, sticking and limiting, as they are written:
 * `client/24`, `header:x-user`.
 */

import type { KeySnapshot } from '../snapshot/key.ts';
import { CERTIFICATE_FACT_RULE } from './certificate-fact.ts';
import { COOKIE_NAME_RULE, FIELD_NAME_RULE, QUERY_NAME_RULE } from './fields.ts';
import type { TextRule } from './values.ts';

const NAMED: Readonly<Record<string, TextRule>> = {
  header: FIELD_NAME_RULE,
  cookie: COOKIE_NAME_RULE,
  query: QUERY_NAME_RULE,
  certificate: CERTIFICATE_FACT_RULE,
};

/** Of an IPv6 address that says who it is: whoever has one has the whole network (RFC 6177). */
const PREFIX6 = 64;

const PLAIN: readonly string[] = ['path', 'authority', 'method', 'connection', 'tenant', 'route'];

/** A key as text. */
export const KEY_RULE: TextRule = {
  expected:
    'client (or client/24, client/24,56 for prefixes of IPv4 and IPv6; 32 and 64 where they are left out), header:NAME, cookie:NAME, query:NAME, certificate:FACT (fingerprint, subject, dns, uri and others), path, authority, method, connection, tenant or route',
  range:
    '`client`, `client/24,56`, `header:NAME`, `cookie:NAME`, `query:NAME`, `certificate:FACT`, `path`, `authority`, `method`, `connection`, `tenant`, `route`',
  normalise: (given) => {
    const key = readKey(given);
    return key === undefined ? undefined : writeKey(key);
  },
};

/** Of these keys the one that tells clients by their address. */
export const CLIENT_KEY_RULE: TextRule = {
  expected: 'client, client/24 or client/24,56: prefixes of IPv4 and IPv6, 32 and 64 where they are left out',
  range: '`client`, `client/24,56`',
  normalise: (given) => {
    const key = readKey(given);
    return key?.kind === 'client' ? writeKey(key) : undefined;
  },
};

/** The key that a text in normal form stands for. */
export function keyOf(text: string): KeySnapshot {
  const key = readKey(text);
  if (key === undefined) throw new TypeError(`the schema let ${text} pass`);
  return key;
}

function readKey(text: string): KeySnapshot | undefined {
  const whole = { name: '', prefix4: 32, prefix6: 128 };
  if (PLAIN.includes(text)) return { ...whole, kind: text as KeySnapshot['kind'] };
  const client = /^client(?:\/(\d{1,2})(?:,\s*(\d{1,3}))?)?$/.exec(text);
  if (client !== null) {
    const prefix4 = Number(client[1] ?? 32);
    const prefix6 = Number(client[2] ?? PREFIX6);
    const isSound = prefix4 >= 1 && prefix4 <= 32 && prefix6 >= 1 && prefix6 <= 128;
    return isSound ? { kind: 'client', name: '', prefix4, prefix6 } : undefined;
  }
  const [, kind = '', given = ''] = /^([a-z]+):(.+)$/.exec(text) ?? [];
  const name = NAMED[kind]?.normalise(given);
  return name === undefined ? undefined : { ...whole, kind: kind as KeySnapshot['kind'], name };
}

function writeKey({ kind, name, prefix4, prefix6 }: KeySnapshot): string {
  if (name !== '') return `${kind}:${name}`;
  if (kind !== 'client' || (prefix4 === 32 && prefix6 === PREFIX6)) return kind;
  return prefix6 === PREFIX6 ? `client/${prefix4}` : `client/${prefix4},${prefix6}`;
}
