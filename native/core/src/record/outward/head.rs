//! `Head`: a request that needs a decision.

use super::RequestId;
use super::writer::{Text, peer_words, round};
use crate::base::slab::Key;
use crate::http::fields::{Fields, Known};
use crate::record::inward::Tag;
use crate::record::ring::Ring;
use crate::record::words::{HeadWords, pair};
use std::net::SocketAddr;

/// Contents of a `Head`, besides the fields.
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
    /// Tag of the last `Wait`.
    pub tag: Tag,
    /// Microseconds since the head was decoded.
    pub age_us: u32,
    /// Details of the client's certificate, if the lane is to get them.
    pub certificate: &'a [u8],
}

/// Writes a `Head`. Returns false if the ring has no room. The fields must be a checked request
/// head.
pub fn write_head(ring: &mut Ring, facts: &HeadFacts<'_>, fields: &Fields) -> bool {
    let pseudo = |known| fields.known(known).unwrap_or(b"");
    let (method, scheme, path) = (pseudo(Known::Method), pseudo(Known::Scheme), pseudo(Known::Path));
    let authority = fields.known(Known::Authority).or_else(|| fields.known(Known::Host)).unwrap_or(b"");
    let regular = || fields.iter().filter(|field| !field.known.is_pseudo());
    let (count, text) = regular().fold((0, 0), |(count, text), f| (count + 1, text + f.name.len() + f.value.len()));
    let id = facts.request_id.as_bytes();
    let (peer_family, peer_port, peer_address) = peer_words(facts.peer);
    let words = HeadWords {
        exchange: facts.exchange,
        listener: facts.listener,
        flags: facts.flags,
        peer_family,
        peer_port,
        peer_address,
        cipher_suite: facts.cipher,
        key_group: facts.group,
        connection: facts.connection as f64,
        content_length: facts.content_length.map_or(-1.0, |length| length as f64),
        method_length: method.len() as u16,
        scheme_length: scheme.len() as u16,
        authority_length: authority.len() as u16,
        path_length: path.len() as u16,
        field_count: count as u32,
        request_id_length: id.len() as u32,
        tag: facts.tag.route,
        memo: facts.tag.memo,
        age_us: facts.age_us,
        certificate_length: facts.certificate.len() as u32,
    };
    let texts = [facts.certificate, id, method, scheme, authority, path];
    let size = round(HeadWords::BYTES + count * 4 + texts.iter().map(|text| text.len()).sum::<usize>() + text);
    let Some(rest) = ring.reserve(size).and_then(|record| words.write(record)) else { return false };
    let (table, text) = rest.split_at_mut(count * 4);
    let mut text = Text(text);
    texts.iter().for_each(|part| text.put(part));
    for (field, lengths) in regular().zip(table.as_chunks_mut::<4>().0) {
        *lengths = pair(field.name.len() as u16, field.value.len() as u16);
        text.put(field.name);
        text.put(field.value);
    }
    text.pad();
    ring.publish(size);
    true
}
