/**
 * Sessions that stick to a backend by a cookie that the edge sets and seals. Sticking by connection
 * does not use this: the balancer then hashes the connection's number (`./pool.ts`). A backend has
 * one cookie at a time, and a new one after a part of its age. So there are few distinct cookies,
 * and reading one is a look-up of its bytes among those opened before.
 */

import { noteNumber } from '../../base/notes.ts';
import type { StickySnapshot } from '../../config/snapshot/balance.ts';
import type { HeadReader } from '../../record/read.ts';
import { type CookieWalk, latin1 } from '../head/fields.ts';
import { scatter } from '../head/hash.ts';
import type { Lookups } from '../head/lookups.ts';
import type { Observer } from '../observer.ts';
import type { Backends } from './backends.ts';
import { type Balancer, NO_MEMBER } from './balancer.ts';
import { identityOf, SEALED_LENGTH, Seal } from './seal.ts';

export interface Sticky {
  /**
   * Position of the member that the session belongs to; NO_MEMBER if the head names none, or one
   * that is gone.
   */
  read(head: HeadReader): number;
  /**
   * Set-Cookie for a session that now belongs to the member at `position`; empty if there is
   * nothing to set.
   */
  setCookie(position: number): string;
  /**
   * Set-Cookie that renews the session just read, of the member at `position`; empty while it is
   * young.
   */
  renewal(position: number): string;
  /** Bytes of the longest Set-Cookie. */
  readonly maxBytes: number;
}

export interface StickyCookieParts {
  readonly options: StickySnapshot;
  /** Name and number of the upstream. */
  readonly name: string;
  readonly upstream: number;
  /** URLs of the backends, by position. */
  readonly urls: readonly string[];
  readonly slots: Int32Array;
  readonly balancer: Balancer;
  readonly backends: Backends;
  readonly observer: Observer;
  /** Look-ups in the shard's memory. */
  readonly lookups: Lookups;
}

const MOVED = noteNumber('sticky_moved');

/**
 * Size of the cache of opened cookies, of 70 bytes each. The first bytes of a cookie select its
 * entry.
 */
const ENTRIES = 1_024;

/** The cookie is genuine, but its backend is not in this pool. */
const GONE = -2;

const NEVER = -1;

/**
 * How many cookies of a head are opened: a browser has one or two of the name, for different paths.
 */
const MAX_OPENED = 3;

/** A cookie is renewed after one part in so many of its age; a session cookie after an hour. */
const AGE_PARTS = 32;
const SESSION_STEP_S = 3_600;
/** Allowed clock skew between edges that share a key. */
const MAX_SKEW_S = 300;

export class StickyCookie implements Sticky {
  readonly maxBytes: number;
  private readonly parts: StickyCookieParts;
  private readonly seal: Seal;
  private readonly walk: CookieWalk;
  private readonly identities: readonly string[];
  private readonly attributes: string;
  private readonly maxAgeS: number;
  /** Times of issue are multiples of this. */
  private readonly stepS: number;
  /** Opened cookies: their text, position and time of issue. NEVER marks an unused entry. */
  private readonly texts = new Uint8Array(ENTRIES * SEALED_LENGTH);
  private readonly positions = new Int32Array(ENTRIES);
  private readonly issuedS = new Float64Array(ENTRIES).fill(NEVER);
  /** How many cookies of the head were opened. */
  private opened = 0;
  /** Of the session read last. */
  private lastIssuedS = 0;
  /** Set-Cookie by position, and the time of issue of each. */
  private readonly lines: string[];
  private readonly linesS: Float64Array;

  constructor(parts: StickyCookieParts) {
    const { options, urls } = parts;
    this.parts = parts;
    this.seal = new Seal(options.key, parts.name);
    this.walk = parts.lookups.cookie(options.cookie);
    this.identities = urls.map(identityOf);
    this.maxAgeS = options.maxAgeS;
    this.stepS = options.maxAgeS === 0 ? SESSION_STEP_S : Math.max(1, Math.floor(options.maxAgeS / AGE_PARTS));
    const age = options.maxAgeS === 0 ? '' : `; Max-Age=${options.maxAgeS}`;
    this.attributes = `; Path=${options.path}${age}; Secure; HttpOnly; SameSite=Lax`;
    this.maxBytes = options.cookie.length + 1 + SEALED_LENGTH + this.attributes.length;
    this.lines = urls.map(() => '');
    this.linesS = new Float64Array(urls.length).fill(NEVER);
  }

  read(head: HeadReader): number {
    const { walk, parts } = this;
    walk.begin(head);
    this.opened = 0;
    // Several cookies of the name may come: from another path, or planted. The first that opens
    // counts.
    while (walk.next(head)) {
      if (walk.length !== SEALED_LENGTH) continue;
      const position = this.find(walk.start);
      if (position === NO_MEMBER) continue;
      if (position !== GONE && parts.balancer.isAvailable(position)) return position;
      parts.observer.noted(MOVED, parts.upstream, position === GONE ? -1 : parts.slots[position]!, 0);
      return NO_MEMBER;
    }
    return NO_MEMBER;
  }

  setCookie(position: number): string {
    const nowS = this.nowS();
    const issuedS = nowS - (nowS % this.stepS);
    if (this.linesS[position] !== issuedS) {
      const text = this.seal.seal({ identity: this.identities[position]!, issuedS });
      this.lines[position] = `${this.parts.options.cookie}=${text}${this.attributes}`;
      this.linesS[position] = issuedS;
    }
    return this.lines[position]!;
  }

  renewal(position: number): string {
    if (this.maxAgeS === 0 || (this.nowS() - this.lastIssuedS) * 2 < this.maxAgeS) return '';
    return this.setCookie(position);
  }

  /**
   * The owner of the cookie at `start`: a position, GONE, or NO_MEMBER if it is forged or too old.
   */
  private find(start: number): number {
    const { texts } = this;
    const { bytes } = this.parts.lookups;
    const entry = entryOf(bytes, start);
    const first = entry * SEALED_LENGTH;
    let i = SEALED_LENGTH - 1;
    while (i >= 0 && bytes[start + i] === texts[first + i]) i -= 1;
    if ((i !== -1 || this.issuedS[entry] === NEVER) && !this.remember(entry, start)) return NO_MEMBER;
    this.lastIssuedS = this.issuedS[entry]!;
    return this.isStale(this.lastIssuedS) ? NO_MEMBER : this.positions[entry]!;
  }

  /**
   * Opens the cookie into `entry`; false if it is forged. Only genuine ones are cached, or a flood
   * of forgeries would evict them.
   */
  private remember(entry: number, start: number): boolean {
    const { bytes } = this.parts.lookups;
    if (this.opened === MAX_OPENED || !this.seal.isLikely(bytes, start)) return false;
    this.opened += 1;
    const sealed = this.seal.open(latin1(bytes, start, SEALED_LENGTH));
    if (sealed === undefined) return false;
    const first = entry * SEALED_LENGTH;
    for (let i = 0; i < SEALED_LENGTH; i++) this.texts[first + i] = bytes[start + i]!;
    const position = this.identities.indexOf(sealed.identity);
    this.positions[entry] = position === -1 ? GONE : position;
    this.issuedS[entry] = sealed.issuedS;
    return true;
  }

  private isStale(issuedS: number): boolean {
    const ageS = this.nowS() - issuedS;
    return ageS < -MAX_SKEW_S || (this.maxAgeS > 0 && ageS > this.maxAgeS);
  }

  /** The lane's clock counts from 1970. */
  private nowS(): number {
    return Math.floor(this.parts.backends.nowMs / 1_000);
  }
}

/**
 * A cookie begins with its nonce, which is as good as random. A made-up cookie that maps to the
 * same entry gains nothing, as forgeries are not cached.
 */
function entryOf(bytes: Uint8Array, start: number): number {
  const one = bytes[start]! | (bytes[start + 1]! << 8) | (bytes[start + 2]! << 16) | (bytes[start + 3]! << 24);
  const other = bytes[start + 4]! | (bytes[start + 5]! << 8) | (bytes[start + 6]! << 16) | (bytes[start + 7]! << 24);
  return scatter(one ^ Math.imul(other, 0x9e37_79b1)) & (ENTRIES - 1);
}
