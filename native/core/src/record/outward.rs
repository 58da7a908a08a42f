//! Records towards the lane: `Head`, `AttemptFailed`, `Completion`.

use super::ring::Ring;
use crate::base::slab::Key;
use crate::http::fields::{Fields, Known};
use std::net::{IpAddr, SocketAddr};

/// Kind of a `Head`.
pub const HEAD: u32 = 1;
/// Kind of an `AttemptFailed`.
pub const ATTEMPT_FAILED: u32 = 2;
/// Kind of a `Completion`.
pub const COMPLETION: u32 = 3;

/// `Head` flag: a body may follow.
pub const HAS_BODY: u32 = 1;
/// `Head` flag: content-length is known.
pub const HAS_LENGTH: u32 = 2;
/// `Head` flag: came as early data.
pub const EARLY_DATA: u32 = 4;
/// `Head` flag: a worker died before it decided.
pub const OFFERED_AGAIN: u32 = 8;
/// `Head` flag: the method is idempotent (RFC 9110 §9.2.2).
pub const IDEMPOTENT: u32 = 16;
/// `Head` flag: the peer's address is validated.
pub const ADDRESS_VALIDATED: u32 = 32;

/// `AttemptFailed` flag: nothing was sent.
pub const FAILED_UNSENT: u32 = 1;
/// `AttemptFailed` flag: idempotent method.
pub const FAILED_IDEMPOTENT: u32 = 2;
/// `AttemptFailed` flag: the request can be sent again.
pub const FAILED_REPLAYABLE: u32 = 4;

/// `Completion` flag: a response was committed.
pub const COMMITTED: u32 = 1;
/// `Completion` flag: the client ended it.
pub const ENDED_BY_CLIENT: u32 = 2;
/// `Completion` flag: the backend ended it.
pub const ENDED_BY_BACKEND: u32 = 4;
/// `Completion` flag: the response is the edge's own.
pub const OWN_RESPONSE: u32 = 8;
/// `Completion` flag: the session had served before.
pub const SESSION_REUSED: u32 = 16;

/// Longest path and user-agent a `Completion` carries.
const PATH_CUT: usize = 2048;
const USER_AGENT_CUT: usize = 256;

/// Names an exchange in logs, towards backends and clients.
#[derive(Clone, Copy, Debug)]
pub struct RequestId {
    bytes: [u8; 64],
    length: u8,
}

impl RequestId {
    /// Takes visible ASCII of 1 to 64 bytes; none for anything else.
    pub fn new(text: &[u8]) -> Option<RequestId> {
        let is_fit = (1..=64).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic);
        is_fit.then(|| {
            let mut bytes = [0; 64];
            bytes[..text.len()].copy_from_slice(text);
            RequestId { bytes, length: text.len() as u8 }
        })
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length as usize]
    }
}

/// What a `Head` says beside the fields.
#[derive(Clone, Copy, Debug)]
pub struct HeadFacts {
    /// The exchange.
    pub exchange: Key,
    /// Listener's number.
    pub listener: u32,
    /// Flags above.
    pub flags: u32,
    /// Client's address.
    pub peer: SocketAddr,
    /// TLS cipher suite.
    pub cipher: u16,
    /// TLS key-exchange group.
    pub group: u16,
    /// Number of the connection.
    pub connection: u64,
    /// Content length, if known.
    pub content_length: Option<u64>,
    /// Request id.
    pub request_id: RequestId,
}

/// What an `AttemptFailed` says.
#[derive(Clone, Copy, Debug, Default)]
pub struct FailureFacts {
    /// Attempts made so far.
    pub attempts: u32,
    /// Backend of the attempt.
    pub backend: u32,
    /// Route tag, as given.
    pub route: u32,
    /// Reason's number.
    pub reason: u32,
    /// Flags above.
    pub flags: u32,
    /// Microseconds it took.
    pub took_us: u32,
    /// Number of the connection.
    pub connection: u64,
    /// Plan, as given.
    pub plan: u32,
}

/// What a `Completion` says beside text.
#[derive(Clone, Copy, Debug)]
pub struct CompletionFacts {
    /// The exchange.
    pub exchange: Key,
    /// Route tag or `u32::MAX`.
    pub route: u32,
    /// Backend or `u32::MAX`.
    pub backend: u32,
    /// Attempts made.
    pub attempts: u32,
    /// Status sent to the client.
    pub status: u32,
    /// Reason's number.
    pub reason: u32,
    /// Flags above.
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
    /// Request id.
    pub request_id: RequestId,
}

/// Writes words and text into a reserved record.
struct Writer<'a> {
    bytes: &'a mut [u8],
    text: usize,
}

impl Writer<'_> {
    fn word(&mut self, place: usize, value: u32) {
        self.bytes[place * 4..place * 4 + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn float(&mut self, place: usize, value: f64) {
        self.bytes[place * 4..place * 4 + 8].copy_from_slice(&value.to_le_bytes());
    }

    fn pair(&mut self, place: usize, low: usize, high: usize) {
        self.word(place, low as u32 & 0xffff | (high as u32) << 16);
    }

    fn exchange(&mut self, exchange: Key) {
        self.word(2, exchange.index);
        self.word(3, exchange.generation);
    }

    fn peer(&mut self, place: usize, peer: SocketAddr) {
        let mut address = [0u8; 16];
        let family = match peer.ip() {
            IpAddr::V4(ip) => {
                address[..4].copy_from_slice(&ip.octets());
                4
            }
            IpAddr::V6(ip) => {
                address.copy_from_slice(&ip.octets());
                6
            }
        };
        self.pair(place, family, peer.port() as usize);
        self.bytes[place * 4 + 4..place * 4 + 20].copy_from_slice(&address);
    }

    fn text(&mut self, text: &[u8]) {
        self.bytes[self.text..self.text + text.len()].copy_from_slice(text);
        self.text += text.len();
    }

    fn pad(&mut self) {
        let end = self.bytes.len();
        self.bytes[self.text..end].fill(0);
    }
}

fn round(size: usize) -> usize {
    (size + 7) & !7
}

fn start(ring: &mut Ring, size: usize, kind: u32, text: usize) -> Option<Writer<'_>> {
    let mut writer = Writer { bytes: ring.reserve(size)?, text };
    writer.word(0, size as u32);
    writer.word(1, kind);
    Some(writer)
}

/// Writes a `Head`; false when the ring has no room now. The fields are a checked request head.
pub fn write_head(ring: &mut Ring, facts: &HeadFacts, fields: &Fields) -> bool {
    let pseudo = |known| fields.known(known).unwrap_or(b"");
    let (method, scheme, path) = (pseudo(Known::Method), pseudo(Known::Scheme), pseudo(Known::Path));
    let authority = fields.known(Known::Authority).or_else(|| fields.known(Known::Host)).unwrap_or(b"");
    let regular = || fields.iter().filter(|field| !field.known.is_pseudo());
    let (count, text) = regular().fold((0, 0), |(count, text), f| (count + 1, text + f.name.len() + f.value.len()));
    let fixed = (20 + count) * 4;
    let id = facts.request_id.as_bytes();
    let size = round(fixed + id.len() + method.len() + scheme.len() + authority.len() + path.len() + text);
    let Some(mut w) = start(ring, size, HEAD, fixed) else { return false };
    w.exchange(facts.exchange);
    w.word(4, facts.listener);
    w.word(5, facts.flags);
    w.peer(6, facts.peer);
    w.pair(11, facts.cipher as usize, facts.group as usize);
    w.float(12, facts.connection as f64);
    w.float(14, facts.content_length.map_or(-1.0, |length| length as f64));
    w.pair(16, method.len(), scheme.len());
    w.pair(17, authority.len(), path.len());
    w.word(18, count as u32);
    w.word(19, id.len() as u32);
    for text in [id, method, scheme, authority, path] {
        w.text(text);
    }
    for (place, field) in regular().enumerate() {
        w.pair(20 + place, field.name.len(), field.value.len());
        w.text(field.name);
        w.text(field.value);
    }
    w.pad();
    ring.publish(size);
    true
}

/// Writes an `AttemptFailed`; false when the ring has no room now.
pub fn write_attempt_failed(ring: &mut Ring, exchange: Key, facts: &FailureFacts, request_id: &RequestId) -> bool {
    let id = request_id.as_bytes();
    let fixed = 56;
    let size = round(fixed + id.len());
    let Some(mut w) = start(ring, size, ATTEMPT_FAILED, fixed) else { return false };
    w.exchange(exchange);
    let words = [facts.attempts, facts.backend, facts.route, facts.reason, facts.flags, facts.took_us];
    for (place, word) in words.into_iter().enumerate() {
        w.word(4 + place, word);
    }
    w.float(10, facts.connection as f64);
    w.word(12, facts.plan);
    w.word(13, id.len() as u32);
    w.text(id);
    w.pad();
    ring.publish(size);
    true
}

/// Whether a record is a `Completion`.
pub fn is_completion(record: &[u8]) -> bool {
    record.get(4..8) == Some(&COMPLETION.to_le_bytes())
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
    let fixed = 34 * 4;
    let size = round(fixed + id.len() + method.len() + authority.len() + path.len() + agent.len());
    let Some(mut w) = start(ring, size, COMPLETION, fixed) else { return false };
    w.exchange(facts.exchange);
    let words = [facts.route, facts.backend, facts.attempts, facts.status, facts.reason, facts.flags, facts.listener];
    for (place, word) in words.into_iter().enumerate() {
        w.word(4 + place, word);
    }
    w.peer(11, facts.peer);
    for (place, phase) in facts.phases_us.into_iter().enumerate() {
        w.word(16 + place, phase);
    }
    w.word(21, facts.rtt_us);
    w.float(22, facts.bytes_in as f64);
    w.float(24, facts.bytes_out as f64);
    w.float(26, facts.connection as f64);
    w.float(28, facts.started_ms);
    w.pair(30, id.len(), method.len());
    w.pair(31, authority.len(), path.len());
    w.pair(32, agent.len(), 0);
    w.word(33, facts.backend_status);
    for text in [id, method, authority, path, agent] {
        w.text(text);
    }
    w.pad();
    ring.publish(size);
    true
}
