//! A bound on frames that cost work and carry nothing.

use crate::base::timers::Nanos;

/// Such work that a session may cause in one second.
const BUDGET: u32 = 4_000;
const WINDOW_NANOS: Nanos = 1_000_000_000;

/// Counts such work within the current second.
#[derive(Default)]
pub struct Guard {
    since: Nanos,
    spent: u32,
}

impl Guard {
    /// Counts work of some weight; false when the budget is spent.
    #[must_use]
    pub fn spend(&mut self, weight: u32, now: Nanos) -> bool {
        if now.saturating_sub(self.since) >= WINDOW_NANOS {
            self.since = now;
            self.spent = 0;
        }
        self.spent += weight;
        self.spent <= BUDGET
    }
}

/// Weight of SETTINGS: it costs an answer and may change every stream.
pub const SETTINGS_WEIGHT: u32 = 20;
/// Weight of a PING: it costs an answer.
pub const PING_WEIGHT: u32 = 4;
/// Weight of RST_STREAM and GOAWAY.
pub const RESET_WEIGHT: u32 = 2;
/// Weight of an empty, stray or unknown frame.
pub const EMPTY_WEIGHT: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_noticed_within_a_second_and_a_trickle_never() {
        let mut guard = Guard::default();
        assert!((0..10_000).any(|_| !guard.spend(PING_WEIGHT, 5)));
        let mut guard = Guard::default();
        assert!((0..10_000u64).all(|n| guard.spend(PING_WEIGHT, n * 10_000_000)));
    }
}
