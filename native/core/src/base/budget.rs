//! Bytes held for peers: one budget for the process, and each reactor's part of it.
//!
//! Counted is what was granted, not only what came: a window that is open may be filled at any time. A reactor enters what its holders have as it changes, in plain numbers, and
//! [`Account::settle`] adds the difference to the process's sum once a turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The process's sum.
#[derive(Debug, Default)]
pub struct Budget {
    held: AtomicU64,
}

impl Budget {
    /// Bytes held by all reactors, as of their last turns.
    pub fn held(&self) -> u64 {
        self.held.load(Relaxed)
    }
}

/// For whose sake bytes are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Side {
    /// Clients: bodies of requests that came or may come, response bytes that they have not acknowledged.
    Downstream,
    /// Backends: response bytes that came and no client's stream has taken, or that may come.
    Upstream,
}

/// What one holder has in an account. It must be brought back to 0 there before it is dropped.
#[derive(Debug, Default)]
pub struct Entry(u64);

impl Entry {
    /// Bytes entered.
    pub fn bytes(&self) -> u64 {
        self.0
    }
}

/// A reactor's part.
#[derive(Debug)]
pub struct Account {
    budget: Arc<Budget>,
    entered: [u64; 2],
    told: u64,
}

impl Account {
    /// An empty part.
    pub fn new(budget: Arc<Budget>) -> Account {
        Account { budget, entered: [0; 2], told: 0 }
    }

    /// An empty part of the same budget; what this one told it goes when this one does.
    pub fn renewed(&self) -> Account {
        Account::new(self.budget.clone())
    }

    /// A holder has so many bytes now.
    pub fn enter(&mut self, side: Side, entry: &mut Entry, bytes: u64) {
        let sum = &mut self.entered[side as usize];
        debug_assert!(*sum >= entry.0);
        *sum = *sum + bytes - entry.0;
        entry.0 = bytes;
    }

    /// What is entered for a side.
    pub fn of(&self, side: Side) -> u64 {
        self.entered[side as usize]
    }

    /// Tells the process what the reactor holds.
    pub fn settle(&mut self) {
        let held = self.entered[0] + self.entered[1];
        // One locked instruction a turn, and none where nothing changed. The sum wraps to what it would be without the sign.
        if held != self.told {
            self.budget.held.fetch_add(held.wrapping_sub(self.told), Relaxed);
            self.told = held;
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.told, Relaxed);
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
            let budget = Arc::new(Budget::default());
            let mut accounts: Vec<Account> = (0..3).map(|_| Account::new(budget.clone())).collect();
            let mut entries: Vec<[Entry; 10]> = (0..3).map(|_| Default::default()).collect();
            let side = |place: usize| if place < 5 { Side::Downstream } else { Side::Upstream };
            for (shard, holder, is_upstream, bytes, is_settled) in steps {
                let place = holder + 5 * usize::from(is_upstream);
                accounts[shard].enter(side(place), &mut entries[shard][place], bytes);
                if is_settled {
                    accounts[shard].settle();
                }
                let sum = |places: std::ops::Range<usize>| entries[shard][places].iter().map(Entry::bytes).sum::<u64>();
                prop_assert_eq!((accounts[shard].of(Side::Downstream), accounts[shard].of(Side::Upstream)), (sum(0..5), sum(5..10)));
            }
            accounts.iter_mut().for_each(Account::settle);
            prop_assert_eq!(budget.held(), entries.iter().flatten().map(Entry::bytes).sum::<u64>());
            // One reactor ends with all it holds, the others empty theirs.
            accounts.remove(0);
            entries.remove(0);
            for (account, entries) in accounts.iter_mut().zip(&mut entries) {
                for (place, entry) in entries.iter_mut().enumerate() {
                    account.enter(side(place), entry, 0);
                }
                account.settle();
            }
            prop_assert_eq!(budget.held(), 0);
        }
    }
}
