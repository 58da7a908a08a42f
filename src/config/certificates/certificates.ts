/**
 * Certificate chains and their keys, checked before anything is changed: a file that cannot be
 * parsed, a key that belongs to another certificate or a name that is not covered would otherwise
 * show only at the first handshake. Expiry is a warning at the start, because an edge that refuses
 * to start helps nobody whose certificate ran out an hour ago; a rotation refuses what is worse
 * than what it would replace.
 */

import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { Complaint, KeyPath } from '../problem.ts';
import { checkPrivacy, type Files, type Reading } from '../read/files.ts';
import type { Certificate } from '../schema/listener.ts';
import { CERTIFICATE_NAME_RULE } from '../schema/rules.ts';
import type { CertificateSnapshot } from '../snapshot/listener.ts';
import type { ClientCertificateSnapshot } from '../snapshot/upstream.ts';
import { readPem } from './pem.ts';

/** A certificate that is about to run out is told this long before, milliseconds. */
const EXPIRY_NOTICE_MS = 7 * 24 * 3_600_000;

/** Key types TLS 1.3 can sign with here (RFC 8446 §4.2.3). */
const KEY_TYPES = new Set(['rsa', 'ec', 'ed25519']);

/** Curves of ECDSA that TLS 1.3 has (RFC 8446 §4.2.3), as OpenSSL calls them. */
const CURVES: Readonly<Record<string, string>> = { prime256v1: 'P-256', secp384r1: 'P-384', secp521r1: 'P-521' };

/** Shorter RSA keys are weak (NIST SP 800-57), longer ones BoringSSL does not take. */
const RSA_BITS = { min: 2_048, max: 8_192 };

const KEY_EXPECTED = 'a PEM private key: RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, or Ed25519';

/**
 * What came of a certificate: its snapshot when it can be used, and what is to be said about it.
 */
export interface CheckedCertificate {
  readonly certificate?: CertificateSnapshot;
  readonly complaints: readonly Complaint[];
}

/**
 * Reads and checks one certificate of a listener. `nowMs` is the wall clock, milliseconds since the
 * epoch.
 */
export async function readCertificate(configured: Certificate, path: KeyPath, files: Files, nowMs: number): Promise<CheckedCertificate> {
  const { key_passphrase_file: passphraseFile } = configured;
  const at = { chain: [...path, 'chain'], key: [...path, 'key'], passphrase: [...path, 'key_passphrase_file'] };
  const { chain, key, complaints } = await readPair({ ...configured, passphrase: passphraseFile }, at, files, nowMs);
  const ocsp = await readOcsp(configured.ocsp, [...path, 'ocsp'], files, complaints);
  if (key?.asymmetricKeyDetails?.namedCurve === 'secp521r1') {
    const message = 'browsers verify no signature of P-521';
    complaints.push({ severity: 'warning', path: at.key, message, expected: 'a key on P-256, or a second certificate with one' });
  }
  if (chain !== undefined) complaints.push(...checkNames(chain, configured.names, path));
  const names = configured.names.length > 0 || chain === undefined ? configured.names : namesOf(chain[0]);
  if (names.length === 0 && chain !== undefined) {
    complaints.push({ path: at.chain, message: 'the certificate has no name that a client could ask for' });
  }
  if (!isUsable(complaints) || chain === undefined || key === undefined) return { complaints };
  const absolute = (file: string): string => (file === '' ? '' : files.absolute(file));
  const certificate: CertificateSnapshot = {
    label: configured.name === '' ? (names[0] ?? '') : configured.name,
    names,
    ...pemOf(chain, key),
    ocsp,
    source: {
      ...configured,
      chain: files.absolute(configured.chain),
      key: files.absolute(configured.key),
      key_passphrase_file: absolute(passphraseFile),
      ocsp: absolute(configured.ocsp),
    },
  };
  return { certificate, complaints };
}

/** Reads and checks what an upstream shows to its backends. */
export async function readClientCertificate(
  configured: { readonly certificate: string; readonly key: string; readonly key_passphrase_file: string },
  path: KeyPath,
  files: Files,
  nowMs: number,
): Promise<{ readonly certificate?: ClientCertificateSnapshot; readonly complaints: readonly Complaint[] }> {
  const at = { chain: [...path, 'certificate'], key: [...path, 'key'], passphrase: [...path, 'key_passphrase_file'] };
  const named = { chain: configured.certificate, key: configured.key, passphrase: configured.key_passphrase_file };
  const { chain, key, complaints } = await readPair(named, at, files, nowMs);
  if (!isUsable(complaints) || chain === undefined || key === undefined) return { complaints };
  return { certificate: pemOf(chain, key), complaints };
}

/** PEM text of authorities that an upstream trusts; undefined where it cannot be read. */
export async function readAuthorities(file: string, path: KeyPath, files: Files, complaints: Complaint[]): Promise<string | undefined> {
  const read = await files.read(file);
  const parsed = 'text' in read ? parseChain(read.text) : read.fault;
  if (typeof parsed === 'string') complaints.push({ path, message: parsed, expected: 'PEM certificates of authorities' });
  return 'text' in read ? read.text : undefined;
}

/** A chain and its key as far as each can be read, and what is to be said of them. */
async function readPair(
  named: { readonly chain: string; readonly key: string; readonly passphrase: string },
  at: { readonly chain: KeyPath; readonly key: KeyPath; readonly passphrase: KeyPath },
  files: Files,
  nowMs: number,
): Promise<{ readonly chain?: X509Certificate[]; readonly key?: KeyObject; readonly complaints: Complaint[] }> {
  const [chainFile, keyFile, passphrase] = await Promise.all([
    files.read(named.chain),
    files.read(named.key),
    named.passphrase === '' ? undefined : files.read(named.passphrase),
  ]);
  const complaints: Complaint[] = [];
  const complain = (path: KeyPath, message: string, expected?: string): number =>
    complaints.push({ path, message, ...(expected === undefined ? {} : { expected }) });

  const chain = 'text' in chainFile ? parseChain(chainFile.text) : undefined;
  if ('fault' in chainFile) complain(at.chain, chainFile.fault);
  if (typeof chain === 'string') complain(at.chain, chain, 'PEM certificates, the leaf first');
  if ('fault' in keyFile) complain(at.key, keyFile.fault);
  if (passphrase !== undefined) {
    if ('fault' in passphrase) complain(at.passphrase, passphrase.fault);
    else if (passphraseOf(passphrase) === '') complain(at.passphrase, 'holds no pass phrase', 'the pass phrase in its first line');
    complaints.push(...checkPrivacy(passphrase, at.passphrase));
  }
  const isReadable = 'text' in keyFile && (passphrase === undefined || 'text' in passphrase);
  const leaf = typeof chain === 'object' ? chain[0] : undefined;
  const key = isReadable ? parseKey(keyFile.text, passphraseOf(passphrase), leaf) : undefined;
  if (typeof key === 'string') complain(at.key, key, KEY_EXPECTED);
  if (typeof key === 'object') complaints.push(...checkPrivacy(keyFile, at.key));
  if (typeof chain === 'object') {
    complaints.push(...checkChain(chain, at.chain, nowMs));
    if (typeof key === 'object') complaints.push(...checkPair(chain, key, at));
  }
  return { ...(typeof chain === 'object' ? { chain } : {}), ...(typeof key === 'object' ? { key } : {}), complaints };
}

/** In one form, however the files have it. */
function pemOf(chain: readonly X509Certificate[], key: KeyObject): ClientCertificateSnapshot {
  return {
    chainPem: chain.map((one) => one.toString()).join(''),
    keyPem: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

function isUsable(complaints: readonly Complaint[]): boolean {
  return !complaints.some(({ severity }) => severity !== 'warning');
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

/** The first line. */
function passphraseOf(reading: Reading | undefined): string {
  return reading !== undefined && 'text' in reading ? (reading.text.split(/\r\n|\r|\n/, 1)[0] ?? '') : '';
}

/** Names and addresses of a leaf that a client can ask for, each once. */
function namesOf(leaf: X509Certificate | undefined): string[] {
  const entries = (leaf?.subjectAltName ?? '').split(', ').map((entry) => /^(?:DNS|IP Address):(.*)$/.exec(entry)?.[1] ?? '');
  const names = entries.map((name) => (name === '' ? undefined : CERTIFICATE_NAME_RULE.normalise(name)));
  return [...new Set(names.filter((name) => name !== undefined))];
}

/** Certificates of a PEM bundle in their order, or what is wrong with it. */
export function parseChain(pem: string): X509Certificate[] | string {
  const all = readPem(pem);
  if (typeof all === 'string') return all;
  const blocks = all.filter(({ label }) => label === 'CERTIFICATE' || label === 'X509 CERTIFICATE');
  if (blocks.length === 0) return all.some(({ label }) => isKey(label)) ? 'holds a key, not a certificate' : 'holds no PEM certificate';
  const chain: X509Certificate[] = [];
  for (const [place, { text }] of blocks.entries()) {
    try {
      chain.push(new X509Certificate(text.replaceAll('X509 CERTIFICATE', 'CERTIFICATE')));
    } catch {
      return `certificate ${place + 1} of ${blocks.length} cannot be parsed`;
    }
  }
  return chain;
}

function isKey(label: string): boolean {
  return label.endsWith('PRIVATE KEY');
}

/**
 * The key of a file; of several the one that belongs to the leaf, where one does. Or what is wrong
 * with it.
 */
function parseKey(pem: string, passphrase: string, leaf: X509Certificate | undefined): KeyObject | string {
  const all = readPem(pem);
  if (typeof all === 'string') return all;
  const blocks = all.filter(({ label }) => isKey(label));
  if (blocks.length === 0)
    return all.some(({ label }) => label.endsWith('CERTIFICATE')) ? 'holds a certificate, not a key' : 'holds no PEM key';
  const keys = blocks.map((block) => parseKeyBlock(block.label, block.text, passphrase));
  return (
    keys.find((key) => typeof key === 'object' && leaf?.checkPrivateKey(key)) ??
    keys.find((key) => typeof key === 'object') ??
    (keys[0] as string)
  );
}

function parseKeyBlock(label: string, text: string, passphrase: string): KeyObject | string {
  const isEncrypted = label === 'ENCRYPTED PRIVATE KEY' || text.includes('Proc-Type: 4,ENCRYPTED');
  if (isEncrypted && passphrase === '') return 'the key is encrypted, and key_passphrase_file names no pass phrase';
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: text, format: 'pem', ...(isEncrypted ? { passphrase } : {}) });
  } catch {
    return isEncrypted ? 'the key cannot be decrypted with the pass phrase' : 'the key cannot be parsed';
  }
  const type = key.asymmetricKeyType ?? 'unknown';
  if (!KEY_TYPES.has(type)) return `a key of type ${type} cannot be used`;
  const { modulusLength: bits = RSA_BITS.min, namedCurve } = key.asymmetricKeyDetails ?? {};
  if (bits < RSA_BITS.min) return `an RSA key of ${bits} bits is too short`;
  if (bits > RSA_BITS.max) return `an RSA key of ${bits} bits is too long`;
  if (type === 'ec' && CURVES[namedCurve ?? ''] === undefined)
    return `a key on the curve ${namedCurve ?? '(parameters of its own)'} cannot be used`;
  return key;
}

/**
 * What makes a chain worse than another, though it can be used: `expired`, `early`, `unlinked`.
 * `which` is the certificate that is to blame.
 */
interface Weakness {
  readonly kind: 'expired' | 'early' | 'unlinked';
  readonly message: string;
}

function weaknessesOf(chain: readonly X509Certificate[], nowMs: number): Weakness[] {
  const found: Weakness[] = [];
  for (const [place, certificate] of chain.entries()) {
    const which = whichOf(place);
    if (nowMs < certificate.validFromDate.getTime())
      found.push({ kind: 'early', message: `${which} is not valid before ${certificate.validFrom}` });
    if (nowMs > certificate.validToDate.getTime()) found.push({ kind: 'expired', message: `${which} expired on ${certificate.validTo}` });
    const issuer = chain[place + 1];
    if (issuer !== undefined && !isIssuedBy(certificate, issuer)) {
      found.push({ kind: 'unlinked', message: `${which} was not issued by the one after it` });
    }
  }
  return found;
}

/** By name and by signature. */
function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

/**
 * Why a chain should not take the place of another, though both can be used: it has a weakness that
 * the other has not. Undefined where it may. A chain that ran out thus replaces none that holds,
 * but may replace one that ran out as well.
 */
export function worseThan(nextPem: string, servingPem: string, nowMs: number): string | undefined {
  const [next, serving] = [parseChain(nextPem), parseChain(servingPem)];
  if (typeof next === 'string') return next;
  const borne = typeof serving === 'string' ? [] : weaknessesOf(serving, nowMs).map(({ kind }) => kind);
  return weaknessesOf(next, nowMs).find(({ kind }) => !borne.includes(kind))?.message;
}

/**
 * As `worseThan`, for authorities: a bundle of which nothing is valid replaces none of which
 * something is.
 */
export function worseThanBundle(nextPem: string, servingPem: string, nowMs: number): string | undefined {
  const isSomeValid = (pem: string): boolean => {
    const all = parseChain(pem);
    return typeof all === 'object' && all.some((one) => nowMs >= one.validFromDate.getTime() && nowMs <= one.validToDate.getTime());
  };
  if (nextPem === '' || isSomeValid(nextPem) || !isSomeValid(servingPem)) return undefined;
  return 'no certificate of the bundle is valid now';
}

function whichOf(place: number): string {
  return place === 0 ? 'the certificate' : `certificate ${place + 1} of the chain`;
}

function checkChain(chain: readonly X509Certificate[], path: KeyPath, nowMs: number): Complaint[] {
  const messages = weaknessesOf(chain, nowMs).map(({ message }) => message);
  for (const [place, certificate] of chain.entries()) {
    const untilMs = certificate.validToDate.getTime();
    if (nowMs <= untilMs && untilMs - nowMs < EXPIRY_NOTICE_MS) messages.push(`${whichOf(place)} expires on ${certificate.validTo}`);
    // The key of the leaf is looked at in its own file.
    const bits = place === 0 ? undefined : certificate.publicKey.asymmetricKeyDetails?.modulusLength;
    if (bits !== undefined && bits < RSA_BITS.min)
      messages.push(`${whichOf(place)} has an RSA key of ${bits} bits, too short for most clients`);
    const isRoot = isIssuedBy(certificate, certificate);
    const { signatureAlgorithm: algorithm = '' } = certificate;
    if (!isRoot && /sha1|md5/i.test(algorithm)) messages.push(`${whichOf(place)} is signed with ${algorithm}, which most clients refuse`);
  }
  return messages.map((message) => ({ severity: 'warning', path, message }));
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
 * Covered as RFC 9525 §6.3 has it: the same name, or a wildcard in place of its first label; the
 * subject's common name covers nothing. Written here because OpenSSL's own check also refuses
 * `*.localhost` and other wildcards below a single label.
 */
function isCovered(leaf: X509Certificate, name: string): boolean {
  if (isIP(name) !== 0) return leaf.checkIP(name) !== undefined;
  const parent = name.replace(/^[^.]+\./, '*.');
  const entries = (leaf.subjectAltName ?? '').toLowerCase().split(', ');
  return entries.includes(`dns:${name}`) || entries.includes(`dns:${parent}`);
}

function checkPair(chain: readonly X509Certificate[], key: KeyObject, at: { readonly chain: KeyPath; readonly key: KeyPath }): Complaint[] {
  const place = chain.findIndex((certificate) => certificate.checkPrivateKey(key));
  if (place === 0) return [];
  if (place > 0) return [{ path: at.chain, message: `the key belongs to certificate ${place + 1}, but the leaf must come first` }];
  return [{ path: at.key, message: 'the key does not belong to the certificate' }];
}

/** What people want to know of a certificate. */
export interface CertificateFacts {
  readonly subject: string;
  readonly issuer: string;
  /** Hex, as OpenSSL prints it. */
  readonly serial: string;
  /** ISO 8601. */
  readonly notBefore: string;
  readonly notAfter: string;
  /** Such as `ECDSA P-256`. */
  readonly key: string;
  /** SHA-256 of the leaf, hex. */
  readonly fingerprint: string;
  /** Certificates that are sent. */
  readonly chainLength: number;
}

/** Facts of a chain that was checked. */
export function factsOfChain(chainPem: string): CertificateFacts {
  const chain = parseChain(chainPem);
  if (typeof chain === 'string') throw new TypeError(`a chain that was checked cannot be read: ${chain}`);
  const leaf = chain[0] as X509Certificate;
  const oneLine = (name: string | undefined): string => (name ?? '').split('\n').toReversed().join(', ');
  return {
    subject: oneLine(leaf.subject),
    issuer: oneLine(leaf.issuer),
    serial: leaf.serialNumber,
    notBefore: leaf.validFromDate.toISOString(),
    notAfter: leaf.validToDate.toISOString(),
    key: kindOf(leaf.publicKey),
    fingerprint: leaf.fingerprint256.replaceAll(':', '').toLowerCase(),
    chainLength: chain.length,
  };
}

function kindOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): string {
  const { modulusLength, namedCurve = '' } = asymmetricKeyDetails ?? {};
  if (asymmetricKeyType === 'rsa') return `RSA ${modulusLength}`;
  if (asymmetricKeyType === 'ec') return `ECDSA ${CURVES[namedCurve] ?? namedCurve}`;
  return asymmetricKeyType === 'ed25519' ? 'Ed25519' : String(asymmetricKeyType);
}
