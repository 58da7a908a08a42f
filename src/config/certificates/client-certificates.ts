/**
 * What clients must prove: files of authorities and of what they have revoked, read and checked
 * before anything is changed.
 */

import type { X509Certificate } from 'node:crypto';
import { forwardFields } from '../assemble/certificate-fields.ts';
import type { Complaint, KeyPath } from '../problem.ts';
import { type Files, MAX_LIST_BYTES } from '../read/files.ts';
import type { ClientCertificates } from '../schema/client-certificates.ts';
import type { Listener } from '../schema/listener.ts';
import type { ClientAuthSnapshot, RevocationSnapshot } from '../snapshot/listener.ts';
import { parseChain } from './certificates.ts';
import { listsIn, readList } from './revocation.ts';

/** Authorities of one policy, and what its lists may name together. */
const MAX_AUTHORITIES = 1_000;
const MAX_REVOKED = 1_000_000;

/** A list that ends sooner is told. */
const EXPIRY_NOTICE_MS = 24 * 3_600_000;

/**
 * What clients of a listener must prove: the first is for all names that no other is for. What is
 * wrong with a file is added to `complaints`.
 */
export async function readClientAuth(
  { tls, client_certificates: named }: Listener,
  path: KeyPath,
  files: Files,
  complaints: Complaint[],
  nowMs: number,
): Promise<ClientAuthSnapshot[]> {
  const first = [...path, 'tls', 'client_certificates'];
  const found = [await readClientRules([], tls.client_certificates, first, files, complaints, nowMs)];
  for (const [place, { names, ...rules }] of named.entries()) {
    found.push(await readClientRules(names, rules, [...path, 'client_certificates', place], files, complaints, nowMs));
  }
  return found;
}

/** What clients of some names must prove. */
export async function readClientRules(
  names: readonly string[],
  configured: ClientCertificates,
  path: KeyPath,
  files: Files,
  complaints: Complaint[],
  nowMs: number,
): Promise<ClientAuthSnapshot> {
  const authorities: X509Certificate[] = [];
  for (const [place, file] of configured.ca.entries()) {
    authorities.push(...(await readAuthorities(file, [...path, 'ca', place], files, complaints, nowMs)));
  }
  if (authorities.length > MAX_AUTHORITIES)
    complaints.push({ path: [...path, 'ca'], message: `names ${authorities.length} authorities`, expected: `at most ${MAX_AUTHORITIES}` });
  const lists: RevocationSnapshot[] = [];
  for (const [place, file] of configured.crl.entries()) {
    lists.push(...(await readLists(file, authorities, configured, [...path, 'crl', place], files, complaints, nowMs)));
  }
  const revoked = lists.reduce((sum, { count }) => sum + count, 0);
  if (revoked > MAX_REVOKED)
    complaints.push({ path: [...path, 'crl'], message: `names ${revoked} certificates`, expected: `at most ${MAX_REVOKED}` });
  const absolute = (list: readonly string[]): string[] => list.map((file) => files.absolute(file));
  return {
    names,
    mode: configured.mode,
    caPem: authorities.map((authority) => authority.toString()).join(''),
    tellsAuthorities: configured.send_ca_names,
    maxDepth: configured.max_depth,
    maxBytes: configured.max_size,
    forward: forwardFields(configured.forward),
    lists,
    acceptsExpiredLists: configured.expired_crl === 'accept',
    acceptsMissingLists: configured.missing_crl === 'accept',
    denied: configured.deny,
    allowed: configured.allow,
    keepsConnections: configured.keep_connections,
    source: { ...configured, ca: absolute(configured.ca), crl: absolute(configured.crl) },
  };
}

/** The certificates of a file. */
async function readAuthorities(
  file: string,
  path: KeyPath,
  files: Files,
  complaints: Complaint[],
  nowMs: number,
): Promise<X509Certificate[]> {
  const read = await files.read(file);
  const chain = 'fault' in read ? read.fault : parseChain(read.text);
  if (typeof chain === 'string') {
    complaints.push({ path, message: chain, expected: 'PEM certificates of authorities' });
    return [];
  }
  for (const authority of chain) {
    const name = authority.subject.replaceAll('\n', ', ');
    const warn = (message: string): number => complaints.push({ severity: 'warning', path, message });
    if (!authority.ca) warn(`${name} is not the certificate of an authority: it vouches for itself alone`);
    if (nowMs > authority.validToDate.getTime()) warn(`${name} expired on ${authority.validTo}: it vouches for nobody`);
    if (nowMs < authority.validFromDate.getTime()) warn(`${name} is not valid before ${authority.validFrom}`);
  }
  return chain;
}

/** The lists of a file. */
async function readLists(
  file: string,
  authorities: readonly X509Certificate[],
  { expired_crl: expired }: ClientCertificates,
  path: KeyPath,
  files: Files,
  complaints: Complaint[],
  nowMs: number,
): Promise<RevocationSnapshot[]> {
  const read = await files.read(file, MAX_LIST_BYTES);
  const complain = (message: string): void => {
    complaints.push({ path, message, expected: 'a revocation list in PEM or DER, signed by an authority of ca' });
  };
  const warn = (message: string): number => complaints.push({ severity: 'warning', path, message });
  const found = 'fault' in read ? read.fault : listsIn(read.bytes, read.text);
  if (typeof found === 'string') {
    complain(found);
    return [];
  }
  // Without its authorities, which is told elsewhere, nothing can be said of a list.
  if (authorities.length === 0) return [];
  const lists: RevocationSnapshot[] = [];
  for (const der of found) {
    const list = readList(der, authorities);
    if (typeof list === 'string') {
      complain(list);
      continue;
    }
    lists.push(list);
    const until = new Date(list.nextUpdateMs);
    const outcome = expired === 'refuse' ? 'its clients are refused then' : 'it is used all the same';
    if (nowMs > list.nextUpdateMs) warn(`the list of ${list.signerName} ran out on ${until.toUTCString()}; ${outcome}`);
    else if (list.nextUpdateMs - nowMs < EXPIRY_NOTICE_MS)
      warn(`the list of ${list.signerName} runs out on ${until.toUTCString()}; ${outcome}`);
    if (nowMs < list.thisUpdateMs)
      warn(`the list of ${list.signerName} is of ${new Date(list.thisUpdateMs).toUTCString()}, which is yet to come`);
  }
  return lists;
}

/**
 * Why rules that were read again must not take the place of those in use, though they can be used:
 * a list ran out, or is older than the one of the same authority. Undefined where they may.
 */
export function worseRules(next: ClientAuthSnapshot, serving: ClientAuthSnapshot, nowMs: number): string | undefined {
  const newest = (lists: readonly RevocationSnapshot[], signer: Uint8Array): RevocationSnapshot | undefined =>
    lists.filter((list) => Buffer.compare(list.signer, signer) === 0).toSorted((a, b) => b.thisUpdateMs - a.thisUpdateMs)[0];
  for (const { signer, signerName } of next.lists) {
    const [young, old] = [newest(next.lists, signer), newest(serving.lists, signer)];
    if (young === undefined || old === undefined) continue;
    if (young.thisUpdateMs < old.thisUpdateMs) return `the list of ${signerName} is older than the one in use`;
    if (young.nextUpdateMs < nowMs && old.nextUpdateMs >= nowMs) return `the list of ${signerName} has run out`;
  }
  return undefined;
}
