//! Blocks of bytes shared by reference: what an upstream socket filled, a client's stream can send without a copy.
//!
//! A [`Block`] is written by one owner at its end while [`Chunk`]s of its beginning are read by others. Neither leaves its thread.

use std::cell::UnsafeCell;
use std::fmt;
use std::rc::Rc;

/// A fixed-size block that one owner fills from front to back.
pub struct Block {
    bytes: Rc<UnsafeCell<Box<[u8]>>>,
    filled: usize,
}

impl Block {
    /// A block of `size` bytes, not zeroed by us twice: the allocator gives zero pages for large sizes.
    pub fn new(size: usize) -> Block {
        Block { bytes: Rc::new(UnsafeCell::new(vec![0; size].into_boxed_slice())), filled: 0 }
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
        // SAFETY: the box itself is never replaced, only the bytes behind it are written.
        unsafe { (&*self.bytes.get()).len() }
    }

    /// Whether any chunk of it is alive; if none is, [`Block::reset`] may be called.
    pub fn is_shared(&self) -> bool {
        Rc::strong_count(&self.bytes) > 1
    }

    /// The part nobody has seen yet.
    pub fn spare(&mut self) -> &mut [u8] {
        let filled = self.filled;
        // SAFETY: chunks cover only bytes below `filled`, and there is one `Block` a cell.
        unsafe { &mut (&mut *self.bytes.get())[filled..] }
    }

    /// Says that `count` bytes of the spare part now hold data.
    pub fn advance(&mut self, count: usize) {
        debug_assert!(count <= self.room());
        self.filled += count;
    }

    /// Filled bytes from `start`.
    pub fn bytes(&self, start: usize, end: usize) -> &[u8] {
        debug_assert!(end <= self.filled);
        // SAFETY: filled bytes are never written again while the block is not reset.
        unsafe { &(&*self.bytes.get())[start..end] }
    }

    /// A shared view of filled bytes.
    pub fn chunk(&self, start: usize, end: usize) -> Chunk {
        debug_assert!(start <= end && end <= self.filled);
        Chunk { source: Source::Block(self.bytes.clone()), start: start as u32, end: end as u32 }
    }

    /// Starts over; must not be shared.
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
    Block(Rc<UnsafeCell<Box<[u8]>>>),
}

/// A shared view of a block's bytes, or of a copy of its own. Cloning costs a counter.
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
            // SAFETY: bytes inside a chunk's range are written before the chunk is made and not after.
            Source::Block(bytes) => unsafe { &(&*bytes.get())[range] },
        }
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({} bytes)", self.len())
    }
}

/// Lets quiche keep our chunks as they are (`Connection<ChunkFactory>`, `stream_send_zc`).
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
