//! Bytes of a request stream: those that came with the head first, then what quiche has.

use super::exchange::{Expect, Incoming};
use crate::http::h3::FrameHead;
use crate::quic::connection::Quic;

/// Why reading a request stream stopped.
pub(super) enum Stopped {
    /// For now there is nothing more.
    Empty,
    /// Client reset it with this code.
    Reset(u64),
    /// quiche knows no such stream any more.
    Gone,
}

impl Incoming {
    /// Whether part of a frame has come and the rest is missing.
    pub(super) fn is_inside_frame(&self) -> bool {
        !matches!(self.expect, Expect::Frame | Expect::Data(0) | Expect::Skip(0)) || !self.frame.is_empty()
    }

    /// Bytes that came early, then those of the stream. The flag says that nothing follows.
    ///
    /// After the head, the first [`REPLAY_BYTES`] go through `early` and stay there, so that a request a backend refused can be sent to another.
    pub(super) fn read(&mut self, quic: &mut Quic, stream: u64, out: &mut [u8]) -> Result<(usize, bool), Stopped> {
        loop {
            let early = &self.early[self.early_used..];
            if !early.is_empty() || self.is_early_end {
                let count = early.len().min(out.len());
                out[..count].copy_from_slice(&early[..count]);
                self.early_used += count;
                return Ok((count, self.is_early_end && self.early_used == self.early.len()));
            }
            if !self.has_head || self.is_direct || self.early.len() >= REPLAY_BYTES {
                let read = receive(quic, stream, out)?;
                self.is_direct = self.has_head;
                return Ok(read);
            }
            let start = self.early.len();
            self.early.resize(start + REPLAY_STEP, 0);
            let read = receive(quic, stream, &mut self.early[start..]);
            self.early.truncate(start + read.as_ref().map_or(0, |(count, _)| *count));
            self.is_early_end = read?.1;
        }
    }

    /// Whether everything that was taken of the body is still here.
    pub(super) fn is_whole(&self) -> bool {
        !self.is_direct
    }

    /// Back to the end of the head, for another attempt. Only while [`Incoming::is_whole`].
    pub(super) fn rewind(&mut self) {
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

/// Bytes after the head that are kept until the exchange ends.
const REPLAY_BYTES: usize = 16 * 1024;

/// Bytes read at a time while they are kept.
const REPLAY_STEP: usize = 4 * 1024;

fn receive(quic: &mut Quic, stream: u64, out: &mut [u8]) -> Result<(usize, bool), Stopped> {
    quic.stream_recv(stream, out).map_err(|error| match error {
        quiche::Error::Done => Stopped::Empty,
        quiche::Error::StreamReset(code) => Stopped::Reset(code),
        _ => Stopped::Gone,
    })
}

/// A whole field section, in place where it came in one piece, collected otherwise.
pub(super) fn take_section<'a, 'i: 'a>(
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
