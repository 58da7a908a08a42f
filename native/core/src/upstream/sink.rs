//! What passes between sessions and the relay: names, events, failures.

use crate::base::chunk::{Block, Chunk};
use crate::base::reason::Reason;
use crate::base::slab;
use crate::http::check::ResponseFacts;
use crate::http::fields::Fields;

/// Names an attempt; chosen by the relay and opaque here.
pub type AttemptId = u64;

/// Names a session. The name of one that is gone finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionRef(pub(crate) slab::Key);

/// Names an attempt's stream on a session. Calls with the name of one that has ended do nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamRef {
    /// Its session.
    pub session: SessionRef,
    /// Slot among the session's streams.
    pub(crate) slot: u32,
    /// Stream identifier, never used twice on a session.
    pub(crate) id: u32,
}

/// Result of asking for a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Opened {
    /// A stream is reserved on this session: call `start`, or `release` to give it up.
    Now(SessionRef),
    /// The attempt waits in the queue: `on_opened` or `on_failed` follows, unless `cancel_wait` is
    /// called.
    Waiting,
    /// No session can be had.
    Failed(Fault),
}

/// Why a stream is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The reason.
    pub reason: Reason,
    /// The backend cannot have acted on the request: no byte of it was written, or the backend says
    /// so (RFC 9113 §8.7).
    pub is_unsent: bool,
    /// HTTP/2 error code received or sent, 0 for none.
    pub h2_code: u32,
    /// The session had carried other requests before. A kept-alive connection may close while a
    /// request is on its way.
    pub was_reused: bool,
}

impl Fault {
    /// A failure before anything of the request was sent.
    pub(crate) fn unsent(reason: Reason) -> Fault {
        Fault { reason, is_unsent: true, h2_code: 0, was_reused: false }
    }
}

/// Body bytes in the block they were read into.
#[derive(Clone, Copy)]
pub struct BodyPart<'a> {
    block: Option<&'a Block>,
    start: usize,
    end: usize,
}

/// Smaller parts are copied: a shared view would hold a whole block for them.
const SHARE_FROM_BYTES: usize = 2048;

impl<'a> BodyPart<'a> {
    pub(crate) fn new(block: &'a Block, start: usize, end: usize) -> BodyPart<'a> {
        BodyPart { block: Some(block), start, end }
    }

    /// No bytes, to report an end.
    pub(crate) fn nothing() -> BodyPart<'a> {
        BodyPart { block: None, start: 0, end: 0 }
    }

    /// The bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.block.map_or(&[], |block| block.bytes(self.start, self.end))
    }

    /// Number of bytes; may be 0 with the end.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// A chunk of the whole part: a view of the block when it is large, a copy when it is small.
    pub fn into_chunk(self) -> Chunk {
        self.chunk_from(0)
    }

    /// As [`BodyPart::into_chunk`], without the first `skip` bytes.
    pub fn chunk_from(self, skip: usize) -> Chunk {
        let Some(block) = self.block else { return Chunk::default() };
        let start = self.start + skip;
        if self.end - start >= SHARE_FROM_BYTES {
            return block.chunk(start, self.end);
        }
        Chunk::copy_of(block.bytes(start, self.end))
    }
}

/// Receives responses while sockets are read and written. It must not call back into the pool: it
/// takes notes and acts on them after the call has returned.
pub trait Sink {
    /// An interim response, 100 to 199 without 101.
    fn on_informational(&mut self, key: AttemptId, status: u16, fields: &Fields);

    /// The final response head. `fields` holds `:status` first. `end`: there is no body and no
    /// trailers.
    fn on_head(&mut self, key: AttemptId, status: u16, fields: &Fields, facts: ResponseFacts, end: bool);

    /// Body bytes. Returns how many the client's side took at once; these are credited to flow
    /// control now, the rest by `Upstreams::credit`.
    fn on_data(&mut self, key: AttemptId, data: BodyPart<'_>, end: bool) -> usize;

    /// The response is complete, reported apart from its last bytes.
    fn on_end(&mut self, key: AttemptId) {
        let _ = key;
    }

    /// The trailer section; it is the end of the response.
    fn on_trailers(&mut self, key: AttemptId, fields: &Fields);

    /// The attempt is over without a complete response. Its stream is gone.
    fn on_failed(&mut self, key: AttemptId, fault: Fault);

    /// A session is gone after a panic: its attempts that ended in no other event have failed.
    fn on_session_lost(&mut self, session: SessionRef) {
        let _ = session;
    }

    /// More of the request body may be written, after `body_room` said there was no room.
    fn on_window(&mut self, key: AttemptId);

    /// An attempt that waited has a stream reserved on a session: call `start`, or `release`.
    fn on_opened(&mut self, key: AttemptId, session: SessionRef);

    /// The response is complete and the backend wants no more of the request body (RFC 9113 §8.1,
    /// RFC 9112 §9.6). The stream is gone.
    fn on_upload_stopped(&mut self, key: AttemptId) {
        let _ = key;
    }
}
