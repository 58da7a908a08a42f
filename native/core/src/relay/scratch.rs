//! Buffers that are borrowed and returned within a call.

use crate::base::slab::Key;
use crate::http::fields::Fields;

/// Size of the buffer for the first bytes of a request stream.
const SCRATCH_BYTES: usize = 16 * 1024;

/// Buffers that are empty between calls.
pub(super) struct Scratch {
    pub bytes: Box<[u8]>,
    pub streams: Vec<u64>,
    pub head: Fields,
    pub text: Vec<u8>,
}

impl Default for Scratch {
    fn default() -> Scratch {
        let bytes = vec![0; SCRATCH_BYTES].into_boxed_slice();
        Scratch { bytes, streams: Vec::new(), head: Fields::new(), text: Vec::new() }
    }
}

/// Frames of one exchange's response that are written to its stream in one call.
#[derive(Default)]
pub(super) struct Stage {
    pub bytes: Vec<u8>,
    /// The exchange that they belong to.
    pub owner: Option<Key>,
}

impl Stage {
    /// Drops the frames of an exchange that has ended.
    pub fn forget(&mut self, key: Key) {
        if self.owner == Some(key) {
            self.owner = None;
            self.bytes.clear();
        }
    }
}
