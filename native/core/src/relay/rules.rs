//! The relay's settings from the configuration.

use crate::base::timers::Nanos;
use crate::exchange::floor::Floor;
use crate::http::normal;
use crate::http::reserved::Reserved;
use crate::http::section::FieldLimits;
use crate::plan::Plan;
use std::rc::Rc;

/// Limits of a listener that the relay enforces.
#[derive(Clone, Copy, Debug)]
pub struct ListenerLimits {
    /// Limits of request heads and trailers.
    pub fields: FieldLimits,
    /// How heads are made canonical; none to pass them unchanged.
    pub normal: Option<normal::Rules>,
    /// Time for a request head to arrive.
    pub decode_timeout: Nanos,
    /// Minimum rate of clients; none for no minimum.
    pub floor: Option<Floor>,
}

/// Who gets the details of client certificates, besides backends. Nobody by default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Telling {
    /// The lane, with each head.
    pub is_lane_told: bool,
    /// The access log, with each completion.
    pub is_logged: bool,
}

/// Settings that the relay follows.
pub struct Rules {
    /// Limits by listener.
    pub limits: Vec<ListenerLimits>,
    /// Compiled plans by number, of every snapshot in use.
    pub plans: Vec<Rc<Plan>>,
    /// Who gets the details of client certificates.
    pub telling: Telling,
    /// Fields that no client may send.
    pub reserved: Reserved,
    /// Exchanges that may be open at once.
    pub max_exchanges: usize,
    /// Whether new requests are rejected.
    pub is_draining: bool,
}

impl Rules {
    /// Returns rules without plans, which a worker brings, and without limits, which listeners
    /// bring.
    pub fn new(max_exchanges: usize) -> Rules {
        let (telling, reserved) = (Telling::default(), Reserved::default());
        Rules { limits: Vec::new(), plans: Vec::new(), telling, reserved, max_exchanges, is_draining: false }
    }

    /// Keeps what outlives a worker; its successor brings the rest.
    pub(super) fn start_over(&mut self) {
        let (limits, is_draining) = (std::mem::take(&mut self.limits), self.is_draining);
        *self = Rules { limits, is_draining, ..Rules::new(self.max_exchanges) };
    }

    /// Sets the limits of a listener, also for exchanges in progress.
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
