//! DATA: flow control, content-length and state are settled when a frame's head is read; its payload is then handed on in whatever parts it arrives.

use super::frame::FrameHead;
use super::guard::EMPTY_WEIGHT;
use super::{H2, MALFORMED, Parse};
use crate::base::chunk::Block;
use crate::base::reason::Reason;
use crate::http::error::h2 as code;
use crate::upstream::io::{Broken, Io, broken};
use crate::upstream::sink::{BodyPart, Sink};

/// What a DATA frame does to its stream.
enum Verdict {
    Deliver,
    Ignore,
    Refuse { code: u32, reason: Reason },
}

impl H2 {
    /// A DATA frame begins. `pad` is the length of its padding, `data` of its data.
    pub(super) fn on_data_head<S: Sink + ?Sized>(
        &mut self,
        io: &mut Io<'_>,
        sink: &mut S,
        head: FrameHead,
        data: usize,
        pad: usize,
        is_end: bool,
    ) -> Result<(), Broken> {
        if self.is_idle(head.stream) {
            return broken(code::PROTOCOL_ERROR, "DATA on a stream that was never opened");
        }
        self.recv_window -= head.len as i64;
        if self.recv_window < 0 {
            return broken(code::FLOW_CONTROL_ERROR, "more DATA than the session's window");
        }
        if data == 0 && !is_end && !self.guard.spend(EMPTY_WEIGHT, io.now) {
            return broken(code::ENHANCE_YOUR_CALM, "flood of empty DATA");
        }
        // Padding is consumed the moment it is seen.
        self.credit_session(io, (head.len - data) as u32);
        let Some(slot) = self.streams.find(head.stream) else { return self.on_stray_data(io, head, data, pad) };
        let verdict = self.judge_data(slot, head, data, is_end);
        self.recount(io.stats, slot);
        match verdict {
            Verdict::Deliver => self.parse = Parse::Data { slot, id: head.stream, left: data, pad, is_end },
            Verdict::Ignore => self.skip_data(io, data, pad),
            Verdict::Refuse { code, reason } => {
                self.fail_stream(io, sink, slot, code, reason);
                self.skip_data(io, data, pad);
            }
        }
        Ok(())
    }

    fn judge_data(&mut self, slot: u32, head: FrameHead, data: usize, is_end: bool) -> Verdict {
        let stream = self.streams.at(slot);
        stream.recv_window -= head.len as i64;
        stream.uncredited += (head.len - data) as u32;
        if stream.recv_window < 0 {
            return Verdict::Refuse { code: code::FLOW_CONTROL_ERROR, reason: Reason::BackendProtocolError };
        }
        if stream.is_recv_ended {
            return Verdict::Refuse { code: code::STREAM_CLOSED, reason: Reason::BackendProtocolError };
        }
        if !stream.has_head || stream.is_bodiless && data > 0 {
            return Verdict::Refuse { code: MALFORMED, reason: Reason::BackendProtocolError };
        }
        if stream.remaining >= 0 && !stream.is_bodiless {
            stream.remaining -= data as i64;
            if stream.remaining < 0 || is_end && stream.remaining > 0 {
                return Verdict::Refuse { code: MALFORMED, reason: Reason::ResponseLengthMismatch };
            }
        }
        if data == 0 && !is_end { Verdict::Ignore } else { Verdict::Deliver }
    }

    /// DATA for a stream that is closed: expected after a reset of ours, an offence after the peer's own end.
    fn on_stray_data(&mut self, io: &mut Io<'_>, head: FrameHead, data: usize, pad: usize) -> Result<(), Broken> {
        if self.streams.has_ended(head.stream) {
            return broken(code::STREAM_CLOSED, "DATA after the end of its stream");
        }
        if data == 0 && !self.guard.spend(EMPTY_WEIGHT, io.now) {
            return broken(code::ENHANCE_YOUR_CALM, "flood of stray DATA");
        }
        self.skip_data(io, data, pad);
        Ok(())
    }

    fn skip_data(&mut self, io: &mut Io<'_>, data: usize, pad: usize) {
        self.credit_session(io, data as u32);
        self.parse = Parse::Skip { left: data + pad };
    }

    /// Hands on what has arrived of the current frame's payload; returns how many bytes that was.
    pub(super) fn on_data<S: Sink + ?Sized>(&mut self, io: &mut Io<'_>, sink: &mut S, block: &Block, at: usize) -> usize {
        let Parse::Data { slot, id, left, pad, is_end } = self.parse else { return 0 };
        let count = left.min(block.filled() - at);
        let is_whole = count == left;
        self.parse = match is_whole {
            true if pad == 0 => Parse::Head,
            true => Parse::Skip { left: pad },
            false => Parse::Data { slot, id, left: left - count, pad, is_end },
        };
        let Some(stream) = self.streams.named(slot, id) else {
            // Reset by the relay in mid-frame.
            self.credit_session(io, count as u32);
            return count;
        };
        let is_last = is_whole && is_end;
        stream.is_recv_ended = is_last;
        let taken = sink.on_data(stream.key, BodyPart::new(block, at, at + count), is_last).min(count);
        stream.held += (count - taken) as u32;
        stream.uncredited += taken as u32;
        if is_last && stream.is_send_ended {
            self.finish(io, slot);
        } else {
            self.update_stream(io, slot);
        }
        self.credit_session(io, count as u32);
        count
    }
}
