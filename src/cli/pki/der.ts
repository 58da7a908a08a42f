/**
 * Certificates and revocation lists in DER, as RFC 5280 has them: what is put in here comes out
 * signed. The shapes and their encoding are those of `@peculiar/asn1-x509`, keys and signatures
 * those of Node. It holds no files and knows no commands.
 */

import { createHash, createPublicKey, type KeyObject, randomBytes, sign } from 'node:crypto';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  CertificateList,
  CRLNumber,
  CRLReason,
  CRLReasons,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_cRLNumber,
  id_ce_cRLReasons,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
  id_kp_clientAuth,
  id_kp_serverAuth,
  KeyIdentifier,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  RevokedCertificate,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
  TBSCertificate,
  TBSCertList,
  Time,
  Validity,
  Version,
} from '@peculiar/asn1-x509';
import type { AltName } from './names.ts';

/** RFC 5758 §3.2. */
const ECDSA_SHA256 = '1.2.840.10045.4.3.2';
const COMMON_NAME = '2.5.4.3';

/**
 * Why a certificate is revoked (RFC 5280 §5.3.1); a hold and what ends it are left out: neither is
 * known to TLS.
 */
export const REASONS = {
  unspecified: CRLReasons.unspecified,
  keyCompromise: CRLReasons.keyCompromise,
  affiliationChanged: CRLReasons.affiliationChanged,
  superseded: CRLReasons.superseded,
  cessationOfOperation: CRLReasons.cessationOfOperation,
  privilegeWithdrawn: CRLReasons.privilegeWithdrawn,
} as const;
export type Reason = keyof typeof REASONS;

/** Whose signature it is. */
export interface Issuer {
  /** DER. */
  readonly certificate: Uint8Array;
  readonly key: KeyObject;
}

export interface LeafFacts {
  readonly commonName: string;
  readonly names: readonly AltName[];
  readonly usage: 'server' | 'client';
  readonly publicKey: KeyObject;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** A self-signed CA below which there are no others. */
export function encodeAuthority(commonName: string, key: KeyObject, notBefore: Date, notAfter: Date): Uint8Array {
  const publicKey = keyInfoOf(createPublicKey(key));
  const name = nameOf(commonName);
  const own = keyIdOf(publicKey);
  return encodeCertificate(key, {
    issuer: name,
    subject: name,
    publicKey,
    notBefore,
    notAfter,
    extensions: [
      extension(id_ce_basicConstraints, new BasicConstraints({ cA: true, pathLenConstraint: 0 }), true),
      extension(id_ce_keyUsage, new KeyUsage(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign), true),
      extension(id_ce_subjectKeyIdentifier, new SubjectKeyIdentifier(own)),
    ],
  });
}

/** A certificate of a server or a client. */
export function encodeLeaf(issuer: Issuer, { commonName, names, usage, publicKey, notBefore, notAfter }: LeafFacts): Uint8Array {
  const info = keyInfoOf(publicKey);
  const authority = parseCertificate(issuer.certificate);
  const extensions = [
    extension(id_ce_basicConstraints, new BasicConstraints(), true),
    extension(id_ce_keyUsage, new KeyUsage(KeyUsageFlags.digitalSignature), true),
    extension(id_ce_extKeyUsage, new ExtendedKeyUsage([usage === 'server' ? id_kp_serverAuth : id_kp_clientAuth])),
    extension(id_ce_subjectKeyIdentifier, new SubjectKeyIdentifier(keyIdOf(info))),
    authorityKeyOf(authority),
  ];
  if (names.length > 0) extensions.push(extension(id_ce_subjectAltName, new SubjectAlternativeName(names.map(toGeneralName))));
  return encodeCertificate(issuer.key, {
    issuer: authority.tbsCertificate.subject,
    subject: nameOf(commonName),
    publicKey: info,
    notBefore,
    notAfter,
    extensions,
  });
}

/** What a revocation list says. */
export interface RevocationList {
  /** Goes up by one with every list. */
  readonly number: number;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
  readonly revoked: readonly Revoked[];
}

export interface Revoked {
  /** Upper-case hex, as Node and OpenSSL print it. */
  readonly serial: string;
  readonly at: Date;
  readonly reason: Reason;
}

export function encodeRevocationList(issuer: Issuer, { number, thisUpdate, nextUpdate, revoked }: RevocationList): Uint8Array {
  const authority = parseCertificate(issuer.certificate);
  const algorithm = new AlgorithmIdentifier({ algorithm: ECDSA_SHA256 });
  const list = new TBSCertList({
    version: Version.v2,
    signature: algorithm,
    issuer: authority.tbsCertificate.subject,
    thisUpdate: new Time(thisUpdate),
    nextUpdate: new Time(nextUpdate),
    crlExtensions: [authorityKeyOf(authority), extension(id_ce_cRLNumber, new CRLNumber(number))],
  });
  // An empty list is left out (RFC 5280 §5.1.2.6).
  if (revoked.length > 0) list.revokedCertificates = revoked.map(toEntry);
  const signature = signed(issuer.key, AsnConvert.serialize(list));
  return new Uint8Array(AsnConvert.serialize(new CertificateList({ tbsCertList: list, signatureAlgorithm: algorithm, signature })));
}

/** Reads a list whose signature is the issuer's; throws where it is not one. */
export function decodeRevocationList(der: Uint8Array, verify: (signed: Uint8Array, signature: Uint8Array) => boolean): RevocationList {
  const { tbsCertList: list, tbsCertListRaw: raw, signature } = AsnConvert.parse(der, CertificateList);
  if (raw === undefined || !verify(new Uint8Array(raw), new Uint8Array(signature))) throw new TypeError('it is not signed by this CA');
  const numbered = list.crlExtensions?.find(({ extnID }) => extnID === id_ce_cRLNumber);
  if (numbered === undefined || list.nextUpdate === undefined) throw new TypeError('it has no number or no end');
  return {
    number: AsnConvert.parse(numbered.extnValue.buffer, CRLNumber).value,
    thisUpdate: list.thisUpdate.getTime(),
    nextUpdate: list.nextUpdate.getTime(),
    revoked: (list.revokedCertificates ?? []).map(fromEntry),
  };
}

interface CertificateParts {
  readonly issuer: Name;
  readonly subject: Name;
  readonly publicKey: SubjectPublicKeyInfo;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly extensions: Extension[];
}

function encodeCertificate(key: KeyObject, { issuer, subject, publicKey, notBefore, notAfter, extensions }: CertificateParts): Uint8Array {
  const algorithm = new AlgorithmIdentifier({ algorithm: ECDSA_SHA256 });
  const body = new TBSCertificate({
    version: Version.v3,
    serialNumber: newSerial(),
    signature: algorithm,
    issuer,
    validity: new Validity({ notBefore, notAfter }),
    subject,
    subjectPublicKeyInfo: publicKey,
    extensions: new Extensions(extensions),
  });
  const signatureValue = signed(key, AsnConvert.serialize(body));
  return new Uint8Array(AsnConvert.serialize(new Certificate({ tbsCertificate: body, signatureAlgorithm: algorithm, signatureValue })));
}

/** 126 random bits below a set one: positive, and 16 bytes long whatever comes. */
function newSerial(): ArrayBuffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] as number) & 0x3f) | 0x40;
  return toBuffer(bytes);
}

function signed(key: KeyObject, body: ArrayBuffer): ArrayBuffer {
  return toBuffer(sign('sha256', new Uint8Array(body), key));
}

function nameOf(commonName: string): Name {
  const value = new AttributeValue({ utf8String: commonName });
  return new Name([new RelativeDistinguishedName([new AttributeTypeAndValue({ type: COMMON_NAME, value })])]);
}

function keyInfoOf(key: KeyObject): SubjectPublicKeyInfo {
  return AsnConvert.parse(key.export({ type: 'spki', format: 'der' }), SubjectPublicKeyInfo);
}

/** RFC 5280 §4.2.1.2, method 1. */
function keyIdOf({ subjectPublicKey }: SubjectPublicKeyInfo): Uint8Array {
  return new Uint8Array(createHash('sha1').update(new Uint8Array(subjectPublicKey)).digest());
}

function authorityKeyOf({ tbsCertificate }: Certificate): Extension {
  const keyIdentifier = new KeyIdentifier(keyIdOf(tbsCertificate.subjectPublicKeyInfo));
  return extension(id_ce_authorityKeyIdentifier, new AuthorityKeyIdentifier({ keyIdentifier }));
}

function parseCertificate(der: Uint8Array): Certificate {
  return AsnConvert.parse(der, Certificate);
}

function extension(extnID: string, value: object, critical = false): Extension {
  return new Extension({ extnID, critical, extnValue: new OctetString(AsnConvert.serialize(value)) });
}

function toGeneralName({ kind, value }: AltName): GeneralName {
  if (kind === 'DNS') return new GeneralName({ dNSName: value });
  if (kind === 'IP') return new GeneralName({ iPAddress: value });
  return new GeneralName(kind === 'URI' ? { uniformResourceIdentifier: value } : { rfc822Name: value });
}

function toEntry({ serial, at, reason }: Revoked): RevokedCertificate {
  const bytes = Buffer.from(serial.padStart(serial.length + (serial.length % 2), '0'), 'hex');
  // A first bit of one would be a minus.
  const userCertificate = toBuffer((bytes[0] ?? 0) > 0x7f ? Buffer.concat([Buffer.of(0), bytes]) : bytes);
  const entry = new RevokedCertificate({ userCertificate, revocationDate: new Time(at) });
  // `unspecified` is said by saying nothing (RFC 5280 §5.3.1).
  if (reason !== 'unspecified') entry.crlEntryExtensions = [extension(id_ce_cRLReasons, new CRLReason(REASONS[reason]))];
  return entry;
}

function fromEntry({ userCertificate, revocationDate, crlEntryExtensions = [] }: RevokedCertificate): Revoked {
  const given = crlEntryExtensions.find(({ extnID }) => extnID === id_ce_cRLReasons);
  const number = given === undefined ? CRLReasons.unspecified : AsnConvert.parse(given.extnValue.buffer, CRLReason).reason;
  const reason = (Object.keys(REASONS) as Reason[]).find((name) => REASONS[name] === number) ?? 'unspecified';
  return { serial: plainSerial(Buffer.from(userCertificate).toString('hex')), at: revocationDate.getTime(), reason };
}

/** As Node prints serial numbers: upper case, without zeros in front, whole bytes. */
export function plainSerial(hex: string): string {
  const digits = hex.toUpperCase().replace(/^0+/, '');
  return digits.length % 2 === 0 ? digits : `0${digits}`;
}

function toBuffer(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}
