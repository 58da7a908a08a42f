//! Decisions of the lane, decoded with every length checked: a lane may be wrong, the reactor may not. [`super::compose`] writes them.

use super::layout::{COMMIT, FORWARD, MAX_VALUES, RESET, RESPOND, WAIT, WAKE};
use crate::base::slab::Key;
use crate::http::fields::Fields;

/// No plan.
pub const NO_PLAN: u32 = u32::MAX;
/// Exchange timeout of a `Forward` that leaves the exchange's as it is.
pub const SAME_TIMEOUT: u32 = u32::MAX;
/// Client of a `Forward` that leaves the exchange's as it is: at first the connection's peer.
pub const SAME_CLIENT: u64 = 0;
/// Length of a value that stays as it is.
const SAME_VALUE: u32 = u32::MAX;

/// Words of the fixed parts.
pub(super) const FORWARD_WORDS: usize = 24;
pub(super) const RESPOND_WORDS: usize = 14;

/// What the lane must remember of an exchange. It comes with every decision and goes back, unread, with every record, so that a lane keeps nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Route tag.
    pub route: u32,
    /// Memo.
    pub memo: [u32; 3],
}

impl Tag {
    /// Before any decision.
    pub const NONE: Tag = Tag { route: u32::MAX, memo: [0; 3] };
}

/// Send it to a backend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forward {
    /// Number of the compiled edits.
    pub plan: u32,
    /// Slot of the backend.
    pub backend: u32,
    /// Comes back with every record.
    pub tag: Tag,
    /// `FORWARD_…` flags.
    pub flags: u32,
    /// Milliseconds that a session may be on its way.
    pub connect_timeout_ms: u32,
    /// Milliseconds that the attempt may wait for a place in a pool that is full.
    pub place_timeout_ms: u32,
    /// Milliseconds from request sent to response head.
    pub head_timeout_ms: u32,
    /// Milliseconds without a byte either way.
    pub idle_timeout_ms: u32,
    /// Milliseconds for the whole exchange, 0 for no limit, or [`SAME_TIMEOUT`].
    pub exchange_timeout_ms: u32,
    /// Milliseconds from the decision to the response head, 0 for no limit.
    pub attempt_timeout_ms: u32,
    /// Milliseconds from the decision until the lane is told that the attempt is late, 0 for never.
    pub hedge_delay_ms: u32,
    /// Greatest request body.
    pub max_body_bytes: Option<u64>,
    /// Bytes of the request body kept for another attempt.
    pub replay_bytes: u32,
    /// Network of the client that a trusted proxy named, as `Client::network` writes it, or [`SAME_CLIENT`].
    pub client: u64,
}

/// Text that the edits of a plan may use.
#[derive(Clone, Copy, Debug, Default)]
pub struct GivenValues<'a> {
    lengths: &'a [u8],
    text: &'a [u8],
}

impl<'a> GivenValues<'a> {
    /// The values by number; none for one that stays as it is.
    pub fn iter(&self) -> impl Iterator<Item = Option<&'a [u8]>> {
        let mut rest = self.text;
        self.lengths.as_chunks::<4>().0.iter().map(move |length| {
            let length = u32::from_le_bytes(*length);
            (length != SAME_VALUE).then(|| {
                let (value, after) = rest.split_at(length as usize);
                rest = after;
                value
            })
        })
    }

    /// Bytes of text that the lengths ask for.
    fn text_len(lengths: &[u8]) -> usize {
        let lengths = lengths.as_chunks::<4>().0.iter().map(|length| u32::from_le_bytes(*length));
        lengths.filter(|length| *length != SAME_VALUE).map(|length| length as usize).sum()
    }
}

/// Answer it from here.
#[derive(Clone, Copy, Debug)]
pub struct Respond<'a> {
    /// Status.
    pub status: u32,
    /// Reason's number.
    pub reason: u32,
    /// Comes back with the completion.
    pub tag: Tag,
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
    Forward(Forward, GivenValues<'a>),
    /// From here.
    Respond(Respond<'a>),
    /// Reset with an HTTP/3 error code and a reason.
    Reset {
        /// HTTP/3 error code.
        code: u32,
        /// Reason's number.
        reason: u32,
    },
    /// Ask again later.
    Wait {
        /// Comes back with the next record.
        tag: Tag,
        /// Milliseconds until then.
        wait_ms: u32,
        /// Number of the reason that answers it should its own deadline pass meanwhile.
        reason: u32,
    },
    /// Ask now about one that waits.
    Wake,
    /// The held response goes to the client.
    Commit {
        /// Comes back with the completion.
        tag: Tag,
        /// Number of the completion's reason.
        reason: u32,
    },
}

fn lengths(pair: &[u8]) -> (usize, usize) {
    (u16::from_le_bytes([pair[0], pair[1]]) as usize, u16::from_le_bytes([pair[2], pair[3]]) as usize)
}

/// A record's words.
#[derive(Clone, Copy)]
struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    fn word(self, place: usize) -> Option<u32> {
        self.0.get(place * 4..place * 4 + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }

    fn float(self, place: usize) -> Option<f64> {
        self.0.get(place * 4..)?.first_chunk().map(|bytes| f64::from_le_bytes(*bytes))
    }

    fn tag(self, route: usize, memo: usize) -> Option<Tag> {
        Some(Tag { route: self.word(route)?, memo: [self.word(memo)?, self.word(memo + 1)?, self.word(memo + 2)?] })
    }

    /// A table of `count` words that begins at a place, and what follows it.
    fn table(self, place: usize, count: usize) -> Option<(&'a [u8], &'a [u8])> {
        self.0.get(place * 4..)?.split_at_checked(count.checked_mul(4)?)
    }
}

/// Decodes a record; none if it is no valid decision.
pub fn read(record: &[u8]) -> Option<(Key, Decision<'_>)> {
    let words = Words(record);
    let exchange = Key { index: words.word(2)?, generation: words.word(3)? };
    let decision = match words.word(1)? {
        FORWARD => read_forward(words)?,
        RESPOND => read_respond(words)?,
        RESET => Decision::Reset { code: words.word(4)?, reason: words.word(5)? },
        WAIT => Decision::Wait { tag: words.tag(4, 5)?, wait_ms: words.word(8)?, reason: words.word(9)? },
        WAKE => Decision::Wake,
        COMMIT => Decision::Commit { tag: words.tag(4, 5)?, reason: words.word(8)? },
        _ => return None,
    };
    Some((exchange, decision))
}

fn read_forward(words: Words<'_>) -> Option<Decision<'_>> {
    let max_body = words.float(12)?;
    let forward = Forward {
        plan: words.word(4)?,
        backend: words.word(5)?,
        tag: words.tag(6, 16)?,
        flags: words.word(7)?,
        connect_timeout_ms: words.word(8)?,
        place_timeout_ms: words.word(21)?,
        head_timeout_ms: words.word(9)?,
        idle_timeout_ms: words.word(10)?,
        exchange_timeout_ms: words.word(11)?,
        attempt_timeout_ms: words.word(14)?,
        hedge_delay_ms: words.word(15)?,
        max_body_bytes: (max_body >= 0.0).then_some(max_body as u64),
        replay_bytes: words.word(20)?,
        client: u64::from(words.word(22)?) | u64::from(words.word(23)?) << 32,
    };
    let count = words.word(19)? as usize;
    let (lengths, text) = words.table(FORWARD_WORDS, count).filter(|_| count <= MAX_VALUES)?;
    text.get(..GivenValues::text_len(lengths))?;
    Some(Decision::Forward(forward, GivenValues { lengths, text }))
}

fn read_respond(words: Words<'_>) -> Option<Decision<'_>> {
    let (count, body_len) = (words.word(7)? as usize, words.word(8)? as usize);
    let (table, text) = words.table(RESPOND_WORDS, count)?;
    let body_at = table.chunks_exact(4).map(|pair| lengths(pair).0 + lengths(pair).1).sum::<usize>();
    text.get(body_at..body_at.checked_add(body_len)?)?;
    Some(Decision::Respond(Respond {
        status: words.word(4)?,
        reason: words.word(5)?,
        tag: words.tag(6, 10)?,
        plan: words.word(9)?,
        lengths: table,
        text,
        body_at,
        body_len,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_that_are_no_decision_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 15u32..23, count in 0u32..6) {
            if bytes.len() >= 8 {
                bytes[4..8].copy_from_slice(&kind.to_le_bytes());
            }
            if bytes.len() >= 80 {
                bytes[76..80].copy_from_slice(&count.to_le_bytes());
            }
            match read(&bytes) {
                Some((_, Decision::Respond(respond))) => {
                    respond.write_fields(&mut Fields::new());
                    let _ = respond.body();
                }
                Some((_, Decision::Forward(_, values))) => prop_assert!(values.iter().count() <= MAX_VALUES),
                _ => {}
            }
        }
    }
}
