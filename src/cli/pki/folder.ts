/**
 * The folder of a development CA and what is done in it: make the CA, issue, revoke, list. Its
 * files are those that TLS takes: nothing else holds what is known. `ca.pem` and `ca.key` are the
 * CA, `crl.pem` says what is revoked, `issued/` has a copy of every certificate (never of its key).
 * Files come to their place whole, by a link or a rename, so that whoever watches them sees no
 * half.
 */

import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, verify, X509Certificate } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { createError } from '../../base/errors.ts';
import { readPem } from '../../config/certificates/pem.ts';
import { explainReading } from '../../config/read/source.ts';
import {
  decodeRevocationList,
  encodeAuthority,
  encodeLeaf,
  encodeRevocationList,
  plainSerial,
  type Reason,
  type RevocationList,
} from './der.ts';
import type { AltName } from './names.ts';

const PRIVATE = 0o600;
const PUBLIC = 0o644;
const DAY_MS = 86_400_000;

/** Where the files of a CA are. */
export interface Places {
  readonly certificate: string;
  readonly key: string;
  readonly list: string;
  readonly issued: string;
}

export function placesOf(folder: string): Places {
  const at = (name: string): string => join(resolve(folder), name);
  return { certificate: at('ca.pem'), key: at('ca.key'), list: at('crl.pem'), issued: at('issued') };
}

/** A CA that was read: its certificate and its key belong together. */
interface Authority {
  readonly places: Places;
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
}

/**
 * Makes a CA with an empty revocation list. One that is there is replaced only when that
 * `isForced`.
 */
export function createAuthority(folder: string, commonName: string, days: number, isForced: boolean): { places: Places; notAfter: Date } {
  const places = placesOf(folder);
  makeFolder(places.issued);
  if (!isForced)
    refuseExisting(
      [places.key, places.certificate, places.list],
      'it holds a CA; --force puts another in its place, and what the old one issued is then worth nothing',
    );
  const key = newKey();
  const { notBefore, notAfter } = validity(days);
  const der = encodeAuthority(commonName, key, notBefore, notAfter);
  const list = encodeRevocationList({ certificate: der, key }, { number: 1, thisUpdate: notBefore, nextUpdate: notAfter, revoked: [] });
  put(places.key, keyToPem(key), PRIVATE, isForced);
  put(places.certificate, toPem('CERTIFICATE', der), PUBLIC, isForced);
  put(places.list, toPem('X509 CRL', list), PUBLIC, isForced);
  return { places, notAfter };
}

export interface IssueWishes {
  readonly commonName: string;
  readonly names: readonly AltName[];
  readonly usage: 'server' | 'client';
  readonly days: number;
  /** Files are `<out>.pem` and `<out>.key`. */
  readonly out: string;
  readonly isForced: boolean;
}

export interface Issued {
  readonly chain: string;
  readonly key: string;
  readonly certificate: X509Certificate;
}

/** Issues a certificate with a new key. */
export function issue(folder: string, { commonName, names, usage, days, out, isForced }: IssueWishes): Issued {
  const authority = readAuthority(folder);
  const { places } = authority;
  const paths = { chain: `${resolve(out)}.pem`, key: `${resolve(out)}.key` };
  for (const path of [paths.chain, paths.key]) {
    if ([places.certificate, places.key, places.list].includes(path))
      throw failure(`${path} is a file of the CA itself; --out names another`);
  }
  if (!isForced) refuseExisting([paths.chain, paths.key], '--force replaces it, --out names another');
  const { notBefore, notAfter } = validity(days);
  if (notAfter > authority.certificate.validToDate) {
    throw createError(
      'usage_not_valid',
      `--days ${days} goes beyond the end of the CA, ${authority.certificate.validToDate.toISOString()}`,
    );
  }
  const key = newKey();
  const facts = { commonName, names, usage, publicKey: createPublicKey(key), notBefore, notAfter };
  const der = encodeLeaf(issuerOf(authority), facts);
  const certificate = new X509Certificate(der);
  const pem = toPem('CERTIFICATE', der);
  makeFolder(dirname(paths.chain));
  makeFolder(places.issued);
  put(recordOf(places, certificate.serialNumber), pem, PUBLIC, false);
  put(paths.key, keyToPem(key), PRIVATE, isForced);
  put(paths.chain, pem, PUBLIC, isForced);
  return { ...paths, certificate };
}

/** What became of a wish to revoke. */
export interface Revocation {
  readonly certificate: X509Certificate;
  readonly at: Date;
  readonly reason: Reason;
  /** It was revoked already, and nothing was written. */
  readonly wasRevoked: boolean;
  readonly list: { readonly path: string; readonly number: number };
}

/**
 * Puts a certificate on the revocation list; `which` is its file, serial number or SHA-256
 * fingerprint.
 */
export function revoke(folder: string, which: string, reason: Reason): Revocation {
  const authority = readAuthority(folder);
  const { places } = authority;
  const certificate = find(authority, which);
  const serial = plainSerial(certificate.serialNumber);
  return alone(places, () => {
    const list = readList(authority);
    const known = list.revoked.find((entry) => entry.serial === serial);
    if (known !== undefined) {
      return { certificate, at: known.at, reason: known.reason, wasRevoked: true, list: { path: places.list, number: list.number } };
    }
    const at = wholeSecond(Date.now());
    const number = list.number + 1;
    const revoked = [...list.revoked, { serial, at, reason }];
    const nextUpdate = authority.certificate.validToDate;
    const der = encodeRevocationList(issuerOf(authority), { number, thisUpdate: at, nextUpdate, revoked });
    put(places.list, toPem('X509 CRL', der), PUBLIC, true);
    return { certificate, at, reason, wasRevoked: false, list: { path: places.list, number } };
  });
}

/** A certificate of the CA and what is known of it. */
export interface Listed {
  readonly certificate: X509Certificate;
  readonly revoked: { readonly at: Date; readonly reason: Reason } | undefined;
}

/** What the CA issued, the oldest first. */
export function listIssued(folder: string): { authority: X509Certificate; list: RevocationList; issued: Listed[] } {
  const authority = readAuthority(folder);
  const list = readList(authority);
  const revoked = new Map(list.revoked.map((entry) => [entry.serial, entry]));
  const issued = records(authority).map((certificate) => ({ certificate, revoked: revoked.get(plainSerial(certificate.serialNumber)) }));
  return {
    authority: authority.certificate,
    list,
    issued: issued.sort((a, b) => a.certificate.validFromDate.getTime() - b.certificate.validFromDate.getTime()),
  };
}

function find(authority: Authority, which: string): X509Certificate {
  const hex = which.replaceAll(':', '').toUpperCase();
  const isNumber = /^[0-9A-F]+$/.test(hex);
  if (!isNumber || isFile(which)) {
    const certificate = readCertificateFile(which);
    if (!isIssuedBy(certificate, authority)) throw failure(`${which} was not issued by the CA of ${dirname(authority.places.certificate)}`);
    return certificate;
  }
  const found = records(authority).find(
    ({ serialNumber, fingerprint256 }) => plainSerial(serialNumber) === plainSerial(hex) || fingerprint256.replaceAll(':', '') === hex,
  );
  if (found !== undefined) return found;
  throw failure(`no certificate of this CA has the serial number or fingerprint ${which}; \`lychgate pki list\` shows those it issued`);
}

/** Certificates of `issued/` that are this CA's: another may have been there before it. */
function records(authority: Authority): X509Certificate[] {
  const { issued } = authority.places;
  const names = attempt(issued, () => readdirSync(issued)).filter((name) => name.endsWith('.pem') && !name.startsWith('.'));
  return names.map((name) => readCertificateFile(join(issued, name))).filter((certificate) => isIssuedBy(certificate, authority));
}

function isIssuedBy(certificate: X509Certificate, authority: Authority): boolean {
  return !certificate.ca && certificate.checkIssued(authority.certificate) && certificate.verify(authority.certificate.publicKey);
}

function readAuthority(folder: string): Authority {
  const places = placesOf(folder);
  if (!isFile(places.certificate) && !isFile(places.key)) {
    throw failure(`${resolve(folder)} holds no CA; \`lychgate pki init ${folder}\` makes one`);
  }
  const certificate = readCertificateFile(places.certificate);
  const text = attempt(places.key, () => readFileSync(places.key, 'utf8'));
  const key = attempt(places.key, () => createPrivateKey(text), 'is no private key');
  if (!certificate.ca || !certificate.checkPrivateKey(key)) throw failure(`${places.key} is not the key of a CA in ${places.certificate}`);
  if (key.asymmetricKeyType !== 'ec') throw failure(`${places.key} is no ECDSA key; this CA was made by something else`);
  return { places, certificate, key };
}

function readCertificateFile(path: string): X509Certificate {
  const text = attempt(path, () => readFileSync(path, 'utf8'));
  const blocks = readPem(text);
  if (typeof blocks === 'string') throw failure(`${path} ${blocks}`);
  const first = blocks.find(({ label }) => label === 'CERTIFICATE');
  if (first === undefined) throw failure(`${path} holds no certificate`);
  return attempt(path, () => new X509Certificate(first.text), 'holds a certificate that cannot be read');
}

/** Not read as if it were empty where it cannot be read: what it revoked would hold again. */
function readList({ places, certificate }: Authority): RevocationList {
  const text = attempt(places.list, () => readFileSync(places.list, 'utf8'));
  const blocks = readPem(text);
  if (typeof blocks === 'string') throw failure(`${places.list} ${blocks}`);
  const [first] = blocks;
  if (first?.label !== 'X509 CRL') throw failure(`${places.list} holds no revocation list`);
  const der = Buffer.from(first.text.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
  const isGenuine = (body: Uint8Array, signature: Uint8Array): boolean => verify('sha256', body, certificate.publicKey, signature);
  return attempt(places.list, () => decodeRevocationList(der, isGenuine), 'holds no revocation list of this CA');
}

function issuerOf({ certificate, key }: Authority): { certificate: Uint8Array; key: KeyObject } {
  return { certificate: new Uint8Array(certificate.raw), key };
}

function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

function keyToPem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

function toPem(label: string, der: Uint8Array): string {
  const lines = Buffer.from(der)
    .toString('base64')
    .replaceAll(/.{64}(?=.)/g, '$&\n');
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}

/** Validity has whole seconds; milliseconds have no place in it (RFC 5280 §4.1.2.5). */
function validity(days: number): { notBefore: Date; notAfter: Date } {
  const notBefore = wholeSecond(Date.now());
  return { notBefore, notAfter: new Date(notBefore.getTime() + days * DAY_MS) };
}

function wholeSecond(ms: number): Date {
  return new Date(Math.floor(ms / 1_000) * 1_000);
}

function recordOf({ issued }: Places, serial: string): string {
  return join(issued, `${serial}.pem`);
}

function makeFolder(path: string): void {
  attempt(path, () => mkdirSync(path, { recursive: true }));
}

function refuseExisting(paths: readonly string[], advice: string): void {
  const there = paths.find(isFile);
  if (there !== undefined) throw failure(`${there} is there already: ${advice}`);
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

/**
 * Writes a file that is there as a whole or not at all, whatever comes in between; one that is
 * there stays unless `mayReplace`.
 */
function put(path: string, text: string, mode: number, mayReplace: boolean): void {
  const half = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`);
  attempt(path, () => {
    try {
      const file = openSync(half, 'wx', mode);
      try {
        writeSync(file, text);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      if (mayReplace) renameSync(half, path);
      else linkSync(half, path);
    } finally {
      rmSync(half, { force: true });
    }
  });
}

/** Lists are written one after the other, or one of two revocations would be lost. */
function alone<T>({ list }: Places, work: () => T): T {
  const lock = `${list}.lock`;
  const isTaken = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'EEXIST';
  const until = Date.now() + 5_000;
  for (;;) {
    try {
      closeSync(openSync(lock, 'wx', PRIVATE));
      break;
    } catch (error) {
      if (!isTaken(error)) throw failure(`${lock}: ${explain(error)}`);
      if (Date.now() > until) throw failure(`${lock} is there: another revocation is under way; remove the file if none is`);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
    }
  }
  try {
    return work();
  } finally {
    rmSync(lock, { force: true });
  }
}

/** A failure of `work` said with the file it was about. */
function attempt<T>(path: string, work: () => T, says?: string): T {
  try {
    return work();
  } catch (error) {
    throw failure(says === undefined ? `${path}: ${explain(error)}` : `${path} ${says}: ${error instanceof Error ? error.message : error}`);
  }
}

function explain(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'EEXIST') return 'it is there already';
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied';
  if (code === 'EROFS' || code === 'ENOSPC') return code === 'EROFS' ? 'the file system is read-only' : 'no space is left';
  return explainReading(error);
}

function failure(message: string): Error {
  return createError('pki_failed', message);
}
