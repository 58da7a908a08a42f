//! `Head`: a request that has to be decided.

use super::writer::{Writer, round};
use super::{HEAD, RequestId};
use crate::base::slab::Key;
use crate::http::fields::{Fields, Known};
use crate::record::inward::Tag;
use crate::record::ring::Ring;
use std::net::SocketAddr;

/// Flag: a body may follow.
pub const HAS_BODY: u32 = 1;
/// Flag: content-length is known.
pub const HAS_LENGTH: u32 = 2;
/// Flag: came as early data.
pub const EARLY_DATA: u32 = 4;
/// Flag: a worker died before it decided.
pub const OFFERED_AGAIN: u32 = 8;
/// Flag: the method is idempotent (RFC 9110 §9.2.2).
pub const IDEMPOTENT: u32 = 16;
/// Flag: the peer's address is validated.
pub const ADDRESS_VALIDATED: u32 = 32;
/// Flag: offered again after a `Wait`.
pub const HAS_WAITED: u32 = 64;
/// Flag: the name of some field has an underscore.
pub const HAS_UNDERSCORE: u32 = 128;
/// Flag: OPTIONS or TRACE whose Max-Forwards is 0, so that nobody may forward it (RFC 9110 §7.6.2).
pub const IS_LAST_HOP: u32 = 256;

/// Flag: the client has shown a certificate.
pub const HAS_CERTIFICATE: u32 = 512;
/// Flag: it was verified.
pub const CERTIFICATE_VERIFIED: u32 = 1024;

/// Words before the lengths.
const WORDS: usize = 26;

/// What a `Head` says beside the fields.
#[derive(Clone, Copy, Debug)]
pub struct HeadFacts<'a> {
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
    /// As given with `Wait`.
    pub tag: Tag,
    /// Microseconds since the head was decoded.
    pub age_us: u32,
    /// What the client's certificate says, where the lane is to hear of it.
    pub certificate: &'a [u8],
}

/// Writes a `Head`; false when the ring has no room now. The fields are a checked request head.
pub fn write_head(ring: &mut Ring, facts: &HeadFacts<'_>, fields: &Fields) -> bool {
    let pseudo = |known| fields.known(known).unwrap_or(b"");
    let (method, scheme, path) = (pseudo(Known::Method), pseudo(Known::Scheme), pseudo(Known::Path));
    let authority = fields.known(Known::Authority).or_else(|| fields.known(Known::Host)).unwrap_or(b"");
    let regular = || fields.iter().filter(|field| !field.known.is_pseudo());
    let (count, text) = regular().fold((0, 0), |(count, text), f| (count + 1, text + f.name.len() + f.value.len()));
    let fixed = (WORDS + count) * 4;
    let id = facts.request_id.as_bytes();
    let size = round(fixed + facts.certificate.len() + id.len() + method.len() + scheme.len() + authority.len() + path.len() + text);
    let Some(mut w) = Writer::start(ring, size, HEAD, facts.exchange, fixed) else { return false };
    w.words(4, [facts.listener, facts.flags]);
    w.peer(6, facts.peer);
    w.pair(11, facts.cipher as usize, facts.group as usize);
    w.float(12, facts.connection as f64);
    w.float(14, facts.content_length.map_or(-1.0, |length| length as f64));
    w.pair(16, method.len(), scheme.len());
    w.pair(17, authority.len(), path.len());
    w.words(18, [count as u32, id.len() as u32, facts.tag.route]);
    w.words(21, facts.tag.memo);
    w.words(24, [facts.age_us, facts.certificate.len() as u32]);
    for text in [facts.certificate, id, method, scheme, authority, path] {
        w.text(text);
    }
    for (place, field) in regular().enumerate() {
        w.pair(WORDS + place, field.name.len(), field.value.len());
        w.text(field.name);
        w.text(field.value);
    }
    w.pad();
    ring.publish(size);
    true
}
