//! A rate limit: so many a second, evenly, with a burst of a tenth of a second.

use super::timers::Nanos;

const SECOND: Nanos = 1_000_000_000;
const BURST: Nanos = SECOND / 10;

/// The limiter (GCRA).
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    interval: Option<Nanos>,
    next: Nanos,
}

impl Rate {
    /// So many a second; 0 for none at all.
    pub fn new(per_second: u32) -> Rate {
        Rate { interval: SECOND.checked_div(per_second as Nanos), next: 0 }
    }

    /// Changes the rate; what has passed still counts.
    pub fn set(&mut self, per_second: u32) {
        *self = Rate { next: self.next, ..Rate::new(per_second) };
    }

    /// Whether one may pass now.
    pub fn take(&mut self, now: Nanos) -> bool {
        let Some(interval) = self.interval else { return false };
        let next = self.next.max(now);
        let is_free = next - now <= BURST;
        if is_free {
            self.next = next + interval;
        }
        is_free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_pass_as_the_rate_says_and_a_tenth_of_a_second_s_worth_at_once() {
        let mut rate = Rate::new(100);
        let passed = |rate: &mut Rate, now| (0..1_000).filter(|_| rate.take(now)).count();
        assert_eq!(passed(&mut rate, 5 * SECOND), 11);
        assert_eq!(passed(&mut rate, 5 * SECOND), 0);
        assert_eq!(passed(&mut rate, 5 * SECOND + SECOND / 100), 1);
        assert_eq!((0..1_000).map(|step| passed(&mut rate, 6 * SECOND + step * SECOND / 1_000)).sum::<usize>(), 11 + 99);
    }

    #[test]
    fn a_rate_of_one_lets_one_pass_and_one_of_none_nobody() {
        let (mut one, mut none) = (Rate::new(1), Rate::new(0));
        assert!(one.take(7) && !one.take(7) && !one.take(SECOND / 2) && one.take(SECOND));
        assert!(!none.take(7) && !none.take(9 * SECOND));
    }
}
