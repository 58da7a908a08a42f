/**
 * What the text keys take: names, addresses, hosts, paths, URLs. Each rule returns the normal form,
 * in which equal things are equal text.
 */

import { isIP, isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';
import { bracketed, canonicalIPv6, hostPort } from '../../base/authority.ts';
import type { TextRule } from './values.ts';

/** A name that appears in logs and as a metric label. */
export const NAME_RULE: TextRule = {
  expected: 'a name of up to 64 letters, digits, dots, dashes and underscores that begins with a letter or digit',
  range: 'name',
  normalise: (given) => (/^[A-Za-z0-9][\w.-]{0,63}$/.test(given) ? given : undefined),
};

/** An address to listen on. */
export const ADDRESS_RULE: TextRule = {
  expected: 'an IP address and a port, such as 127.0.0.1:8443 or [::]:8443',
  range: 'ip:port',
  normalise: normaliseAddress,
};

/** An address to listen on, or `off`; the normal form of `off` is empty. */
export const ADDRESS_OR_OFF_RULE: TextRule = {
  expected: 'off, or an IP address and a port, such as 127.0.0.1:9901',
  range: 'ip:port, `off`',
  normalise: (given) => (given === 'off' || given === '' ? '' : normaliseAddress(given)),
};

/** Path of a file, relative to the configuration's folder. */
export const FILE_RULE: TextRule = {
  expected: 'the path of a file, relative to the folder of this file',
  range: 'path',
  normalise: (given) => (given === '' || given.includes('\0') ? undefined : given),
};

/** Files to include: wildcards stand in the name only, so that one folder is looked at for each. */
export const INCLUDE_RULE: TextRule = {
  expected: 'the path of a file, or a folder and a name with * or ?, such as routes.d/*.yaml',
  range: 'path or pattern',
  normalise: (given) => (/^(?!.*[*?].*\/)[^\0[\]{}]*[^\0[\]{}/]$/.test(given) && !given.includes('**') ? given : undefined),
};

/** A version of TLS; without quotes YAML has it as a number. */
export const TLS_VERSION_RULE: TextRule = {
  expected: '1.2 or 1.3',
  range: '`1.2`, `1.3`',
  normalise: (given) => (given === '1.2' || given === '1.3' ? given : undefined),
};

/** A pin as RFC 7469 §2.1.1 has it, with its name or without. */
export const PIN_RULE: TextRule = {
  expected: 'the base64 SHA-256 of a SubjectPublicKeyInfo: 43 characters and =',
  range: 'base64 SHA-256',
  normalise: (given) => /^(?:pin-sha256=)?("?)([A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=)\1$/.exec(given)?.[2],
};

/** A bearer token. RFC 6750 §2.1 gives the characters; the length keeps guessing hopeless. */
export const TOKEN_RULE: TextRule = {
  expected: 'at least 16 characters of letters, digits and -._~+/=',
  normalise: (given) => (/^[\w.~+/=-]{16,1024}$/.test(given) ? given : undefined),
};

/** A secret that keys are made from. */
export const SECRET_RULE: TextRule = {
  expected: 'at least 32 characters without spaces',
  range: 'at least 32 characters',
  normalise: (given) => (/^[!-~]{32,1024}$/.test(given) ? given : undefined),
};

/** A name a certificate answers for. */
export const CERTIFICATE_NAME_RULE: TextRule = {
  expected: 'a host name, a wildcard such as *.example.org, or an IP address',
  range: 'host name, `*.` wildcard, IP',
  normalise: (given) => (isIP(given) === 0 ? normaliseHost(given, true) : given.toLowerCase()),
};

/** A host name or address without port, for TLS. */
export const SERVER_NAME_RULE: TextRule = {
  expected: 'a host name without port',
  range: 'host name',
  normalise: (given) => (isIP(given) === 0 ? normaliseHost(given, false) : given.toLowerCase()),
};

/** Host of a route's match. */
export const MATCH_HOST_RULE: TextRule = {
  expected: '*, a host name without port, or a wildcard such as *.example.org',
  range: '`*`, host name, `*.` wildcard',
  normalise: normaliseMatchHost,
};

/** A host that tells a tenant. */
export const TENANT_HOST_RULE: TextRule = {
  expected: 'a host name without port, or a wildcard such as *.example.org',
  range: 'host name, `*.` wildcard',
  normalise: (given) => (given === '*' ? undefined : normaliseMatchHost(given)),
};

/** Path of a route's match: absolute, without query or fragment, in ASCII (RFC 3986 §3.3). */
export const MATCH_PATH_RULE: TextRule = {
  expected: 'a path that begins with / and has no query, fragment, dot segment or unescaped character',
  range: 'path',
  normalise: normalisePath,
};

/** Path of a cookie; browsers pass over a longer one (RFC 6265bis §5.6). */
export const COOKIE_PATH_RULE: TextRule = {
  ...MATCH_PATH_RULE,
  expected: `${MATCH_PATH_RULE.expected}, of up to 1,024 bytes`,
  normalise: (given) => (given.length <= 1_024 ? normalisePath(given) : undefined),
};

/** Name of a label of backends. */
export const LABEL_NAME_RULE: TextRule = { ...NAME_RULE, range: 'label' };

/** Value of a label of backends. */
export const LABEL_VALUE_RULE: TextRule = { ...NAME_RULE, range: 'label value' };

/** Authority that a backend sees. */
export const AUTHORITY_RULE: TextRule = {
  expected: 'keep, backend, or a host name with or without a port',
  range: '`keep`, `backend`, host[:port]',
  normalise: (given) => {
    if (given === 'keep' || given === 'backend') return given;
    const parts = /^(\[[^\]]+\]|[^:]+)(?::(\d{1,5}))?$/.exec(given);
    if (parts === null || Number(parts[2] ?? 1) < 1 || Number(parts[2] ?? 1) > 65_535) return undefined;
    const host = parts[1]?.startsWith('*') ? undefined : normaliseMatchHost(parts[1] ?? '');
    return host === undefined ? undefined : `${host}${parts[2] === undefined ? '' : `:${Number(parts[2])}`}`;
  },
};

/** Where a backend is. */
export const BACKEND_URL_RULE: TextRule = {
  expected: 'https://host, h2c://host or http://host, with a port if it is not 443 or 80, and without path',
  range: 'URL',
  normalise: (given) => {
    const backend = parseBackendUrl(given);
    if (backend === undefined) return undefined;
    const { scheme, host, port } = backend;
    return `${scheme}://${hostPort(host, port)}`;
  },
};

/** The parts of a backend's URL; `host` without brackets. */
export interface BackendUrl {
  readonly scheme: 'h2c' | 'http' | 'https';
  readonly host: string;
  readonly port: number;
}

/** Takes a backend's URL apart; undefined when it is none. */
export function parseBackendUrl(given: string): BackendUrl | undefined {
  const parts = /^(h2c|https?):\/\/(\[[^\]]+\]|[^/:?#@[\]\s]+)(?::(\d{1,5}))?\/?$/i.exec(given);
  if (parts === null) return undefined;
  const [, rawScheme = '', rawHost = '', rawPort] = parts;
  const scheme = rawScheme.toLowerCase() as BackendUrl['scheme'];
  const port = rawPort === undefined ? (scheme === 'https' ? 443 : 80) : Number(rawPort);
  if (port < 1 || port > 65_535) return undefined;
  const host = rawHost.startsWith('[') ? ipv6InBrackets(rawHost) : isIP(rawHost) === 4 ? rawHost : normaliseHost(rawHost, false);
  return host === undefined ? undefined : { scheme, host, port };
}

/** `ip:port` taken apart; the normal form has IPv6 in brackets. Port 0 takes a free one. */
export function splitAddress(address: string): { ip: string; port: number } | undefined {
  const parts = /^(\[[^\]]+\]|[\d.]+):(\d{1,5})$/.exec(address);
  if (parts === null) return undefined;
  const [, rawIp = '', rawPort = ''] = parts;
  const port = Number(rawPort);
  const ip = rawIp.startsWith('[') ? ipv6InBrackets(rawIp) : isIP(rawIp) === 4 ? rawIp : undefined;
  return ip === undefined || port > 65_535 ? undefined : { ip, port };
}

function normaliseAddress(given: string): string | undefined {
  const address = splitAddress(given);
  if (address === undefined) return undefined;
  return hostPort(address.ip, address.port);
}

/**
 * Escapes in the one spelling that heads have after normalisation (RFC 3986 §6.2.2); dot segments
 * would never be met there.
 */
function normalisePath(given: string): string | undefined {
  if (!/^\/(?:[\w\-.~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*$/.test(given)) return undefined;
  const path = given.replace(/%[0-9A-Fa-f]{2}/g, (spelling) => {
    const character = String.fromCharCode(Number.parseInt(spelling.slice(1), 16));
    return /[\w\-.~]/.test(character) ? character : spelling.toUpperCase();
  });
  return /\/\.{1,2}(?:\/|$)/.test(path) ? undefined : path;
}

function normaliseMatchHost(given: string): string | undefined {
  if (given === '*') return given;
  if (given.startsWith('[')) {
    const ip = ipv6InBrackets(given);
    return ip === undefined ? undefined : bracketed(ip);
  }
  return isIP(given) === 4 ? given : normaliseHost(given, true);
}

function ipv6InBrackets(inBrackets: string): string | undefined {
  if (!isIPv6(inBrackets.slice(1, -1)) || inBrackets.includes('%')) return undefined;
  return canonicalIPv6(inBrackets.slice(1, -1));
}

/**
 * Lower case, ASCII (RFC 5891), without the root's dot; undefined when it is no host name (RFC 1123
 * §2.1).
 */
function normaliseHost(given: string, isWildcardAllowed: boolean): string | undefined {
  const isWildcard = given.startsWith('*.');
  if (isWildcard && !isWildcardAllowed) return undefined;
  const plain = (isWildcard ? given.slice(2) : given).replace(/\.$/, '');
  // Looked at before the conversion, which would silently read 1.2.3 as an address and drop other
  // characters.
  if (!/^[\p{L}\p{N}\p{M}_.-]+$/u.test(plain) || /^[\d.]+$/.test(plain)) return undefined;
  const ascii = domainToASCII(plain);
  if (ascii === '' || ascii.length > 253) return undefined;
  const areLabelsValid = ascii.split('.').every((label) => /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/.test(label));
  return areLabelsValid ? `${isWildcard ? '*.' : ''}${ascii}` : undefined;
}
