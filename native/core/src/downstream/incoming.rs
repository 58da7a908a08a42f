//! The request's side of an exchange, whatever carries it: how far it is read, and the bytes that
//! are kept for another attempt.

use super::terms::Stopped;
use super::wire::Wire;

/// The request's side of an exchange.
#[derive(Debug, Default)]
pub struct Incoming {
    /// Where the protocol's reading stands.
    pub wire: Wire,
    /// Whether the head section is complete.
    pub has_head: bool,
    /// Whether trailers came.
    pub has_trailers: bool,
    /// Bytes after the head that are kept, those that came along with it first.
    pub early: Vec<u8>,
    /// How many of them were used.
    pub early_used: usize,
    /// Bytes were taken that are not kept.
    pub is_direct: bool,
    /// The stream's end came together with the early bytes.
    pub is_early_end: bool,
    /// Everything was taken and passed on.
    pub is_done: bool,
    /// The backend takes no more for now.
    pub is_blocked: bool,
    /// Body bytes taken.
    pub body_bytes: u64,
    /// Bytes that may still come, as counted with the connection.
    pub(crate) promised: u64,
    /// Bytes of `early`, as counted with the connection.
    pub(crate) kept: u64,
    /// Bytes after the head that may be kept for another attempt.
    replay_bytes: usize,
}

/// Room for early bytes that an exchange keeps for the next.
const EARLY_KEPT: usize = 2 * 1024;

/// Bytes of a request body that are kept at most, whatever a lane asks for.
const MAX_REPLAY_BYTES: u32 = 1 << 20;

/// Bytes read at a time while they are kept.
const REPLAY_STEP: usize = 4 * 1024;

impl Incoming {
    /// Forgets a request, keeps the buffers.
    pub(crate) fn restart(&mut self) {
        self.wire.restart();
        self.early.clear();
        self.early.shrink_to(EARLY_KEPT);
        self.early_used = 0;
        self.is_direct = false;
        (self.has_head, self.has_trailers) = (false, false);
        (self.is_early_end, self.is_done, self.is_blocked) = (false, false, false);
        self.body_bytes = 0;
        (self.promised, self.kept) = (0, 0);
        self.replay_bytes = 0;
    }

    /// Bytes of the body that are kept for another attempt from now on.
    pub(crate) fn keep(&mut self, bytes: u32) {
        self.replay_bytes = bytes.min(MAX_REPLAY_BYTES) as usize;
    }

    /// Whether the request is complete and had nothing after its head.
    pub(crate) fn is_bodiless(&self) -> bool {
        self.is_done && self.body_bytes == 0 && !self.has_trailers
    }

    /// Whether a body has begun among the bytes that came along with the head.
    pub(crate) fn has_early_body(&self) -> bool {
        self.wire.has_body(&self.early[self.early_used..])
    }

    /// Bytes that came early, then those of the stream. The flag says that nothing follows.
    ///
    /// After the head, the first bytes, as many as are to be kept, go through `early` and stay
    /// there, so that a request a backend refused can be sent to another.
    pub(crate) fn read(
        &mut self,
        mut receive: impl FnMut(&mut [u8]) -> Result<(usize, bool), Stopped>,
        out: &mut [u8],
    ) -> Result<(usize, bool), Stopped> {
        loop {
            let early = &self.early[self.early_used..];
            if !early.is_empty() || self.is_early_end {
                let count = early.len().min(out.len());
                out[..count].copy_from_slice(&early[..count]);
                self.early_used += count;
                return Ok((count, self.is_early_end && self.early_used == self.early.len()));
            }
            if !self.has_head || self.is_direct || self.early.len() >= self.replay_bytes {
                let (count, is_end) = receive(out)?;
                self.is_direct |= self.has_head && count > 0;
                self.is_early_end |= self.has_head && !self.is_direct && is_end;
                return Ok((count, is_end));
            }
            let start = self.early.len();
            self.early.resize(self.replay_bytes.min(start + REPLAY_STEP), 0);
            let read = receive(&mut self.early[start..]);
            self.early.truncate(start + read.as_ref().map_or(0, |(count, _)| *count));
            self.is_early_end = read?.1;
        }
    }

    /// Whether everything that was taken of the body is still here, and was to be kept: some bytes
    /// come along with the head whether wanted or not.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_bodiless() || !self.is_direct && self.early_used <= self.replay_bytes
    }

    /// Back to the end of the head, for another attempt. Only while [`Incoming::is_whole`].
    pub(crate) fn rewind(&mut self) {
        if self.is_bodiless() {
            return;
        }
        self.wire.restart();
        self.early_used = 0;
        self.has_trailers = false;
        self.is_blocked = false;
        self.body_bytes = 0;
        self.is_done = self.is_early_end && self.early.is_empty();
    }
}
