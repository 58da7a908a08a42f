//! Which request streams of a connection have begun.
//!
//! A client opens its streams in order, but their packets arrive in any: a lost or late datagram
//! makes a stream begin after its successors. So the streams that were passed over are remembered
//! until they begin. A stream that is neither new nor remembered has ended. One whose first byte is
//! missing shows in the number that the client has opened, also where no later one has begun.

use crate::base::timers::{NEVER, Nanos};

/// Numbers of bidirectional streams that clients open are multiples of this (RFC 9000 §2.1).
const STEP: u64 = 4;

/// A stream that was passed over, and when; [`NEVER`] once nobody waits for it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gap {
    stream: u64,
    since: Nanos,
}

/// The request streams of a connection. Gaps are at most as many as streams may be open at once,
/// and nearly always none.
#[derive(Debug, Default)]
pub struct Requests {
    next: u64,
    gaps: Vec<Gap>,
}

impl Requests {
    /// The first stream that nothing is known of.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Whether streams are missing below others that have begun, and may still come.
    pub fn has_gaps(&self) -> bool {
        self.gaps.iter().any(|gap| gap.since != NEVER)
    }

    /// A stream has something to say. False when it has begun before, so that its exchange is over.
    pub fn begin(&mut self, stream: u64, now: Nanos) -> bool {
        if stream < self.next {
            let Some(place) = self.gaps.iter().position(|gap| gap.stream == stream) else { return false };
            self.gaps.swap_remove(place);
            return true;
        }
        self.pass_over(stream / STEP, now);
        self.next = stream + STEP;
        true
    }

    /// So many streams have been opened: those that have not begun are waited for.
    pub fn pass_over(&mut self, opened: u64, now: Nanos) {
        let first_unopened = opened * STEP;
        if self.next < first_unopened {
            self.gaps.extend((self.next..first_unopened).step_by(STEP as usize).map(|stream| Gap { stream, since: now }));
            self.next = first_unopened;
        }
    }

    /// Stops waiting for streams that have been missing since before a time. Those of which later
    /// bytes have come are refused: they hold memory and will not begin. Of the others nothing has
    /// come, and they may begin yet.
    pub fn give_up(&mut self, before: Nanos, mut refuse: impl FnMut(u64) -> bool) {
        for gap in self.gaps.iter_mut().filter(|gap| gap.since <= before) {
            gap.since = NEVER;
        }
        self.gaps.retain(|gap| gap.since != NEVER || !refuse(gap.stream));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_stream_begins_once_in_whatever_order(order in Just((0..60u64).map(|n| n * STEP).collect::<Vec<_>>()).prop_shuffle()) {
            let mut requests = Requests::default();
            for (place, stream) in order.iter().enumerate() {
                prop_assert!(requests.begin(*stream, 0));
                for seen in &order[..=place] {
                    prop_assert!(!requests.begin(*seen, 0));
                }
            }
            prop_assert!(!requests.has_gaps());
            prop_assert_eq!(requests.next(), 60 * STEP);
        }
    }

    #[test]
    fn a_stream_that_was_opened_and_has_not_begun_is_missing_though_none_comes_after_it() {
        let mut requests = Requests::default();
        requests.begin(0, 1);
        requests.pass_over(1, 2);
        assert!(!requests.has_gaps(), "what was opened has begun");
        requests.pass_over(2, 3);
        assert!(requests.has_gaps());
        requests.pass_over(2, 9);
        requests.give_up(3, |stream| stream == 4);
        assert!(!requests.has_gaps() && !requests.begin(4, 10), "missing since it was first seen");
        assert!(requests.begin(8, 10));
    }

    #[test]
    fn what_is_missing_for_too_long_is_refused_where_it_holds_something() {
        let mut requests = Requests::default();
        requests.begin(8, 5);
        requests.begin(16, 9);
        requests.give_up(5, |stream| stream == 4);
        assert!(requests.has_gaps(), "12 may still come");
        assert!(!requests.begin(4, 10) && requests.begin(12, 10));
        assert!(!requests.has_gaps(), "nobody waits for 0");
        assert!(requests.begin(0, 10), "but it may begin");
    }
}
