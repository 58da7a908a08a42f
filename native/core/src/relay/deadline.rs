//! Deadlines of exchanges. One sweep checks them all, because a timer for each would be armed for
//! nothing: most exchanges end long before their deadline.

use super::deadlines::ALARM_TIMER;
use super::{Relay, answer, complete, fail, lane, wait, withdraw};
use crate::base::counters::{Id, Rejected};
use crate::base::panics;
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::base::timers::{NEVER, Nanos, Timers};
use crate::downstream::cause::Cause;
use crate::exchange::hold::BackendStatus;
use crate::exchange::{Decide, Offer, State, Wait, deadline, floor};
use crate::http::error::h2;
use crate::upstream::{self, Fault, Upstreams};

impl Relay {
    /// Arms the relay's timers; called once a turn.
    pub fn arm_timers(&mut self, timers: &mut Timers) {
        if !self.exchanges.is_empty() || self.connections.has_gaps() {
            self.deadlines.arm_sweep(timers, self.turn.now, self.exchanges.len());
        }
        self.lane.arm(timers, self.turn.now);
        self.deadlines.alarms.arm(timers, &self.exchanges);
    }

    /// Handles a timer of the relay.
    pub fn on_timer(&mut self, upstreams: &mut Upstreams, owner: u64, due: Nanos) {
        if owner == ALARM_TIMER {
            if self.deadlines.alarms.is_current(due) {
                wait::take_alarms(self);
            }
        } else if self.deadlines.is_sweep(due) {
            sweep(self, upstreams);
        }
    }
}

/// Ends exchanges whose deadline has passed.
fn sweep(relay: &mut Relay, upstreams: &mut Upstreams) {
    let now = relay.turn.now;
    let mut late = Vec::new();
    let mut next = NEVER;
    for (key, exchange) in relay.exchanges.iter_mut() {
        let Some(connection) = relay.connections.get_mut(exchange.connection) else { continue };
        let limits = &relay.rules.limits[connection.accepted.listener as usize];
        let full = |slot| upstreams.full_time(slot, now);
        let (mut deadline, mut reason) = deadline::of(exchange, limits.decode_timeout, full, now);
        if let Some(least) = limits.floor {
            // The client may look idle on this stream because its others are busy.
            if deadline <= now && reason == Reason::ClientSlow {
                match floor::is_held_up(exchange, least, connection, now) {
                    Some(true) => exchange.times.moved = now,
                    Some(false) => {}
                    None => continue,
                }
                (deadline, reason) = deadline::of(exchange, limits.decode_timeout, full, now);
            }
            if deadline > now && floor::is_below(exchange, least, connection, now) {
                late.push((key, exchange.name(), Reason::ClientBelowRate));
                continue;
            }
        }
        let (hedge_deadline, hedge_reason) = deadline::of_hedge(exchange, full, now);
        for (deadline, name, reason) in [(deadline, exchange.name(), reason), (hedge_deadline, exchange.hedge_name(), hedge_reason)] {
            if deadline <= now {
                late.push((key, name, reason));
            } else {
                next = next.min(deadline);
            }
        }
    }
    relay.deadlines.swept(next);
    give_up_gaps(relay);
    for (key, name, reason) in late {
        relay.guarded(key, (), |relay| time_out(relay, upstreams, key, name, reason));
    }
}

/// A stream that was skipped has as long to begin as a head has to arrive.
fn give_up_gaps(relay: &mut Relay) {
    let Relay { connections, rules, turn, counters, .. } = relay;
    connections.look_at_gaps(|connections, key| {
        let Some(connection) = connections.get_mut(key) else { return false };
        let before = turn.now.saturating_sub(rules.limits[connection.accepted.listener as usize].decode_timeout);
        let Ok((refused, is_gapped)) = panics::guard(|| connection.protocol.arrivals().give_up_gaps(before)) else {
            connections.condemn([key]);
            return false;
        };
        connection.listed.is_gapped = is_gapped;
        if refused > 0 {
            counters.add_to(Id::RequestsRejected, Rejected::NotBegun as usize, refused);
            connections.mark(key);
        }
        is_gapped
    });
}

/// Handles the deadline of an exchange, or of one of its attempts.
pub(super) fn time_out(relay: &mut Relay, upstreams: &mut Upstreams, key: Key, name: upstream::AttemptId, reason: Reason) {
    let Some(exchange) = relay.exchanges.get(key) else { return };
    let is_attempts = matches!(reason, Reason::ConnectTimeout | Reason::SessionsExhausted | Reason::HeadTimeout | Reason::AttemptTimeout);
    if is_attempts && !exchange.state().is_waiting() {
        // Another deadline that passed in the same sweep has ended the attempt.
        if exchange.state().pending().is_none() {
            return;
        }
        let is_unsent = exchange.is_opening(name);
        withdraw::one(relay, upstreams, name, h2::CANCEL);
        return fail::attempt(relay, name, Fault { reason, is_unsent, h2_code: h2::CANCEL, was_reused: false });
    }
    if ask_at_deadline(relay, upstreams, key, reason) {
        return;
    }
    withdraw::all(relay, upstreams, key, h2::CANCEL);
    lane::take_back(relay, key);
    let Some(exchange) = relay.exchanges.get_mut(key) else { return };
    if exchange.state().is_committed() {
        let cause = match reason {
            Reason::ClientSlow | Reason::ClientBelowRate => Cause::Cancelled,
            Reason::BudgetExhausted => Cause::Load,
            _ => Cause::Internal,
        };
        return complete::reset_client(relay, key, cause, reason, 0);
    }
    exchange.outcome.ended_waiting = exchange.state().is_waiting();
    answer::reason(relay, key, reason);
}

/// Asks the lane at the deadline of an exchange that has no response yet, as if its attempt had
/// failed. Returns false if the lane did not ask for that, or a decision is pending already.
fn ask_at_deadline(relay: &mut Relay, upstreams: &mut Upstreams, key: Key, reason: Reason) -> bool {
    let Some(exchange) = relay.exchanges.get(key) else { return false };
    let has_waited = exchange.state().is_waiting();
    let reason = match (exchange.state(), reason) {
        // The exchange waits to make another attempt.
        (State::Wait(Wait { failure: Some(_), .. }), _) => Reason::ExchangeTimeout,
        (State::Open(_) | State::Request(_), Reason::ExchangeTimeout | Reason::IdleTimeout) => reason,
        _ => return false,
    };
    if !exchange.attempt.asks_at_deadline() {
        return false;
    }
    withdraw::all(relay, upstreams, key, h2::CANCEL);
    let Some(exchange) = relay.exchanges.get_mut(key) else { return true };
    exchange.outcome.reason = reason;
    let facts = exchange.failure(&exchange.attempt, reason, 0, BackendStatus::default(), relay.turn.now);
    lane::offer(relay, key, Decide::about(Offer::Failure(facts), has_waited));
    true
}
