/** Clients by their address, for rate limits. */

import { parseAddress } from '../lane/head/address.ts';

/**
 * A household or a machine has a whole /64 of IPv6 addresses to choose from (RFC 6177), and as a
 * rule one of IPv4.
 */
export const CLIENT_PREFIXES = { prefix4: 32, prefix6: 64 } as const;

/**
 * The network that `address` is in, as a key: an IPv4 address cut to `prefix4` bits, an IPv6
 * address to `prefix6`. An IPv4 address in IPv6 form is the same client as the address itself. What
 * is no address is its own key.
 */
export function addressKey(
  address: string,
  { prefix4 = CLIENT_PREFIXES.prefix4, prefix6 = CLIENT_PREFIXES.prefix6 }: { readonly prefix4?: number; readonly prefix6?: number } = {},
): string {
  // A zone (fe80::1%eth0, RFC 4007 §11) is not part of the address.
  const text = Buffer.from(address.split('%', 1)[0]!, 'utf8');
  const bytes = Buffer.alloc(16);
  const family = parseAddress(text, 0, text.length, bytes);
  if (family === 0) return address;
  const prefix = family === 4 ? prefix4 : prefix6;
  for (let i = 0; i < 16; i++) {
    const bits = Math.min(8, Math.max(0, prefix - i * 8));
    bytes[i]! &= 0xff << (8 - bits);
  }
  return `${family}:${bytes.toString('hex', 0, family === 4 ? 4 : 16)}`;
}
