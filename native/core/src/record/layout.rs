//! Kinds and flags of records, as `docs/design/records.md` lists them. A flag has the same name in `src/record/layout.ts`.

/// Kind of the filler at a ring's end.
pub const WRAP: u32 = 0;
/// Kind of a `Head`.
pub const HEAD: u32 = 1;
/// Kind of an `AttemptFailed`.
pub const ATTEMPT_FAILED: u32 = 2;
/// Kind of a `Completion`.
pub const COMPLETION: u32 = 3;
/// Kind of a `Late`.
pub const LATE: u32 = 4;
/// Kind of a `Forward`.
pub const FORWARD: u32 = 16;
/// Kind of a `Respond`.
pub const RESPOND: u32 = 17;
/// Kind of a `Reset`.
pub const RESET: u32 = 18;
/// Kind of a `Wait`.
pub const WAIT: u32 = 19;
/// Kind of a `Wake`.
pub const WAKE: u32 = 20;
/// Kind of a `Commit`.
pub const COMMIT: u32 = 21;

/// Stands for what there is not.
pub const NONE: u32 = u32::MAX;
/// Values that a `Forward` may bring.
pub const MAX_VALUES: usize = 4;

/// `Head`: a body may follow.
pub const HEAD_HAS_BODY: u32 = 1;
/// `Head`: content-length is known.
pub const HEAD_LENGTH_KNOWN: u32 = 2;
/// `Head`: the method is idempotent (RFC 9110 §9.2.2).
pub const HEAD_IDEMPOTENT: u32 = 4;
/// `Head`: offered again after a `Wait`.
pub const HEAD_WAITED: u32 = 8;
/// `Head`: the name of some field has an underscore.
pub const HEAD_UNDERSCORE: u32 = 16;
/// `Head`: OPTIONS or TRACE whose Max-Forwards is 0, so that nobody may forward it (RFC 9110 §7.6.2).
pub const HEAD_LAST_HOP: u32 = 32;
/// `Head`: the client has shown a certificate.
pub const HEAD_CERTIFICATE: u32 = 64;
/// `Head`: the client's certificate was verified.
pub const HEAD_CERTIFICATE_VERIFIED: u32 = 128;

/// `AttemptFailed`: nothing was sent.
pub const FAILED_UNSENT: u32 = 1;
/// `AttemptFailed`: the method is idempotent.
pub const FAILED_IDEMPOTENT: u32 = 2;
/// `AttemptFailed`: the request can be sent again.
pub const FAILED_REPLAYABLE: u32 = 4;
/// `AttemptFailed`: another attempt still runs, nothing is to be decided.
pub const FAILED_OTHER_RUNS: u32 = 8;
/// `AttemptFailed`: offered again after a `Wait`.
pub const FAILED_WAITED: u32 = 16;
/// `AttemptFailed`: a response is held and may be passed on.
pub const FAILED_HELD: u32 = 32;
/// `AttemptFailed`: the attempt was the hedge.
pub const FAILED_HEDGE: u32 = 64;

/// `Completion`: a response was committed.
pub const COMPLETED_COMMITTED: u32 = 1;
/// `Completion`: the client ended it.
pub const COMPLETED_BY_CLIENT: u32 = 2;
/// `Completion`: the backend ended it.
pub const COMPLETED_BY_BACKEND: u32 = 4;
/// `Completion`: the response is the edge's own.
pub const COMPLETED_FROM_EDGE: u32 = 8;
/// `Completion`: the session had served before.
pub const COMPLETED_SESSION_REUSED: u32 = 16;
/// `Completion`: a hedge was sent.
pub const COMPLETED_HEDGED: u32 = 32;
/// `Completion`: the hedge gave the answer.
pub const COMPLETED_HEDGE_WON: u32 = 64;
/// `Completion`: ended while it waited.
pub const COMPLETED_WAITING: u32 = 128;
/// `Completion`: the backend asked for NTLM or Negotiate.
pub const COMPLETED_CONNECTION_AUTH: u32 = 256;
/// `Completion`: the client had shown a certificate, and it was verified.
pub const COMPLETED_CERTIFICATE_VERIFIED: u32 = 512;

/// `Forward`: the client's x-request-id stays.
pub const FORWARD_KEEP_REQUEST_ID: u32 = 1;
/// `Forward`: the lane is told of a failure and decides.
pub const FORWARD_TELL_FAILURES: u32 = 2;
/// `Forward`: a response whose status the plan lists is held, and the lane asked.
pub const FORWARD_HOLD: u32 = 4;
/// `Forward`: the hedge of a running attempt.
pub const FORWARD_HEDGE: u32 = 8;
/// `Forward`, beside [`FORWARD_TELL_FAILURES`]: the lane is told too when the exchange's own time is over and no
/// response head went on.
pub const FORWARD_TELL_DEADLINE: u32 = 16;
