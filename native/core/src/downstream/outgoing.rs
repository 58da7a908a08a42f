//! What goes to a client's stream: frames, body, trailers, in this order, as far as the stream takes them.

use super::http3::{Http3, Unwritten};
use crate::base::budget::Entry;
use crate::base::chunk::Chunk;
use crate::http::h3::{FRAME_HEAD_BYTES, write_data_head};
use std::collections::VecDeque;

/// The response's side of an exchange.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// Frames of the head while the response is held.
    pub held_head: Vec<u8>,
    /// Frames as they go on the wire, before the body.
    pub framed: Chunk,
    /// Body bytes without frames.
    pub body: VecDeque<Chunk>,
    /// Bytes of `body`.
    pub body_len: usize,
    /// Frames after the body: trailers.
    pub tail: Vec<u8>,
    /// The stream takes no more for now.
    pub is_blocked: bool,
    /// Nothing more will be added.
    pub is_complete: bool,
    /// The stream took everything and its end.
    pub is_done: bool,
    /// Body bytes the stream took.
    pub body_bytes: u64,
    /// Bytes the stream took, frames and all.
    pub taken: u64,
    /// Bytes held, as counted.
    pub held: Entry,
}

impl Outgoing {
    /// Forgets what was held, keeps the buffers.
    pub fn restart(&mut self) {
        self.framed = Chunk::default();
        self.drop_held();
        (self.is_blocked, self.is_done) = (false, false);
        (self.body_bytes, self.taken) = (0, 0);
    }

    /// Forgets a response of which nothing was sent.
    pub(crate) fn drop_held(&mut self) {
        self.held_head.clear();
        self.body.clear();
        self.body_len = 0;
        self.tail.clear();
        self.is_complete = false;
    }

    /// Adds frames behind those that wait.
    pub(crate) fn add_framed(&mut self, frames: &[u8]) {
        self.framed = match self.framed.is_empty() {
            true => Chunk::copy_of(frames),
            false => Chunk::copy_of(&[self.framed.as_ref(), frames].concat()),
        };
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> u64 {
        (self.held_head.len() + self.framed.len() + self.body_len + self.tail.len()) as u64
    }

    /// Whether bytes wait for the stream.
    pub(crate) fn has_bytes(&self) -> bool {
        !self.framed.is_empty() || self.body_len > 0
    }
}

/// An end never goes alone: quiche forgets a stream once all its bytes are acknowledged, whether or not an end without bytes has arrived, and then does not send it
/// again. So it goes with an empty frame of a reserved type, which everybody has to ignore (RFC 9114 §7.2.8).
const LAST_FRAME: [u8; 2] = [0x21, 0];

/// Writes frames, then body as DATA frames that fit what the stream takes, then trailers, then the
/// end, as far as the stream takes them. `Ok` when it has everything, and its end if there is one.
pub(crate) fn write(outgoing: &mut Outgoing, http: &mut Http3, stream: u64) -> Result<(), Unwritten> {
    loop {
        if !outgoing.framed.is_empty() {
            let is_end = outgoing.is_complete && outgoing.body_len == 0 && outgoing.tail.is_empty();
            // A clone, because quiche keeps what it is given even when it takes nothing.
            let (sent, rest) = http.send_chunk(stream, outgoing.framed.clone(), is_end)?;
            outgoing.taken += sent as u64;
            if let Some(rest) = rest {
                outgoing.framed = rest;
                return Err(Unwritten::Blocked);
            }
            outgoing.framed = Chunk::default();
            outgoing.is_done = is_end;
        } else if outgoing.body_len > 0 {
            write_body(outgoing, http, stream)?;
        } else if !outgoing.tail.is_empty() {
            outgoing.framed = Chunk::copy_of(&outgoing.tail);
            outgoing.tail.clear();
        } else if outgoing.is_complete && !outgoing.is_done {
            outgoing.framed = Chunk::copy_of(&LAST_FRAME);
        } else {
            return Ok(());
        }
    }
}

/// One DATA frame: as much of the first chunk as fits, so that a frame is never torn.
fn write_body(outgoing: &mut Outgoing, http: &mut Http3, stream: u64) -> Result<(), Unwritten> {
    let room = http.room(stream)?;
    let Some(mut chunk) = outgoing.body.pop_front() else { return Ok(()) };
    let fits = chunk.len().min(room);
    if fits < chunk.len() {
        let rest = chunk.split_off(fits);
        outgoing.body.push_front(rest);
    }
    let is_end = outgoing.is_complete && fits == outgoing.body_len && outgoing.tail.is_empty();
    let mut head = Vec::with_capacity(FRAME_HEAD_BYTES);
    write_data_head(fits, &mut head);
    if let Err(error) = http.send_head(stream, &head) {
        outgoing.body.push_front(chunk);
        return Err(error);
    }
    let (sent, rest) = http.send_chunk(stream, chunk, is_end)?;
    outgoing.body_bytes += sent as u64;
    outgoing.taken += (head.len() + sent) as u64;
    // The capacity was asked for above; should quiche take less all the same, the frame's rest goes
    // as it is.
    if let Some(rest) = rest {
        outgoing.body_len -= fits;
        outgoing.framed = rest;
        return Err(Unwritten::Blocked);
    }
    outgoing.body_len -= sent;
    outgoing.is_done = is_end;
    Ok(())
}
