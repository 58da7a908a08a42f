//! Decodes the lane's decisions and checks every length: a faulty lane must not harm the reactor.
//! [`super::compose`] writes decisions.

use super::layout::{KIND_COMMIT, KIND_FORWARD, KIND_RESET, KIND_RESPOND, KIND_WAIT, KIND_WAKE, MAX_VALUES};
use super::words::{CommitWords, ForwardWords, ResetWords, RespondWords, WaitWords, WakeWords, kind_of};
use crate::base::slab::Key;
use crate::http::fields::Fields;

/// No plan.
pub const NO_PLAN: u32 = u32::MAX;
/// Exchange timeout of a `Forward` that does not change it.
pub const SAME_TIMEOUT: u32 = u32::MAX;
/// Client of a `Forward` that does not change it; initially the connection's peer.
pub const SAME_CLIENT: u64 = 0;
/// Length of a value that does not change.
const SAME_VALUE: u32 = u32::MAX;

/// State that the lane attaches to an exchange. It comes with every decision and is returned unread
/// with every record, so the lane itself keeps nothing.
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

/// Sends the exchange to a backend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forward {
    /// Number of the plan.
    pub plan: u32,
    /// Slot of the backend.
    pub backend: u32,
    /// Returned with every record.
    pub tag: Tag,
    /// `FORWARD_…` flags.
    pub flags: u32,
    /// Milliseconds to open a session.
    pub connect_timeout_ms: u32,
    /// Milliseconds to wait while the pool is full.
    pub place_timeout_ms: u32,
    /// Milliseconds from request sent to response head.
    pub head_timeout_ms: u32,
    /// Milliseconds without a byte in either direction.
    pub idle_timeout_ms: u32,
    /// Milliseconds for the whole exchange, 0 for no limit, or [`SAME_TIMEOUT`].
    pub exchange_timeout_ms: u32,
    /// Milliseconds from the decision to the response head, 0 for no limit.
    pub attempt_timeout_ms: u32,
    /// Milliseconds from the decision until the lane is told that the attempt is late; 0 for never.
    pub hedge_delay_ms: u32,
    /// Largest request body; none for no limit.
    pub max_body_bytes: Option<u64>,
    /// Bytes of the request body kept for another attempt.
    pub replay_bytes: u32,
    /// Network of the client that a trusted proxy named, as `Client::network` encodes it, or
    /// [`SAME_CLIENT`].
    pub client: u64,
}

/// Values for the edits of a plan.
#[derive(Clone, Copy, Debug, Default)]
pub struct GivenValues<'a> {
    lengths: &'a [u8],
    text: &'a [u8],
}

impl<'a> GivenValues<'a> {
    /// The values by number; none for one that does not change.
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

    /// Bytes of text that the lengths add up to.
    fn text_len(lengths: &[u8]) -> usize {
        let lengths = lengths.as_chunks::<4>().0.iter().map(|length| u32::from_le_bytes(*length));
        lengths.filter(|length| *length != SAME_VALUE).map(|length| length as usize).sum()
    }
}

/// Answers without a backend.
#[derive(Clone, Copy, Debug)]
pub struct Respond<'a> {
    /// Status.
    pub status: u32,
    /// Reason's number.
    pub reason: u32,
    /// Returned with the completion.
    pub tag: Tag,
    /// Plan whose response edits apply, or [`NO_PLAN`].
    pub plan: u32,
    lengths: &'a [u8],
    text: &'a [u8],
    body_at: usize,
    body_len: usize,
}

impl<'a> Respond<'a> {
    /// Appends the fields to a head.
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
    /// Send it to a backend.
    Forward(Forward, GivenValues<'a>),
    /// Answer it without a backend.
    Respond(Respond<'a>),
    /// Reset with an HTTP/3 error code and a reason.
    Reset {
        /// HTTP/3 error code.
        code: u32,
        /// Reason's number.
        reason: u32,
    },
    /// Offer it again later.
    Wait {
        /// Returned with the next record.
        tag: Tag,
        /// Milliseconds to wait.
        wait_ms: u32,
        /// Number of the reason to answer with if the exchange's deadline comes first.
        reason: u32,
    },
    /// Offer a waiting exchange now.
    Wake,
    /// Pass the held response on.
    Commit {
        /// Returned with the completion.
        tag: Tag,
        /// Number of the completion's reason.
        reason: u32,
    },
}

fn lengths(pair: &[u8]) -> (usize, usize) {
    (u16::from_le_bytes([pair[0], pair[1]]) as usize, u16::from_le_bytes([pair[2], pair[3]]) as usize)
}

/// Decodes a record; none if it is not a valid decision.
pub fn read(record: &[u8]) -> Option<(Key, Decision<'_>)> {
    Some(match kind_of(record)? {
        KIND_FORWARD => read_forward(record)?,
        KIND_RESPOND => read_respond(record)?,
        KIND_RESET => {
            let (words, _) = ResetWords::read(record)?;
            (words.exchange, Decision::Reset { code: words.error_code, reason: words.reason })
        }
        KIND_WAIT => {
            let (words, _) = WaitWords::read(record)?;
            let tag = Tag { route: words.tag, memo: words.memo };
            (words.exchange, Decision::Wait { tag, wait_ms: words.wait_ms, reason: words.reason })
        }
        KIND_WAKE => (WakeWords::read(record)?.0.exchange, Decision::Wake),
        KIND_COMMIT => {
            let (words, _) = CommitWords::read(record)?;
            (words.exchange, Decision::Commit { tag: Tag { route: words.tag, memo: words.memo }, reason: words.reason })
        }
        _ => return None,
    })
}

fn read_forward(record: &[u8]) -> Option<(Key, Decision<'_>)> {
    let (words, rest) = ForwardWords::read(record)?;
    let forward = Forward {
        plan: words.plan,
        backend: words.slot,
        tag: Tag { route: words.tag, memo: words.memo },
        flags: words.flags,
        connect_timeout_ms: words.connect_timeout_ms,
        place_timeout_ms: words.place_timeout_ms,
        head_timeout_ms: words.head_timeout_ms,
        idle_timeout_ms: words.idle_timeout_ms,
        exchange_timeout_ms: words.exchange_timeout_ms,
        attempt_timeout_ms: words.attempt_timeout_ms,
        hedge_delay_ms: words.hedge_delay_ms,
        max_body_bytes: (words.max_body_bytes >= 0.0).then_some(words.max_body_bytes as u64),
        replay_bytes: words.replay_bytes,
        client: words.client,
    };
    let count = words.value_count as usize;
    let (lengths, text) = rest.split_at_checked(count.checked_mul(4)?).filter(|_| count <= MAX_VALUES)?;
    text.get(..GivenValues::text_len(lengths))?;
    Some((words.exchange, Decision::Forward(forward, GivenValues { lengths, text })))
}

fn read_respond(record: &[u8]) -> Option<(Key, Decision<'_>)> {
    let (words, rest) = RespondWords::read(record)?;
    let body_len = words.body_length as usize;
    let (table, text) = rest.split_at_checked((words.field_count as usize).checked_mul(4)?)?;
    let body_at = table.chunks_exact(4).map(|pair| lengths(pair).0 + lengths(pair).1).sum::<usize>();
    text.get(body_at..body_at.checked_add(body_len)?)?;
    let tag = Tag { route: words.tag, memo: words.memo };
    let respond = Respond { status: words.status, reason: words.reason, tag, plan: words.plan, lengths: table, text, body_at, body_len };
    Some((words.exchange, Decision::Respond(respond)))
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
            if let Some((words, _)) = ForwardWords::read(&bytes) && kind == KIND_FORWARD {
                ForwardWords { value_count: count, ..words }.write(&mut bytes);
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
