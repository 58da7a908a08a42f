//! Bytes of a request stream: those that came with the head first, then what quiche has.

use super::http3::{Http3, Stopped};
use crate::http::h3::{FrameHead, RequestFrame, request_frame};

/// What the next bytes of the request stream are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The head of a frame.
    Frame,
    /// A field section, so many bytes missing.
    Section(u64),
    /// Body.
    Data(u64),
    /// A frame nobody knows.
    Skip(u64),
}

/// The request's side of an exchange.
#[derive(Debug)]
pub struct Incoming {
    /// What comes next.
    pub expect: Expect,
    /// Collects a frame's head.
    pub frame: FrameHead,
    /// Collects a field section that came in pieces.
    pub section: Vec<u8>,
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

impl Default for Incoming {
    fn default() -> Incoming {
        Incoming {
            expect: Expect::Frame,
            frame: FrameHead::default(),
            section: Vec::new(),
            has_head: false,
            has_trailers: false,
            early: Vec::new(),
            early_used: 0,
            is_direct: false,
            is_early_end: false,
            is_done: false,
            is_blocked: false,
            body_bytes: 0,
            promised: 0,
            kept: 0,
            replay_bytes: 0,
        }
    }
}

impl Incoming {
    /// Forgets a request, keeps the buffers.
    pub(crate) fn restart(&mut self) {
        self.expect = Expect::Frame;
        self.frame = FrameHead::default();
        self.section.clear();
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
        let mut rest = &self.early[self.early_used..];
        while let Some((kind, length)) = FrameHead::default().take(&mut rest) {
            match request_frame(kind) {
                Ok(RequestFrame::Data) if length > 0 => return true,
                Ok(RequestFrame::Data) => {}
                Ok(RequestFrame::Unknown) if length <= rest.len() as u64 => rest = &rest[length as usize..],
                _ => break,
            }
        }
        false
    }

    /// Whether part of a frame has come and the rest is missing.
    pub(crate) fn is_inside_frame(&self) -> bool {
        !matches!(self.expect, Expect::Frame | Expect::Data(0) | Expect::Skip(0)) || !self.frame.is_empty()
    }

    /// Bytes that came early, then those of the stream. The flag says that nothing follows.
    ///
    /// After the head, the first bytes, as many as are to be kept, go through `early` and stay there, so that a request a backend refused can be sent to another.
    pub(crate) fn read(&mut self, http: &mut Http3, stream: u64, out: &mut [u8]) -> Result<(usize, bool), Stopped> {
        loop {
            let early = &self.early[self.early_used..];
            if !early.is_empty() || self.is_early_end {
                let count = early.len().min(out.len());
                out[..count].copy_from_slice(&early[..count]);
                self.early_used += count;
                return Ok((count, self.is_early_end && self.early_used == self.early.len()));
            }
            if !self.has_head || self.is_direct || self.early.len() >= self.replay_bytes {
                let (count, is_end) = http.receive(stream, out)?;
                self.is_direct |= self.has_head && count > 0;
                self.is_early_end |= self.has_head && !self.is_direct && is_end;
                return Ok((count, is_end));
            }
            let start = self.early.len();
            self.early.resize(self.replay_bytes.min(start + REPLAY_STEP), 0);
            let read = http.receive(stream, &mut self.early[start..]);
            self.early.truncate(start + read.as_ref().map_or(0, |(count, _)| *count));
            self.is_early_end = read?.1;
        }
    }

    /// Whether everything that was taken of the body is still here, and was to be kept: some bytes come along with the head whether wanted or not.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_bodiless() || !self.is_direct && self.early_used <= self.replay_bytes
    }

    /// Back to the end of the head, for another attempt. Only while [`Incoming::is_whole`].
    pub(crate) fn rewind(&mut self) {
        if self.is_bodiless() {
            return;
        }
        self.expect = Expect::Frame;
        self.frame = FrameHead::default();
        self.section.clear();
        self.early_used = 0;
        self.has_trailers = false;
        self.is_blocked = false;
        self.body_bytes = 0;
        self.is_done = self.is_early_end && self.early.is_empty();
    }
}

/// A whole field section, in place where it came in one piece, collected otherwise.
pub(crate) fn take_section<'a, 'i: 'a>(
    collected: &'a mut Vec<u8>,
    expect: &mut Expect,
    left: u64,
    input: &mut &'i [u8],
) -> Option<&'a [u8]> {
    let count = left.min(input.len() as u64) as usize;
    let (piece, rest) = input.split_at(count);
    *input = rest;
    if (count as u64) < left {
        collected.extend_from_slice(piece);
        *expect = Expect::Section(left - count as u64);
        return None;
    }
    *expect = Expect::Frame;
    if collected.is_empty() {
        return Some(piece);
    }
    collected.extend_from_slice(piece);
    Some(collected)
}
