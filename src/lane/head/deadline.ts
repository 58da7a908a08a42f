/**
 * The client's own deadline: `grpc-timeout` (gRPC over HTTP/2, "Timeout") or a configured field in
 * milliseconds. It can shorten the route's timeout but never lengthen it.
 */

import type { RouteSnapshot } from '../../config/snapshot/route.ts';
import type { HeadReader } from '../../record/read.ts';
import type { FieldWalk } from './fields.ts';
import type { Lookups } from './lookups.ts';

/** The route's settings for client deadlines. */
export type DeadlineTerms = Pick<RouteSnapshot, 'deadlineHeader' | 'isGrpcTimeoutObeyed'>;

/** The client set none. */
export const NO_DEADLINE = -1;

/** The longest deadline; anything longer counts as none. */
const MAX_MS = 2 ** 31;
const GRPC_DIGITS = 8;
const OWN_DIGITS = 10;

export class DeadlineReader {
  private readonly own: FieldWalk | undefined;
  private readonly grpc: FieldWalk | undefined;

  /** Undefined if the route honours none. */
  static of({ deadlineHeader, isGrpcTimeoutObeyed }: DeadlineTerms, lookups: Lookups): DeadlineReader | undefined {
    if (deadlineHeader === '' && !isGrpcTimeoutObeyed) return undefined;
    const terms = { deadlineHeader, isGrpcTimeoutObeyed };
    return lookups.once('deadline', terms, () => new DeadlineReader(terms, lookups));
  }

  private constructor({ deadlineHeader, isGrpcTimeoutObeyed }: DeadlineTerms, lookups: Lookups) {
    this.own = deadlineHeader === '' ? undefined : lookups.field(deadlineHeader);
    this.grpc = isGrpcTimeoutObeyed ? lookups.field('grpc-timeout') : undefined;
  }

  /**
   * Milliseconds that the client allows for the exchange, rounded up; NO_DEADLINE if it sets none,
   * 0 if no time is left.
   */
  read(head: HeadReader): number {
    const { own, grpc } = this;
    const ownMs = own !== undefined && isThere(own, head) ? millisecondsAt(own.bytes, own.start, own.length) : NO_DEADLINE;
    const grpcMs = grpc !== undefined && isThere(grpc, head) ? grpcTimeoutAt(grpc.bytes, grpc.start, grpc.length) : NO_DEADLINE;
    return earlier(ownMs, grpcMs);
  }
}

/** The shorter of two times; either may be NO_DEADLINE. */
export function earlier(one: number, other: number): number {
  if (one === NO_DEADLINE) return other;
  return other === NO_DEADLINE ? one : Math.min(one, other);
}

/** Milliseconds in digits; anything else is ignored. */
export function milliseconds(text: string | undefined): number {
  return text === undefined ? NO_DEADLINE : millisecondsAt(Buffer.from(text, 'latin1'), 0, text.length);
}

/** `grpc-timeout`, at most eight digits and a unit, in milliseconds; anything else is ignored. */
export function grpcTimeout(text: string | undefined): number {
  return text === undefined ? NO_DEADLINE : grpcTimeoutAt(Buffer.from(text, 'latin1'), 0, text.length);
}

function isThere(walk: FieldWalk, head: HeadReader): boolean {
  walk.begin(head);
  return walk.next(head);
}

function millisecondsAt(bytes: Uint8Array, start: number, length: number): number {
  return length > OWN_DIGITS ? NO_DEADLINE : within(digitsAt(bytes, start, length));
}

function grpcTimeoutAt(bytes: Uint8Array, start: number, length: number): number {
  if (length > GRPC_DIGITS + 1) return NO_DEADLINE;
  const amount = digitsAt(bytes, start, length - 1);
  if (amount === NO_DEADLINE) return NO_DEADLINE;
  switch (bytes[start + length - 1]) {
    case 0x48: // H
      return within(amount * 3_600_000);
    case 0x4d: // M
      return within(amount * 60_000);
    case 0x53: // S
      return within(amount * 1_000);
    case 0x6d: // m
      return within(amount);
    case 0x75: // u
      return Math.ceil(amount / 1e3);
    case 0x6e: // n
      return Math.ceil(amount / 1e6);
    default:
      return NO_DEADLINE;
  }
}

/**
 * The number spelled by all `length` bytes; NO_DEADLINE if it is empty or has a byte that is no
 * digit.
 */
function digitsAt(bytes: Uint8Array, start: number, length: number): number {
  if (length <= 0) return NO_DEADLINE;
  let amount = 0;
  for (let i = start; i < start + length; i++) {
    const digit = bytes[i]! - 0x30;
    if (digit < 0 || digit > 9) return NO_DEADLINE;
    amount = amount * 10 + digit;
  }
  return amount;
}

function within(ms: number): number {
  return ms >= MAX_MS ? NO_DEADLINE : ms;
}
