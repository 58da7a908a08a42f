/** What clients must prove: files of authorities, read and checked before anything is changed. */

import { forwardFields } from './assemble/certificate-fields.ts';
import { parseChain } from './certificates.ts';
import type { Files } from './files.ts';
import type { Complaint, KeyPath } from './problem.ts';
import type { ClientCertificates } from './schema/client-certificates.ts';
import type { Listener } from './schema/listener.ts';
import type { ClientAuthSnapshot } from './snapshot.ts';

/** Authorities of one policy. */
const MAX_AUTHORITIES = 1_000;

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
  const first = await readOne([], tls.client_certificates, [...path, 'tls', 'client_certificates'], files, complaints, nowMs);
  const found = [first];
  for (const [place, one] of named.entries()) {
    found.push(await readOne(one.names, one, [...path, 'client_certificates', place], files, complaints, nowMs));
  }
  return found;
}

async function readOne(
  names: readonly string[],
  configured: ClientCertificates,
  path: KeyPath,
  files: Files,
  complaints: Complaint[],
  nowMs: number,
): Promise<ClientAuthSnapshot> {
  const pems: string[] = [];
  for (const [place, file] of configured.ca.entries()) {
    pems.push(...(await readAuthorities(file, [...path, 'ca', place], files, complaints, nowMs)));
  }
  if (pems.length > MAX_AUTHORITIES) {
    complaints.push({
      path: [...path, 'ca'],
      message: `names ${pems.length} authorities`,
      expected: `at most ${MAX_AUTHORITIES}`,
    });
  }
  return {
    names,
    mode: configured.mode,
    caPem: pems.join(''),
    caFiles: configured.ca.map((file) => files.absolute(file)),
    tellsAuthorities: configured.send_ca_names,
    maxDepth: configured.max_depth,
    maxBytes: configured.max_size,
    forward: forwardFields(configured.forward),
  };
}

/** PEM of each certificate of a file. */
async function readAuthorities(file: string, path: KeyPath, files: Files, complaints: Complaint[], nowMs: number): Promise<string[]> {
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
  return chain.map((authority) => authority.toString());
}
