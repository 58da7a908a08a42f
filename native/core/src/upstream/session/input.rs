//! The read block of a session: borrowed to read, given back once everything in it is parsed.

use crate::base::chunk::Block;
use crate::upstream::blocks::BlockPool;

/// A block with less room is replaced before the next read.
const MIN_READ_BYTES: usize = 8 * 1024;

/// Room in a fresh block beside what is carried over: a whole frame fits in any case.
const FRESH_ROOM_BYTES: usize = 32 * 1024;

/// The block, and how far it is parsed.
#[derive(Default)]
pub struct Input {
    block: Option<Block>,
    parsed: usize,
}

impl Input {
    /// Position of the first byte that is not parsed.
    pub fn parsed(&self) -> usize {
        self.parsed
    }

    /// Bytes up to this position are parsed.
    pub fn parse_to(&mut self, at: usize) {
        self.parsed = at;
    }

    /// The block to read into next, with unparsed bytes at its end. Give it back by [`Input::put`].
    pub fn take(&mut self, blocks: &mut BlockPool) -> Block {
        let old = match self.block.take() {
            Some(block) if block.room() >= MIN_READ_BYTES => return block,
            old => old,
        };
        let left = old.as_ref().map_or(0, |block| block.filled() - self.parsed);
        let mut block = blocks.take(left + FRESH_ROOM_BYTES);
        let start = block.filled();
        if let Some(old) = old {
            block.spare()[..left].copy_from_slice(old.bytes(self.parsed, old.filled()));
            block.advance(left);
            blocks.give_back(old);
        }
        self.parsed = start;
        block
    }

    /// Keeps the block that [`Input::take`] lent.
    pub fn put(&mut self, block: Block) {
        self.block = Some(block);
    }

    /// Returns the block to the pool if everything in it is parsed.
    pub fn give_back_parsed(&mut self, blocks: &mut BlockPool) {
        if self.block.as_ref().is_some_and(|block| block.filled() == self.parsed) {
            self.give_back(blocks);
        }
    }

    /// Returns the block to the pool, whatever it holds.
    pub fn give_back(&mut self, blocks: &mut BlockPool) {
        if let Some(block) = self.block.take() {
            blocks.give_back(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unparsed_bytes_move_to_the_next_block_and_parsed_ones_stay_behind() {
        let mut blocks = BlockPool::default();
        let mut input = Input::default();
        let mut block = input.take(&mut blocks);
        let filled = block.room() - 1;
        block.advance(filled);
        block.spare()[0] = b'x';
        block.advance(1);
        let parsed = block.filled() - 1;
        input.put(block);
        input.parse_to(parsed);
        let block = input.take(&mut blocks);
        assert_eq!(block.bytes(input.parsed(), block.filled()), b"x");
        assert!(block.room() >= FRESH_ROOM_BYTES);
    }
}
