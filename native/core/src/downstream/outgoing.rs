//! What goes to a client's stream: frames, body, trailers, in this order, as far as the stream
//! takes them.

use super::wire::Encoding;
use crate::base::budget::Entry;
use crate::base::chunk::Chunk;
use std::collections::VecDeque;

/// The response's side of an exchange.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// How frames are made.
    pub encoding: Encoding,
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
