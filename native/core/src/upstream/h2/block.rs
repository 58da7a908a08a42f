//! A field block that comes in several frames.

use super::frame::FrameHead;

/// CONTINUATION frames that a field block may have.
const MAX_CONTINUATIONS: u32 = 64;

/// HEADERS without END_HEADERS, and the CONTINUATION frames after it.
#[derive(Default)]
pub struct FieldBlock {
    /// Stream; 0 when no block is open.
    id: u32,
    is_end: bool,
    bytes: Vec<u8>,
    frames: u32,
}

impl FieldBlock {
    /// The stream whose block is open.
    pub fn stream(&self) -> Option<u32> {
        (self.id != 0).then_some(self.id)
    }

    /// Begins with the fragment of a HEADERS frame.
    pub fn begin(&mut self, head: FrameHead, is_end: bool, fragment: &[u8]) {
        (self.id, self.is_end, self.frames) = (head.stream, is_end, 0);
        self.bytes.clear();
        self.bytes.extend_from_slice(fragment);
    }

    /// Appends the fragment of a CONTINUATION frame; false when the block has too many frames or
    /// bytes. Table updates may make a block somewhat longer than the section it decodes to, but
    /// not without end (CVE-2024-27316 and its siblings).
    #[must_use]
    pub fn append(&mut self, fragment: &[u8], max_section: usize) -> bool {
        self.frames += 1;
        self.bytes.extend_from_slice(fragment);
        self.frames <= MAX_CONTINUATIONS && self.bytes.len() <= 2 * max_section + 16_384
    }

    /// Closes the block: its stream, whether the stream ends with it, and its bytes, to be given to
    /// [`FieldBlock::recycle`].
    pub fn take(&mut self) -> (u32, bool, Vec<u8>) {
        (std::mem::take(&mut self.id), self.is_end, std::mem::take(&mut self.bytes))
    }

    /// Takes the buffer back.
    pub fn recycle(&mut self, bytes: Vec<u8>) {
        self.bytes = bytes;
    }

    /// Frees memory; for quiet sessions.
    pub fn release(&mut self) {
        if self.id == 0 {
            self.bytes = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_bounded_in_frames_and_in_bytes() {
        let head = FrameHead { len: 1, kind: 1, flags: 0, stream: 5 };
        let mut block = FieldBlock::default();
        block.begin(head, true, b"a");
        assert!((0..MAX_CONTINUATIONS).all(|_| block.append(b"b", 1_000)) && !block.append(b"b", 1_000));
        block.begin(head, true, b"a");
        assert!(block.append(&[0; 18_000], 1_000) && !block.append(&[0; 1_000], 1_000));
        let (stream, is_end, bytes) = block.take();
        assert_eq!((stream, is_end, bytes.len(), block.stream()), (5, true, 19_001, None));
    }
}
