//! One shard's share in the connections to an `http://` backend, of which all shards together may
//! have so many: each carries one exchange, so a connection that one shard keeps is one that others
//! lack.
//!
//! Shards know of each other by four words of the backend's slot: connections, attempts that wait,
//! shards that have either, and connections that shards lack of their part, which is the limit
//! divided by the shards. Nobody takes what another lacks. A shard with more than its part closes
//! connections for the others as they become idle; one that was idle for long is closed for any
//! attempt that waits. A shard with waiting attempts asks the others for that, and looks again
//! every few milliseconds.

use crate::base::table::BackendTable;
use crate::base::timers::Nanos;

/// How often attempts look whether another shard's connection has become free.
pub const LOOK_NANOS: Nanos = 10_000_000;

/// How long a connection given up for others below this shard's part is left to them: until they
/// have looked.
const LEAVE_NANOS: Nanos = 2 * LOOK_NANOS;

/// The share, and what the other shards were told of it. `own` is this shard's number of
/// connections.
pub struct Share {
    table: BackendTable,
    slot: u32,
    /// Connections of all shards together.
    pub limit: u32,
    waiting: u32,
    lacking: u32,
    is_using: bool,
    /// When others are asked for connections again.
    asks_at: Nanos,
    /// Until when a connection that was given up is left to others.
    leaves_until: Nanos,
}

impl Share {
    /// A share of nothing so far.
    pub fn new(table: BackendTable, slot: u32, limit: u32) -> Share {
        Share { table, slot, limit, waiting: 0, lacking: 0, is_using: false, asks_at: 0, leaves_until: 0 }
    }

    /// Counts a new connection, if there may be one more.
    pub fn take(&self) -> bool {
        self.table.take_connection(self.slot, self.limit)
    }

    /// A connection has ended.
    pub fn give(&self) {
        self.table.give_connection(self.slot);
    }

    /// Connections that this shard may have whatever others want.
    pub fn part(&self) -> u32 {
        self.limit / self.table.shards(self.slot).max(1)
    }

    /// Connections that no shard has.
    pub fn free(&self) -> u32 {
        self.limit.saturating_sub(self.table.connections(self.slot))
    }

    /// Whether other shards have connections.
    pub fn others_connected(&self, own: u32) -> bool {
        self.table.connections(self.slot) > own
    }

    /// Attempts that wait on other shards.
    pub fn others_waiting(&self) -> u32 {
        self.table.waiting(self.slot).saturating_sub(self.waiting)
    }

    fn others_lacking(&self) -> u32 {
        self.table.lacking(self.slot).saturating_sub(self.lacking)
    }

    /// Whether another connection may be opened.
    pub fn may_connect(&self, own: u32, now: Nanos) -> bool {
        let (free, lacking) = (self.free(), self.others_lacking());
        let is_due = own < self.part().max(1) && (lacking == 0 || now >= self.leaves_until);
        free > lacking || free > 0 && is_due
    }

    /// Connections that this shard should close, as soon as they are idle, for others below their
    /// part.
    pub fn owed(&self, own: u32) -> u32 {
        let lacking = self.others_lacking();
        if lacking == 0 {
            return 0;
        }
        lacking.saturating_sub(self.free()).min(own.saturating_sub(self.part()))
    }

    /// Leaves a connection that was given up to others for a while.
    pub fn leave(&mut self, now: Nanos) {
        self.leaves_until = now + LEAVE_NANOS;
    }

    /// Whether others are to be asked for connections now.
    pub fn is_time_to_ask(&mut self, now: Nanos) -> bool {
        let is_due = now >= self.asks_at;
        if is_due {
            self.asks_at = now + LOOK_NANOS;
        }
        is_due
    }

    /// Tells the other shards how things are here: attempts that wait with no connection on its way
    /// to them, and whether there is any attempt or connection.
    pub fn publish(&mut self, waiting: u32, own: u32, is_using: bool) {
        if is_using != self.is_using {
            self.table.add_shards(self.slot, if is_using { 1 } else { -1 });
            self.is_using = is_using;
        }
        let lacking = match waiting {
            0 => 0,
            _ => waiting.min(self.part().max(1).saturating_sub(own)),
        };
        if waiting != self.waiting {
            self.table.add_waiting(self.slot, waiting as i32 - self.waiting as i32);
            self.waiting = waiting;
        }
        if lacking != self.lacking {
            self.table.add_lacking(self.slot, lacking as i32 - self.lacking as i32);
            self.lacking = lacking;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    /// Two shards' shares in four connections. The words live as long as the test process.
    fn shares() -> (Share, Share) {
        let words: &'static [AtomicU64; 8] = Box::leak(Box::default());
        // SAFETY: the words are never freed.
        let table = unsafe { BackendTable::new(words.as_ptr().cast(), size_of_val(words)) };
        (Share::new(table, 0, 4), Share::new(table, 0, 4))
    }

    #[test]
    fn a_shard_beyond_its_part_owes_what_another_lacks() {
        let (mut one, mut other) = shares();
        assert!((0..4).all(|_| one.take()) && !one.take());
        one.publish(0, 4, true);
        assert_eq!((one.part(), one.owed(4)), (4, 0), "alone it may have all");
        other.publish(3, 0, true);
        assert_eq!((one.part(), one.owed(4), one.others_waiting()), (2, 2, 3));
        assert!(!other.may_connect(0, 0), "none is free");
        one.give();
        one.leave(0);
        assert!(other.may_connect(0, 0) && !one.may_connect(3, 0), "the free one is for whoever lacks it");
        assert!(!one.may_connect(1, LOOK_NANOS) && one.may_connect(1, LEAVE_NANOS), "below its part it waits for others to look");
    }

    #[test]
    fn others_are_asked_for_connections_once_in_a_while() {
        let (mut one, _) = shares();
        assert!(one.is_time_to_ask(0) && !one.is_time_to_ask(LOOK_NANOS - 1) && one.is_time_to_ask(LOOK_NANOS));
    }
}
