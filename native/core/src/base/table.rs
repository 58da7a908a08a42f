//! Slots that all shards share, one for each backend, in the layout of `src/base/tables.ts`. Lanes
//! write the rest of a slot.

use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

/// Bytes of a slot.
const SLOT_BYTES: usize = 64;

/// Words of a slot that reactors write.
#[derive(Clone, Copy)]
enum Word {
    /// Attempts in flight.
    InFlight = 0,
    /// Connections to an `http://` backend.
    Connections = 6,
    /// Attempts that wait for a connection.
    Waiting = 7,
    /// Shards that have connections or attempts that wait.
    Shards = 8,
    /// Connections that shards lack of their share.
    Lacking = 9,
}

/// Backends' shared slots.
#[derive(Clone, Copy)]
pub struct BackendTable {
    base: *const u8,
    slots: usize,
}

impl BackendTable {
    /// A table over shared memory that outlives the reactor.
    ///
    /// # Safety
    /// `base` must be valid for `bytes` bytes as long as the reactor lives, and aligned to 4.
    pub unsafe fn new(base: *const u8, bytes: usize) -> BackendTable {
        BackendTable { base, slots: bytes / SLOT_BYTES }
    }

    /// Counts attempts in flight.
    pub fn add_in_flight(&self, slot: u32, by: i32) {
        self.add(slot, Word::InFlight, by);
    }

    /// Counts another connection, if all shards together have fewer than `limit`.
    pub fn take_connection(&self, slot: u32, limit: u32) -> bool {
        let Some(word) = self.word(slot, Word::Connections) else { return true };
        word.fetch_update(Relaxed, Relaxed, |count| (count < limit as i32).then_some(count + 1)).is_ok()
    }

    /// A connection has ended.
    pub fn give_connection(&self, slot: u32) {
        self.add(slot, Word::Connections, -1);
    }

    /// Connections of all shards.
    pub fn connections(&self, slot: u32) -> u32 {
        self.get(slot, Word::Connections)
    }

    /// Counts attempts that wait.
    pub fn add_waiting(&self, slot: u32, by: i32) {
        self.add(slot, Word::Waiting, by);
    }

    /// Attempts of all shards that wait.
    pub fn waiting(&self, slot: u32) -> u32 {
        self.get(slot, Word::Waiting)
    }

    /// Counts connections that a shard lacks of its share.
    pub fn add_lacking(&self, slot: u32, by: i32) {
        self.add(slot, Word::Lacking, by);
    }

    /// Connections that all shards lack.
    pub fn lacking(&self, slot: u32) -> u32 {
        self.get(slot, Word::Lacking)
    }

    /// Counts shards that use the backend.
    pub fn add_shards(&self, slot: u32, by: i32) {
        self.add(slot, Word::Shards, by);
    }

    /// Shards that use the backend.
    pub fn shards(&self, slot: u32) -> u32 {
        self.get(slot, Word::Shards)
    }

    fn add(&self, slot: u32, word: Word, by: i32) {
        if let Some(word) = self.word(slot, word) {
            let before = word.fetch_add(by, Relaxed);
            debug_assert!(before + by >= 0, "given back what was not taken");
        }
    }

    fn get(&self, slot: u32, word: Word) -> u32 {
        self.word(slot, word).map_or(0, |word| word.load(Relaxed).max(0) as u32)
    }

    fn word(&self, slot: u32, word: Word) -> Option<&AtomicI32> {
        let at = slot as usize * SLOT_BYTES + word as usize * 4;
        // SAFETY: inside the table, aligned; shared with other threads, hence atomic.
        ((slot as usize) < self.slots).then(|| unsafe { &*self.base.add(at).cast::<AtomicI32>() })
    }
}
