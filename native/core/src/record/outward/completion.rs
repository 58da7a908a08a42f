//! `Completion`: how an exchange ended.

use super::RequestId;
use super::writer::{Writer, round};
use crate::base::slab::Key;
use crate::http::fields::{Fields, Known};
use crate::record::inward::Tag;
use crate::record::layout::{COMPLETION, NONE};
use crate::record::ring::Ring;
use std::net::SocketAddr;
use std::sync::Arc;

/// Words before the text.
const WORDS: usize = 42;
/// Longest path and user-agent.
const PATH_CUT: usize = 2048;
const USER_AGENT_CUT: usize = 256;

/// What a `Completion` says beside text.
#[derive(Clone, Debug)]
pub struct CompletionFacts {
    /// The exchange.
    pub exchange: Key,
    /// As given with the last decision.
    pub tag: Tag,
    /// Backend or `u32::MAX`.
    pub backend: u32,
    /// Attempts made.
    pub attempts: u32,
    /// Status sent to the client.
    pub status: u32,
    /// Reason's number.
    pub reason: u32,
    /// `COMPLETED_…` flags.
    pub flags: u32,
    /// Listener's number.
    pub listener: u32,
    /// Client's address.
    pub peer: SocketAddr,
    /// Microseconds: decided, opened, sent, head, total.
    pub phases_us: [u32; 5],
    /// Smoothed RTT, microseconds.
    pub rtt_us: u32,
    /// Body bytes from the client.
    pub bytes_in: u64,
    /// Body bytes to the client.
    pub bytes_out: u64,
    /// Number of the connection.
    pub connection: u64,
    /// Wall clock at the head, milliseconds.
    pub started_ms: f64,
    /// Backend's status.
    pub backend_status: u32,
    /// gRPC status of the response.
    pub grpc_status: Option<u32>,
    /// Seconds of the response's Retry-After.
    pub retry_after_s: Option<u32>,
    /// Backend of the attempt that lost, and how many microseconds it had run.
    pub loser: Option<(u32, u32)>,
    /// Request id.
    pub request_id: RequestId,
    /// What lines say of the client's certificate, where they are to.
    pub certificate: Option<Arc<[u8]>>,
}

/// Writes a `Completion`; false when the ring has no room now. `request` is the request head, for the text.
pub fn write_completion(ring: &mut Ring, facts: &CompletionFacts, request: &Fields) -> bool {
    let pseudo = |known| request.known(known).unwrap_or(b"");
    let method = pseudo(Known::Method);
    let authority = request.known(Known::Authority).or_else(|| request.known(Known::Host)).unwrap_or(b"");
    let path = pseudo(Known::Path);
    let path = &path[..path.len().min(PATH_CUT)];
    let agent = pseudo(Known::UserAgent);
    let agent = &agent[..agent.len().min(USER_AGENT_CUT)];
    let id = facts.request_id.as_bytes();
    let certificate = facts.certificate.as_deref().unwrap_or_default();
    let fixed = WORDS * 4;
    let size = round(fixed + id.len() + method.len() + authority.len() + path.len() + agent.len() + certificate.len());
    let Some(mut w) = Writer::start(ring, size, COMPLETION, facts.exchange, fixed) else { return false };
    w.words(4, [facts.tag.route, facts.backend, facts.attempts, facts.status, facts.reason, facts.flags, facts.listener]);
    w.peer(11, facts.peer);
    w.words(16, facts.phases_us);
    w.word(21, facts.rtt_us);
    w.float(22, facts.bytes_in as f64);
    w.float(24, facts.bytes_out as f64);
    w.float(26, facts.connection as f64);
    w.float(28, facts.started_ms);
    w.pair(30, id.len(), method.len());
    w.pair(31, authority.len(), path.len());
    w.pair(32, agent.len(), 0);
    w.word(33, facts.backend_status);
    w.words(34, facts.tag.memo);
    let (loser, lost_us) = facts.loser.unwrap_or((NONE, 0));
    w.words(37, [facts.grpc_status.unwrap_or(NONE), facts.retry_after_s.unwrap_or(NONE), loser, lost_us, certificate.len() as u32]);
    for text in [id, method, authority, path, agent, certificate] {
        w.text(text);
    }
    w.pad();
    ring.publish(size);
    true
}
