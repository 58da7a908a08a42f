/**
 * Sealed text for cookies: a backend and a time that nobody outside can read, forge or move to
 * another upstream. AES-256-GCM with a nonce derived from the content (HMAC-SHA-256; AES-GCM-SIV,
 * RFC 8452, does it by other means). The same content gives the same text, so shards need no common
 * nonce counter, no nonce is used for two contents, and there are few distinct cookies to cache.
 */

import { createCipheriv, createDecipheriv, createHash, createHmac, hkdfSync } from 'node:crypto';
import { Hash } from '../head/hash.ts';

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const IDENTITY_BYTES = 16;
const CONTENT_BYTES = 4 + IDENTITY_BYTES;

/** Length of the AES output in base64url without padding (RFC 4648 §5). */
const TEXT_LENGTH = ((NONCE_BYTES + CONTENT_BYTES + TAG_BYTES) * 4) / 3;

/** Characters of the check, 36 bits. */
const CHECK_LENGTH = 6;

/** Length of the sealed text with its check. */
export const SEALED_LENGTH = TEXT_LENGTH + CHECK_LENGTH;

const ALPHABET = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_', 'latin1');

/** The sealed content. */
export interface Sealed {
  /** As given by `identityOf`. */
  readonly identity: string;
  /** Seconds since 1970. */
  readonly issuedS: number;
}

export class Seal {
  private readonly cipherKey: Buffer;
  private readonly nonceKey: Buffer;
  private readonly context: Buffer;
  /** Half of the key of the check. */
  private readonly low: number;
  private readonly high: number;
  private readonly digest = new Hash();

  /**
   * `key` has 32 bytes. Text sealed for one `context` (an upstream's name) does not open for
   * another.
   */
  constructor(key: Uint8Array, context: string) {
    this.cipherKey = Buffer.from(hkdfSync('sha256', key, '', 'lychgate sticky cipher', 32));
    this.nonceKey = Buffer.from(hkdfSync('sha256', key, '', 'lychgate sticky nonce', 32));
    this.context = Buffer.from(context, 'utf8');
    const check = Buffer.from(hkdfSync('sha256', key, '', `lychgate sticky check ${context}`, 8));
    this.low = check.readUInt32LE(0);
    this.high = check.readUInt32LE(4);
  }

  seal({ identity, issuedS }: Sealed): string {
    const content = Buffer.alloc(CONTENT_BYTES);
    content.writeUInt32BE(issuedS);
    content.write(identity, 4, 'hex');
    const nonce = createHmac('sha256', this.nonceKey).update(this.context).update('\0').update(content).digest().subarray(0, NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.cipherKey, nonce).setAAD(this.context);
    const text = Buffer.concat([nonce, cipher.update(content), cipher.final(), cipher.getAuthTag()]).toString('base64url');
    const bytes = Buffer.from(text, 'latin1');
    this.digest.of(bytes, 0, TEXT_LENGTH, this.low, this.high);
    return `${text}${Array.from({ length: CHECK_LENGTH }, (_, place) => String.fromCharCode(this.checkAt(place))).join('')}`;
  }

  /**
   * Whether the text of SEALED_LENGTH at `start` has a valid check: a keyed hash that costs a tenth
   * of a microsecond, instead of AES and an exception. It spares `open` from forgeries but proves
   * nothing; `open` does that.
   */
  isLikely(bytes: Uint8Array, start: number): boolean {
    this.digest.of(bytes, start, start + TEXT_LENGTH, this.low, this.high);
    for (let place = 0; place < CHECK_LENGTH; place++) if (bytes[start + TEXT_LENGTH + place] !== this.checkAt(place)) return false;
    return true;
  }

  /** A character of the check for the latest hash. */
  private checkAt(place: number): number {
    const { low, high } = this.digest;
    return ALPHABET[(place < 5 ? low >>> (place * 6) : high) & 63]!;
  }

  /** Undefined for text that was not sealed under this key and context. */
  open(text: string): Sealed | undefined {
    if (text.length !== SEALED_LENGTH) return undefined;
    const bytes = Buffer.from(text.slice(0, TEXT_LENGTH), 'base64url');
    if (bytes.length !== NONCE_BYTES + CONTENT_BYTES + TAG_BYTES) return undefined;
    const decipher = createDecipheriv(CIPHER, this.cipherKey, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
    decipher.setAAD(this.context).setAuthTag(bytes.subarray(-TAG_BYTES));
    try {
      const content = Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
      return { identity: content.toString('hex', 4), issuedS: content.readUInt32BE() };
    } catch {
      // Forged, truncated or sealed under another key: Node throws.
      return undefined;
    }
  }
}

/** How a sealed cookie names a backend: by its URL, which outlives its index in a list. */
export function identityOf(url: string): string {
  return createHash('sha256')
    .update(url)
    .digest('hex')
    .slice(0, 2 * IDENTITY_BYTES);
}
