//! Notes of what to do with sessions once they have returned.

use crate::base::slab::Key;
use crate::upstream::{self, SessionRef, StreamRef};

/// Something to do with sessions once they have returned.
#[derive(Clone, Copy, Debug)]
pub(super) enum Note {
    /// Send more of the request.
    Send(Key),
    /// Start the attempt on a session that has a permit for it.
    Start(upstream::AttemptId, SessionRef),
    /// Stop waiting for a stream of a backend's slot.
    CancelWait(u32, upstream::AttemptId),
    /// Release a reserved permit.
    Release(upstream::AttemptId, SessionRef),
    /// Reset the stream.
    Reset(StreamRef, u32),
    /// Give the backend credit for held bytes that the client's stream took.
    Credit(StreamRef, usize),
}

/// The notes, as a stack: the last one is done first.
#[derive(Default)]
pub(super) struct Notes(Vec<Note>);

impl Notes {
    /// Adds a note.
    pub fn push(&mut self, note: Note) {
        self.0.push(note);
    }

    /// Adds several notes.
    pub fn extend(&mut self, notes: impl IntoIterator<Item = Note>) {
        self.0.extend(notes);
    }

    /// Removes the next note to do.
    pub fn pop(&mut self) -> Option<Note> {
        self.0.pop()
    }
}
