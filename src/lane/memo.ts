/**
 * The memo: three u32 words that travel with an exchange beside its tag (`docs/design/records.md`). What a lane must know when the exchange comes back, after a failure,
 * a wait or its end, stands here and nowhere else, so that a successor of a dead worker gives back what its predecessor took.
 *
 * Word 0: pool in the low 16 bits, flags above. Word 1: hash of the balancing key; while it waits, its ticket. Word 2: tenant + 1 in the low 16 bits,
 * then 8 bits of the life of the worker that took its places (`./admit/life.ts`), then 4 bits that
 * count the attempts which no backend processed, then a flag, then 3 bits that say which field the
 * peer is trusted to tell the client in.
 */

/** No pool yet. A word of 0 is no such thing: it is pool 0 without a flag. */
export const NO_POOL = 0xffff;
/** What the low 16 bits of word 2 can tell apart, beside none. */
export const MAX_TENANTS = 0xffff;

/** A place in the route's bulkhead is taken. */
export const HOLDS_ROUTE = 1 << 16;
/** A place in the upstream's bulkhead and of its concurrency limit is taken. */
export const HOLDS_UPSTREAM = 1 << 17;
/** A place of the tenant is taken. */
export const HOLDS_TENANT = 1 << 18;
/** Waits in the queue of the route's bulkhead, or of the upstream's. */
export const QUEUES_ROUTE = 1 << 19;
export const QUEUES_UPSTREAM = 1 << 20;
/** Access lists and rate limits were passed: they are not asked again after a wait. */
export const IS_LET_IN = 1 << 21;
/** The store was asked about the shared limits. */
export const ASKED_STORE = 1 << 22;
/** The attempt is a probe of a half-open breaker. */
export const IS_PROBE = 1 << 23;
/** The fallback upstream was taken. */
export const FELL_BACK = 1 << 25;
/** Backs off: the next offer of the failure is to be attempted. */
export const BACKS_OFF = 1 << 27;
/** The hedge is a probe of a half-open breaker. */
export const HEDGE_IS_PROBE = 1 << 28;
/** The request may be repeated although it was acted on. */
export const IS_REPEATABLE = 1 << 30;
/** The request is gRPC (content-type), so that answers of our own are too. */
export const IS_GRPC = 1 << 29;

/** Of word 2: plans that drop fields whose names have an underscore. */
export const DROPS_UNDERSCORES = 1 << 28;

/** Of word 2: whom the peer is trusted as (`Client.trust`), as plans tell peers apart. */
export function memoTrust(memo2: number): number {
  return memo2 >>> 29;
}

/** Word 2 with the trust of the peer, where it has none yet. */
export function withTrust(memo2: number, trust: number): number {
  return (memo2 | (trust << 29)) >>> 0;
}

/** Pool number of word 0, NO_POOL when none. */
export function memoPool(memo0: number): number {
  return memo0 & 0xffff;
}

/** Word 0 with another pool; flags stay. */
export function withPool(memo0: number, pool: number): number {
  return ((memo0 & 0xffff_0000) | pool) >>> 0;
}

/** Number of the tenant of word 2, -1 when none. */
export function memoTenant(memo2: number): number {
  return (memo2 & 0xffff) - 1;
}

/** The worker's life of word 2, 0 when nothing was taken. */
export function memoLife(memo2: number): number {
  return (memo2 >>> 16) & 0xff;
}

/** Word 2 with another life; the tenant stays. */
export function withLife(memo2: number, life: number): number {
  return ((memo2 & 0xff00_ffff) | (life << 16)) >>> 0;
}

/** Attempts of word 2 that no backend processed and that were made again for nothing. */
export function memoFreed(memo2: number): number {
  return (memo2 >>> 24) & 0xf;
}

/** Word 2 with one such attempt more; the caller bounds them below 16. */
export function withFreed(memo2: number): number {
  return (memo2 + (1 << 24)) >>> 0;
}
