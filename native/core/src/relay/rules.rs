//! What the configuration says to the relay.

use crate::base::timers::Nanos;
use crate::exchange::floor::Floor;
use crate::http::normal;
use crate::http::reserved::Reserved;
use crate::http::section::FieldLimits;
use crate::plan::Plan;
use std::rc::Rc;

/// Limits of a listener that the relay obeys.
#[derive(Clone, Copy, Debug)]
pub struct ListenerLimits {
    /// Of request heads and trailers.
    pub fields: FieldLimits,
    /// How heads are made canonical; none where they pass as they came.
    pub normal: Option<normal::Rules>,
    /// Time for a request head to arrive.
    pub decode_timeout: Nanos,
    /// What clients have to take and send; none for no such limit.
    pub floor: Option<Floor>,
}

/// Who is told what client certificates say, beside backends. Nobody, unless the configuration
/// asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Telling {
    /// The lane, with each head.
    pub is_lane_told: bool,
    /// The access log, with each completion.
    pub is_logged: bool,
}

/// What the relay obeys.
pub struct Rules {
    /// Limits by listener.
    pub limits: Vec<ListenerLimits>,
    /// Compiled plans by number, of the snapshots that decide.
    pub plans: Vec<Rc<Plan>>,
    /// Who is told of client certificates.
    pub telling: Telling,
    /// Fields that no client may send.
    pub reserved: Reserved,
    /// Exchanges that may be open at once.
    pub max_exchanges: usize,
    /// New requests are rejected.
    pub is_draining: bool,
}

impl Rules {
    /// Without plans, which come with a worker, and without limits, which come with listeners.
    pub fn new(max_exchanges: usize) -> Rules {
        let (telling, reserved) = (Telling::default(), Reserved::default());
        Rules { limits: Vec::new(), plans: Vec::new(), telling, reserved, max_exchanges, is_draining: false }
    }

    /// What outlasts a worker; the rest comes with its successor.
    pub(super) fn start_over(&mut self) {
        let (limits, is_draining) = (std::mem::take(&mut self.limits), self.is_draining);
        *self = Rules { limits, is_draining, ..Rules::new(self.max_exchanges) };
    }

    /// Limits of a listener from now on, also for what is under way.
    pub fn set_limits(&mut self, listener: usize, limits: ListenerLimits) {
        if self.limits.len() <= listener {
            self.limits.resize(listener + 1, limits);
        }
        self.limits[listener] = limits;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(decode_timeout: Nanos) -> ListenerLimits {
        let fields = FieldLimits { max_size: 1, max_count: 1, max_crumbs: 1 };
        ListenerLimits { fields, normal: None, decode_timeout, floor: None }
    }

    #[test]
    fn limits_and_draining_outlast_a_worker_and_plans_come_with_the_next() {
        let mut rules = Rules::new(7);
        rules.set_limits(2, limits(2));
        rules.set_limits(0, limits(1));
        rules.is_draining = true;
        rules.plans.push(Rc::default());
        rules.telling = Telling { is_lane_told: true, is_logged: true };
        rules.start_over();
        assert!(rules.is_draining && rules.plans.is_empty() && !rules.telling.is_lane_told && !rules.telling.is_logged);
        assert_eq!(rules.max_exchanges, 7);
        assert_eq!(rules.limits.iter().map(|limits| limits.decode_timeout).collect::<Vec<_>>(), [1, 2, 2]);
    }
}
