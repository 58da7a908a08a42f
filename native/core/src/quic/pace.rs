//! Whether a path needs pacing: spreading packets costs wake-ups, and nobody gains from it where no
//! queue is spared.

use crate::base::timers::Nanos;

/// So much above the least round trip, and a quarter of it, is a queue; less is what schedulers do.
const QUEUE: Nanos = 5_000_000;

/// After a queue or a loss was seen, packets are paced for so long: a few rounds of any path.
const LASTING: Nanos = 2_000_000_000;

/// What a path has shown of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    lost: usize,
    until: Nanos,
}

impl Pace {
    /// Looks at a path's smoothed and least round trip, and the packets it has lost so far.
    pub fn look(&mut self, now: Nanos, rtt: Nanos, least: Nanos, lost: usize) {
        // Fewer lost than before: another path.
        let has_lost = lost > self.lost;
        self.lost = lost;
        if has_lost || rtt > least + (least / 4).max(QUEUE) {
            self.until = now + LASTING;
        }
    }

    /// Whether packets wait for their release time.
    pub fn is_due(&self, now: Nanos) -> bool {
        now < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = 1_000_000;

    #[test]
    fn a_path_without_queue_and_loss_is_not_paced() {
        let mut pace = Pace::default();
        for (rtt, least) in [(50_000, 50_000), (4 * MS, 50_000), (60 * MS, 50 * MS), (240 * MS, 200 * MS)] {
            pace.look(10 * MS, rtt, least, 0);
            assert!(!pace.is_due(10 * MS), "{rtt} over {least}");
        }
    }

    #[test]
    fn a_queue_is_paced_until_it_has_been_gone_for_a_while() {
        for (rtt, least) in [(6 * MS, 50_000), (64 * MS, 50 * MS), (260 * MS, 200 * MS)] {
            let mut pace = Pace::default();
            pace.look(10 * MS, rtt, least, 0);
            assert!(pace.is_due(10 * MS), "{rtt} over {least}");
            pace.look(1_000 * MS, least, least, 0);
            assert!(pace.is_due(1_000 * MS));
            assert!(!pace.is_due(10 * MS + LASTING));
        }
    }

    #[test]
    fn a_loss_is_paced_once_for_each_time_that_more_was_lost_and_another_path_begins_anew() {
        let mut pace = Pace::default();
        pace.look(0, MS, MS, 3);
        assert!(pace.is_due(LASTING - 1));
        pace.look(LASTING, MS, MS, 3);
        assert!(!pace.is_due(LASTING));
        pace.look(LASTING, MS, MS, 4);
        assert!(pace.is_due(LASTING));
        pace.look(3 * LASTING, MS, MS, 0);
        assert!(!pace.is_due(3 * LASTING));
        pace.look(3 * LASTING, MS, MS, 1);
        assert!(pace.is_due(3 * LASTING));
    }
}
