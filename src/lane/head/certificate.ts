/**
 * Facts of the client's certificate. A head carries them as lines whose first character is the
 * kind. A certificate that was not verified only has its fingerprint here, so that no rule trusts
 * unverified facts.
 */

import type { CertificateFact } from '../../config/schema/certificate-fact.ts';
import type { HeadReader } from '../../record/read.ts';
import type { Walk } from './fields.ts';

const LINE_END = 0x0a;

const TAGS: Readonly<Record<Exclude<CertificateFact, 'verdict'>, string>> = {
  fingerprint: 'F',
  serial: 'S',
  subject: 'O',
  issuer: 'I',
  dns: 'D',
  uri: 'U',
  email: 'M',
  ip: 'A',
};

/** The values of `fact`: several if a certificate has several names of a kind. */
export function certificateWalk(fact: CertificateFact, bytes: Uint8Array): Walk {
  return fact === 'verdict' ? new VerdictWalk() : new CertificateWalk(TAGS[fact], bytes);
}

class CertificateWalk implements Walk {
  readonly bytes: Uint8Array;
  start = 0;
  length = 0;
  private readonly tag: number;
  private at = 0;
  private end = 0;

  constructor(tag: string, bytes: Uint8Array) {
    this.bytes = bytes;
    this.tag = tag.charCodeAt(0);
  }

  begin(head: HeadReader): void {
    this.at = head.certificateByte;
    this.end = this.at + head.certificateLength;
  }

  next(): boolean {
    const { bytes, end, tag } = this;
    while (this.at < end) {
      const line = this.at;
      let to = line + 1;
      while (to < end && bytes[to] !== LINE_END) to += 1;
      this.at = to + 1;
      if (bytes[line] !== tag) continue;
      this.start = line + 1;
      this.length = to - this.start;
      return true;
    }
    return false;
  }
}

const VERIFIED = 'verified';
const UNVERIFIED = 'unverified';

/** One word; none if no certificate was shown. */
class VerdictWalk implements Walk {
  readonly bytes: Uint8Array = Buffer.from(VERIFIED + UNVERIFIED, 'latin1');
  start = 0;
  length = 0;
  private isThere = false;

  begin(head: HeadReader): void {
    this.isThere = head.hasCertificate;
    this.start = head.isCertificateVerified ? 0 : VERIFIED.length;
    this.length = head.isCertificateVerified ? VERIFIED.length : UNVERIFIED.length;
  }

  next(): boolean {
    const { isThere } = this;
    this.isThere = false;
    return isThere;
  }
}
