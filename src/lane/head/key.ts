/**
 * Keys: hashes of what identifies a request, for balancers, splits and limits. Computed from the
 * head's bytes in place. Without a seed a request has the same hash on every shard, in every
 * process and on every edge. Limits use a secret seed, so that nobody can find keys that share a
 * bucket.
 */

import type { CertificateFact } from '../../config/schema/certificate-fact.ts';
import type { KeySnapshot } from '../../config/snapshot/key.ts';
import type { HeadReader } from '../../record/read.ts';
import type { Client } from './client.ts';
import type { Walk } from './fields.ts';
import { Hash } from './hash.ts';
import type { Walks } from './walks.ts';

/** Two secret words, or zeros. */
export interface KeySeed {
  readonly low: number;
  readonly high: number;
}

export const NO_SEED: KeySeed = { low: 0, high: 0 };

/**
 * `first` uses the first part that the request has; `all` combines every part, with missing ones as
 * absent. If a value is repeated, `first` hashes all values. Under `all`, which limits count by,
 * all requests that repeat it share one key: the backend may read another line than we do.
 */
export type KeyMode = 'first' | 'all';

/** One part of a key, ready for look-up. */
interface Part {
  readonly kind: KeySnapshot['kind'];
  /** For header, cookie, query and certificate. */
  readonly walk: Walk | undefined;
  readonly prefix4: number;
  readonly prefix6: number;
  /** Separates equal bytes of different parts. */
  readonly salt: number;
}

export class Key {
  /** Upper half of the last hash, for users of 64 bits. */
  high = 0;

  private readonly parts: readonly Part[];
  private readonly isCombined: boolean;
  private readonly bytes: Uint8Array;
  private readonly seed: KeySeed;
  private readonly digest = new Hash();
  private readonly network = new Uint8Array(17);
  /** The key only depends on the head and its client, so it is hashed once per head. */
  private readonly isOfHead: boolean;
  private serial = -1;
  private low = 0;

  /**
   * The same part under the same seed gives the same hash wherever it is configured. Use
   * `lookups.key`, which shares equal keys.
   */
  constructor(keys: readonly KeySnapshot[], mode: KeyMode, lookups: Walks, seed: KeySeed) {
    this.parts = keys.map((key) => ({
      kind: key.kind,
      walk: walkOf(key, lookups),
      prefix4: key.prefix4,
      prefix6: key.prefix6,
      salt: saltOf(key),
    }));
    this.isCombined = mode === 'all';
    this.isOfHead = keys.every(({ kind }) => kind !== 'tenant' && kind !== 'route');
    this.bytes = lookups.bytes;
    this.seed = seed;
  }

  /**
   * Hash of the key of `head`, u32; a hash of 0 becomes 1. 0 means no key: the request has none of
   * the parts. Without any parts, `all` gives every request the same key, and `first` gives none.
   */
  hash(head: HeadReader, client: Client, tenant: number, route: number): number {
    if (this.serial === head.serial) return this.low;
    this.low = this.hashParts(head, client, tenant, route);
    if (this.isOfHead) this.serial = head.serial;
    return this.low;
  }

  private hashParts(head: HeadReader, client: Client, tenant: number, route: number): number {
    const { parts, digest, isCombined } = this;
    let low = this.seed.low;
    let high = this.seed.high;
    let isFound = isCombined && parts.length === 0;
    for (let i = 0; i < parts.length; i++) {
      const part = parts[i]!;
      const isHere = this.hashPart(part, head, client, tenant, route, low ^ part.salt, high);
      if (!isHere && !isCombined) continue;
      if (!isHere) digest.ofNumber(0, low, high ^ part.salt);
      low = digest.low;
      high = digest.high;
      if (isHere) isFound = true;
      if (!isCombined) break;
    }
    this.high = isFound ? high : 0;
    if (!isFound) return 0;
    return low === 0 ? 1 : low;
  }

  /** Hashes one part into `digest`; false if the request does not have it. */
  private hashPart(part: Part, head: HeadReader, client: Client, tenant: number, route: number, key0: number, key1: number): boolean {
    const { digest, bytes } = this;
    const walk = part.walk;
    if (walk !== undefined) {
      walk.begin(head);
      if (!walk.next(head)) return false;
      digest.of(walk.bytes, walk.start, walk.start + walk.length, key0, key1);
      let isRepeated = false;
      while (walk.next(head)) {
        isRepeated = true;
        // Repeating a value would give a new key with each request, so all requests that do share
        // one key. A client cannot vary repeated facts of its certificate.
        if (this.isCombined && part.kind !== 'certificate') break;
        digest.of(walk.bytes, walk.start, walk.start + walk.length, digest.low, digest.high);
      }
      if (isRepeated && this.isCombined && part.kind !== 'certificate') digest.ofNumber(REPEATED, key0, key1);
      return true;
    }
    switch (part.kind) {
      case 'path':
        digest.of(bytes, head.pathByte, pathEnd(bytes, head), key0, key1);
        return true;
      case 'authority':
        digest.of(bytes, head.authorityByte, head.authorityByte + head.authorityLength, key0, key1);
        return head.authorityLength > 0;
      case 'method':
        digest.of(bytes, head.methodByte, head.methodByte + head.methodLength, key0, key1);
        return true;
      case 'client':
        this.hashClient(part, client, key0, key1);
        return true;
      case 'connection':
        digest.ofNumber(head.connection, key0, key1);
        return true;
      case 'tenant':
        digest.ofNumber(tenant + 1, key0, key1);
        return tenant >= 0;
      default:
        digest.ofNumber(route, key0, key1);
        return true;
    }
  }

  /**
   * Hashes the client's network. The family precedes the address, so that IPv4 and IPv6 never
   * collide.
   */
  private hashClient(part: Part, client: Client, key0: number, key1: number): void {
    const { network } = this;
    const bits = client.family === 4 ? part.prefix4 : part.prefix6;
    const count = (bits + 7) >> 3;
    network[0] = client.family;
    for (let i = 0; i < count; i++) network[i + 1] = client.address[i]!;
    if ((bits & 7) !== 0) network[count] = network[count]! & (0xff00 >> (bits & 7));
    this.digest.of(network, 0, count + 1, key0, key1);
  }
}

/** Stands for a repeated value. Larger than any connection, tenant or route number. */
const REPEATED = 2 ** 52 + 1;

/** End of the path without its query. */
function pathEnd(bytes: Uint8Array, head: HeadReader): number {
  const end = head.pathByte + head.pathLength;
  for (let at = head.pathByte; at < end; at++) {
    if (bytes[at] === QUESTION) return at;
  }
  return end;
}

const QUESTION = 0x3f;

function walkOf({ kind, name }: KeySnapshot, lookups: Walks): Walk | undefined {
  if (kind === 'header') return lookups.field(name);
  if (kind === 'cookie') return lookups.cookie(name);
  if (kind === 'certificate') return lookups.certificate(name as CertificateFact);
  return kind === 'query' ? lookups.query(name) : undefined;
}

/**
 * Depends on kind and name, not on the position in the list, so that a part means the same
 * everywhere.
 */
function saltOf({ kind, name }: KeySnapshot): number {
  const digest = new Hash();
  digest.ofText(`${kind}:${name}`, 0, 0);
  return digest.low;
}
