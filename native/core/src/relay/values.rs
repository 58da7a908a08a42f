//! What the variables of an attempt's plan stand for.

use crate::base::timers::Nanos;
use crate::exchange::Exchange;
use crate::exchange::attempt::Attempt;
use crate::plan::Values;

/// Their values now.
pub(super) fn values_of<'a>(exchange: &'a Exchange, attempt: &'a Attempt, now: Nanos) -> Values<'a> {
    Values {
        peer: exchange.client.peer,
        request: &exchange.request.head,
        kept_path: if attempt.plan.as_ref().is_some_and(|plan| plan.is_path_canonical) { &[] } else { &exchange.request.kept_path },
        are_slashes_merged: exchange.request.are_slashes_merged,
        request_id: exchange.request.id.as_bytes(),
        remaining_ms: exchange.times.remaining_ms(now),
        told: exchange.client.told.as_deref(),
        given: attempt.values.each_ref().map(Vec::as_slice),
    }
}
