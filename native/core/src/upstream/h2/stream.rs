//! The streams of one session: their state, and the map from identifiers to it.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::flow::RecvWindow;
use crate::base::reason::Reason;
use crate::upstream::client::Permit;
use crate::upstream::sink::AttemptId;

/// Interim responses a stream may get.
const MAX_INFORMATIONAL: u8 = 32;

/// State of a stream. Half-closed states are the two `is_…_ended` flags (RFC 9113 §5.1); a closed
/// stream has no entry.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stream {
    /// Identifier; 0 marks a free entry.
    pub id: u32,
    /// The attempt it carries.
    pub key: AttemptId,
    /// The attempt's permit.
    pub permit: Permit,
    /// Offset of the request's first byte among all bytes of the session.
    pub head_offset: u64,
    /// The session had carried others before.
    pub was_reused: bool,
    /// Bytes we may still send; negative after the peer shrank its initial window (RFC 9113
    /// §6.9.2).
    pub send_window: i64,
    /// The sink waits for room.
    pub is_blocked: bool,
    /// We sent END_STREAM.
    pub is_send_ended: bool,
    /// Our window.
    pub recv: RecvWindow,
    /// Bytes delivered to the sink and not yet credited by it.
    pub held: u32,
    /// Bytes that may arrive, as counted by [`Streams::recount`].
    pub promised: u64,
    /// The peer sent END_STREAM.
    pub is_recv_ended: bool,
    /// What was received.
    pub response: Response,
}

impl Stream {
    /// Bytes that may still arrive: within the window, and no more than content-length leaves.
    fn promise(&self) -> u64 {
        if self.id == 0 || self.is_recv_ended || self.response.is_bodiless {
            return 0;
        }
        let left = self.response.left.filter(|_| self.response.has_head).unwrap_or(u64::MAX);
        (self.recv.left().max(0) as u64).min(left)
    }
}

/// How far a response has come, and how its body must end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Response {
    /// The final head has been received.
    pub has_head: bool,
    /// There can be no body: HEAD, 204, 304.
    pub is_bodiless: bool,
    /// Body bytes still to come by content-length.
    left: Option<u64>,
    /// Interim responses received.
    informational: u8,
}

impl Response {
    /// Nothing received; `is_head`: the request's method is HEAD.
    pub fn to(is_head: bool) -> Response {
        Response { is_bodiless: is_head, ..Response::default() }
    }

    /// Counts an interim response; false when there are too many.
    #[must_use]
    pub fn receive_informational(&mut self) -> bool {
        self.informational += 1;
        self.informational <= MAX_INFORMATIONAL
    }

    /// Takes the final head.
    pub fn receive_head(&mut self, status: u16, content_length: Option<u64>) {
        self.has_head = true;
        self.is_bodiless |= matches!(status, 204 | 304);
        self.left = content_length.map(|length| length.min(i64::MAX as u64));
    }

    /// Takes body bytes; an error when they do not fit the head.
    pub fn receive_data(&mut self, bytes: usize, is_end: bool) -> Result<(), Reason> {
        if !self.has_head || self.is_bodiless && bytes > 0 {
            return Err(Reason::BackendProtocolError);
        }
        if let Some(left) = self.left
            && !self.is_bodiless
        {
            let left = left.checked_sub(bytes as u64).ok_or(Reason::ResponseLengthMismatch)?;
            self.left = Some(left);
            if is_end && left > 0 {
                return Err(Reason::ResponseLengthMismatch);
            }
        }
        Ok(())
    }

    /// Whether an end now would be before content-length says.
    pub fn is_short(&self) -> bool {
        !self.is_bodiless && self.left.is_some_and(|left| left > 0)
    }

    /// Whether all bytes that content-length announced have come.
    pub fn is_whole(&self) -> bool {
        self.has_head && !self.is_bodiless && self.left == Some(0)
    }
}

/// Multiplies by an odd constant, which spreads small rising odd identifiers well at little cost.
#[derive(Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, id: u32) {
        self.0 = (self.0 ^ u64::from(id)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
    }
}

/// Ended streams that are remembered, to distinguish a peer that goes on sending after its own
/// END_STREAM from one that our reset has not reached yet.
const REMEMBERED: usize = 16;

/// All open streams. Entries are reused, so a warm session does not allocate.
#[derive(Default)]
pub struct Streams {
    entries: Vec<Stream>,
    free: Vec<u32>,
    by_id: HashMap<u32, u32, BuildHasherDefault<IdHasher>>,
    blocked: u32,
    promised: u64,
    ended: [u32; REMEMBERED],
    ended_at: usize,
}

impl Streams {
    /// Number of open streams.
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Opens a stream; returns its slot.
    pub fn insert(&mut self, stream: Stream) -> u32 {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.entries[slot as usize] = stream;
                slot
            }
            None => {
                self.entries.push(stream);
                (self.entries.len() - 1) as u32
            }
        };
        self.by_id.insert(stream.id, slot);
        slot
    }

    /// Slot of an open stream.
    pub fn find(&self, id: u32) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    /// The stream in a slot, if it is still the one named.
    pub fn named(&mut self, slot: u32, id: u32) -> Option<&mut Stream> {
        self.entries.get_mut(slot as usize).filter(|stream| stream.id == id && id != 0)
    }

    /// The stream in a slot that is known to be taken.
    pub fn at(&mut self, slot: u32) -> &mut Stream {
        &mut self.entries[slot as usize]
    }

    /// Closes a stream and returns its last state.
    pub fn remove(&mut self, slot: u32) -> Stream {
        let stream = std::mem::take(&mut self.entries[slot as usize]);
        debug_assert!(stream.id != 0);
        self.by_id.remove(&stream.id);
        self.free.push(slot);
        self.blocked -= u32::from(stream.is_blocked);
        self.promised -= stream.promised;
        if stream.is_recv_ended {
            self.ended[self.ended_at] = stream.id;
            self.ended_at = (self.ended_at + 1) % REMEMBERED;
        }
        stream
    }

    /// Whether the peer lately ended this stream: nothing more may come on it.
    pub fn has_ended(&self, id: u32) -> bool {
        self.ended.contains(&id)
    }

    /// Marks a stream whose sink waits for room.
    pub fn block(&mut self, slot: u32) {
        let stream = &mut self.entries[slot as usize];
        self.blocked += u32::from(!stream.is_blocked);
        stream.is_blocked = true;
    }

    /// Clears the mark.
    pub fn unblock(&mut self, slot: u32) {
        let stream = &mut self.entries[slot as usize];
        self.blocked -= u32::from(stream.is_blocked);
        stream.is_blocked = false;
    }

    /// Whether any sink waits for room.
    pub fn has_blocked(&self) -> bool {
        self.blocked > 0
    }

    /// Recounts the bytes that may arrive on a stream.
    pub fn recount(&mut self, slot: u32) {
        let stream = &mut self.entries[slot as usize];
        let promised = stream.promise();
        self.promised = self.promised + promised - stream.promised;
        stream.promised = promised;
    }

    /// Bytes that may arrive on all streams.
    pub fn promised(&self) -> u64 {
        self.promised
    }

    /// Number of slots, taken or free, for walks over all streams.
    pub fn slots(&self) -> u32 {
        self.entries.len() as u32
    }

    /// Frees memory; for quiet sessions.
    pub fn release(&mut self) {
        if self.is_empty() {
            self.entries = Vec::new();
            self.free = Vec::new();
            self.by_id = HashMap::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(id: u32) -> Stream {
        Stream { id, ..Stream::default() }
    }

    #[test]
    fn a_slot_that_was_reused_does_not_answer_to_its_old_name() {
        let mut streams = Streams::default();
        let slot = streams.insert(stream(1));
        streams.remove(slot);
        assert_eq!(streams.insert(stream(3)), slot);
        assert!(streams.named(slot, 1).is_none());
        assert!(streams.named(slot, 3).is_some());
        assert_eq!((streams.find(1), streams.find(3)), (None, Some(slot)));
    }

    #[test]
    fn a_body_that_is_shorter_or_longer_than_its_length_is_refused() {
        let begun = |status, length, is_head| {
            let mut response = Response::to(is_head);
            response.receive_head(status, length);
            response
        };
        let mut response = begun(200, Some(5), false);
        assert_eq!((response.receive_data(3, false), response.is_short(), response.is_whole()), (Ok(()), true, false));
        assert_eq!(response.receive_data(3, false), Err(Reason::ResponseLengthMismatch));
        assert_eq!(response.receive_data(1, true), Err(Reason::ResponseLengthMismatch));
        let mut response = begun(200, Some(5), false);
        assert_eq!((response.receive_data(5, true), response.is_whole()), (Ok(()), true));
        assert_eq!(begun(200, None, false).receive_data(usize::MAX >> 1, true), Ok(()));
        for mut bodiless in [begun(304, Some(5), false), begun(200, Some(5), true)] {
            assert_eq!((bodiless.receive_data(0, true), bodiless.is_short()), (Ok(()), false));
            assert_eq!(bodiless.receive_data(1, true), Err(Reason::BackendProtocolError));
        }
        assert_eq!(Response::to(false).receive_data(1, false), Err(Reason::BackendProtocolError), "no head yet");
    }

    #[test]
    fn blocked_streams_are_counted_once_and_forgotten_when_they_close() {
        let mut streams = Streams::default();
        let slot = streams.insert(stream(1));
        streams.block(slot);
        streams.block(slot);
        streams.remove(slot);
        assert!(!streams.has_blocked());
    }
}
