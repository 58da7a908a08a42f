/**
 * The numbers of `docs/design/records.md`: where the rings lie in a shard's memory and where each value lies in its record. Nothing but
 * constants, so that a change of layout is a change of this file, of `native/core/src/record` and of that page, and of nothing else.
 */

/** u32 word of the memory: bytes ever written towards the lane. */
export const LANE_TAIL_WORD = 0;
/** u32 word: bytes ever read by the lane. */
export const LANE_HEAD_WORD = 16;
/** u32 word: bytes ever written towards the reactor. */
export const REACTOR_TAIL_WORD = 32;
/** u32 word: bytes ever read by the reactor. */
export const REACTOR_HEAD_WORD = 48;

/** u32 word: not 0 while exchanges wait for a place that a completion may free. */
export const WAITING_WORD = 64;

/** Where the ring towards the lane begins, and its size; sizes are powers of two. */
export const LANE_RING_BYTE = 4096;
export const LANE_RING_BYTES = 1 << 20;
/** Where the ring towards the reactor begins, and its size. */
export const REACTOR_RING_BYTE = LANE_RING_BYTE + LANE_RING_BYTES;
export const REACTOR_RING_BYTES = 1 << 18;
/** Bytes of the whole region. */
export const MEMORY_BYTES = REACTOR_RING_BYTE + REACTOR_RING_BYTES;

/** Kinds of records, word 1. */
export const KIND_WRAP = 0;
export const KIND_HEAD = 1;
export const KIND_ATTEMPT_FAILED = 2;
export const KIND_COMPLETION = 3;
export const KIND_LATE = 4;
export const KIND_FORWARD = 16;
export const KIND_RESPOND = 17;
export const KIND_RESET = 18;
export const KIND_WAIT = 19;
export const KIND_WAKE = 20;
export const KIND_COMMIT = 21;

/** Stands for "no route", "no slot", "no plan". */
export const NONE = 0xffff_ffff;

/** First words of the parts of variable length. */
export const HEAD_LENGTHS_WORD = 26;
export const ATTEMPT_FAILED_TEXT_WORD = 22;
export const COMPLETION_TEXT_WORD = 42;
export const RESPOND_LENGTHS_WORD = 14;
export const FORWARD_LENGTHS_WORD = 24;

/** Without values. */
export const FORWARD_BYTES = 96;
export const RESET_BYTES = 24;
export const WAIT_BYTES = 40;
export const WAKE_BYTES = 16;
export const COMMIT_BYTES = 40;

/** Values a Forward may carry for the edits of its plan. */
export const MAX_VALUES = 4;

/** Flags of Head, word 5. */
export const HEAD_HAS_BODY = 1;
export const HEAD_LENGTH_KNOWN = 2;
export const HEAD_IDEMPOTENT = 4;
export const HEAD_WAITED = 8;
export const HEAD_UNDERSCORE = 16;
export const HEAD_LAST_HOP = 32;
export const HEAD_CERTIFICATE = 64;
export const HEAD_CERTIFICATE_VERIFIED = 128;

/** Flags of AttemptFailed, word 8. */
export const FAILED_UNSENT = 1;
export const FAILED_IDEMPOTENT = 2;
export const FAILED_REPLAYABLE = 4;
export const FAILED_OTHER_RUNS = 8;
export const FAILED_WAITED = 16;
export const FAILED_HELD = 32;
export const FAILED_HEDGE = 64;

/** Flags of Completion, word 9. */
export const COMPLETED_COMMITTED = 1;
export const COMPLETED_BY_CLIENT = 2;
export const COMPLETED_BY_BACKEND = 4;
export const COMPLETED_FROM_EDGE = 8;
export const COMPLETED_SESSION_REUSED = 16;
export const COMPLETED_HEDGED = 32;
export const COMPLETED_HEDGE_WON = 64;
export const COMPLETED_WAITING = 128;
export const COMPLETED_CONNECTION_AUTH = 256;
export const COMPLETED_CERTIFICATE_VERIFIED = 512;

/** Flags of Forward, word 7. */
export const FORWARD_KEEP_REQUEST_ID = 1;
export const FORWARD_TELL_FAILURES = 2;
export const FORWARD_HOLD = 4;
export const FORWARD_HEDGE = 8;
export const FORWARD_TELL_DEADLINE = 16;

/** The least multiple of 8 that is not less than `bytes`; records are padded to it. */
export function padded(bytes: number): number {
  return (bytes + 7) & ~7;
}
