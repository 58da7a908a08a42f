//! `Head`: a request that has to be decided.

use super::RequestId;
use super::writer::{Writer, round};
use crate::base::slab::Key;
use crate::http::fields::{Fields, Known};
use crate::record::inward::Tag;
use crate::record::layout::HEAD;
use crate::record::ring::Ring;
use std::net::SocketAddr;

/// Words before the lengths.
const WORDS: usize = 26;

/// What a `Head` says beside the fields.
#[derive(Clone, Copy, Debug)]
pub struct HeadFacts<'a> {
    /// The exchange.
    pub exchange: Key,
    /// Listener's number.
    pub listener: u32,
    /// `HEAD_…` flags.
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
