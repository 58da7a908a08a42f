/** Routes, as a snapshot has them. */

import type { KeySnapshot } from './key.ts';
import type { AccessSnapshot, BulkheadSnapshot, Priority, RateLimitSnapshot } from './limit.ts';
import type { MatchSnapshot } from './match.ts';

/**
 * `name` may hold `*` for `remove` and is a pattern for `remove-regex`; `value` may hold variables
 * (`docs/routing.md`).
 */
export interface EditSnapshot {
  readonly op: 'set' | 'add' | 'append' | 'remove' | 'remove-regex';
  readonly name: string;
  readonly value: string;
}

export type PathEditSnapshot =
  | { readonly kind: 'keep' }
  /**
   * The matched prefix (or `prefix`, when the route matches otherwise) is replaced; an empty
   * replacement strips it.
   */
  | { readonly kind: 'prefix'; readonly prefix: string; readonly replacement: string }
  /** RE2 pattern on the path without query; `replacement` may use $1 … $9. */
  | { readonly kind: 'regex'; readonly pattern: string; readonly replacement: string };

/** An answer of the route's own. */
export interface FixedSnapshot {
  readonly status: number;
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** Latin-1, at most 16 KiB. */
  readonly body: string;
}

export interface RedirectSnapshot {
  readonly status: 301 | 302 | 303 | 307 | 308;
  /** Empty parts are the request's. */
  readonly scheme: string;
  readonly host: string;
  /** 0 for the request's (or none when the scheme changes). */
  readonly port: number;
  readonly path: PathEditSnapshot;
  readonly isQueryKept: boolean;
}

/** One of the upstreams a route sends to. */
export interface TargetSnapshot {
  /** Place in `upstreams`. */
  readonly upstream: number;
  /** Share of the requests, relative to the other targets; can be changed at run time. */
  readonly weight: number;
  /** Only backends that have all these labels. */
  readonly subset: Readonly<Record<string, string>>;
}

export interface RetrySnapshot {
  /** Attempts beside the first. */
  readonly attempts: number;
  readonly on: {
    readonly isConnect: boolean;
    readonly isRefused: boolean;
    readonly isReset: boolean;
    readonly isTimeout: boolean;
    readonly statuses: readonly number[];
    readonly grpcStatuses: readonly number[];
  };
  /** Methods beyond the idempotent ones that may be repeated all the same. */
  readonly methods: readonly string[];
  /**
   * Full jitter: a random time between 0 and base × 2^n, at most the maximum. The first is
   * `baseMs`; 0 for at once.
   */
  readonly backoffBaseMs: number;
  readonly backoffMaxMs: number;
  /**
   * A Retry-After of the response is waited for when it is not longer than this; 0 to take no
   * notice.
   */
  readonly maxRetryAfterMs: number;
  /** Bytes of a request body kept for another attempt. */
  readonly bufferBytes: number;
}

export interface HedgeSnapshot {
  /** Fixed delay; 0 takes the percentile. */
  readonly delayMs: number;
  /** Of the route's recent response times, 0 to 1. */
  readonly percentile: number;
  /** Never earlier than this, and this while too little is known. */
  readonly minDelayMs: number;
  readonly maxDelayMs: number;
}

export type FallbackSnapshot =
  | { readonly kind: 'none' }
  | { readonly kind: 'upstream'; readonly target: TargetSnapshot }
  | { readonly kind: 'fixed'; readonly answer: FixedSnapshot };

export interface RouteSnapshot {
  /** Name in metrics and logs: configured, or made from the match. */
  readonly name: string;
  readonly match: MatchSnapshot;
  /** Exactly one of the three says what becomes of the request. */
  readonly targets: readonly TargetSnapshot[];
  readonly redirect: RedirectSnapshot | undefined;
  readonly fixed: FixedSnapshot | undefined;
  /** Keeps a key with its target while the weights stay; empty draws for each request. */
  readonly splitKeys: readonly KeySnapshot[];
  /** When no backend can be had, or every attempt failed. */
  readonly fallback: FallbackSnapshot;
  /** Responses in whose place the fallback answers. */
  readonly fallbackOn: { readonly statuses: readonly number[]; readonly grpcStatuses: readonly number[] };
  readonly connectTimeoutMs: number;
  readonly placeTimeoutMs: number;
  readonly headTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** 0 for none. */
  readonly exchangeTimeoutMs: number;
  /** From the decision to the response head of one attempt; 0 for none. */
  readonly attemptTimeoutMs: number;
  /** Field of the client that shortens the exchange's time, in milliseconds; empty for none. */
  readonly deadlineHeader: string;
  /** `grpc-timeout` shortens it, and is lowered upstream. */
  readonly isGrpcTimeoutObeyed: boolean;
  /** -1 for none. */
  readonly maxBodyBytes: number;
  readonly retries: RetrySnapshot;
  readonly hedge: HedgeSnapshot | undefined;
  readonly rateLimits: readonly RateLimitSnapshot[];
  readonly access: AccessSnapshot;
  readonly bulkhead: BulkheadSnapshot;
  readonly priority: Priority;
  readonly path: PathEditSnapshot;
  readonly requestEdits: readonly EditSnapshot[];
  readonly responseEdits: readonly EditSnapshot[];
  /** Trust the client's x-request-id. */
  readonly isRequestIdKept: boolean;
  /** Which forwarded headers are written. */
  readonly forwarded: 'x-forwarded' | 'forwarded' | 'both' | 'off';
  /**
   * What becomes of forwarded fields that come from a trusted network; those of anyone else are
   * overwritten.
   */
  readonly forwardedTrusted: 'append' | 'keep' | 'overwrite';
  /**
   * `keep` sends the client's authority to the backend, `backend` the backend's own, `set` the one
   * in `host`.
   */
  readonly hostPolicy: 'keep' | 'backend' | 'set';
  /** Backends get the canonical path, not the client's own spelling. */
  readonly isPathCanonical: boolean;
  /** Only for `set`. */
  readonly host: string;
  /** What the edge calls itself in `Via`; empty where it writes none. */
  readonly via: string;
}
