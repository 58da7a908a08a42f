//! Records towards the lane: `Head`, `AttemptFailed`, `Completion`, `Late`.

mod attempt;
mod completion;
mod head;
mod writer;

pub use attempt::*;
pub use completion::*;
pub use head::*;

use super::layout::{ATTEMPT_FAILED, COMPLETION, FAILED_OTHER_RUNS, HEAD, WRAP};
use super::ring::Ring;
use crate::base::slab::Key;

/// Takes back what an exchange was offered with and the lane has not read: the exchange has ended, and an answer would take for it what nobody gives back. A head is passed
/// over then; of a failure the lane learns and has nothing to decide.
pub fn withdraw(ring: &mut Ring, at: u32, exchange: Key) {
    let Some(record) = ring.unread(at) else { return };
    if word(record, 2) != exchange.index || word(record, 3) != exchange.generation {
        return;
    }
    match word(record, 1) {
        HEAD => set_word(record, 1, WRAP),
        ATTEMPT_FAILED => set_word(record, 8, word(record, 8) | FAILED_OTHER_RUNS),
        _ => {}
    }
}

fn word(record: &[u8], place: usize) -> u32 {
    record.get(place * 4..place * 4 + 4).map_or(0, |bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

fn set_word(record: &mut [u8], place: usize, value: u32) {
    record[place * 4..place * 4 + 4].copy_from_slice(&value.to_le_bytes());
}

/// Names an exchange in logs, towards backends and clients.
#[derive(Clone, Copy, Debug)]
pub struct RequestId {
    bytes: [u8; 64],
    length: u8,
}

impl RequestId {
    /// Takes visible ASCII of 1 to 64 bytes; none for anything else.
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

/// Whether a record is told once, however often lanes change: a `Completion`, or the failure of an attempt beside which another runs. Everything else is
/// about an exchange that is offered anew.
pub fn is_told_once(record: &[u8]) -> bool {
    match word(record, 1) {
        COMPLETION => true,
        ATTEMPT_FAILED => word(record, 8) & FAILED_OTHER_RUNS != 0,
        _ => false,
    }
}
