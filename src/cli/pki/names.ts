/**
 * Names of certificates as people give them: what kind of name a word is, by its look, and whether
 * it can be one.
 */

import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';
import { canonicalIPv6 } from '../../base/authority.ts';
import { createError } from '../../base/errors.ts';

export type NameKind = 'DNS' | 'IP' | 'URI' | 'email';

/** One subject alternative name. */
export interface AltName {
  readonly kind: NameKind;
  /** As it stands in the certificate. */
  readonly value: string;
}

const KINDS: Readonly<Record<string, NameKind>> = { dns: 'DNS', ip: 'IP', uri: 'URI', email: 'email' };
const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
/** RFC 5322's dot-atom, without the rest. */
const MAILBOX = /^[\w.!#$%&'*+/=?^`{|}~-]+@[^@]+$/;
/** `ub-common-name` of RFC 5280. */
const MAX_COMMON_NAME = 64;

/**
 * The kind is that of a prefix as OpenSSL has it (`DNS:`), or how the word looks. Throws
 * `usage_not_valid`.
 */
function readAltName(word: string): AltName {
  const [, prefix = '', rest = ''] = /^(dns|ip|uri|email):(.*)$/i.exec(word) ?? [];
  const kind = KINDS[prefix.toLowerCase()] ?? kindOf(word);
  const given = prefix === '' ? word : rest;
  const value = CHECKS[kind](given);
  if (value === undefined)
    throw createError('usage_not_valid', `${JSON.stringify(word)} cannot be a name of a certificate: expected ${EXPECTED[kind]}`);
  return { kind, value };
}

/** As `readAltName`, for several words; what comes twice stands once. */
export function readAltNames(words: readonly string[]): AltName[] {
  const names = new Map(words.map(readAltName).map((name) => [formatAltName(name), name]));
  return [...names.values()];
}

/** `DNS:localhost`. */
export function formatAltName({ kind, value }: AltName): string {
  return `${kind}:${value}`;
}

/** A common name. Throws `usage_not_valid`. */
export function readCommonName(word: string): string {
  const isText = word.trim() !== '' && !/[\p{Cc}\p{Cs}]/u.test(word);
  if (isText && [...word].length <= MAX_COMMON_NAME) return word;
  throw createError(
    'usage_not_valid',
    `${JSON.stringify(word)} cannot be the name of a subject: expected 1 to ${MAX_COMMON_NAME} characters, none of them a control character`,
  );
}

function kindOf(word: string): NameKind {
  if (isIP(word) !== 0) return 'IP';
  if (/^[a-z][a-z0-9+.-]*:/i.test(word)) return 'URI';
  return word.includes('@') ? 'email' : 'DNS';
}

const EXPECTED: Readonly<Record<NameKind, string>> = {
  DNS: 'a host name such as www.example.org or *.example.org',
  IP: 'an IPv4 or IPv6 address',
  URI: 'a URI such as spiffe://example.org/service',
  email: 'an address such as someone@example.org',
};

const CHECKS: Readonly<Record<NameKind, (word: string) => string | undefined>> = {
  DNS: (word) => hostOf(word, true),
  IP: (word) => addressOf(word),
  URI: (word) => (/^[\x21-\x7e]+$/.test(word) && URL.canParse(word) ? word : undefined),
  email(word) {
    const [box = '', host = ''] = MAILBOX.test(word) ? word.split('@') : [];
    const ascii = hostOf(host, false);
    return ascii === undefined ? undefined : `${box}@${ascii}`;
  },
};

/**
 * In the form of RFC 5952: the encoder does not know every other. A zone is of one machine, and of
 * no use here.
 */
function addressOf(word: string): string | undefined {
  if (isIP(word) === 0 || word.includes('%')) return undefined;
  return isIP(word) === 4 ? word : canonicalIPv6(word);
}

/** In lower case and ASCII; names of other alphabets as DNS has them (`xn--`). */
function hostOf(word: string, mayBeWildcard: boolean): string | undefined {
  const isWildcard = mayBeWildcard && word.startsWith('*.');
  const host = domainToASCII(isWildcard ? word.slice(2) : word);
  const isHost = host.length > 0 && host.length <= 253 && isIP(host) === 0 && host.split('.').every((label) => LABEL.test(label));
  if (!isHost) return undefined;
  return isWildcard ? `*.${host}` : host;
}
