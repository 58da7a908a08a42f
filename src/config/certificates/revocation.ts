/**
 * Revocation lists (RFC 5280 §5): read, held against the authority that signed them, and packed so
 * that the reactors need no more of them than numbers.
 */

import { constants, verify, type X509Certificate } from 'node:crypto';
import type { RevocationSnapshot } from '../snapshot/listener.ts';
import { DerFault, type Element, elementsOf, firstOf, oidOf, onlyOf, TAG, timeOf } from './der.ts';
import { readPem } from './pem.ts';

/** Serial numbers of RFC 5280 §4.1.2.2 have 20 bytes; some authorities are generous. */
const MAX_SERIAL_BYTES = 64;

interface Algorithm {
  /** Null where the key says it. */
  readonly hash: string | null;
  readonly isPss?: true;
}

/** Signatures by identifier. SHA-1 is none any more. */
const ALGORITHMS: Readonly<Record<string, Algorithm>> = {
  '1.2.840.113549.1.1.11': { hash: 'sha256' },
  '1.2.840.113549.1.1.12': { hash: 'sha384' },
  '1.2.840.113549.1.1.13': { hash: 'sha512' },
  '1.2.840.113549.1.1.10': { hash: '', isPss: true },
  '1.2.840.10045.4.3.2': { hash: 'sha256' },
  '1.2.840.10045.4.3.3': { hash: 'sha384' },
  '1.2.840.10045.4.3.4': { hash: 'sha512' },
  '1.3.101.112': { hash: null },
};

const HASHES: Readonly<Record<string, string>> = {
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
};

/** Extensions of a list that are known: number, authority's key, freshest list, where it lies. */
const KNOWN_EXTENSIONS = new Set(['2.5.29.20', '2.5.29.35', '2.5.29.46', '2.5.29.18']);
const DELTA = '2.5.29.27';
const DISTRIBUTION_POINT = '2.5.29.28';

/** DER of the lists of a file, which may be PEM or DER; or what is wrong with it. */
export function listsIn(bytes: Uint8Array, text: string): Uint8Array[] | string {
  if (bytes[0] === TAG.sequence) return [bytes];
  const blocks = readPem(text);
  if (typeof blocks === 'string') return blocks;
  const lists = blocks.filter(({ label }) => label === 'X509 CRL');
  if (lists.length === 0) return blocks.length > 0 ? `holds a ${blocks[0]?.label}, no revocation list` : 'holds no revocation list';
  return lists.map(({ text: block }) => new Uint8Array(Buffer.from(block.replaceAll(/-----[^\n]*-----/g, ''), 'base64')));
}

/** A list that one of `authorities` has signed, or what is wrong with it. */
export function readList(der: Uint8Array, authorities: readonly X509Certificate[]): RevocationSnapshot | string {
  try {
    return listOf(der, authorities);
  } catch (error) {
    if (error instanceof DerFault) return `the revocation list cannot be read: ${error.message}`;
    throw error;
  }
}

function listOf(der: Uint8Array, authorities: readonly X509Certificate[]): RevocationSnapshot | string {
  const [body, algorithm, signature, ...more] = elementsOf(onlyOf(der, TAG.sequence).content);
  if (body === undefined || algorithm === undefined || signature?.tag !== TAG.bitString || more.length > 0)
    throw new DerFault('parts are missing');
  const parts = [...elementsOf(body.content)];
  // Version 2 says so, version 1 does not.
  if (parts[0]?.tag === TAG.integer) parts.shift();
  const [inner, issuer, thisUpdate, ...rest] = parts;
  if (inner === undefined || issuer === undefined || thisUpdate === undefined) throw new DerFault('parts are missing');
  if (Buffer.compare(inner.whole, algorithm.whole) !== 0) throw new DerFault('it names two algorithms');
  const signed = { body: body.whole, signature: signature.content.subarray(1) };
  const named = authorities.filter((authority) => Buffer.compare(subjectOf(authority), issuer.whole) === 0);
  if (named.length === 0) return 'its issuer is none of the authorities in ca';
  const signer = named.find((authority) => isSignedBy(authority, algorithm, signed));
  if (signer === undefined) return 'it is not signed by the authority whose name it bears, or with SHA-1';
  const isTime = ({ tag }: Element): boolean => tag === TAG.utcTime || tag === TAG.generalTime;
  const nextUpdate = rest[0] !== undefined && isTime(rest[0]) ? rest.shift() : undefined;
  const entries = rest[0]?.tag === TAG.sequence ? rest.shift() : undefined;
  const extensions = rest.find(({ tag }) => tag === 0xa0);
  const objection = extensions === undefined ? undefined : objectionTo(onlyOf(extensions.content, TAG.sequence));
  if (objection !== undefined) return objection;
  const { serials, count } = pack(entries);
  return {
    signer: new Uint8Array(Buffer.from(signer.fingerprint256.replaceAll(':', ''), 'hex')),
    signerName: signer.subject.replaceAll('\n', ', '),
    thisUpdateMs: timeOf(thisUpdate),
    nextUpdateMs: nextUpdate === undefined ? Number.POSITIVE_INFINITY : timeOf(nextUpdate),
    count,
    serials,
  };
}

/** What keeps a list from being understood. */
function objectionTo(extensions: Element): string | undefined {
  for (const extension of elementsOf(extensions.content)) {
    const [id, ...parts] = elementsOf(extension.content);
    if (id === undefined) throw new DerFault('an extension is empty');
    const [oid, isCritical] = [oidOf(id), parts.length > 1];
    if (oid === DELTA) return 'it is a delta list, which says only what came since another one';
    if (oid === DISTRIBUTION_POINT) {
      const value = onlyOf(parts.at(-1)?.content ?? new Uint8Array(), TAG.sequence);
      // [4]: it lists what others have issued.
      if ([...elementsOf(value.content)].some(({ tag }) => tag === 0x84)) return 'it is an indirect list, of certificates of others';
    } else if (isCritical && !KNOWN_EXTENSIONS.has(oid)) return `it has an extension that is not known here (${oid})`;
  }
  return undefined;
}

/** Serial numbers, each with its length before it, without zeros in front. */
function pack(entries: Element | undefined): { serials: Uint8Array; count: number } {
  if (entries === undefined) return { serials: new Uint8Array(), count: 0 };
  const packed = new Uint8Array(entries.content.length);
  let [length, count] = [0, 0];
  for (const entry of elementsOf(entries.content)) {
    const { element: serial } = firstOf(entry.content);
    if (serial.tag !== TAG.integer || serial.content.length > MAX_SERIAL_BYTES) throw new DerFault('a serial number cannot be');
    let from = 0;
    while (serial.content[from] === 0) from += 1;
    const bytes = serial.content.subarray(from);
    packed[length] = bytes.length;
    packed.set(bytes, length + 1);
    length += 1 + bytes.length;
    count += 1;
  }
  return { serials: packed.slice(0, length), count };
}

/** DER of a certificate's subject. */
function subjectOf(certificate: X509Certificate): Uint8Array {
  const parts = [...elementsOf(firstOf(firstOf(certificate.raw).element.content).element.content)];
  if (parts[0]?.tag === 0xa0) parts.shift();
  // Serial number, signature, issuer, validity, subject (RFC 5280 §4.1).
  return parts[4]?.whole ?? new Uint8Array();
}

function isSignedBy(authority: X509Certificate, algorithm: Element, signed: { body: Uint8Array; signature: Uint8Array }): boolean {
  const [id, parameters] = elementsOf(algorithm.content);
  const known = id === undefined ? undefined : ALGORITHMS[oidOf(id)];
  if (known === undefined) return false;
  const hash = known.isPss === true ? hashOfPss(parameters) : known.hash;
  if (hash === undefined) return false;
  const { publicKey: key } = authority;
  const options =
    known.isPss === true ? { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_AUTO } : { key };
  try {
    return verify(hash, signed.body, options, signed.signature);
  } catch {
    // The key is of another kind.
    return false;
  }
}

/** RFC 4055 §3.1; without a word it is SHA-1. */
function hashOfPss(parameters: Element | undefined): string | undefined {
  const first = parameters === undefined ? undefined : [...elementsOf(parameters.content)].find(({ tag }) => tag === 0xa0);
  if (first === undefined) return undefined;
  return HASHES[oidOf(firstOf(onlyOf(first.content, TAG.sequence).content).element)];
}
