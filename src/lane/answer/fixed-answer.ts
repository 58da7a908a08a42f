/** A route's fixed answer in both forms: as configured, and for gRPC clients. */

import type { FixedSnapshot } from '../../config/snapshot/route.ts';
import { type Answer, respondBytes } from '../../record/write.ts';
import { DEADLINE_EXCEEDED, grpcAnswer } from './grpc.ts';

/** Statuses without a body (RFC 9110 §15.3.5, §15.3.6, §15.4.5). */
const BODILESS: readonly number[] = [204, 205, 304];

/**
 * Tells the client that the route's fallback answered; a fallback upstream's responses have it too.
 */
export const FALLBACK_FIELD = ['x-lychgate-fallback', '1'] as const;

export class FixedAnswer {
  /** Bytes of the larger form as a record. */
  readonly maxBytes: number;
  private readonly plain: Answer;
  private readonly grpc: Answer;
  private readonly lateGrpc: Answer;

  /**
   * `message` is the text for gRPC clients: the code of a reason. `more` fields follow the
   * configured ones.
   */
  constructor({ status, fields, body }: FixedSnapshot, message: string, more: Answer['fields'] = []) {
    this.plain = { status, fields: [...fields, ...more], body: BODILESS.includes(status) ? '' : body };
    this.grpc = grpcAnswer(this.plain, message);
    this.lateGrpc = grpcAnswer(this.plain, message, DEADLINE_EXCEEDED);
    this.maxBytes = Math.max(respondBytes(this.plain), respondBytes(this.grpc), respondBytes(this.lateGrpc));
  }

  /** `isLate`: a deadline has passed, for which gRPC has its own status. */
  of(isGrpc: boolean, isLate = false): Answer {
    if (!isGrpc) return this.plain;
    return isLate ? this.lateGrpc : this.grpc;
  }
}
