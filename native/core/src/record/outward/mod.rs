//! Records to the lane: `Head`, `AttemptFailed`, `Completion`, `Late`.

mod attempt;
mod completion;
mod head;
mod writer;

pub use attempt::*;
pub use completion::*;
pub use head::*;

use super::layout::{FAILED_OTHER_RUNS, KIND_ATTEMPT_FAILED, KIND_COMPLETION, KIND_HEAD, KIND_WRAP};
use super::ring::Ring;
use super::words::{AttemptFailedWords, HeadWords, kind_of};
use crate::base::slab::Key;

/// Takes back an unread offer of an exchange that has ended. A decision on it would take places
/// that nobody gives back. The lane skips a head; it still learns of a failure, but has nothing to
/// decide.
pub fn withdraw(ring: &mut Ring, at: u32, exchange: Key) {
    let Some(record) = ring.unread(at) else { return };
    match kind_of(record) {
        Some(KIND_HEAD) if HeadWords::read(record).is_some_and(|(words, _)| words.exchange == exchange) => {
            record[4..8].copy_from_slice(&KIND_WRAP.to_le_bytes());
        }
        Some(KIND_ATTEMPT_FAILED) => {
            if let Some((words, _)) = AttemptFailedWords::read(record).filter(|(words, _)| words.exchange == exchange) {
                AttemptFailedWords { flags: words.flags | FAILED_OTHER_RUNS, ..words }.write(record);
            }
        }
        _ => {}
    }
}

/// Request id, shown in logs, to backends and to clients.
#[derive(Clone, Copy, Debug)]
pub struct RequestId {
    bytes: [u8; 64],
    length: u8,
}

impl RequestId {
    /// Accepts 1 to 64 bytes of visible ASCII; none for anything else.
    pub fn new(text: &[u8]) -> Option<RequestId> {
        let is_fit = (1..=64).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic);
        is_fit.then(|| {
            let mut bytes = [0; 64];
            bytes[..text.len()].copy_from_slice(text);
            RequestId { bytes, length: text.len() as u8 }
        })
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length as usize]
    }
}

/// Whether a record is told only once, however often lanes change: a `Completion`, or a failed
/// attempt beside which another still runs. All others are about exchanges that are offered again.
pub fn is_told_once(record: &[u8]) -> bool {
    match kind_of(record) {
        Some(KIND_COMPLETION) => true,
        Some(KIND_ATTEMPT_FAILED) => AttemptFailedWords::read(record).is_some_and(|(words, _)| words.flags & FAILED_OTHER_RUNS != 0),
        _ => false,
    }
}
