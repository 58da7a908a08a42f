// Made by `npm run records` from native/core/src/record/records.yaml, not by hand.
//! Where the rings lie in the memory that reactor and lane share, kinds of records, and flags: what
//! `docs/design/records.md` explains and `src/record/layout.ts` has by the same names.

/// Word: bytes ever written towards the lane (wraps), written by the reactor.
pub const LANE_TAIL_WORD: usize = 0;
/// Word: bytes ever read by the lane, written by the lane.
pub const LANE_HEAD_WORD: usize = 16;
/// Word: bytes ever written towards the reactor, written by the lane after a whole record.
pub const REACTOR_TAIL_WORD: usize = 32;
/// Word: bytes ever read by the reactor, written by the reactor.
pub const REACTOR_HEAD_WORD: usize = 48;
/// Word: not 0: exchanges wait for a place that a completion may free, so the reactor calls the
/// lane in the turn in which one ends; written by the lane.
pub const WAITING_WORD: usize = 64;

/// Where the ring towards the lane begins.
pub const LANE_RING_BYTE: usize = 4_096;
/// Bytes of the ring towards the lane.
pub const LANE_RING_BYTES: usize = 1_048_576;
/// Where the ring towards the reactor begins.
pub const REACTOR_RING_BYTE: usize = 1_052_672;
/// Bytes of the ring towards the reactor.
pub const REACTOR_RING_BYTES: usize = 262_144;
/// Bytes of the whole memory.
pub const MEMORY_BYTES: usize = 1_314_816;

/// Stands for what there is not: no route, no backend slot, no plan, no status.
pub const NONE: u32 = u32::MAX;
/// Values that a Forward may bring for the edits of its plan.
pub const MAX_VALUES: usize = 4;

/// Kind of the filler at a ring's end.
pub const KIND_WRAP: u32 = 0;
/// Kind of a `Head`. A request that has to be decided.
pub const KIND_HEAD: u32 = 1;
/// Kind of a `AttemptFailed`. An attempt that ended before anything was committed to the client.
pub const KIND_ATTEMPT_FAILED: u32 = 2;
/// Kind of a `Completion`. How an exchange ended.
pub const KIND_COMPLETION: u32 = 3;
/// Kind of a `Late`. The hedge delay of a Forward passed, and no response head is here.
pub const KIND_LATE: u32 = 4;
/// Kind of a `Forward`. The exchange goes to a backend.
pub const KIND_FORWARD: u32 = 16;
/// Kind of a `Respond`. The exchange is answered from here.
pub const KIND_RESPOND: u32 = 17;
/// Kind of a `Reset`. The client's stream is reset.
pub const KIND_RESET: u32 = 18;
/// Kind of a `Wait`. The exchange is to be offered again later, as the record it was offered with.
pub const KIND_WAIT: u32 = 19;
/// Kind of a `Wake`. An exchange that waits is offered again now, in this turn.
pub const KIND_WAKE: u32 = 20;
/// Kind of a `Commit`. The held response goes to the client.
pub const KIND_COMMIT: u32 = 21;

/// `Head`: has a body or may have one.
pub const HEAD_HAS_BODY: u32 = 1;
/// `Head`: content-length is known.
pub const HEAD_LENGTH_KNOWN: u32 = 2;
/// `Head`: the method is idempotent (RFC 9110 §9.2.2).
pub const HEAD_IDEMPOTENT: u32 = 4;
/// `Head`: offered again after a Wait.
pub const HEAD_WAITED: u32 = 8;
/// `Head`: the name of some field has an underscore.
pub const HEAD_UNDERSCORE: u32 = 16;
/// `Head`: OPTIONS or TRACE whose Max-Forwards is 0, so that nobody may forward it (RFC 9110
/// §7.6.2).
pub const HEAD_LAST_HOP: u32 = 32;
/// `Head`: the client has shown a certificate.
pub const HEAD_CERTIFICATE: u32 = 64;
/// `Head`: the client's certificate was verified.
pub const HEAD_CERTIFICATE_VERIFIED: u32 = 128;

/// `AttemptFailed`: nothing was sent to the backend, or the backend says that it did not act
/// (REFUSED_STREAM, GOAWAY).
pub const FAILED_UNSENT: u32 = 1;
/// `AttemptFailed`: the method is idempotent.
pub const FAILED_IDEMPOTENT: u32 = 2;
/// `AttemptFailed`: the request can be sent again (what was taken of its body is still here).
pub const FAILED_REPLAYABLE: u32 = 4;
/// `AttemptFailed`: another attempt of this exchange is still running: nothing is to be decided.
pub const FAILED_OTHER_RUNS: u32 = 8;
/// `AttemptFailed`: offered again after a Wait.
pub const FAILED_WAITED: u32 = 16;
/// `AttemptFailed`: a response is held and may be passed on with Commit.
pub const FAILED_HELD: u32 = 32;
/// `AttemptFailed`: this attempt was the hedge.
pub const FAILED_HEDGE: u32 = 64;

/// `Completion`: a response head was given to the client, the edge's own included.
pub const COMPLETED_COMMITTED: u32 = 1;
/// `Completion`: ended by the client.
pub const COMPLETED_BY_CLIENT: u32 = 2;
/// `Completion`: ended by the backend, or by the failure of its last attempt.
pub const COMPLETED_BY_BACKEND: u32 = 4;
/// `Completion`: the response came from the edge itself.
pub const COMPLETED_FROM_EDGE: u32 = 8;
/// `Completion`: the session of the last attempt had served before.
pub const COMPLETED_SESSION_REUSED: u32 = 16;
/// `Completion`: a hedge was sent.
pub const COMPLETED_HEDGED: u32 = 32;
/// `Completion`: the hedge gave the answer.
pub const COMPLETED_HEDGE_WON: u32 = 64;
/// `Completion`: ended while it waited (Wait).
pub const COMPLETED_WAITING: u32 = 128;
/// `Completion`: the backend asked for NTLM or Negotiate.
pub const COMPLETED_CONNECTION_AUTH: u32 = 256;
/// `Completion`: the client had shown a certificate, and it was verified.
pub const COMPLETED_CERTIFICATE_VERIFIED: u32 = 512;

/// `Forward`: the client's x-request-id stays as the request id, if it is 1 to 64 visible
/// characters.
pub const FORWARD_KEEP_REQUEST_ID: u32 = 1;
/// `Forward`: the lane is told of a failure and decides (otherwise the reactor answers itself); the
/// lane always sets it.
pub const FORWARD_TELL_FAILURES: u32 = 2;
/// `Forward`: a response whose status, or gRPC status in its head, the plan lists is held, and the
/// lane asked.
pub const FORWARD_HOLD: u32 = 4;
/// `Forward`: this is the hedge of a running attempt: it runs beside it, and the first response
/// head wins.
pub const FORWARD_HEDGE: u32 = 8;
/// `Forward`: beside TELL_FAILURES: the lane is told too when the time of the exchange is over and
/// no response head went on.
pub const FORWARD_TELL_DEADLINE: u32 = 16;
