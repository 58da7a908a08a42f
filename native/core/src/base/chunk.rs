//! Blocks of bytes shared by reference: a client's stream sends what an upstream socket received
//! without a copy.
//!
//! One owner writes a [`Block`] at its end while others read [`Chunk`]s of its beginning. Neither
//! leaves its thread.

use std::fmt;
use std::ptr::NonNull;
use std::rc::Rc;

/// Memory of a block. Its bytes are reached by pointer alone: a reference to all of them would
/// alias those of chunks.
struct Storage {
    start: NonNull<u8>,
    capacity: usize,
}

impl Storage {
    fn new(size: usize) -> Storage {
        assert!(u32::try_from(size).is_ok(), "places in a block are 32 bits wide");
        let bytes = Box::leak(vec![0; size].into_boxed_slice());
        Storage { capacity: bytes.len(), start: NonNull::from(bytes).cast() }
    }

    /// Some of its bytes.
    ///
    /// # Safety
    /// `start <= end <= capacity`, and no one writes them while the slice lives.
    unsafe fn bytes(&self, start: usize, end: usize) -> &[u8] {
        // SAFETY: as above; all bytes are initialised.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(start), end - start) }
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        let bytes = NonNull::slice_from_raw_parts(self.start, self.capacity);
        // SAFETY: this is the box of `new`, and nothing refers to it any more.
        drop(unsafe { Box::from_raw(bytes.as_ptr()) });
    }
}

/// A fixed-size block that one owner fills from front to back.
pub struct Block {
    storage: Rc<Storage>,
    filled: usize,
}

impl Block {
    /// A block of `size` bytes. Large ones are zero pages from the allocator and cost no zeroing.
    pub fn new(size: usize) -> Block {
        Block { storage: Rc::new(Storage::new(size)), filled: 0 }
    }

    /// Bytes filled so far.
    pub fn filled(&self) -> usize {
        self.filled
    }

    /// Room left.
    pub fn room(&self) -> usize {
        self.capacity() - self.filled
    }

    /// Size of the block.
    pub fn capacity(&self) -> usize {
        self.storage.capacity
    }

    /// Whether any chunk of it is alive; if none is, [`Block::reset`] may be called.
    pub fn is_shared(&self) -> bool {
        Rc::strong_count(&self.storage) > 1
    }

    /// The part that is not filled.
    pub fn spare(&mut self) -> &mut [u8] {
        // SAFETY: `filled` never exceeds the capacity. Chunks and `bytes` give away what lies below
        // `filled`, and there is one `Block` a storage.
        unsafe { std::slice::from_raw_parts_mut(self.storage.start.as_ptr().add(self.filled), self.room()) }
    }

    /// Counts the first `count` bytes of the spare part as filled.
    ///
    /// # Panics
    /// Where there is no room for so many.
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.room(), "a block is filled up to its end");
        self.filled += count;
    }

    /// Filled bytes from `start` to `end`.
    ///
    /// # Panics
    /// Where not all of them are filled.
    pub fn bytes(&self, start: usize, end: usize) -> &[u8] {
        assert!(start <= end && end <= self.filled, "bytes of a block are filled before they are read");
        // SAFETY: filled bytes are written again after a reset alone, which takes the block as its
        // own.
        unsafe { self.storage.bytes(start, end) }
    }

    /// A shared view of filled bytes.
    ///
    /// # Panics
    /// Where not all of them are filled.
    pub fn chunk(&self, start: usize, end: usize) -> Chunk {
        assert!(start <= end && end <= self.filled, "bytes of a block are filled before they are shared");
        Chunk { source: Source::Block(self.storage.clone()), start: start as u32, end: end as u32 }
    }

    /// Empties the block, which must not be shared.
    pub fn reset(&mut self) {
        assert!(!self.is_shared());
        self.filled = 0;
    }
}

/// Where a chunk's bytes are. A copy is one allocation, not two.
#[derive(Clone, Default)]
enum Source {
    #[default]
    Nowhere,
    Copy(Rc<[u8]>),
    Block(Rc<Storage>),
}

/// A view of a block's bytes, or a copy of its own. Cloning counts a reference.
#[derive(Clone, Default)]
pub struct Chunk {
    source: Source,
    start: u32,
    end: u32,
}

impl Chunk {
    /// A chunk with its own copy of some bytes.
    pub fn copy_of(bytes: &[u8]) -> Chunk {
        if bytes.is_empty() {
            return Chunk::default();
        }
        Chunk { source: Source::Copy(bytes.into()), start: 0, end: bytes.len() as u32 }
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Cuts at `at`: `self` keeps the front, the rest is returned.
    pub fn split_off(&mut self, at: usize) -> Chunk {
        assert!(at <= self.len());
        let rest = Chunk { source: self.source.clone(), start: self.start + at as u32, end: self.end };
        self.end = self.start + at as u32;
        rest
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        let range = self.start as usize..self.end as usize;
        match &self.source {
            Source::Nowhere => &[],
            Source::Copy(bytes) => &bytes[range],
            // SAFETY: a chunk's range was filled when it was made, and is not written again while
            // the storage is shared.
            Source::Block(storage) => unsafe { storage.bytes(range.start, range.end) },
        }
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({} bytes)", self.len())
    }
}

/// Makes quiche keep our chunks (`Connection<ChunkFactory>`, `stream_send_zc`).
#[derive(Clone, Debug, Default)]
pub struct ChunkFactory;

impl quiche::BufFactory for ChunkFactory {
    type Buf = Chunk;
    type DgramBuf = Vec<u8>;

    fn buf_from_slice(bytes: &[u8]) -> Chunk {
        Chunk::copy_of(bytes)
    }

    fn dgram_buf_from_slice(bytes: &[u8]) -> Vec<u8> {
        bytes.to_vec()
    }
}

impl quiche::BufSplit for Chunk {
    fn split_at(&mut self, at: usize) -> Chunk {
        self.split_off(at)
    }
}

#[cfg(test)]
mod tests {
    use super::Block;
    use std::panic::catch_unwind;

    #[test]
    fn nothing_is_given_away_that_was_not_filled() {
        let filled = || {
            let mut block = Block::new(8);
            block.spare()[..4].copy_from_slice(b"body");
            block.advance(4);
            block
        };
        assert_eq!((filled().bytes(1, 4), filled().chunk(0, 4).as_ref(), filled().room()), (&b"ody"[..], &b"body"[..], 4));
        assert!(catch_unwind(|| filled().bytes(0, 5).len()).is_err());
        assert!(catch_unwind(|| filled().bytes(3, 2).len()).is_err());
        assert!(catch_unwind(|| filled().chunk(0, 5)).is_err());
        assert!(catch_unwind(|| filled().advance(5)).is_err());
    }
}
