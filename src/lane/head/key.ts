/**
 * Keys: what of a request tells it from others, as a hash, for balancers, splits and limits. Made
 * of the head's bytes where they lie.
 *
 * Without a seed the same request has the same hash on every shard, in every process and on every
 * edge. Limits give a secret one, so that nobody can look for keys that share a bucket.
 */

import type { CertificateFact } from '../../config/schema/certificate-fact.ts';
import type { KeySnapshot } from '../../config/snapshot/key.ts';
import type { HeadReader } from '../../record/read.ts';
import type { Client } from './client.ts';
import type { Walk } from './fields.ts';
import { Hash } from './hash.ts';
import type { Walks } from './walks.ts';

/** Two words that are secret, or zeros. */
export interface KeySeed {
  readonly low: number;
  readonly high: number;
}

export const NO_SEED: KeySeed = { low: 0, high: 0 };

/**
 * `first` takes the first part that the request has; `all` combines every one, those it has not as
 * absent. Of what comes more than once `first` hashes all values, and for `all`, which limits count
 * by, whoever repeats it has one key with all others who do: the backend may read another line than
 * we.
 */
export type KeyMode = 'first' | 'all';

/** One part of a key, ready to be looked up. */
interface Part {
  readonly kind: KeySnapshot['kind'];
  /** Of header, cookie, query and certificate. */
  readonly walk: Walk | undefined;
  readonly prefix4: number;
  readonly prefix6: number;
  /** Keeps equal bytes of different parts apart. */
  readonly salt: number;
}

export class Key {
  /** Upper half of the last hash, for those who need 64 bits. */
  high = 0;

  private readonly parts: readonly Part[];
  private readonly isCombined: boolean;
  private readonly bytes: Uint8Array;
  private readonly seed: KeySeed;
  private readonly digest = new Hash();
  private readonly network = new Uint8Array(17);
  /** Nothing but the head and its client is in it, so one head has one hash. */
  private readonly isOfHead: boolean;
  private serial = -1;
  private low = 0;

  /**
   * The same part under the same seed gives the same hash wherever it is configured. Keys are had
   * from `lookups.key`, so that who asks for the same has the same.
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
   * Hash of the key of `head`, u32; a key that hashes to 0 is 1. 0 when there is none: `first`
   * found nothing, or of `all` not one is there. No parts at all are one and the same key for every
   * request under `all`, and none under `first`.
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

  /** Hashes one part into `digest`; false when the request does not have it. */
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
        // Who repeats what a limit counts by would have a new key with each request: all who do
        // have one together. What a certificate has more than one of its client cannot choose anew.
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
   * The client's network; its family stands before the address, so that none of the one is one of
   * the other.
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

/**
 * Stands for the value of what comes more than once; longer than any address, so that it is no
 * other part's.
 */
const REPEATED = 2 ** 52 + 1;

/** The path without its query: what is asked for, not how. */
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

/** Of kind and name, not of the place in the list: a key means the same wherever it stands. */
function saltOf({ kind, name }: KeySnapshot): number {
  const digest = new Hash();
  digest.ofText(`${kind}:${name}`, 0, 0);
  return digest.low;
}
