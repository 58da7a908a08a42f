/**
 * Hashes bytes in place to 64 bits in two words: HalfSipHash-1-3 with 64-bit output (Aumasson and
 * Bernstein, "SipHash: a fast short-input PRF", 2012; the 32-bit variant is by the same authors).
 * It needs only 32-bit additions, so it is fast here, and it is keyed: under a secret key nobody
 * outside can find collisions, under a fixed key every process maps a request alike.
 */

const V2 = 0x6c79_6765;
const V3 = 0x7465_6462;
/** Separates the 64-bit output from the 32-bit one. */
const LONG = 0xee;
const SECOND = 0xdd;

/** Lives as long as its owner; `low` and `high` hold the last result, u32 each. */
export class Hash {
  low = 0;
  high = 0;

  /** Hashes `bytes` from `start` to `end` under a key of two words. */
  of(bytes: Uint8Array, start: number, end: number, key0: number, key1: number): void {
    let v0 = key0 | 0;
    let v1 = key1 ^ LONG;
    let v2 = V2 ^ key0;
    let v3 = V3 ^ key1;
    const length = end - start;
    const whole = end - (length & 3);
    let last = length << 24;
    for (let at = start; at < whole + 4; at += 4) {
      let word: number;
      if (at < whole) word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
      else {
        for (let i = at; i < end; i++) last |= bytes[i]! << ((i - at) << 3);
        word = last;
      }
      v3 ^= word;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= word;
    }
    v2 ^= LONG;
    for (let round = 0; round < 6; round++) {
      if (round === 3) {
        this.low = (v1 ^ v3) >>> 0;
        v1 ^= SECOND;
      }
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
    }
    this.high = (v1 ^ v3) >>> 0;
  }

  /** Hashes an unsigned integer below 2^53. */
  ofNumber(value: number, key0: number, key1: number): void {
    const bytes = NUMBER;
    bytes[0] = value;
    bytes[1] = value >>> 8;
    bytes[2] = value >>> 16;
    bytes[3] = value >>> 24;
    const high = value / 2 ** 32;
    bytes[4] = high;
    bytes[5] = high >>> 8;
    bytes[6] = high >>> 16;
    this.of(bytes, 0, 7, key0, key1);
  }

  /** Hashes text as UTF-8; for set-up only. */
  ofText(text: string, key0: number, key1: number): void {
    const bytes = Buffer.from(text, 'utf8');
    this.of(bytes, 0, bytes.length, key0, key1);
  }
}

const NUMBER = new Uint8Array(7);

/**
 * A u32 that depends on all bits of `value`; cheaper than a hash if the input is one already (the
 * finaliser of MurmurHash3, Appleby).
 */
export function scatter(value: number): number {
  let mixed = value | 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85eb_ca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
