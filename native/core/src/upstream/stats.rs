//! What the upstream side counts. Plain numbers, one writer; gauges go up and down, the rest only up.

use crate::base::reason::OF_TLS;

/// Counters of a reactor's upstream sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Gauge: sessions that take or carry streams.
    pub sessions_open: u64,
    /// Gauge: sessions being connected.
    pub sessions_connecting: u64,
    /// Gauge: streams open on all sessions.
    pub streams_open: u64,
    /// Gauge: bytes that backends may still send, as far as the windows of streams and sessions let them.
    pub granted_bytes: u64,
    /// Gauge: bytes that wait for backends to read them.
    pub queued_bytes: u64,
    /// Gauge: attempts in queues.
    pub waiting: u64,
    /// Sessions that became usable.
    pub connects_succeeded: u64,
    /// Connects the kernel or the peer refused.
    pub connects_failed: u64,
    /// Connects that took too long.
    pub connects_timed_out: u64,
    /// TLS handshakes that failed.
    pub connects_tls_failed: u64,
    /// The same by cause, in the order of [`OF_TLS`].
    pub tls_failures: [u64; OF_TLS.len()],
    /// Gauge: sessions that are one client's alone.
    pub sessions_bound: u64,
    /// Sessions that became so.
    pub bound: u64,
    /// Those of them that end at once, because their client has enough of them.
    pub bound_in_excess: u64,
    /// Those that ended for others who waited.
    pub bound_given_up: u64,
    /// Response heads over HTTP/2 from which challenges for a connection were removed.
    pub challenges_removed: u64,
    /// Connects for which the process had no descriptor left.
    pub connects_without_descriptor: u64,
    /// Attempts started on a session that had carried one before.
    pub sessions_reused: u64,
    /// Attempts started.
    pub streams_started: u64,
    /// Bytes read from sockets; within TLS, after decryption.
    pub bytes_in: u64,
    /// Bytes written to sockets; within TLS, before encryption.
    pub bytes_out: u64,
    /// GOAWAY frames received.
    pub goaways_in: u64,
    /// RST_STREAM frames received for open streams.
    pub resets_in: u64,
    /// RST_STREAM frames sent.
    pub resets_out: u64,
    /// Sessions ended because the backend broke the protocol.
    pub protocol_errors: u64,
    /// Sessions that were replaced because their backend reset stream after stream.
    pub sessions_renewed: u64,
    /// Sessions that did not answer a PING in time.
    pub pings_timed_out: u64,
}
