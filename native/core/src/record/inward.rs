//! Decisions of the lane: `Forward`, `Respond`, `Reset`. Decoded with every length checked: a lane may be wrong, the reactor may not.

use crate::base::slab::Key;
use crate::http::fields::Fields;

/// `Forward` flag: the client's x-request-id stays.
pub const KEEP_REQUEST_ID: u32 = 1;
/// `Forward` flag: ask the lane when the attempt fails.
pub const ASK_ON_FAILURE: u32 = 2;

/// No plan.
pub const NO_PLAN: u32 = u32::MAX;

/// Send it to a backend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forward {
    /// Number of the compiled edits.
    pub plan: u32,
    /// Slot of the backend.
    pub backend: u32,
    /// Comes back in `AttemptFailed` and `Completion`.
    pub route: u32,
    /// Flags above.
    pub flags: u32,
    /// Milliseconds until a session must stand.
    pub connect_timeout_ms: u32,
    /// Milliseconds from request sent to response head.
    pub head_timeout_ms: u32,
    /// Milliseconds without a byte either way.
    pub idle_timeout_ms: u32,
    /// Milliseconds for the whole exchange, 0 for no limit.
    pub exchange_timeout_ms: u32,
    /// Greatest request body.
    pub max_body_bytes: Option<u64>,
}

/// Answer it from here.
#[derive(Clone, Copy, Debug)]
pub struct Respond<'a> {
    /// Status.
    pub status: u32,
    /// Reason's number.
    pub reason: u32,
    /// Route tag.
    pub route: u32,
    /// Plan whose response edits apply, or [`NO_PLAN`].
    pub plan: u32,
    lengths: &'a [u8],
    text: &'a [u8],
    body_at: usize,
    body_len: usize,
}

impl<'a> Respond<'a> {
    /// Adds the fields to a head.
    pub fn write_fields(&self, into: &mut Fields) {
        let mut at = 0;
        for pair in self.lengths.chunks_exact(4) {
            let (name, value) = lengths(pair);
            into.push(&self.text[at..at + name], &self.text[at + name..at + name + value]);
            at += name + value;
        }
    }

    /// The body.
    pub fn body(&self) -> &'a [u8] {
        &self.text[self.body_at..self.body_at + self.body_len]
    }
}

/// What the lane decided.
#[derive(Clone, Copy, Debug)]
pub enum Decision<'a> {
    /// To a backend.
    Forward(Forward),
    /// From here.
    Respond(Respond<'a>),
    /// Reset with an HTTP/3 error code and a reason.
    Reset {
        /// HTTP/3 error code.
        code: u32,
        /// Reason's number.
        reason: u32,
    },
}

fn lengths(pair: &[u8]) -> (usize, usize) {
    (u16::from_le_bytes([pair[0], pair[1]]) as usize, u16::from_le_bytes([pair[2], pair[3]]) as usize)
}

/// Decodes a record; none if it is no valid decision.
pub fn read(record: &[u8]) -> Option<(Key, Decision<'_>)> {
    let word = |place: usize| record.get(place * 4..place * 4 + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let float = |place: usize| record.get(place * 4..place * 4 + 8).map(|b| f64::from_le_bytes(b.try_into().expect("eight bytes")));
    let exchange = Key { index: word(2)?, generation: word(3)? };
    let decision = match word(1)? {
        16 => {
            let max_body = float(12)?;
            Decision::Forward(Forward {
                plan: word(4)?,
                backend: word(5)?,
                route: word(6)?,
                flags: word(7)?,
                connect_timeout_ms: word(8)?,
                head_timeout_ms: word(9)?,
                idle_timeout_ms: word(10)?,
                exchange_timeout_ms: word(11)?,
                max_body_bytes: (max_body >= 0.0).then_some(max_body as u64),
            })
        }
        17 => {
            let (count, body_len) = (word(7)? as usize, word(8)? as usize);
            let text_at = 40usize.checked_add(count.checked_mul(4)?)?;
            let (table, text) = (record.get(40..text_at)?, record.get(text_at..)?);
            let body_at = table.chunks_exact(4).map(|pair| lengths(pair).0 + lengths(pair).1).sum::<usize>();
            text.get(body_at..body_at.checked_add(body_len)?)?;
            Decision::Respond(Respond {
                status: word(4)?,
                reason: word(5)?,
                route: word(6)?,
                plan: word(9)?,
                lengths: table,
                text,
                body_at,
                body_len,
            })
        }
        18 => Decision::Reset { code: word(4)?, reason: word(5)? },
        _ => return None,
    };
    Some((exchange, decision))
}

/// Writes a `Forward` as a lane would.
pub fn write_forward(exchange: Key, forward: &Forward) -> [u8; 56] {
    let mut record = [0u8; 56];
    let words = [
        56,
        16,
        exchange.index,
        exchange.generation,
        forward.plan,
        forward.backend,
        forward.route,
        forward.flags,
        forward.connect_timeout_ms,
        forward.head_timeout_ms,
        forward.idle_timeout_ms,
        forward.exchange_timeout_ms,
    ];
    for (place, word) in words.into_iter().enumerate() {
        record[place * 4..place * 4 + 4].copy_from_slice(&u32::to_le_bytes(word));
    }
    let max_body = forward.max_body_bytes.map_or(-1.0, |bytes| bytes as f64);
    record[48..56].copy_from_slice(&max_body.to_le_bytes());
    record
}

/// Writes a `Respond` as a lane would.
pub fn write_respond(exchange: Key, status: u32, reason: u32, fields: &[(&[u8], &[u8])], body: &[u8]) -> Vec<u8> {
    let mut record = Vec::new();
    let head = [0, 17, exchange.index, exchange.generation, status, reason, u32::MAX, fields.len() as u32, body.len() as u32, NO_PLAN];
    head.iter().for_each(|word: &u32| record.extend_from_slice(&word.to_le_bytes()));
    for (name, value) in fields {
        record.extend_from_slice(&(name.len() as u32 | (value.len() as u32) << 16).to_le_bytes());
    }
    fields.iter().for_each(|(name, value)| {
        record.extend_from_slice(name);
        record.extend_from_slice(value);
    });
    record.extend_from_slice(body);
    record.resize((record.len() + 7) & !7, 0);
    let size = record.len() as u32;
    record[0..4].copy_from_slice(&size.to_le_bytes());
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_respond_carries_fields_and_body() {
        let key = Key { index: 3, generation: 9 };
        let record = write_respond(key, 503, 17, &[(b"retry-after", b"1"), (b"x", b"")], b"busy");
        let Some((exchange, Decision::Respond(respond))) = read(&record) else { panic!("no respond") };
        assert_eq!((exchange, respond.status, respond.reason), (key, 503, 17));
        let mut fields = Fields::new();
        respond.write_fields(&mut fields);
        assert_eq!(fields.get(b"retry-after"), Some(&b"1"[..]));
        assert_eq!(respond.body(), b"busy");
    }

    proptest! {
        #[test]
        fn bytes_that_are_no_decision_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 15u32..20) {
            if bytes.len() >= 8 {
                bytes[4..8].copy_from_slice(&kind.to_le_bytes());
            }
            if let Some((_, Decision::Respond(respond))) = read(&bytes) {
                respond.write_fields(&mut Fields::new());
                let _ = respond.body();
            }
        }

        #[test]
        fn a_forward_reads_back_as_written(index: u32, generation: u32, backend: u32, max_body in proptest::option::of(0u64..1 << 50)) {
            let forward = Forward { plan: 1, backend, route: 2, flags: 3, connect_timeout_ms: 4, head_timeout_ms: 5, idle_timeout_ms: 6,
                exchange_timeout_ms: 7, max_body_bytes: max_body };
            let key = Key { index, generation };
            let record = write_forward(key, &forward);
            let Some((exchange, Decision::Forward(read))) = read(&record) else { panic!("no forward") };
            prop_assert_eq!(exchange, key);
            prop_assert_eq!(read, forward);
        }
    }
}
