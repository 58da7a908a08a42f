/** Blocks of addresses in CIDR notation (RFC 4632 §3.1, RFC 4291 §2.3). */

import { isIP } from 'node:net';
import { canonicalIPv6 } from '../../base/authority.ts';
import type { TextRule } from './values.ts';

/**
 * A block, or one address. The normal form has the bits beyond the prefix cleared, so that equal
 * blocks are equal text.
 */
export const NETWORK_RULE: TextRule = {
  expected: 'an address or a CIDR block, such as 10.0.0.0/8 or 2001:db8::/32',
  range: 'CIDR',
  normalise: normaliseNetwork,
};

function normaliseNetwork(given: string): string | undefined {
  const parts = /^([0-9A-Fa-f.:]+)(?:\/(\d{1,3}))?$/.exec(given);
  if (parts === null) return undefined;
  const [, address = '', length] = parts;
  const family = isIP(address);
  if (family === 0) return undefined;
  const width = family === 4 ? 32 : 128;
  const prefix = length === undefined ? width : Number(length);
  if (prefix > width) return undefined;
  const bits = family === 4 ? bitsOf4(address) : bitsOf6(address);
  const spare = BigInt(width - prefix);
  const masked = (bits >> spare) << spare;
  return `${family === 4 ? textOf4(masked) : textOf6(masked)}/${prefix}`;
}

function bitsOf4(address: string): bigint {
  return address.split('.').reduce((bits, byte) => (bits << 8n) | BigInt(byte), 0n);
}

function bitsOf6(address: string): bigint {
  const [front = '', back] = canonicalIPv6(address).split('::');
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const head = groups(front);
  const tail = back === undefined ? [] : groups(back);
  const all = [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => '0'), ...tail];
  return all.reduce((bits, group) => (bits << 16n) | BigInt(`0x${group}`), 0n);
}

function textOf4(bits: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => (bits >> shift) & 0xffn).join('.');
}

function textOf6(bits: bigint): string {
  const groups = Array.from({ length: 8 }, (_, place) => ((bits >> BigInt(112 - 16 * place)) & 0xffffn).toString(16));
  return canonicalIPv6(groups.join(':'));
}
