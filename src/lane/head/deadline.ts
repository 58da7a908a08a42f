/**
 * The client's own deadline: `grpc-timeout` (gRPC over HTTP/2, "Timeout") and a field of the operator's choice in milliseconds. It can shorten what the route
 * allows and never lengthen it.
 */

import type { RouteSnapshot } from '../../config/snapshot.ts';
import type { HeadReader } from '../../record/read.ts';

/** What of a route says which deadlines it obeys. */
export type DeadlineTerms = Pick<RouteSnapshot, 'deadlineHeader' | 'isGrpcTimeoutObeyed'>;

/** The client said nothing. */
export const NO_DEADLINE = -1;

/** gRPC's units in milliseconds. */
const UNITS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/** What a deadline may be at most; anything longer is none. */
const MAX_MS = 2 ** 31;

export class DeadlineReader {
  private readonly header: string;
  private readonly isGrpcObeyed: boolean;

  /** Undefined where the route obeys none. */
  static of(route: DeadlineTerms, _bytes?: Uint8Array): DeadlineReader | undefined {
    return route.deadlineHeader === '' && !route.isGrpcTimeoutObeyed ? undefined : new DeadlineReader(route);
  }

  private constructor(route: DeadlineTerms) {
    this.header = route.deadlineHeader;
    this.isGrpcObeyed = route.isGrpcTimeoutObeyed;
  }

  /** Milliseconds that the client gives the exchange, rounded up; NO_DEADLINE when it does not say, 0 when there is no time left. */
  read(head: Pick<HeadReader, 'field'>): number {
    const own = this.header === '' ? NO_DEADLINE : milliseconds(head.field(this.header));
    const grpc = this.isGrpcObeyed ? grpcTimeout(head.field('grpc-timeout')) : NO_DEADLINE;
    if (own === NO_DEADLINE) return grpc;
    return grpc === NO_DEADLINE ? own : Math.min(own, grpc);
  }
}

function milliseconds(text: string | undefined): number {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return NO_DEADLINE;
  const ms = Number(text);
  return ms >= MAX_MS ? NO_DEADLINE : ms;
}

/** At most eight digits and a unit; what is not of this form is passed over. */
export function grpcTimeout(text: string | undefined): number {
  const parts = text === undefined ? null : /^(\d{1,8})([HMSmun])$/.exec(text);
  if (parts === null) return NO_DEADLINE;
  const ms = Math.ceil(Number(parts[1]) * UNITS[parts[2]!]!);
  return ms >= MAX_MS ? NO_DEADLINE : ms;
}
