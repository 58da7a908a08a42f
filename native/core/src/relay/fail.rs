//! Handles attempts that end without a response for the client: asks the lane, answers the client,
//! or lets the other attempt go on.

use super::notes::Note;
use super::{Relay, answer, complete, lane};
use crate::base::reason::Reason;
use crate::downstream::cause::Cause;
use crate::exchange::attempt::key_of;
use crate::exchange::hold::BackendStatus;
use crate::exchange::{Decide, Offer};
use crate::http::error::h2;
use crate::lane::Failure;
use crate::record::layout::{self, FORWARD_TELL_FAILURES};
use crate::upstream::{self, Fault};

/// Handles a failed attempt. The lane decides if it asked to, unless another attempt still runs.
pub(super) fn attempt(relay: &mut Relay, name: upstream::AttemptId, fault: Fault) {
    let key = key_of(name);
    let Some(exchange) = relay.exchanges.get_mut(key) else { return };
    let Some(attempt) = exchange.attempt_named_mut(name) else { return };
    attempt.upstream = None;
    attempt.was_reused = fault.was_reused;
    attempt.count_out(&relay.table);
    if exchange.state().is_committed() {
        let cause = if fault.h2_code == h2::NO_ERROR { Cause::Internal } else { Cause::of_h2(fault.h2_code) };
        return complete::reset_client(relay, key, cause, fault.reason, layout::COMPLETED_BY_BACKEND);
    }
    let flags = if fault.is_unsent { layout::FAILED_UNSENT } else { 0 };
    if exchange.state().hedge().is_some() {
        return beside(relay, name, fault.reason, flags, BackendStatus::default());
    }
    exchange.outcome.ended_by = layout::COMPLETED_BY_BACKEND;
    if exchange.attempt.forward.flags & FORWARD_TELL_FAILURES == 0 {
        return answer::reason(relay, key, fault.reason);
    }
    exchange.outcome.reason = fault.reason;
    let facts = exchange.failure(&exchange.attempt, fault.reason, flags, BackendStatus::default(), relay.turn.now);
    lane::offer(relay, key, Decide::about(Offer::Failure(facts), false));
}

/// Handles the failure of one of two attempts. The other becomes the exchange's own. The lane is
/// told and has nothing to decide.
pub(super) fn beside(relay: &mut Relay, name: upstream::AttemptId, reason: Reason, flags: u32, status: BackendStatus) {
    let key = key_of(name);
    let Some(exchange) = relay.exchanges.get_mut(key) else { return };
    let Some(mut failed) = exchange.take_out(name) else { return };
    if let Some(stream) = failed.upstream.take() {
        relay.notes.push(Note::Reset(stream, h2::CANCEL));
    }
    failed.count_out(&relay.table);
    if failed.forward.flags & FORWARD_TELL_FAILURES == 0 {
        return;
    }
    let facts = exchange.failure(&failed, reason, flags | layout::FAILED_OTHER_RUNS, status, relay.turn.now);
    let (age_us, request_id) = (exchange.times.age_us(relay.turn.now), exchange.request.id);
    relay.lane.tell_failure(key, Failure { facts, tag: exchange.tag, age_us, request_id });
}
