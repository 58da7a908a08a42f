//! Read blocks shared by all sessions of a reactor.
//!
//! A session borrows a block to read into and returns it once everything is parsed: idle sessions
//! hold none, busy ones read into memory that is still cached. Blocks that client streams still
//! send from are set aside until they are free.

use std::collections::VecDeque;

use crate::base::chunk::Block;

/// Size of a block.
pub const BLOCK_BYTES: usize = 64 * 1024;

/// Blocks kept for reuse; more are freed.
const KEPT: usize = 32;

/// The pool.
#[derive(Default)]
pub struct BlockPool {
    free: Vec<Block>,
    shared: VecDeque<Block>,
}

impl BlockPool {
    /// A block with at least `room` bytes of room. Bytes already in it belong to others.
    pub fn take(&mut self, room: usize) -> Block {
        if room <= BLOCK_BYTES {
            while let Some(block) = self.free.pop() {
                if block.room() >= room {
                    return block;
                }
                self.set_aside(block);
            }
            // The oldest are most likely free. Look at a few, not at all.
            for _ in 0..self.shared.len().min(4) {
                let Some(mut block) = self.shared.pop_front() else { break };
                if !block.is_shared() {
                    block.reset();
                    return block;
                }
                self.shared.push_back(block);
            }
        }
        Block::new(room.max(BLOCK_BYTES))
    }

    /// Takes back a block in which nothing is left to parse.
    pub fn give_back(&mut self, mut block: Block) {
        if block.capacity() != BLOCK_BYTES {
            return;
        }
        if !block.is_shared() {
            block.reset();
        }
        if self.free.len() < 4 && block.room() >= BLOCK_BYTES / 2 {
            return self.free.push(block);
        }
        self.set_aside(block);
    }

    fn set_aside(&mut self, block: Block) {
        if self.shared.len() < KEPT {
            self.shared.push_back(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_not_written_again_while_a_chunk_of_it_lives() {
        let mut pool = BlockPool::default();
        let mut block = pool.take(BLOCK_BYTES);
        block.spare()[..4].copy_from_slice(b"body");
        block.advance(BLOCK_BYTES);
        let chunk = block.chunk(0, 4);
        pool.give_back(block);
        let mut other = pool.take(BLOCK_BYTES);
        other.spare().fill(b'x');
        assert_eq!(chunk.as_ref(), b"body");
        drop(chunk);
        assert_eq!(pool.take(BLOCK_BYTES).filled(), 0);
        assert!(pool.shared.is_empty(), "the block was reused once nobody held it");
    }

    #[test]
    fn a_large_head_gets_a_large_block_that_is_not_kept() {
        let mut pool = BlockPool::default();
        let block = pool.take(3 * BLOCK_BYTES);
        assert!(block.room() >= 3 * BLOCK_BYTES);
        pool.give_back(block);
        assert_eq!(pool.free.len() + pool.shared.len(), 0);
    }
}
