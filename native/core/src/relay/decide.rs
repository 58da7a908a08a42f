//! Carries out the lane's decisions.

use super::{Relay, end, hedge, hold, open, trace, wait, withdraw, write};
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::downstream::cause::Cause;
use crate::record::inward::{Decision, NO_PLAN, Respond};
use crate::record::layout::FORWARD_HEDGE;
use crate::upstream::Upstreams;

/// Carries out one decision. Ignores it if the exchange is gone or no decision is pending.
pub(crate) fn decide(relay: &mut Relay, upstreams: &mut Upstreams, key: Key, decision: Decision<'_>) {
    match decision {
        Decision::Forward(forward, values) if forward.flags & FORWARD_HEDGE != 0 => {
            return hedge::begin(relay, upstreams, key, forward, values);
        }
        Decision::Wake => return wait::wake(relay, key),
        _ => {}
    }
    let Some(exchange) = relay.exchanges.get_mut(key).filter(|exchange| exchange.state().decide().is_some()) else { return };
    exchange.times.moved = relay.turn.now;
    if let Decision::Wait { tag, wait_ms, reason } = decision {
        return wait::begin(relay, upstreams, key, tag, wait_ms, reason_of(reason));
    }
    if let Decision::Commit { tag, reason } = decision {
        return hold::commit(relay, key, tag, reason_of(reason));
    }
    withdraw::held(relay, upstreams, key);
    match decision {
        Decision::Forward(forward, values) => open::forward(relay, upstreams, key, forward, values),
        Decision::Respond(respond) => answer(relay, key, respond),
        Decision::Reset { code, reason } => {
            note_decided(relay, key);
            end::abort(relay, upstreams, key, Cause::Code(code as u64), reason_of(reason), 0);
        }
        _ => {}
    }
}

fn answer(relay: &mut Relay, key: Key, respond: Respond<'_>) {
    note_decided(relay, key);
    let Some(exchange) = relay.exchanges.get_mut(key) else { return };
    exchange.tag = respond.tag;
    if respond.plan != NO_PLAN {
        exchange.attempt.plan = relay.rules.plans.get(respond.plan as usize).cloned();
    }
    let reason = reason_of(respond.reason);
    let mut echo = Vec::new();
    if reason == Reason::MaxForwardsReached && exchange.request.facts.is_trace {
        trace::write(exchange, &mut echo);
    }
    let body = if echo.is_empty() { respond.body() } else { &echo };
    let mut fields = std::mem::take(&mut relay.scratch.head);
    fields.clear();
    respond.write_fields(&mut fields);
    write::answer(relay, key, respond.status as u16, reason, &fields, body);
    relay.scratch.head = fields;
}

fn note_decided(relay: &mut Relay, key: Key) {
    if let Some(exchange) = relay.exchanges.get_mut(key) {
        exchange.attempt.decided = relay.turn.now;
    }
}

/// Reason by number; an unknown number counts as a failure of the lane.
fn reason_of(number: u32) -> Reason {
    Reason::from_number(number).unwrap_or(Reason::LaneFailed)
}
