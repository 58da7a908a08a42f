//! Bytes held for peers: one budget for the process, and each reactor's share of it.
//!
//! The budget counts what was granted, not only what was received: an open window may be filled at
//! any time. Holders enter changes in the reactor's account, in plain numbers, and
//! [`Account::report`] adds the difference to the process's sum once a turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A small window: streams begin with it and keep it while memory is short.
pub const SMALL_WINDOW: u32 = 64 * 1024;

/// First window of a connection or session as a whole.
pub const SMALL_SHARED_WINDOW: u32 = 16 * SMALL_WINDOW;

/// How much of the budget is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// Less than half.
    #[default]
    None,
    /// Half or more: windows do not grow.
    High,
    /// All: the slowest exchanges are ended and no new ones begin.
    Full,
}

/// The process's sum and limit.
#[derive(Debug)]
pub struct Budget {
    held: AtomicU64,
    limit: AtomicU64,
    reactors: AtomicU64,
}

impl Default for Budget {
    /// Without a limit.
    fn default() -> Budget {
        Budget::new(u64::MAX)
    }
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: u64) -> Budget {
        Budget { held: AtomicU64::new(0), limit: AtomicU64::new(limit.max(1)), reactors: AtomicU64::new(0) }
    }

    /// Changes the limit, from the next turns on.
    pub fn set_limit(&self, limit: u64) {
        self.limit.store(limit.max(1), Relaxed);
    }

    /// How much of it is held.
    pub fn pressure(&self) -> Pressure {
        let limit = self.limit.load(Relaxed);
        match self.held() {
            held if held >= limit => Pressure::Full,
            held if held >= limit.div_ceil(2) => Pressure::High,
            _ => Pressure::None,
        }
    }

    /// Bytes held by all reactors, as of their last turns.
    pub fn held(&self) -> u64 {
        self.held.load(Relaxed)
    }
}

/// On whose behalf bytes are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Side {
    /// Clients: request bodies received or granted, response bytes not acknowledged.
    Downstream,
    /// Backends: response bytes received and not sent on, or granted.
    Upstream,
}

/// What one holder has in an account. It must be back at 0 before it is dropped.
#[derive(Debug, Default)]
pub struct Entry(u64);

impl Entry {
    /// Bytes entered.
    pub fn bytes(&self) -> u64 {
        self.0
    }
}

/// A reactor's share.
#[derive(Debug)]
pub struct Account {
    budget: Arc<Budget>,
    entered: [u64; 2],
    reported: u64,
}

impl Account {
    /// An empty share.
    pub fn new(budget: Arc<Budget>) -> Account {
        budget.reactors.fetch_add(1, Relaxed);
        Account { budget, entered: [0; 2], reported: 0 }
    }

    /// An empty share of the same budget. What this one reported goes when it is dropped.
    pub fn fresh(&self) -> Account {
        Account::new(self.budget.clone())
    }

    /// Sets the bytes of a holder.
    pub fn enter(&mut self, side: Side, entry: &mut Entry, bytes: u64) {
        let sum = &mut self.entered[side as usize];
        debug_assert!(*sum >= entry.0);
        *sum = *sum + bytes - entry.0;
        entry.0 = bytes;
    }

    /// Bytes entered for a side.
    pub fn of(&self, side: Side) -> u64 {
        self.entered[side as usize]
    }

    /// How much of the process's budget is held.
    pub fn pressure(&self) -> Pressure {
        self.budget.pressure()
    }

    /// Bytes that this reactor has to free: its share of the excess, in proportion to what it
    /// holds. A reactor that holds less than the average leaves less than a window to the others,
    /// so that not every reactor ends an exchange for the last byte.
    pub fn excess(&self) -> u64 {
        let Budget { held, limit, reactors } = &*self.budget;
        let (held, limit, reactors) = (held.load(Relaxed), limit.load(Relaxed), reactors.load(Relaxed));
        if held < limit {
            return 0;
        }
        // The aim is a byte below the limit: at the limit no new exchange begins.
        let part = u128::from(held - limit + 1) * u128::from(self.reported);
        let part = part.div_ceil(u128::from(held)) as u64;
        let is_light = u128::from(self.reported) * u128::from(reactors) < u128::from(held);
        if is_light && part < u64::from(SMALL_WINDOW) { 0 } else { part }
    }

    /// Reports to the process what the reactor holds.
    pub fn report(&mut self) {
        let held = self.entered[0] + self.entered[1];
        // One locked instruction a turn, and none without a change. The sum wraps, so a negative
        // difference works.
        if held != self.reported {
            self.budget.held.fetch_add(held.wrapping_sub(self.reported), Relaxed);
            self.reported = held;
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.reported, Relaxed);
        self.budget.reactors.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_sum_is_what_all_holders_have_and_nothing_once_they_are_gone(
            steps in prop::collection::vec((0..3usize, 0..5usize, any::<bool>(), 0..1u64 << 40, any::<bool>()), 0..200),
        ) {
            let budget = Arc::new(Budget::new(u64::MAX));
            let mut accounts: Vec<Account> = (0..3).map(|_| Account::new(budget.clone())).collect();
            let mut entries: Vec<[Entry; 10]> = (0..3).map(|_| Default::default()).collect();
            let side = |place: usize| if place < 5 { Side::Downstream } else { Side::Upstream };
            for (shard, holder, is_upstream, bytes, is_reported) in steps {
                let place = holder + 5 * usize::from(is_upstream);
                accounts[shard].enter(side(place), &mut entries[shard][place], bytes);
                if is_reported {
                    accounts[shard].report();
                }
                let sum = |places: std::ops::Range<usize>| entries[shard][places].iter().map(Entry::bytes).sum::<u64>();
                prop_assert_eq!((accounts[shard].of(Side::Downstream), accounts[shard].of(Side::Upstream)), (sum(0..5), sum(5..10)));
            }
            accounts.iter_mut().for_each(Account::report);
            prop_assert_eq!(budget.held(), entries.iter().flatten().map(Entry::bytes).sum::<u64>());
            // One reactor ends with all it holds, the others empty theirs.
            accounts.remove(0);
            entries.remove(0);
            for (account, entries) in accounts.iter_mut().zip(&mut entries) {
                for (place, entry) in entries.iter_mut().enumerate() {
                    account.enter(side(place), entry, 0);
                }
                account.report();
            }
            prop_assert_eq!(budget.held(), 0);
        }

        #[test]
        fn the_parts_that_reactors_let_go_are_what_is_too_much(limit in 1u64..1 << 40, held in prop::collection::vec(0u64..1 << 40, 1..8)) {
            let budget = Arc::new(Budget::new(limit));
            let mut accounts: Vec<Account> = held.iter().map(|_| Account::new(budget.clone())).collect();
            for (account, bytes) in accounts.iter_mut().zip(&held) {
                account.enter(Side::Upstream, &mut Entry::default(), *bytes);
                account.report();
            }
            let sum: u64 = held.iter().sum();
            let parts: Vec<u64> = accounts.iter().map(Account::excess).collect();
            prop_assert!(parts.iter().zip(&held).all(|(part, held)| part <= held));
            let (wanted, given) = ((sum + 1).saturating_sub(limit), parts.iter().sum::<u64>());
            let (reactors, window) = (held.len() as u64, u64::from(SMALL_WINDOW));
            prop_assert_eq!(given > 0, wanted > 0);
            prop_assert!(given <= wanted + reactors && given + reactors * window >= wanted, "{} for {}", given, wanted);
            let pressure = if sum >= limit { Pressure::Full } else if 2 * sum >= limit { Pressure::High } else { Pressure::None };
            prop_assert_eq!(budget.pressure(), pressure);
        }
    }
}
