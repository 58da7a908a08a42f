/** A route's retry settings, compiled. */

import { REASONS, reasonNumber } from '../../base/errors.ts';
import type { RetrySnapshot } from '../../config/snapshot/route.ts';
import type { HeadReader } from '../../record/read.ts';
import { CONNECT, REFUSED, RESET, TIMEOUT } from '../failure-kinds.ts';
import { backoffMs } from './backoff.ts';

/** Sets of HTTP and gRPC statuses. */
export class HeldStatuses {
  /** Whether there is any. */
  readonly isAny: boolean;
  private readonly statuses = new Uint8Array(600);
  private readonly grpcStatuses = new Uint8Array(17);

  constructor({ statuses, grpcStatuses }: { readonly statuses: readonly number[]; readonly grpcStatuses: readonly number[] }) {
    this.isAny = statuses.length + grpcStatuses.length > 0;
    for (const status of statuses) this.statuses[status] = 1;
    for (const status of grpcStatuses) this.grpcStatuses[status] = 1;
  }

  /** `grpcStatus` is NONE if there is none. */
  has(status: number, grpcStatus: number): boolean {
    return this.statuses[status] === 1 || this.grpcStatuses[grpcStatus] === 1;
  }
}

export class RetryTerms {
  readonly attempts: number;
  /** Whether responses are held so that they can be retried. */
  readonly isHolding: boolean;
  readonly bufferBytes: number;
  readonly maxRetryAfterMs: number;
  /** By reason number. */
  private readonly reasons = new Uint8Array(128);
  /** Statuses of responses after which another attempt is made. */
  readonly statuses: HeldStatuses;
  private readonly methods: readonly string[];
  private readonly baseMs: number;
  private readonly maxMs: number;

  constructor(snapshot: RetrySnapshot) {
    const { on } = snapshot;
    this.attempts = snapshot.attempts;
    this.isHolding = snapshot.attempts > 0 && on.statuses.length + on.grpcStatuses.length > 0;
    this.bufferBytes = snapshot.bufferBytes;
    this.statuses = new HeldStatuses(on);
    this.maxRetryAfterMs = snapshot.maxRetryAfterMs;
    this.methods = snapshot.methods;
    this.baseMs = snapshot.backoffBaseMs;
    this.maxMs = snapshot.backoffMaxMs;
    const allowed = [
      ...(on.isConnect ? CONNECT : []),
      ...(on.isRefused ? REFUSED : []),
      ...(on.isReset ? RESET : []),
      ...(on.isTimeout ? TIMEOUT : []),
      ...(this.isHolding ? (['response_status'] as const) : []),
    ];
    for (const code of allowed) this.reasons[reasonNumber(code)] = 1;
  }

  /**
   * Whether the route retries failures for `reason`. For responses, `statuses` must be checked too.
   */
  takes(reason: number): boolean {
    return this.reasons[reason] === 1;
  }

  /**
   * Whether the request may be repeated even if a backend processed it: its method is idempotent
   * (RFC 9110 §9.2.2), or the operator lists it.
   */
  isRepeatable(head: HeadReader): boolean {
    return head.isIdempotent || (this.methods.length > 0 && this.methods.includes(head.method()));
  }

  /**
   * Milliseconds to wait before attempt number `attempts` + 1, 0 for none. `random` is in [0, 1).
   */
  backoffMs(attempts: number, random: number): number {
    return backoffMs(attempts, random, this.baseMs, this.maxMs);
  }
}

/** Every reason is in one of the lists above, or is never retried. */
export const RETRIED_REASONS: readonly string[] = [...CONNECT, ...REFUSED, ...RESET, ...TIMEOUT, 'response_status'];

/** Reasons that the registry allows to retry; a test compares the lists with them. */
export const RETRYABLE_REASONS: readonly string[] = REASONS.filter(({ retry }) => retry !== 'never').map(({ code }) => code);
