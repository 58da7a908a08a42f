/** Hosts and ports as URLs and heads write them (RFC 3986 §3.2). */

import { isIPv6 } from 'node:net';

/** A host; an IPv6 address in brackets, once. */
export function bracketed(host: string): string {
  return isIPv6(host) ? `[${host}]` : host;
}

/** `host:port`. */
export function hostPort(host: string, port: number): string {
  return `${bracketed(host)}:${port}`;
}

/** What a client asks for that goes there: without the port that goes without saying. */
export function usualAuthority({ scheme, host, port }: { readonly scheme: string; readonly host: string; readonly port: number }): string {
  return port === (scheme === 'https' ? 443 : 80) ? bracketed(host) : hostPort(host, port);
}

/**
 * An IPv6 address without brackets in its canonical text (RFC 5952), so that two spellings of one
 * are equal.
 */
export function canonicalIPv6(address: string): string {
  return new URL(`http://[${address}]/`).hostname.slice(1, -1);
}
