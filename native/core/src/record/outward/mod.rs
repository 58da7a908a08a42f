//! Records towards the lane: `Head`, `AttemptFailed`, `Completion`, `Late`.

mod attempt;
mod completion;
mod head;
mod writer;

pub use attempt::*;
pub use completion::*;
pub use head::*;

/// Kind of a `Head`.
pub const HEAD: u32 = 1;
/// Kind of an `AttemptFailed`.
pub const ATTEMPT_FAILED: u32 = 2;
/// Kind of a `Completion`.
pub const COMPLETION: u32 = 3;
/// Kind of a `Late`.
pub const LATE: u32 = 4;

/// Stands for what there is not.
const NONE: u32 = u32::MAX;

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
    let word = |place: usize| record.get(place * 4..place * 4 + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    match word(1) {
        COMPLETION => true,
        ATTEMPT_FAILED => word(8) & FAILED_OTHER_RUNS != 0,
        _ => false,
    }
}
