//! The memory that a shard's reactor and lane share, with its two rings.
//!
//! Each ring has its own owner, so that a decision can be borrowed while records for the lane are
//! written.

use super::layout::{
    KIND_WRAP, LANE_HEAD_WORD, LANE_RING_BYTE, LANE_RING_BYTES, LANE_TAIL_WORD, MEMORY_BYTES, REACTOR_HEAD_WORD, REACTOR_RING_BYTE,
    REACTOR_RING_BYTES, REACTOR_TAIL_WORD, WAITING_WORD,
};
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering::*};

/// The region. Reactor and lane use it in turn on one thread; the atomics only stop the compiler
/// from caching values.
struct Region {
    base: NonNull<u8>,
}

fn layout() -> Layout {
    Layout::from_size_align(MEMORY_BYTES, 4096).expect("a constant layout")
}

impl Default for Region {
    fn default() -> Self {
        // SAFETY: the layout has a non-zero size.
        let base = unsafe { alloc_zeroed(layout()) };
        Region { base: NonNull::new(base).unwrap_or_else(|| handle_alloc_error(layout())) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: allocated with the same layout.
        unsafe { dealloc(self.base.as_ptr(), layout()) };
    }
}

impl Region {
    fn cursor(&self, word: usize) -> &AtomicU32 {
        // SAFETY: inside the control block, aligned.
        unsafe { &*self.base.as_ptr().cast::<AtomicU32>().add(word) }
    }
}

/// Returns the two rings of a new region.
pub fn rings() -> (Ring, DecisionRing) {
    let region = Rc::new(Region::default());
    (Ring { region: region.clone(), last: 0 }, DecisionRing { region })
}

/// The ring to the lane.
pub struct Ring {
    region: Rc<Region>,
    /// Where the last record begins, counted like the cursors.
    last: u32,
}

impl Ring {
    /// Start of the region, for the lane's `ArrayBuffer`.
    pub fn region(&self) -> *mut u8 {
        self.region.base.as_ptr()
    }

    fn cursor(&self, word: usize) -> &AtomicU32 {
        self.region.cursor(word)
    }

    /// Whether the lane has records to read.
    pub fn has_for_lane(&self) -> bool {
        self.cursor(LANE_TAIL_WORD).load(Relaxed) != self.cursor(LANE_HEAD_WORD).load(Acquire)
    }

    /// Whether the lane says that exchanges wait for a place.
    pub fn is_waited_for(&self) -> bool {
        self.cursor(WAITING_WORD).load(Relaxed) != 0
    }

    /// Clears both rings for a successor's lane.
    pub fn reset(&mut self) {
        for word in [LANE_TAIL_WORD, LANE_HEAD_WORD, REACTOR_TAIL_WORD, REACTOR_HEAD_WORD, WAITING_WORD] {
            self.cursor(word).store(0, Release);
        }
    }

    /// Reserves `size` bytes for a record to the lane; none if there is no room. [`Ring::publish`]
    /// makes the record visible.
    pub fn reserve(&mut self, size: usize) -> Option<&mut [u8]> {
        debug_assert!(size.is_multiple_of(8));
        let mut tail = self.cursor(LANE_TAIL_WORD).load(Relaxed);
        let mut head = self.cursor(LANE_HEAD_WORD).load(Acquire);
        if tail == head {
            // The ring is empty: start at the front, where the cache is warm.
            (tail, head) = (0, 0);
            self.cursor(LANE_TAIL_WORD).store(0, Release);
            self.cursor(LANE_HEAD_WORD).store(0, Release);
        }
        let place = tail as usize & (LANE_RING_BYTES - 1);
        let to_end = LANE_RING_BYTES - place;
        let wrapped = if size > to_end { to_end } else { 0 };
        if tail.wrapping_sub(head) as usize + wrapped + size > LANE_RING_BYTES {
            return None;
        }
        if wrapped > 0 {
            let filler = self.lane_bytes(place, 8);
            filler[0..4].copy_from_slice(&(wrapped as u32).to_le_bytes());
            filler[4..8].copy_from_slice(&KIND_WRAP.to_le_bytes());
            tail = tail.wrapping_add(wrapped as u32);
            self.cursor(LANE_TAIL_WORD).store(tail, Release);
        }
        self.last = tail;
        Some(self.lane_bytes(tail as usize & (LANE_RING_BYTES - 1), size))
    }

    /// Where the last record to the lane begins, for [`Ring::unread`].
    pub fn last(&self) -> u32 {
        self.last
    }

    /// The record at `at`, if the lane has not read that far. Cursors are sometimes reset, so the
    /// caller must check that it is the record it means.
    pub fn unread(&mut self, at: u32) -> Option<&mut [u8]> {
        let left = self.cursor(LANE_TAIL_WORD).load(Relaxed).wrapping_sub(at);
        let ahead = at.wrapping_sub(self.cursor(LANE_HEAD_WORD).load(Acquire));
        let place = at as usize & (LANE_RING_BYTES - 1);
        if left == 0 || left as usize > LANE_RING_BYTES || ahead as usize >= LANE_RING_BYTES || !at.is_multiple_of(8) {
            return None;
        }
        let size = u32::from_le_bytes(self.lane_bytes(place, 4).try_into().expect("four bytes")) as usize;
        (size >= 8 && size <= left as usize && place + size <= LANE_RING_BYTES).then(|| self.lane_bytes(place, size))
    }

    /// Writes a whole record to the lane. Returns false if there is no room.
    pub fn write(&mut self, record: &[u8]) -> bool {
        let Some(room) = self.reserve(record.len()) else { return false };
        room.copy_from_slice(record);
        self.publish(record.len());
        true
    }

    /// Makes the reserved record visible.
    pub fn publish(&mut self, size: usize) {
        let tail = self.cursor(LANE_TAIL_WORD);
        tail.store(tail.load(Relaxed).wrapping_add(size as u32), Release);
    }

    fn lane_bytes(&mut self, place: usize, size: usize) -> &mut [u8] {
        debug_assert!(place + size <= LANE_RING_BYTES);
        // SAFETY: inside the region; the lane does not run while the reactor writes.
        unsafe { std::slice::from_raw_parts_mut(self.region.base.as_ptr().add(LANE_RING_BYTE + place), size) }
    }

    /// Takes the next record to the lane, for a lane in Rust and for what a dead lane left unread.
    /// Stops at a cursor that the lane corrupted.
    pub fn next_for_lane(&mut self) -> Option<Vec<u8>> {
        loop {
            let tail = self.cursor(LANE_TAIL_WORD).load(Acquire);
            let head = self.cursor(LANE_HEAD_WORD).load(Relaxed);
            if tail == head {
                return None;
            }
            let place = head as usize & (LANE_RING_BYTES - 1);
            if !place.is_multiple_of(8) {
                return None;
            }
            let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at * 4..at * 4 + 4].try_into().expect("four bytes"));
            let (size, kind) = {
                let head = self.lane_bytes(place, 8);
                (word(head, 0) as usize, word(head, 1))
            };
            if size < 8 || !size.is_multiple_of(8) || size > tail.wrapping_sub(head) as usize || place + size > LANE_RING_BYTES {
                return None;
            }
            let record = (kind != KIND_WRAP).then(|| self.lane_bytes(place, size).to_vec());
            self.cursor(LANE_HEAD_WORD).store(head.wrapping_add(size as u32), Release);
            if record.is_some() {
                return record;
            }
        }
    }
}

/// The ring to the reactor.
pub struct DecisionRing {
    region: Rc<Region>,
}

impl DecisionRing {
    /// The lane's next record, valid until the lane runs again. A record that does not fit the ring
    /// means a broken lane: reading stops, and the rest is skipped.
    pub fn next_record(&mut self) -> Option<&[u8]> {
        loop {
            let tail = self.region.cursor(REACTOR_TAIL_WORD).load(Acquire);
            let head = self.region.cursor(REACTOR_HEAD_WORD).load(Relaxed);
            let filled = tail.wrapping_sub(head) as usize;
            if filled == 0 {
                return None;
            }
            if filled > REACTOR_RING_BYTES || !filled.is_multiple_of(8) {
                return self.forget_decisions(tail);
            }
            let place = head as usize & (REACTOR_RING_BYTES - 1);
            // SAFETY: inside the region; the lane does not run while the reactor reads.
            let start = unsafe { self.region.base.as_ptr().add(REACTOR_RING_BYTE + place) };
            let word = |at: usize| unsafe { start.cast::<u32>().add(at).read() };
            let (size, kind) = (word(0) as usize, word(1));
            if size < 8 || size % 8 != 0 || size > filled || place + size > REACTOR_RING_BYTES {
                return self.forget_decisions(tail);
            }
            self.region.cursor(REACTOR_HEAD_WORD).store(head.wrapping_add(size as u32), Release);
            if kind != KIND_WRAP {
                // SAFETY: checked above to lie inside the ring.
                return Some(unsafe { std::slice::from_raw_parts(start, size) });
            }
        }
    }

    /// Skips everything a broken lane wrote. Both cursors end on a record boundary, which all
    /// reading relies on.
    fn forget_decisions(&self, tail: u32) -> Option<&[u8]> {
        let aligned = tail & !7;
        self.region.cursor(REACTOR_TAIL_WORD).store(aligned, Release);
        self.region.cursor(REACTOR_HEAD_WORD).store(aligned, Release);
        None
    }

    /// Writes a record as a lane would, for a lane in Rust. Returns false if the ring is full.
    pub fn write(&mut self, record: &[u8]) -> bool {
        debug_assert!(record.len().is_multiple_of(8));
        let tail = self.region.cursor(REACTOR_TAIL_WORD).load(Relaxed);
        let head = self.region.cursor(REACTOR_HEAD_WORD).load(Acquire);
        let place = tail as usize & (REACTOR_RING_BYTES - 1);
        let to_end = REACTOR_RING_BYTES - place;
        let wrapped = if record.len() > to_end { to_end } else { 0 };
        if tail.wrapping_sub(head) as usize + wrapped + record.len() > REACTOR_RING_BYTES {
            return false;
        }
        // SAFETY: inside the region, checked above.
        unsafe {
            let ring = self.region.base.as_ptr().add(REACTOR_RING_BYTE);
            if wrapped > 0 {
                ring.add(place).cast::<u32>().write(wrapped as u32);
                ring.add(place + 4).cast::<u32>().write(KIND_WRAP);
            }
            let at = (place + wrapped) & (REACTOR_RING_BYTES - 1);
            std::ptr::copy_nonoverlapping(record.as_ptr(), ring.add(at), record.len());
        }
        self.region.cursor(REACTOR_TAIL_WORD).store(tail.wrapping_add((wrapped + record.len()) as u32), Release);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_towards_the_lane_wrap_whole_and_in_order() {
        let (mut ring, _decisions) = rings();
        let mut read = 0u32;
        for written in 0..5_000u32 {
            let size = 8 * (2 + written as usize % 300);
            while ring.reserve(size).is_none() {
                let record = ring.next_for_lane().expect("a full ring has records");
                assert_eq!(u32::from_le_bytes(record[8..12].try_into().unwrap()), read);
                read += 1;
            }
            let bytes = ring.reserve(size).unwrap();
            bytes[0..4].copy_from_slice(&(size as u32).to_le_bytes());
            bytes[4..8].copy_from_slice(&9u32.to_le_bytes());
            bytes[8..12].copy_from_slice(&written.to_le_bytes());
            ring.publish(size);
        }
        while ring.next_for_lane().is_some() {
            read += 1;
        }
        assert_eq!(read, 5_000);
    }

    #[test]
    fn a_lane_that_writes_nonsense_loses_its_decisions_and_nothing_else() {
        let (_ring, mut decisions) = rings();
        let mut record = [0u8; 16];
        record[0..4].copy_from_slice(&4096u32.to_le_bytes());
        record[4..8].copy_from_slice(&16u32.to_le_bytes());
        assert!(decisions.write(&record));
        assert!(decisions.next_record().is_none());
        record[0..4].copy_from_slice(&16u32.to_le_bytes());
        assert!(decisions.write(&record));
        assert_eq!(decisions.next_record().map(<[u8]>::len), Some(16));
    }

    #[test]
    fn a_lane_that_breaks_its_cursor_is_understood_afterwards() {
        let (_ring, mut decisions) = rings();
        let mut record = [0u8; 16];
        record[0..4].copy_from_slice(&16u32.to_le_bytes());
        record[4..8].copy_from_slice(&16u32.to_le_bytes());
        for tail in [3, 5, REACTOR_RING_BYTES as u32 - 3, REACTOR_RING_BYTES as u32 + 8, u32::MAX, u32::MAX - 7] {
            decisions.region.cursor(REACTOR_TAIL_WORD).store(tail, Release);
            while decisions.next_record().is_some() {}
            assert!(decisions.write(&record));
            assert_eq!(decisions.next_record().map(<[u8]>::len), Some(16), "after {tail}");
        }
    }
}
