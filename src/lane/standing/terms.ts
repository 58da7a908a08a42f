/** An upstream's settings for the standing of its backends, compiled. */

import { type ReasonCode, reasonNumber } from '../../base/errors.ts';
import { each, type Steps } from '../../base/steps.ts';
import type { NumberingSnapshot } from '../../config/snapshot/snapshot.ts';
import type { FailureSnapshot, OutlierSnapshot } from '../../config/snapshot/standing.ts';
import type { UpstreamSnapshot } from '../../config/snapshot/upstream.ts';
import { CONNECT, RESET, TIMEOUT } from '../failure-kinds.ts';
import { Windows } from './window.ts';

/**
 * Reasons that breakers count: failures that can be retried, and some that cannot. Refused streams
 * and GOAWAYs never count: the backend works and asks us to go elsewhere. A wait for a full pool
 * does not either: it is about our own limit of sessions.
 */
const COUNTED_CONNECT: readonly ReasonCode[] = CONNECT.filter((code) => code !== 'sessions_exhausted');
const COUNTED_RESET: readonly ReasonCode[] = [...RESET, 'response_length_mismatch'];
const COUNTED_TIMEOUT: readonly ReasonCode[] = [...TIMEOUT, 'connect_timeout', 'idle_timeout'];

/** The share at which a slow start begins. */
const FIRST_SHARE = 0.1;

/** The greatest gRPC status with a meaning is 16; higher ones never count as failures. */
const GRPC_STATUSES = 32;

/** The part of a snapshot that judging needs. */
export interface StandingSource {
  readonly backends: { readonly length: number };
  readonly upstreams: readonly JudgedUpstream[];
  readonly numbering?: NumberingSnapshot;
}

export type JudgedUpstream = Pick<UpstreamSnapshot, 'slots' | 'breaker' | 'outlier' | 'maxEjected' | 'panicBelow' | 'slowStartMs'>;

/** The terms of one upstream, shared by its backends. */
export class StandingTerms {
  readonly upstream: number;
  readonly slots: Int32Array;
  readonly consecutive: number;
  readonly rate: number;
  readonly minRequests: number;
  readonly count: number;
  readonly windowMs: number;
  readonly ejectMs: number;
  readonly maxEjectMs: number;
  readonly probes: number;
  readonly successes: number;
  readonly outlier: OutlierSnapshot;
  /** How many backends may be ejected at once. */
  readonly maxOut: number;
  readonly panicBelow: number;
  readonly slowStartMs: number;
  /** Whether a rate or a count of the window is configured. */
  readonly isWindowed: boolean;
  readonly windows: Windows;
  /** Indexed by reason number, HTTP status and gRPC status. */
  private readonly reasons = new Uint8Array(128);
  private readonly statuses = new Uint8Array(1_024);
  private readonly grpcStatuses = new Uint8Array(GRPC_STATUSES);

  constructor(snapshot: JudgedUpstream, upstream: number, table: SharedArrayBuffer) {
    const { breaker, slots } = snapshot;
    this.upstream = upstream;
    this.slots = Int32Array.from(slots);
    this.consecutive = breaker.consecutive;
    this.rate = breaker.rate;
    this.minRequests = breaker.minRequests;
    this.count = breaker.count;
    this.windowMs = breaker.windowMs;
    this.ejectMs = breaker.ejectMs;
    this.maxEjectMs = Math.max(breaker.ejectMs, breaker.maxEjectMs);
    this.probes = Math.max(1, breaker.probes);
    this.successes = Math.max(1, breaker.successes);
    this.outlier = snapshot.outlier;
    // Rounding must not turn 0.3 of 10 into 2.
    this.maxOut = Math.max(1, Math.floor(slots.length * snapshot.maxEjected + 1e-9));
    // A single backend has no sibling to take its load, so there is no panic: it fails fast.
    this.panicBelow = slots.length > 1 ? snapshot.panicBelow : 0;
    this.slowStartMs = snapshot.slowStartMs;
    this.isWindowed = breaker.rate > 0 || breaker.count > 0;
    this.windows = new Windows(table, Math.max(SHORTEST_WINDOW_MS, breaker.windowMs));
    this.learnFailures(breaker.failures);
  }

  /** Whether a failure for `reason` counts against the backend. */
  countsReason(reason: number): boolean {
    return this.reasons[reason] === 1;
  }

  /**
   * Whether a response with these statuses is a failure. A missing gRPC status (0xffffffff) never
   * is.
   */
  countsAnswer(status: number, grpcStatus: number): boolean {
    return this.statuses[status] === 1 || (grpcStatus < GRPC_STATUSES && this.grpcStatuses[grpcStatus] === 1);
  }

  /** The share of its weight that a backend has `sinceMs` after it came back. */
  shareAfter(sinceMs: number): number {
    return sinceMs >= this.slowStartMs ? 1 : Math.max(FIRST_SHARE, sinceMs / this.slowStartMs);
  }

  private learnFailures({ isConnectCounted, isResetCounted, isTimeoutCounted, statuses, grpcStatuses }: FailureSnapshot): void {
    const counted = [
      ...(isConnectCounted ? COUNTED_CONNECT : []),
      ...(isResetCounted ? COUNTED_RESET : []),
      ...(isTimeoutCounted ? COUNTED_TIMEOUT : []),
    ];
    for (const code of counted) this.reasons[reasonNumber(code)] = 1;
    for (const status of statuses) this.statuses[status] = 1;
    for (const status of grpcStatuses) this.grpcStatuses[status] = 1;
  }
}

/** Slices last at least a millisecond. */
const SHORTEST_WINDOW_MS = 10;

/** Compiles the terms of every upstream of `snapshot`. */
export function compileTerms(snapshot: StandingSource, table: SharedArrayBuffer): Steps<readonly StandingTerms[]> {
  return each(snapshot.upstreams, (upstream, number) => new StandingTerms(upstream, number, table));
}
