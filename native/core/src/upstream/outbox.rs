//! Bytes that a session has to write: streams append them, the socket takes them once a turn.
//!
//! All bytes of the buffer stay initialised, so room can be lent to a caller to fill (from a QUIC
//! stream, without another copy) without zeroing it each time.

/// Limit for body bytes; control frames and heads go beyond it.
pub const BODY_LIMIT_BYTES: usize = 256 * 1024;

/// Limit for everything: a peer that does not read and makes us queue more is disconnected.
pub const HARD_LIMIT_BYTES: usize = 2 * BODY_LIMIT_BYTES;

/// The buffer. Offsets given by [`Outbox::offset`] count all bytes ever appended.
#[derive(Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    written: u64,
}

impl Outbox {
    /// Bytes queued.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Bytes of bodies that may still be appended.
    pub fn body_room(&self) -> usize {
        BODY_LIMIT_BYTES.saturating_sub(self.len())
    }

    /// Whether more than the limit is queued.
    pub fn is_overfull(&self) -> bool {
        self.len() > HARD_LIMIT_BYTES
    }

    /// Position after the last byte.
    pub fn offset(&self) -> u64 {
        self.written + self.len() as u64
    }

    /// Bytes the socket has taken.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Appends bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.commit(bytes.len());
    }

    /// Lends `count` bytes after the end, to be filled and then appended by [`Outbox::commit`].
    pub fn reserve(&mut self, count: usize) -> &mut [u8] {
        if self.end + count > self.bytes.len() {
            self.make_room(count);
        }
        &mut self.bytes[self.end..self.end + count]
    }

    /// Appends the first `count` bytes of what [`Outbox::reserve`] lent.
    pub fn commit(&mut self, count: usize) {
        debug_assert!(self.end + count <= self.bytes.len());
        self.end += count;
    }

    /// Queued bytes, in order.
    pub fn pending(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The socket took `count` bytes.
    pub fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.len());
        self.start += count;
        self.written += count as u64;
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Bytes of memory.
    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Frees memory; for quiet sessions.
    pub fn release(&mut self) {
        if self.is_empty() {
            self.bytes = Vec::new();
        }
    }

    #[cold]
    fn make_room(&mut self, count: usize) {
        if self.start > 0 && self.start >= self.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let needed = self.end + count;
        if needed > self.bytes.len() {
            self.bytes.resize(needed.next_power_of_two().max(512), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_the_order_they_went_in() {
        let mut outbox = Outbox::default();
        let (mut expected, mut got) = (Vec::new(), Vec::new());
        for round in 0..200usize {
            let piece = vec![round as u8; round * 7 % 97];
            outbox.push(&piece);
            expected.extend_from_slice(&piece);
            let take = outbox.len() * (round % 4) / 3;
            got.extend_from_slice(&outbox.pending()[..take.min(outbox.len())]);
            outbox.consume(take.min(outbox.len()));
        }
        got.extend_from_slice(outbox.pending());
        assert_eq!(got, expected);
        assert_eq!(outbox.offset(), expected.len() as u64);
    }

    #[test]
    fn reserved_room_that_is_not_committed_leaves_no_trace() {
        let mut outbox = Outbox::default();
        outbox.push(b"a");
        outbox.reserve(100)[0] = b'x';
        outbox.push(b"b");
        assert_eq!(outbox.pending(), b"ab");
    }
}
