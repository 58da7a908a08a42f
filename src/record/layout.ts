// Made by `npm run records` from native/core/src/record/records.yaml, not by hand.
/**
 * Where the rings lie in the memory that reactor and lane share, kinds of records, and flags: what
 * `docs/design/records.md` explains and `native/core/src/record/layout.rs` has by the same names.
 */

/** Word: bytes ever written towards the lane (wraps), written by the reactor. */
export const LANE_TAIL_WORD = 0;
/** Word: bytes ever read by the lane, written by the lane. */
export const LANE_HEAD_WORD = 16;
/** Word: bytes ever written towards the reactor, written by the lane after a whole record. */
export const REACTOR_TAIL_WORD = 32;
/** Word: bytes ever read by the reactor, written by the reactor. */
export const REACTOR_HEAD_WORD = 48;
/**
 * Word: not 0: exchanges wait for a place that a completion may free, so the reactor calls the lane
 * in the turn in which one ends; written by the lane.
 */
export const WAITING_WORD = 64;

/** Where the ring towards the lane begins. */
export const LANE_RING_BYTE = 4_096;
/** Bytes of the ring towards the lane. */
export const LANE_RING_BYTES = 1_048_576;
/** Where the ring towards the reactor begins. */
export const REACTOR_RING_BYTE = 1_052_672;
/** Bytes of the ring towards the reactor. */
export const REACTOR_RING_BYTES = 262_144;
/** Bytes of the whole memory. */
export const MEMORY_BYTES = 1_314_816;

/** Stands for what there is not: no route, no backend slot, no plan, no status. */
export const NONE = 0xffff_ffff;
/** Values that a Forward may bring for the edits of its plan. */
export const MAX_VALUES = 4;

/** Kind of the filler at a ring's end. */
export const KIND_WRAP = 0;
/** A request that has to be decided. */
export const KIND_HEAD = 1;
/** An attempt that ended before anything was committed to the client. */
export const KIND_ATTEMPT_FAILED = 2;
/** How an exchange ended. */
export const KIND_COMPLETION = 3;
/** The hedge delay of a Forward passed, and no response head is here. */
export const KIND_LATE = 4;
/** The exchange goes to a backend. */
export const KIND_FORWARD = 16;
/** The exchange is answered from here. */
export const KIND_RESPOND = 17;
/** The client's stream is reset. */
export const KIND_RESET = 18;
/** The exchange is to be offered again later, as the record it was offered with. */
export const KIND_WAIT = 19;
/** An exchange that waits is offered again now, in this turn. */
export const KIND_WAKE = 20;
/** The held response goes to the client. */
export const KIND_COMMIT = 21;

/**
 * Words of records before their table and text, bytes of those that have neither and are written
 * here.
 */
export const HEAD_WORDS = 26;
export const ATTEMPT_FAILED_WORDS = 22;
export const COMPLETION_WORDS = 42;
export const FORWARD_WORDS = 24;
export const RESPOND_WORDS = 14;
export const RESET_BYTES = 24;
export const WAIT_BYTES = 40;
export const WAKE_BYTES = 16;
export const COMMIT_BYTES = 40;

/** Head: has a body or may have one. */
export const HEAD_HAS_BODY = 1;
/** Head: content-length is known. */
export const HEAD_LENGTH_KNOWN = 2;
/** Head: the method is idempotent (RFC 9110 §9.2.2). */
export const HEAD_IDEMPOTENT = 4;
/** Head: offered again after a Wait. */
export const HEAD_WAITED = 8;
/** Head: the name of some field has an underscore. */
export const HEAD_UNDERSCORE = 16;
/**
 * Head: OPTIONS or TRACE whose Max-Forwards is 0, so that nobody may forward it (RFC 9110 §7.6.2).
 */
export const HEAD_LAST_HOP = 32;
/** Head: the client has shown a certificate. */
export const HEAD_CERTIFICATE = 64;
/** Head: the client's certificate was verified. */
export const HEAD_CERTIFICATE_VERIFIED = 128;

/**
 * AttemptFailed: nothing was sent to the backend, or the backend says that it did not act
 * (REFUSED_STREAM, GOAWAY).
 */
export const FAILED_UNSENT = 1;
/** AttemptFailed: the method is idempotent. */
export const FAILED_IDEMPOTENT = 2;
/** AttemptFailed: the request can be sent again (what was taken of its body is still here). */
export const FAILED_REPLAYABLE = 4;
/** AttemptFailed: another attempt of this exchange is still running: nothing is to be decided. */
export const FAILED_OTHER_RUNS = 8;
/** AttemptFailed: offered again after a Wait. */
export const FAILED_WAITED = 16;
/** AttemptFailed: a response is held and may be passed on with Commit. */
export const FAILED_HELD = 32;
/** AttemptFailed: this attempt was the hedge. */
export const FAILED_HEDGE = 64;

/** Completion: a response head was given to the client, the edge's own included. */
export const COMPLETED_COMMITTED = 1;
/** Completion: ended by the client. */
export const COMPLETED_BY_CLIENT = 2;
/** Completion: ended by the backend, or by the failure of its last attempt. */
export const COMPLETED_BY_BACKEND = 4;
/** Completion: the response came from the edge itself. */
export const COMPLETED_FROM_EDGE = 8;
/** Completion: the session of the last attempt had served before. */
export const COMPLETED_SESSION_REUSED = 16;
/** Completion: a hedge was sent. */
export const COMPLETED_HEDGED = 32;
/** Completion: the hedge gave the answer. */
export const COMPLETED_HEDGE_WON = 64;
/** Completion: ended while it waited (Wait). */
export const COMPLETED_WAITING = 128;
/** Completion: the backend asked for NTLM or Negotiate. */
export const COMPLETED_CONNECTION_AUTH = 256;
/** Completion: the client had shown a certificate, and it was verified. */
export const COMPLETED_CERTIFICATE_VERIFIED = 512;

/**
 * Forward: the client's x-request-id stays as the request id, if it is 1 to 64 visible characters.
 */
export const FORWARD_KEEP_REQUEST_ID = 1;
/**
 * Forward: the lane is told of a failure and decides (otherwise the reactor answers itself); the
 * lane always sets it.
 */
export const FORWARD_TELL_FAILURES = 2;
/**
 * Forward: a response whose status, or gRPC status in its head, the plan lists is held, and the
 * lane asked.
 */
export const FORWARD_HOLD = 4;
/**
 * Forward: this is the hedge of a running attempt: it runs beside it, and the first response head
 * wins.
 */
export const FORWARD_HEDGE = 8;
/**
 * Forward: beside TELL_FAILURES: the lane is told too when the time of the exchange is over and no
 * response head went on.
 */
export const FORWARD_TELL_DEADLINE = 16;
