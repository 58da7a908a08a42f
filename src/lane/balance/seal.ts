/**
 * Sealed text for cookies: a backend and a time that nobody outside can read, forge or move to another upstream. AES-256-GCM whose nonce is made of the content
 * (HMAC-SHA-256, as AES-GCM-SIV does by other means, RFC 8452): the same content gives the same text, so shards need not count nonces together, none is ever
 * used for two contents, and there are few distinct cookies to remember.
 */

import { createCipheriv, createDecipheriv, createHash, createHmac, hkdfSync } from 'node:crypto';

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const IDENTITY_BYTES = 16;
const CONTENT_BYTES = 4 + IDENTITY_BYTES;

/** Length of the sealed text: base64url without padding (RFC 4648 §5). */
export const SEALED_LENGTH = ((NONCE_BYTES + CONTENT_BYTES + TAG_BYTES) * 4) / 3;

/** What was sealed. */
export interface Sealed {
  /** Of `identityOf`. */
  readonly identity: string;
  /** Seconds since 1970. */
  readonly issuedS: number;
}

export class Seal {
  private readonly cipherKey: Buffer;
  private readonly nonceKey: Buffer;
  private readonly context: Buffer;

  /** `key` has 32 bytes; text sealed for one `context` (an upstream's name) opens for no other. */
  constructor(key: Uint8Array, context: string) {
    this.cipherKey = Buffer.from(hkdfSync('sha256', key, '', 'lychgate sticky cipher', 32));
    this.nonceKey = Buffer.from(hkdfSync('sha256', key, '', 'lychgate sticky nonce', 32));
    this.context = Buffer.from(context, 'utf8');
  }

  seal({ identity, issuedS }: Sealed): string {
    const content = Buffer.alloc(CONTENT_BYTES);
    content.writeUInt32BE(issuedS);
    content.write(identity, 4, 'hex');
    const nonce = createHmac('sha256', this.nonceKey).update(this.context).update('\0').update(content).digest().subarray(0, NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.cipherKey, nonce).setAAD(this.context);
    return Buffer.concat([nonce, cipher.update(content), cipher.final(), cipher.getAuthTag()]).toString('base64url');
  }

  /** Undefined for anything that was not sealed under this key and context. */
  open(text: string): Sealed | undefined {
    if (text.length !== SEALED_LENGTH) return undefined;
    const bytes = Buffer.from(text, 'base64url');
    if (bytes.length !== NONCE_BYTES + CONTENT_BYTES + TAG_BYTES) return undefined;
    const decipher = createDecipheriv(CIPHER, this.cipherKey, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
    decipher.setAAD(this.context).setAuthTag(bytes.subarray(-TAG_BYTES));
    try {
      const content = Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
      return { identity: content.toString('hex', 4), issuedS: content.readUInt32BE() };
    } catch {
      // Forged, cut, or of another key: Node says so by throwing.
      return undefined;
    }
  }
}

/** What a sealed cookie knows a backend by: its URL, which outlives its place in a list. */
export function identityOf(url: string): string {
  return createHash('sha256')
    .update(url)
    .digest('hex')
    .slice(0, 2 * IDENTITY_BYTES);
}
