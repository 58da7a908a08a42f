//! `Completion`: how an exchange ended.

use super::RequestId;
use super::writer::{Text, peer_words, round};
use crate::base::slab::Key;
use crate::http::fields::{Fields, Known};
use crate::record::inward::Tag;
use crate::record::layout::NONE;
use crate::record::ring::Ring;
use crate::record::words::CompletionWords;
use std::net::SocketAddr;
use std::sync::Arc;

/// Longest path and user-agent; the rest is cut off.
const PATH_CUT: usize = 2048;
const USER_AGENT_CUT: usize = 256;

/// Contents of a `Completion`, besides text.
#[derive(Clone, Debug)]
pub struct CompletionFacts {
    /// The exchange.
    pub exchange: Key,
    /// Tag of the last decision.
    pub tag: Tag,
    /// Slot of the backend, or `u32::MAX`.
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
    /// Wall clock at the first byte, in milliseconds.
    pub started_ms: f64,
    /// Backend's status.
    pub backend_status: u32,
    /// gRPC status of the response.
    pub grpc_status: Option<u32>,
    /// Seconds of the response's Retry-After.
    pub retry_after_s: Option<u32>,
    /// Backend of the attempt that lost, and how long it ran in microseconds.
    pub loser: Option<(u32, u32)>,
    /// Request id.
    pub request_id: RequestId,
    /// Text about the client's certificate for the access log, if that is wanted.
    pub certificate: Option<Arc<[u8]>>,
}

/// Writes a `Completion`. Returns false if the ring has no room. The text is taken from `request`.
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
    let texts = [id, method, authority, path, agent, certificate];
    let size = round(CompletionWords::BYTES + texts.iter().map(|text| text.len()).sum::<usize>());
    let (peer_family, peer_port, peer_address) = peer_words(facts.peer);
    let [decide_us, open_us, send_us, await_us, total_us] = facts.phases_us;
    let (loser_slot, loser_us) = facts.loser.unwrap_or((NONE, 0));
    let words = CompletionWords {
        exchange: facts.exchange,
        tag: facts.tag.route,
        slot: facts.backend,
        attempts: facts.attempts,
        status: facts.status,
        reason: facts.reason,
        flags: facts.flags,
        listener: facts.listener,
        peer_family,
        peer_port,
        peer_address,
        decide_us,
        open_us,
        send_us,
        await_us,
        total_us,
        rtt_us: facts.rtt_us,
        bytes_in: facts.bytes_in as f64,
        bytes_out: facts.bytes_out as f64,
        connection: facts.connection as f64,
        started_ms: facts.started_ms,
        request_id_length: id.len() as u16,
        method_length: method.len() as u16,
        authority_length: authority.len() as u16,
        path_length: path.len() as u16,
        user_agent_length: agent.len() as u32,
        backend_status: facts.backend_status,
        memo: facts.tag.memo,
        grpc_status: facts.grpc_status.unwrap_or(NONE),
        retry_after_s: facts.retry_after_s.unwrap_or(NONE),
        loser_slot,
        loser_us,
        certificate_length: certificate.len() as u32,
    };
    let Some(text) = ring.reserve(size).and_then(|record| words.write(record)) else { return false };
    let mut text = Text(text);
    texts.iter().for_each(|part| text.put(part));
    text.pad();
    ring.publish(size);
    true
}
