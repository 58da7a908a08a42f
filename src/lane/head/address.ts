/**
 * Parses IP addresses byte by byte and strictly. `X-Forwarded-For` is written by others, and two
 * parsers that disagree about `010.0.0.1` disagree about who the client is. Anything not exactly an
 * address is refused.
 */

const DOT = 0x2e;
const COLON = 0x3a;

/**
 * Parses the address in `bytes` from `start` to `end` into `into` (16 bytes; the first 4 for IPv4).
 * Returns its family, 4 or 6, or 0 if it is invalid. An IPv4-mapped IPv6 address (RFC 4291
 * §2.5.5.2) counts as IPv4.
 */
export function parseAddress(bytes: Uint8Array, start: number, end: number, into: Uint8Array): number {
  for (let i = start; i < end && i < start + 5; i++) {
    if (bytes[i] === COLON) return parse6(bytes, start, end, into) ? unmap(into) : 0;
  }
  return parse4(bytes, start, end, into, 0) ? 4 : 0;
}

/** Turns ::ffff:a.b.c.d in `address` into a.b.c.d; returns the family. */
export function unmap(address: Uint8Array): number {
  for (let i = 0; i < 10; i++) if (address[i] !== 0) return 6;
  if (address[10] !== 0xff || address[11] !== 0xff) return 6;
  address.copyWithin(0, 12, 16);
  return 4;
}

/** Four numbers without leading zeros, which some parsers read as octal. */
function parse4(bytes: Uint8Array, start: number, end: number, into: Uint8Array, at: number): boolean {
  let i = start;
  for (let part = 0; part < 4; part++) {
    if (part > 0 && bytes[i++] !== DOT) return false;
    const first = i;
    let value = 0;
    while (i < end && i < first + 3 && bytes[i]! >= 0x30 && bytes[i]! <= 0x39) value = value * 10 + bytes[i++]! - 0x30;
    if (i === first || value > 255 || (i > first + 1 && bytes[first] === 0x30)) return false;
    into[at + part] = value;
  }
  return i === end;
}

/**
 * RFC 4291 §2.2: groups of up to four digits, `::` once for one or more groups of zeros, the last
 * two groups optionally as IPv4.
 */
function parse6(bytes: Uint8Array, start: number, end: number, into: Uint8Array): boolean {
  let group = 0;
  let gap = -1;
  let i = start;
  if (bytes[i] === COLON) {
    if (i + 1 >= end || bytes[i + 1] !== COLON) return false;
    gap = 0;
    i += 2;
  }
  while (i < end) {
    if (group === 8) return false;
    const first = i;
    let value = 0;
    for (let digit = hexDigit(bytes[i]!); i < end && i < first + 4 && digit !== -1; digit = hexDigit(bytes[i]!)) {
      value = (value << 4) | digit;
      i += 1;
    }
    if (i === first) return false;
    if (i < end && bytes[i] === DOT) {
      if (group > 6 || !parse4(bytes, first, end, into, group * 2)) return false;
      group += 2;
      break;
    }
    into[group * 2] = value >>> 8;
    into[group * 2 + 1] = value & 0xff;
    group += 1;
    if (i === end) break;
    if (bytes[i++] !== COLON || i === end) return false;
    if (bytes[i] === COLON) {
      if (gap !== -1) return false;
      gap = group;
      i += 1;
    }
  }
  if (gap === -1) return group === 8;
  if (group === 8) return false;
  into.copyWithin(16 - (group - gap) * 2, gap * 2, group * 2);
  into.fill(0, gap * 2, 16 - (group - gap) * 2);
  return true;
}

/** Value of a hexadecimal digit, -1 if it is none. */
export function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
