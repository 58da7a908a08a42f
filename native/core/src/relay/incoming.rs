//! Bytes of a request stream: those that came with the head first, then what quiche has.

use super::exchange::{Expect, Incoming};
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

    /// Body bytes from what came with the head, then from the stream. The flag says that nothing follows.
    pub(super) fn read(&mut self, quic: &mut Quic, stream: u64, out: &mut [u8]) -> Result<(usize, bool), Stopped> {
        let early = &self.early[self.early_used..];
        if !early.is_empty() || self.is_early_end {
            let count = early.len().min(out.len());
            out[..count].copy_from_slice(&early[..count]);
            self.early_used += count;
            return Ok((count, self.is_early_end && self.early_used == self.early.len()));
        }
        match quic.stream_recv(stream, out) {
            Ok(read) => Ok(read),
            Err(quiche::Error::Done) => Err(Stopped::Empty),
            Err(quiche::Error::StreamReset(code)) => Err(Stopped::Reset(code)),
            Err(_) => Err(Stopped::Gone),
        }
    }
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
