//! Deadlines of exchanges, looked at together every so often instead of one timer for each: most exchanges end long before theirs.

use super::exchange::Phase;
use super::{COMPLETION_DELAY, COMPLETION_TIMER, Relay, SWEEP_EXCHANGES, SWEEP_INTERVAL, SWEEP_TIMER};
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::base::timers::{NEVER, Nanos, Timers};
use crate::http::error::{h2, h3};
use crate::upstream::{Fault, Upstreams};

impl Relay {
    /// Enters the relay's own timers; called once a turn.
    pub fn arm_timers(&mut self, timers: &mut Timers) {
        if !self.exchanges.is_empty() {
            let interval = SWEEP_INTERVAL * (1 + self.exchanges.len() as u64 / SWEEP_EXCHANGES);
            timers.arm(&mut self.sweep, self.now + interval, SWEEP_TIMER);
        }
        if self.has_completions {
            timers.arm(&mut self.completions, self.now + COMPLETION_DELAY, COMPLETION_TIMER);
        }
    }

    /// A timer of the relay came due. True when the lane should be called for completions.
    pub fn on_timer(&mut self, upstreams: &mut Upstreams, owner: u64, due: Nanos) -> bool {
        if owner == COMPLETION_TIMER {
            return Timers::is_current(&mut self.completions, due) && self.has_completions;
        }
        if Timers::is_current(&mut self.sweep, due) {
            self.sweep(upstreams);
        }
        false
    }

    /// Ends what took too long.
    pub(super) fn sweep(&mut self, upstreams: &mut Upstreams) {
        let now = self.now;
        let mut late = Vec::new();
        for (key, exchange) in self.exchanges.iter() {
            let listener = self.connections.get(exchange.connection).map_or(0, |connection| connection.listener as usize);
            let (deadline, reason) = exchange.deadline(self.limits.get(listener).map_or(NEVER / 2, |limits| limits.decode_timeout));
            if deadline <= now {
                late.push((key, reason));
            }
        }
        for (key, reason) in late {
            self.time_out(upstreams, key, reason);
        }
    }

    pub(super) fn time_out(&mut self, upstreams: &mut Upstreams, key: Key, reason: Reason) {
        let Some(exchange) = self.exchanges.get(key) else { return };
        let (phase, is_committed) = (exchange.phase, exchange.is_committed);
        self.cancel_attempt(upstreams, key, h2::CANCEL);
        if is_committed || phase == Phase::Answer {
            let code = if reason == Reason::ClientSlow { h3::REQUEST_CANCELLED } else { h3::INTERNAL_ERROR };
            return self.reset_client(key, code, reason, 0);
        }
        match reason {
            Reason::ConnectTimeout | Reason::HeadTimeout => {
                self.attempt_failed(
                    key,
                    Fault { reason, is_unsent: reason == Reason::ConnectTimeout, h2_code: h2::CANCEL, was_reused: false },
                );
            }
            _ => self.answer_reason(key, reason),
        }
    }
}
