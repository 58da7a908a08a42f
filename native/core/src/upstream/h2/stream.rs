//! The streams of one session: their state, and the way from an identifier to it.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::base::budget::SMALL_WINDOW;
use crate::upstream::pool::places::Holder;
use crate::upstream::sink::Key;

/// A stream's state. Half-closed states are the two `is_…_ended` flags (RFC 9113 §5.1); a closed stream has no entry.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stream {
    /// Identifier; 0 marks a free place.
    pub id: u32,
    /// The attempt it carries.
    pub key: Key,
    /// Whose place it has.
    pub holder: Holder,
    /// Bytes we may still send; negative after the peer shrank its initial window (RFC 9113 §6.9.2).
    pub send_window: i64,
    /// Bytes the peer may still send.
    pub recv_window: i64,
    /// What may come and what came without being given back: the window as it is now.
    pub window: u32,
    /// Bytes that are counted as promised.
    pub promised: u64,
    /// Bytes handed to the sink that it has not passed on.
    pub held: u32,
    /// Bytes passed on for which no WINDOW_UPDATE was sent yet.
    pub uncredited: u32,
    /// Body bytes still to come by content-length; -1 when unknown.
    pub remaining: i64,
    /// Position of the request's first byte among all bytes of the session.
    pub head_offset: u64,
    /// Interim responses seen.
    pub informational: u8,
    /// We sent END_STREAM.
    pub is_send_ended: bool,
    /// The peer sent END_STREAM.
    pub is_recv_ended: bool,
    /// The final response head has come.
    pub has_head: bool,
    /// The response can have no body: HEAD, 204, 304.
    pub is_bodiless: bool,
    /// The sink waits to be told of room.
    pub is_blocked: bool,
    /// The session had carried others before.
    pub was_reused: bool,
}

impl Stream {
    /// Bytes that may still come: what the window lets through, and no more than the content-length says.
    pub fn promise(&self) -> u64 {
        if self.id == 0 || self.is_recv_ended || self.is_bodiless {
            return 0;
        }
        let left = if self.has_head && self.remaining >= 0 { self.remaining } else { i64::MAX };
        self.recv_window.min(left).max(0) as u64
    }

    /// The window after the next update: four times as large up to `max`, or, where windows are to be small, as small as what is given back allows.
    pub fn next_window(&self, max: u32, is_tight: bool) -> u32 {
        let small = SMALL_WINDOW.min(max);
        if is_tight {
            self.window.saturating_sub(self.uncredited).max(small).min(self.window)
        } else {
            self.window.saturating_mul(4).min(max)
        }
    }
}

/// Multiplies by an odd constant: identifiers are small, odd and rising, which this spreads well and cheaply.
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

/// How many ended streams are remembered, to tell a peer that goes on sending from one that has not heard of our reset yet.
const REMEMBERED: usize = 16;

/// All open streams. Places are reused, so that a warm session allocates nothing.
#[derive(Default)]
pub struct Streams {
    places: Vec<Stream>,
    free: Vec<u32>,
    by_id: HashMap<u32, u32, BuildHasherDefault<IdHasher>>,
    blocked: u32,
    ended: [u32; REMEMBERED],
    ended_at: usize,
}

impl Streams {
    /// Number of open streams.
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Opens a stream; returns its place.
    pub fn insert(&mut self, stream: Stream) -> u32 {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.places[slot as usize] = stream;
                slot
            }
            None => {
                self.places.push(stream);
                (self.places.len() - 1) as u32
            }
        };
        self.by_id.insert(stream.id, slot);
        slot
    }

    /// Place of an open stream.
    pub fn find(&self, id: u32) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    /// The stream at a place, if it is still the one named.
    pub fn named(&mut self, slot: u32, id: u32) -> Option<&mut Stream> {
        self.places.get_mut(slot as usize).filter(|stream| stream.id == id && id != 0)
    }

    /// The stream at a place that is known to be taken.
    pub fn at(&mut self, slot: u32) -> &mut Stream {
        &mut self.places[slot as usize]
    }

    /// Closes a stream and returns its last state.
    pub fn remove(&mut self, slot: u32) -> Stream {
        let stream = std::mem::take(&mut self.places[slot as usize]);
        debug_assert!(stream.id != 0);
        self.by_id.remove(&stream.id);
        self.free.push(slot);
        self.blocked -= u32::from(stream.is_blocked);
        if stream.is_recv_ended {
            self.ended[self.ended_at] = stream.id;
            self.ended_at = (self.ended_at + 1) % REMEMBERED;
        }
        stream
    }

    /// Whether a closed stream was ended by its peer not long ago: nothing may come on it any more.
    pub fn has_ended(&self, id: u32) -> bool {
        self.ended.contains(&id)
    }

    /// Marks a stream whose sink waits for room.
    pub fn block(&mut self, slot: u32) {
        let stream = &mut self.places[slot as usize];
        self.blocked += u32::from(!stream.is_blocked);
        stream.is_blocked = true;
    }

    /// Takes the mark off.
    pub fn unblock(&mut self, slot: u32) {
        let stream = &mut self.places[slot as usize];
        self.blocked -= u32::from(stream.is_blocked);
        stream.is_blocked = false;
    }

    /// Whether any sink waits for room.
    pub fn has_blocked(&self) -> bool {
        self.blocked > 0
    }

    /// Number of places, taken or free, for walks over all streams.
    pub fn places(&self) -> u32 {
        self.places.len() as u32
    }

    /// Gives memory back; for sessions that have gone quiet.
    pub fn release(&mut self) {
        if self.is_empty() {
            self.places = Vec::new();
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
    fn a_place_that_was_reused_does_not_answer_to_its_old_name() {
        let mut streams = Streams::default();
        let slot = streams.insert(stream(1));
        streams.remove(slot);
        assert_eq!(streams.insert(stream(3)), slot);
        assert!(streams.named(slot, 1).is_none());
        assert!(streams.named(slot, 3).is_some());
        assert_eq!((streams.find(1), streams.find(3)), (None, Some(slot)));
    }

    #[test]
    fn a_window_grows_while_there_is_room_and_shrinks_by_what_is_given_back_where_there_is_none() {
        let at = |window, uncredited| Stream { window, uncredited, ..stream(1) };
        assert_eq!(at(65_536, 40_000).next_window(2 << 20, false), 262_144);
        assert_eq!(at(1 << 20, 1 << 19).next_window(2 << 20, false), 2 << 20);
        assert_eq!(at(2 << 20, 1 << 20).next_window(2 << 20, true), 1 << 20);
        assert_eq!(at(80_000, 40_000).next_window(2 << 20, true), 65_536);
        assert_eq!(at(65_536, 40_000).next_window(2 << 20, true), 65_536);
        assert_eq!((at(1_000, 500).next_window(1_000, true), at(1_000, 500).next_window(1_000, false)), (1_000, 1_000));
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
