//! DATA: flow control, content-length and state are checked when the frame's head is read; the
//! payload is then delivered in whatever parts it arrives.

use super::connection::{H2, MALFORMED, Parse, credit_session};
use super::frame::FrameHead;
use super::guard::EMPTY_WEIGHT;
use super::send::update_window;
use super::stream::Stream;
use crate::base::chunk::Block;
use crate::base::reason::Reason;
use crate::http::error::h2 as code;
use crate::upstream::io::{Broken, Io, broken};
use crate::upstream::sink::{BodyPart, Sink};

/// A DATA frame begins. `pad` is the length of its padding, `data` of its data.
pub fn on_data_head<S: Sink + ?Sized>(
    h2: &mut H2,
    io: &mut Io<'_>,
    sink: &mut S,
    head: FrameHead,
    (data, pad): (usize, usize),
    is_end: bool,
) -> Result<(), Broken> {
    if h2.is_idle(head.stream) {
        return broken(code::PROTOCOL_ERROR, "DATA on a stream that was never opened");
    }
    if !h2.flow.receive(head.len) {
        return broken(code::FLOW_CONTROL_ERROR, "more DATA than the session's window");
    }
    if data == 0 && !is_end && !h2.guard.spend(EMPTY_WEIGHT, io.now) {
        return broken(code::ENHANCE_YOUR_CALM, "flood of empty DATA");
    }
    // Padding is credited at once.
    credit_session(h2, io, (head.len - data) as u32);
    let Some(slot) = h2.streams.find(head.stream) else { return on_stray_data(h2, io, head, data, pad) };
    let checked = check(h2.streams.at(slot), head, data, is_end);
    h2.recount(io.stats, slot);
    match checked {
        Ok(()) if data > 0 || is_end => h2.parse = Parse::Data { slot, id: head.stream, left: data, pad, is_end },
        Ok(()) => skip(h2, io, data, pad),
        Err((h2_code, reason)) => {
            h2.fail_stream(io, sink, slot, h2_code, reason);
            skip(h2, io, data, pad);
        }
    }
    Ok(())
}

/// Takes a frame into the state of its stream; an error when the stream must end.
fn check(stream: &mut Stream, head: FrameHead, data: usize, is_end: bool) -> Result<(), (u32, Reason)> {
    stream.recv.consume((head.len - data) as u32);
    if !stream.recv.receive(head.len) {
        return Err((code::FLOW_CONTROL_ERROR, Reason::BackendProtocolError));
    }
    if stream.is_recv_ended {
        return Err((code::STREAM_CLOSED, Reason::BackendProtocolError));
    }
    stream.response.receive_data(data, is_end).map_err(|reason| (MALFORMED, reason))
}

/// DATA for a closed stream: expected after a reset of ours, an error after the peer's own end.
fn on_stray_data(h2: &mut H2, io: &mut Io<'_>, head: FrameHead, data: usize, pad: usize) -> Result<(), Broken> {
    if h2.streams.has_ended(head.stream) {
        return broken(code::STREAM_CLOSED, "DATA after the end of its stream");
    }
    if data == 0 && !h2.guard.spend(EMPTY_WEIGHT, io.now) {
        return broken(code::ENHANCE_YOUR_CALM, "flood of stray DATA");
    }
    skip(h2, io, data, pad);
    Ok(())
}

fn skip(h2: &mut H2, io: &mut Io<'_>, data: usize, pad: usize) {
    credit_session(h2, io, data as u32);
    h2.parse = Parse::Skip { left: data + pad };
}

/// Delivers what has arrived of the current frame's payload; returns the number of bytes.
pub fn on_data<S: Sink + ?Sized>(h2: &mut H2, io: &mut Io<'_>, sink: &mut S, block: &Block, at: usize) -> usize {
    let Parse::Data { slot, id, left, pad, is_end } = h2.parse else { return 0 };
    let count = left.min(block.filled() - at);
    let is_whole = count == left;
    h2.parse = match is_whole {
        true if pad == 0 => Parse::Head,
        true => Parse::Skip { left: pad },
        false => Parse::Data { slot, id, left: left - count, pad, is_end },
    };
    let Some(stream) = h2.streams.named(slot, id) else {
        // Reset by the relay in mid-frame.
        credit_session(h2, io, count as u32);
        return count;
    };
    let is_last = is_whole && is_end;
    stream.is_recv_ended = is_last;
    let taken = sink.on_data(stream.key, BodyPart::new(block, at, at + count), is_last).min(count);
    stream.held += (count - taken) as u32;
    stream.recv.consume(taken as u32);
    if is_last && stream.is_send_ended {
        h2.finish(io, slot);
    } else {
        update_window(h2, io, slot);
    }
    credit_session(h2, io, count as u32);
    count
}
