/**
 * The memo: three u32 words that travel with an exchange beside its tag (`docs/design/records.md`).
 * They hold all that a lane must know when the exchange comes back after a failure, a wait or its
 * end, so that the successor of a dead worker can return what its predecessor took. Word 0: pool in
 * the low 16 bits, flags above. Word 1: hash of the balancing key; during a wait, its ticket. Word
 * 2: tenant + 1 in the low 16 bits, 8 bits for the life of the worker that took its places
 * (`./admit/life.ts`), 4 bits that count attempts which no backend processed, a flag, and 3 bits
 * for the field in which the peer is trusted to name the client.
 */

/** No pool yet. A word of 0 would mean pool 0 without flags. */
export const NO_POOL = 0xffff;
/** Limit of the 16 bits in word 2. */
export const MAX_TENANTS = 0xffff;

/** Holds a place of the route. */
export const HOLDS_ROUTE = 1 << 16;
/** Holds a place of the upstream. */
export const HOLDS_UPSTREAM = 1 << 17;
/** Holds a place of the tenant. */
export const HOLDS_TENANT = 1 << 18;
/** Waits in the queue of the route, or of the upstream. */
export const QUEUES_ROUTE = 1 << 19;
export const QUEUES_UPSTREAM = 1 << 20;
/** Passed access lists and rate limits, which are not checked again after a wait. */
export const IS_LET_IN = 1 << 21;
/** Asked the store about shared limits. */
export const ASKED_STORE = 1 << 22;
/** The attempt is a probe of a half-open breaker. */
export const IS_PROBE = 1 << 23;
/** Uses the fallback upstream. */
export const FELL_BACK = 1 << 25;
/** In back-off: when the failure is offered next, an attempt is due. */
export const BACKS_OFF = 1 << 27;
/** The hedge is a probe of a half-open breaker. */
export const HEDGE_IS_PROBE = 1 << 28;
/** The request may be repeated even if a backend has processed it. */
export const IS_REPEATABLE = 1 << 30;
/** The request is gRPC (by content-type), so answers of the edge are too. */
export const IS_GRPC = 1 << 29;

/** In word 2: uses plans that drop fields whose names have an underscore. */
export const DROPS_UNDERSCORES = 1 << 28;

/** From word 2: the trust in the peer (`Client.trust`), by which plans differ. */
export function memoTrust(memo2: number): number {
  return memo2 >>> 29;
}

/** Word 2 with the trust in the peer, which must be unset so far. */
export function withTrust(memo2: number, trust: number): number {
  return (memo2 | (trust << 29)) >>> 0;
}

/** Pool number of word 0, or NO_POOL. */
export function memoPool(memo0: number): number {
  return memo0 & 0xffff;
}

/** Word 0 with another pool; the flags stay. */
export function withPool(memo0: number, pool: number): number {
  return ((memo0 & 0xffff_0000) | pool) >>> 0;
}

/** Tenant number of word 2, -1 if none. */
export function memoTenant(memo2: number): number {
  return (memo2 & 0xffff) - 1;
}

/** Life of the worker, from word 2; 0 if nothing was taken. */
export function memoLife(memo2: number): number {
  return (memo2 >>> 16) & 0xff;
}

/** Word 2 with another life; the rest stays. */
export function withLife(memo2: number, life: number): number {
  return ((memo2 & 0xff00_ffff) | (life << 16)) >>> 0;
}

/** From word 2: attempts that no backend processed and that were repeated free of charge. */
export function memoFreed(memo2: number): number {
  return (memo2 >>> 24) & 0xf;
}

/** Word 2 with one more such attempt. The caller keeps the count below 16. */
export function withFreed(memo2: number): number {
  return (memo2 + (1 << 24)) >>> 0;
}
