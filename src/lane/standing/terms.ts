/** How an upstream wants the standing of its backends judged, in the form that judging wants. */

import { type ReasonCode, reasonNumber } from '../../base/errors.ts';
import { each, type Steps } from '../../base/steps.ts';
import type { NumberingSnapshot } from '../../config/snapshot/snapshot.ts';
import type { FailureSnapshot, OutlierSnapshot } from '../../config/snapshot/standing.ts';
import type { UpstreamSnapshot } from '../../config/snapshot/upstream.ts';
import { CONNECT, RESET, TIMEOUT } from '../failure-kinds.ts';
import { Windows } from './window.ts';

/**
 * What counts for a breaker beyond what can be tried again. A refused stream and a GOAWAY are in
 * none: the backend works and asks to be asked elsewhere. Nor is a wait for a place in a full pool:
 * it says how many sessions we may have.
 */
const COUNTED_CONNECT: readonly ReasonCode[] = CONNECT.filter((code) => code !== 'sessions_exhausted');
const COUNTED_RESET: readonly ReasonCode[] = [...RESET, 'response_length_mismatch'];
const COUNTED_TIMEOUT: readonly ReasonCode[] = [...TIMEOUT, 'connect_timeout', 'idle_timeout'];

/** Share with which a slow start begins. */
const FIRST_SHARE = 0.1;

/** Greatest gRPC status that has a meaning is 16; others read as none that counts. */
const GRPC_STATUSES = 32;

/** What of a snapshot judging needs: a whole one is more than that. */
export interface StandingSource {
  readonly backends: { readonly length: number };
  readonly upstreams: readonly JudgedUpstream[];
  readonly numbering?: NumberingSnapshot;
}

export type JudgedUpstream = Pick<UpstreamSnapshot, 'slots' | 'breaker' | 'outlier' | 'maxEjected' | 'panicBelow' | 'slowStartMs'>;

/** One upstream's terms; its backends share them. */
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
  /** Backends that may be out at once. */
  readonly maxOut: number;
  readonly panicBelow: number;
  readonly slowStartMs: number;
  /** The window is needed: a rate or a count is looked at. */
  readonly isWindowed: boolean;
  readonly windows: Windows;
  /** By reason number, HTTP status and gRPC status. */
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
    // A share such as 0.3 of 10 must not come out as 2.
    this.maxOut = Math.max(1, Math.floor(slots.length * snapshot.maxEjected + 1e-9));
    // There is nobody to spread the load of a single backend to: it fails fast.
    this.panicBelow = slots.length > 1 ? snapshot.panicBelow : 0;
    this.slowStartMs = snapshot.slowStartMs;
    this.isWindowed = breaker.rate > 0 || breaker.count > 0;
    this.windows = new Windows(table, Math.max(SHORTEST_WINDOW_MS, breaker.windowMs));
    this.learnFailures(breaker.failures);
  }

  /** Is a failure for `reason` one of the backend's? */
  countsReason(reason: number): boolean {
    return this.reasons[reason] === 1;
  }

  /**
   * Is an answer with these statuses a failure? A gRPC status that is none (0xffffffff) never is.
   */
  countsAnswer(status: number, grpcStatus: number): boolean {
    return this.statuses[status] === 1 || (grpcStatus < GRPC_STATUSES && this.grpcStatuses[grpcStatus] === 1);
  }

  /** Share of its weight that a backend has `sinceMs` after it came back. */
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

/** A slice is at least a millisecond. */
const SHORTEST_WINDOW_MS = 10;

/** Terms of every upstream of `snapshot`. */
export function compileTerms(snapshot: StandingSource, table: SharedArrayBuffer): Steps<readonly StandingTerms[]> {
  return each(snapshot.upstreams, (upstream, number) => new StandingTerms(upstream, number, table));
}
