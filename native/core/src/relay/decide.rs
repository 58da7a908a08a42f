//! Decisions of the lane are carried out.

use super::{Relay, hedge, hold, open, trace, wait, withdraw};
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::record::inward::{Decision, NO_PLAN, Respond};
use crate::record::layout::FORWARD_HEDGE;
use crate::upstream::Upstreams;

impl Relay {
    /// Takes one decision of the lane. One about an exchange that is gone, or is not to be decided, is passed over.
    pub fn decide(&mut self, upstreams: &mut Upstreams, key: Key, decision: Decision<'_>) {
        match decision {
            Decision::Forward(forward, values) if forward.flags & FORWARD_HEDGE != 0 => {
                return hedge::begin(self, upstreams, key, forward, values);
            }
            Decision::Wake => return wait::wake(self, key),
            _ => {}
        }
        let Some(exchange) = self.exchanges.get_mut(key).filter(|exchange| exchange.state().decide().is_some()) else { return };
        exchange.times.moved = self.turn.now;
        if let Decision::Wait { tag, wait_ms, reason } = decision {
            return wait::begin(self, upstreams, key, tag, wait_ms, reason_of(reason));
        }
        if let Decision::Commit { tag, reason } = decision {
            return hold::commit(self, key, tag, reason_of(reason));
        }
        withdraw::held(self, upstreams, key);
        match decision {
            Decision::Forward(forward, values) => open::forward(self, upstreams, key, forward, values),
            Decision::Respond(respond) => self.respond(key, respond),
            Decision::Reset { code, reason } => {
                self.note_decided(key);
                self.abort(upstreams, key, code as u64, reason_of(reason), 0);
            }
            _ => {}
        }
    }

    fn respond(&mut self, key: Key, respond: Respond<'_>) {
        self.note_decided(key);
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.tag = respond.tag;
        if respond.plan != NO_PLAN {
            exchange.attempt.plan = self.rules.plans.get(respond.plan as usize).cloned();
        }
        let reason = reason_of(respond.reason);
        let mut echo = Vec::new();
        if reason == Reason::MaxForwardsReached && exchange.request.facts.is_trace {
            trace::write(exchange, &mut echo);
        }
        let body = if echo.is_empty() { respond.body() } else { &echo };
        let mut fields = std::mem::take(&mut self.scratch.head);
        fields.clear();
        respond.write_fields(&mut fields);
        self.answer(key, respond.status as u16, reason, &fields, body);
        self.scratch.head = fields;
    }

    fn note_decided(&mut self, key: Key) {
        if let Some(exchange) = self.exchanges.get_mut(key) {
            exchange.attempt.decided = self.turn.now;
        }
    }
}

/// The reason of a number; numbers nobody has are the lane's failure.
fn reason_of(number: u32) -> Reason {
    Reason::from_number(number).unwrap_or(Reason::LaneFailed)
}
