/**
 * A rate limit by key: the edge's token buckets (`src/lane/admit/rate-limit`), keyed by text.
 * Memory is bounded: of more keys than it holds, the one unused longest is forgotten, which can
 * only be to its advantage. Keys are hashed with a secret seed, so that nobody can look for two
 * that share a bucket.
 */

import type { RateLimitSnapshot } from '../config/snapshot/limit.ts';
import { quotaFields, rateLimitFields } from '../lane/admit/rate-limit/answer-fields.ts';
import { Limit } from '../lane/admit/rate-limit/limit.ts';
import { createBucketTable, HELD, listLimits, REFUSED, type Region, regionsOf, seedOf } from '../lane/admit/rate-limit/table.ts';
import { Hash } from '../lane/head/hash.ts';
import type { KeySeed } from '../lane/head/key.ts';
import { type Clock, systemClock } from './clock.ts';
import { RateLimitedError } from './errors.ts';
import { type OnEvent, tell } from './events.ts';
import { checkNumbers, memoryFor, withDefaults } from './options.ts';

/**
 * `requests` in `perMs`, up to `burst` at once; as the edge's `limits.rate`, with the same
 * defaults.
 */
export interface RateLimiterTerms {
  /** In RateLimit fields, errors and events. */
  readonly name: string;
  readonly requests: number;
  readonly perMs: number;
  /** Requests at once after a pause; 0 is as many as `requests`. */
  readonly burst: number;
  /** Keys held at most, some 16 bytes each. */
  readonly maxKeys: number;
}

export interface RateLimiterOptions extends Partial<Omit<RateLimiterTerms, 'requests'>> {
  readonly requests: number;
  readonly onEvent?: OnEvent;
  readonly clock?: Clock;
  /** `memory` of a limiter with the same options, in another thread: both are then one. */
  readonly memory?: SharedArrayBuffer;
}

/** What became of a request. */
export interface RateLimitTaken {
  readonly isAllowed: boolean;
  /** Requests of the key that would pass at once now. */
  readonly remaining: number;
  /** In how many milliseconds the bucket is full again. */
  readonly resetMs: number;
  /** In how many milliseconds one would pass; 0 when this one did. */
  readonly retryAfterMs: number;
}

export interface RateLimiterView {
  readonly name: string;
  readonly keysHeld: number;
  /** Since it was made. */
  readonly refused: number;
}

export const RATE_LIMITER_DEFAULTS: Omit<RateLimiterTerms, 'requests'> = { name: 'default', perMs: 1_000, burst: 0, maxKeys: 65_536 };

/** A limit that has refused nothing for so long has ended. */
const QUIET_MS = 5_000;

export class RateLimiter {
  readonly name: string;
  /** Hand it to another thread to share the limit. */
  readonly memory: SharedArrayBuffer;

  private readonly snapshot: RateLimitSnapshot;
  private readonly region: Region;
  private readonly limit: Limit;
  private readonly seed: KeySeed;
  private readonly hash = new Hash();
  private readonly clock: Clock;
  private readonly onEvent: OnEvent | undefined;

  constructor(options: RateLimiterOptions) {
    const terms = withDefaults<RateLimiterTerms>(options, { ...RATE_LIMITER_DEFAULTS, requests: Number.NaN });
    checkNumbers('createRateLimiter', terms, {
      requests: [1, 1e9],
      perMs: [1, 86_400_000],
      burst: [0, 2 ** 29],
      maxKeys: [1, 10_000_000],
    });
    this.snapshot = snapshotOf(terms);
    const source = { routes: [{ rateLimits: [this.snapshot] }], tenants: [] };
    this.name = terms.name;
    this.memory = memoryFor('createRateLimiter', options.memory, () => createBucketTable(source));
    this.region = regionsOf(listLimits(source)).regions[0]!;
    this.limit = new Limit(this.memory, 0, this.region, this.snapshot);
    this.seed = seedOf(this.memory);
    this.clock = options.clock ?? systemClock;
    this.onEvent = options.onEvent;
  }

  /** A request of `key` comes: it is counted if it is allowed. */
  take(key: string): RateLimitTaken {
    const { limit, hash, seed } = this;
    const nowMs = this.clock.now();
    if (limit.refusedNoMore(nowMs, QUIET_MS)) tell(this.onEvent, { event: 'limit_ended', name: this.name, atMs: nowMs });
    hash.ofText(key, seed.low, seed.high);
    const cell = limit.cell(hash.low, hash.high, nowMs);
    const isAllowed = limit.take(cell);
    if (!isAllowed) this.refused(key, nowMs);
    return {
      isAllowed,
      remaining: limit.remaining(cell),
      resetMs: Math.ceil(limit.fullInMs(cell)),
      retryAfterMs: isAllowed ? 0 : Math.max(1, Math.ceil(limit.waitMs)),
    };
  }

  /** The same for those who would rather catch: throws RateLimitedError. */
  check(key: string): RateLimitTaken {
    const taken = this.take(key);
    if (!taken.isAllowed) throw this.error(taken);
    return taken;
  }

  /** The error that a refusal is, with the fields of its answer. */
  error(taken: RateLimitTaken): RateLimitedError {
    return new RateLimitedError(this.name, taken.retryAfterMs, this.headers(taken));
  }

  /**
   * RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers), and with a refusal
   * Retry-After (RFC 9110 §10.2.3).
   */
  headers(taken: RateLimitTaken): Record<string, string> {
    return Object.fromEntries(
      taken.isAllowed ? quotaFields(this.snapshot, taken.remaining, taken.resetMs) : rateLimitFields(this.snapshot, taken.retryAfterMs),
    );
  }

  view(): RateLimiterView {
    const words = new Int32Array(this.memory);
    return {
      name: this.name,
      keysHeld: Atomics.load(words, this.region.at + HELD),
      refused: Atomics.load(words, this.region.at + REFUSED) >>> 0,
    };
  }

  private refused(key: string, atMs: number): void {
    if (this.limit.refused(atMs)) tell(this.onEvent, { event: 'limit_began', name: this.name, atMs });
    tell(this.onEvent, { event: 'rate_limited', name: this.name, atMs, key });
  }
}

/**
 * A rate limiter; see `RateLimiterOptions`. Throws `config_not_valid` where an option is out of its
 * range.
 */
export function createRateLimiter(options: RateLimiterOptions): RateLimiter {
  return new RateLimiter(options);
}

/** Keys are made here; that there is one says that buckets are many. */
function snapshotOf({ name, requests, perMs, burst, maxKeys }: RateLimiterTerms): RateLimitSnapshot {
  const keys = [{ kind: 'header', name: '', prefix4: 32, prefix6: 128 }] as const;
  return { name, keys, requests, periodMs: perMs, burst, maxKeys, isShared: false, onStoreFailure: 'local' };
}
