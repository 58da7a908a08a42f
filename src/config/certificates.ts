/**
 * Certificate chains and their keys, checked before anything is changed: a file that cannot be parsed, a key that belongs to another
 * certificate or a name that is not covered would otherwise show only at the first handshake. Expiry is a warning, because an edge that
 * refuses to start helps nobody whose certificate ran out an hour ago.
 */

import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { checkPrivacy, type Files } from './files.ts';
import type { Complaint, KeyPath } from './problem.ts';
import type { Certificate } from './schema/listener.ts';
import { CERTIFICATE_NAME_RULE } from './schema/rules.ts';
import type { CertificateSnapshot } from './snapshot.ts';

/** A certificate that is about to run out is told this long before, milliseconds. */
const EXPIRY_NOTICE_MS = 7 * 24 * 3_600_000;

/** Key types TLS 1.3 can sign with here (RFC 8446 §4.2.3). */
const KEY_TYPES = new Set(['rsa', 'ec', 'ed25519']);

/** What came of a certificate: its snapshot when it can be used, and what is to be said about it. */
export interface CheckedCertificate {
  readonly certificate?: CertificateSnapshot;
  readonly complaints: readonly Complaint[];
}

/** Reads and checks one certificate of a listener. `nowMs` is the wall clock, milliseconds since the epoch. */
export async function readCertificate(configured: Certificate, path: KeyPath, files: Files, nowMs: number): Promise<CheckedCertificate> {
  const [chainFile, keyFile] = await Promise.all([files.read(configured.chain), files.read(configured.key)]);
  const complaints: Complaint[] = [];
  const ocsp = await readOcsp(configured.ocsp, [...path, 'ocsp'], files, complaints);
  if ('fault' in chainFile) complaints.push({ path: [...path, 'chain'], message: chainFile.fault });
  if ('fault' in keyFile) complaints.push({ path: [...path, 'key'], message: keyFile.fault });

  const chain = 'text' in chainFile ? parseChain(chainFile.text) : undefined;
  const key = 'text' in keyFile ? parseKey(keyFile.text) : undefined;
  if (typeof chain === 'string')
    complaints.push({ path: [...path, 'chain'], message: chain, expected: 'PEM certificates, the leaf first' });
  if (typeof key === 'object') complaints.push(...checkPrivacy(keyFile, [...path, 'key']));
  if (typeof key === 'string')
    complaints.push({ path: [...path, 'key'], message: key, expected: 'a PEM private key (RSA, ECDSA or Ed25519), not encrypted' });
  if (typeof chain === 'object') {
    complaints.push(...checkChain(chain, path, nowMs), ...checkNames(chain, configured.names, path));
    if (typeof key === 'object') complaints.push(...checkPair(chain, key, path));
  }
  const names = configured.names.length > 0 || typeof chain !== 'object' ? configured.names : namesOf(chain[0]);
  const isNamed = names.length > 0 || typeof chain !== 'object';
  if (!isNamed) complaints.push({ path: [...path, 'chain'], message: 'the certificate has no name that a client could ask for' });
  const isUsable = !complaints.some(({ severity }) => severity !== 'warning');
  if (!isUsable || !('text' in chainFile) || !('text' in keyFile)) return { complaints };
  const label = configured.name === '' ? (names[0] ?? '') : configured.name;
  return { certificate: { label, names, chainPem: chainFile.text, keyPem: keyFile.text, ocsp }, complaints };
}

/** The issuer's word on a revocation, in DER; empty where there is none. */
async function readOcsp(file: string, path: KeyPath, files: Files, complaints: Complaint[]): Promise<Uint8Array> {
  const read = file === '' ? undefined : await files.read(file);
  if (read === undefined) return new Uint8Array();
  if ('fault' in read) complaints.push({ path, message: read.fault });
  else if (isOcspResponse(read.bytes)) return read.bytes;
  else complaints.push({ path, message: 'holds no OCSP response that says anything', expected: 'a successful response in DER' });
  return new Uint8Array();
}

/** Whether it is a sequence that begins with the status 0, "successful" (RFC 6960 §4.2.1). */
function isOcspResponse(der: Uint8Array): boolean {
  const [tag, length = 0] = der;
  const begin = length < 0x80 ? 2 : 2 + (length & 0x7f);
  const size = length < 0x80 ? length : der.subarray(2, begin).reduce((sum, byte) => sum * 256 + byte, 0);
  return tag === 0x30 && begin <= 4 && der.length === begin + size && der[begin] === 0x0a && der[begin + 1] === 1 && der[begin + 2] === 0;
}

/** Names and addresses of a leaf that a client can ask for, each once. */
function namesOf(leaf: X509Certificate | undefined): string[] {
  const entries = (leaf?.subjectAltName ?? '').split(', ').map((entry) => /^(?:DNS|IP Address):(.*)$/.exec(entry)?.[1] ?? '');
  const names = entries.map((name) => (name === '' ? undefined : CERTIFICATE_NAME_RULE.normalise(name)));
  return [...new Set(names.filter((name) => name !== undefined))];
}

/** Certificates of a PEM bundle in their order, or what is wrong with it. */
export function parseChain(pem: string): X509Certificate[] | string {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) return pem.includes('PRIVATE KEY-----') ? 'holds a key, not a certificate' : 'holds no PEM certificate';
  const chain: X509Certificate[] = [];
  for (const [place, block] of blocks.entries()) {
    try {
      chain.push(new X509Certificate(block));
    } catch {
      return `certificate ${place + 1} of ${blocks.length} cannot be parsed`;
    }
  }
  return chain;
}

function parseKey(pem: string): KeyObject | string {
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type: 4,ENCRYPTED/.test(pem)) return 'the key is encrypted';
  if (!pem.includes('PRIVATE KEY-----')) return pem.includes('BEGIN CERTIFICATE') ? 'holds a certificate, not a key' : 'holds no PEM key';
  try {
    const key = createPrivateKey({ key: pem, format: 'pem' });
    const type = key.asymmetricKeyType ?? 'unknown';
    if (!KEY_TYPES.has(type)) return `a key of type ${type} cannot be used`;
    const bits = key.asymmetricKeyDetails?.modulusLength;
    return bits !== undefined && bits < 2048 ? `an RSA key of ${bits} bits is too short` : key;
  } catch {
    return 'the key cannot be parsed';
  }
}

function checkChain(chain: readonly X509Certificate[], path: KeyPath, nowMs: number): Complaint[] {
  const complaints: Complaint[] = [];
  const warn = (message: string): number => complaints.push({ severity: 'warning', path: [...path, 'chain'], message });
  for (const [place, certificate] of chain.entries()) {
    const which = place === 0 ? 'the certificate' : `certificate ${place + 1} of the chain`;
    const untilMs = Date.parse(certificate.validTo);
    if (nowMs < Date.parse(certificate.validFrom)) warn(`${which} is not valid before ${certificate.validFrom}`);
    if (nowMs > untilMs) warn(`${which} expired on ${certificate.validTo}`);
    else if (untilMs - nowMs < EXPIRY_NOTICE_MS) warn(`${which} expires on ${certificate.validTo}`);
    const issuer = chain[place + 1];
    if (issuer !== undefined && !certificate.checkIssued(issuer)) warn(`${which} was not issued by the one after it`);
  }
  return complaints;
}

function checkNames([leaf]: readonly X509Certificate[], names: readonly string[], path: KeyPath): Complaint[] {
  const complaints: Complaint[] = [];
  for (const [place, name] of names.entries()) {
    if (leaf === undefined || isCovered(leaf, name)) continue;
    const covered = (leaf.subjectAltName ?? 'no name at all').replaceAll(/(?:DNS|IP Address):/g, '');
    const expected = `a name the certificate covers (${covered})`;
    complaints.push({
      path: [...path, 'names', place],
      value: JSON.stringify(name),
      message: 'is not covered by the certificate',
      expected,
    });
  }
  return complaints;
}

/**
 * Covered as RFC 9525 §6.3 has it: the same name, or a wildcard in place of its first label; the subject's common name covers nothing. Written
 * here because OpenSSL's own check also refuses `*.localhost` and other wildcards below a single label.
 */
function isCovered(leaf: X509Certificate, name: string): boolean {
  if (isIP(name) !== 0) return leaf.checkIP(name) !== undefined;
  const parent = name.replace(/^[^.]+\./, '*.');
  const entries = (leaf.subjectAltName ?? '').toLowerCase().split(', ');
  return entries.includes(`dns:${name}`) || entries.includes(`dns:${parent}`);
}

function checkPair(chain: readonly X509Certificate[], key: KeyObject, path: KeyPath): Complaint[] {
  const place = chain.findIndex((certificate) => certificate.checkPrivateKey(key));
  if (place === 0) return [];
  if (place > 0)
    return [{ path: [...path, 'chain'], message: `the key belongs to certificate ${place + 1}, but the leaf must come first` }];
  return [{ path: [...path, 'key'], message: 'the key does not belong to the certificate' }];
}
