//! What is to be done with sessions once they have returned.

use crate::base::slab::Key;
use crate::upstream::{self, SessionRef, StreamRef};

/// What is to be done with sessions once they have returned.
#[derive(Clone, Copy, Debug)]
pub(super) enum Note {
    /// More of the request can be sent.
    Send(Key),
    /// A session has a place for the attempt.
    Start(upstream::AttemptId, SessionRef),
    /// The attempt for a backend's slot wants no place any more.
    CancelWait(u32, upstream::AttemptId),
    /// A reserved place is not wanted.
    Release(upstream::AttemptId, SessionRef),
    /// The stream is not wanted any more.
    Reset(StreamRef, u32),
    /// The client's stream took bytes that were held.
    Credit(StreamRef, usize),
}

/// Notes. The last one is the first to be done.
#[derive(Default)]
pub(super) struct Notes(Vec<Note>);

impl Notes {
    /// Writes one down.
    pub fn push(&mut self, note: Note) {
        self.0.push(note);
    }

    /// Writes several down.
    pub fn extend(&mut self, notes: impl IntoIterator<Item = Note>) {
        self.0.extend(notes);
    }

    /// The next one to be done.
    pub fn pop(&mut self) -> Option<Note> {
        self.0.pop()
    }
}
