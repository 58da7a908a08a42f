/** Agreement of the admin API: who reaches it from outside shows a token. */

import { isIP } from 'node:net';
import type { Complaint } from '../problem.ts';
import type { Config } from '../schema/config.ts';
import { splitAddress } from '../schema/rules.ts';

export function checkAdmin({ address, token, token_file: tokenFile, probes }: Config['admin']): Complaint[] {
  const complaints: Complaint[] = [];
  if (token !== '' && tokenFile !== '') {
    const expected = 'only one of token and token_file';
    complaints.push({ path: ['admin', 'token_file'], isAboutKey: true, message: 'stands beside token', expected });
  }
  if (address !== '' && !isLoopback(address) && token === '' && tokenFile === '') {
    const expected = 'an address of loopback, or admin.token or admin.token_file beside it';
    const message = 'can be reached from outside without a token';
    complaints.push({ path: ['admin', 'address'], value: JSON.stringify(address), message, expected });
  }
  if (probes.address !== '' && probes.address === address && splitAddress(address)?.port !== 0) {
    const expected = 'another, or off: the admin API answers probes too';
    const message = 'stands already in admin.address';
    complaints.push({ path: ['admin', 'probes', 'address'], value: JSON.stringify(probes.address), message, expected });
  }
  return complaints;
}

/** 127.0.0.0/8 (RFC 1122 §3.2.1.3) or ::1. */
function isLoopback(address: string): boolean {
  const ip = splitAddress(address)?.ip ?? '';
  return isIP(ip) === 4 ? ip.startsWith('127.') : ip === '::1';
}
