//! To the lane and back: heads, failures and completions go into its ring, decisions come out of the other.

use super::{Relay, trace};
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::exchange::{Decide, Offer, State};
use crate::lane::Unwritten;
use crate::record::inward::{Decision, HEDGE, NO_PLAN, Respond};
use crate::record::outward::{self, HeadFacts};
use crate::tls::told::Told;
use crate::upstream::Upstreams;

impl Relay {
    /// Offers an exchange to the lane, now or when the ring has room.
    pub(super) fn offer(&mut self, key: Key, decide: Decide) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.enter(State::Decide(decide));
        self.lane.offers += 1;
        if !self.lane.unwritten.is_empty() || !self.write_offer(key) {
            self.lane.unwritten.push_back(Unwritten::Offer(key));
        }
    }

    /// False when the ring has no room.
    pub(super) fn write_offer(&mut self, key: Key) -> bool {
        let is_written = self.write_what_is_offered(key);
        if is_written && let Some(decide) = self.exchanges.get_mut(key).and_then(|exchange| exchange.decide_mut()) {
            decide.written_at = Some(self.lane.ring.last());
        }
        is_written
    }

    fn write_what_is_offered(&mut self, key: Key) -> bool {
        let Some(exchange) = self.exchanges.get(key) else { return true };
        let connection = self.connections.get(exchange.connection);
        let Some(decide) = exchange.state().decide() else { return true };
        match decide.offer {
            Offer::Failure(mut facts) | Offer::Held(mut facts, _) => {
                facts.flags |= if exchange.state().is_held() { outward::FAILED_HELD } else { 0 };
                facts.flags |= if decide.has_waited { outward::FAILED_WAITED } else { 0 };
                let age_us = exchange.times.age_us(self.turn.now);
                outward::write_attempt_failed(&mut self.lane.ring, key, &facts, exchange.tag, age_us, &exchange.request.id)
            }
            Offer::Head => {
                let Some(connection) = connection else { return true };
                let mut flags = outward::ADDRESS_VALIDATED;
                flags |= if exchange.incoming.is_done { 0 } else { outward::HAS_BODY };
                flags |= if exchange.request.facts.content_length.is_some() { outward::HAS_LENGTH } else { 0 };
                flags |= if exchange.request.facts.is_idempotent { outward::IDEMPOTENT } else { 0 };
                flags |= if decide.is_offered_again { outward::OFFERED_AGAIN } else { 0 };
                flags |= if decide.has_waited { outward::HAS_WAITED } else { 0 };
                flags |= if exchange.request.facts.has_underscore { outward::HAS_UNDERSCORE } else { 0 };
                flags |= if exchange.request.facts.max_forwards == Some(0) { outward::IS_LAST_HOP } else { 0 };
                let told = exchange.client.told.as_deref();
                flags |= told.map_or(0, Told::head_flags);
                let facts = HeadFacts {
                    exchange: key,
                    listener: connection.listener,
                    flags,
                    peer: exchange.client.peer,
                    cipher: connection.tls.cipher,
                    group: connection.tls.group,
                    connection: connection.number,
                    content_length: exchange.request.facts.content_length,
                    request_id: exchange.request.id,
                    tag: exchange.tag,
                    age_us: exchange.times.age_us(self.turn.now),
                    certificate: told.filter(|_| self.rules.telling.is_lane_told).map_or(&[], Told::record),
                };
                outward::write_head(&mut self.lane.ring, &facts, &exchange.request.head)
            }
        }
    }

    /// Writes records that had no room before. Called when the lane has read.
    pub fn write_unwritten(&mut self) {
        while let Some(record) = self.lane.unwritten.pop_front() {
            let is_written = match &record {
                Unwritten::Offer(key) => self.write_offer(*key),
                Unwritten::Late(key) => self.write_late(*key),
                Unwritten::Failure(told) => {
                    let (key, facts, tag, age_us, request_id) = &**told;
                    outward::write_attempt_failed(&mut self.lane.ring, *key, facts, *tag, *age_us, request_id)
                }
                Unwritten::Completion(record) => outward::write_completion(&mut self.lane.ring, &record.0, &record.1),
                Unwritten::Record(record) => self.lane.ring.write(record),
            };
            if !is_written {
                self.lane.unwritten.push_front(record);
                return;
            }
        }
    }

    /// Whether records wait for room.
    pub fn has_unwritten(&self) -> bool {
        !self.lane.unwritten.is_empty()
    }

    /// Whether the lane should be called: something is to be decided, or an exchange has ended and its end may free a place for one that waits.
    pub fn is_lane_due(&self) -> bool {
        self.lane.offers > 0 || self.lane.has_completions && self.lane.ring.is_waited_for()
    }

    /// The lane was called.
    pub fn lane_was_called(&mut self) {
        self.lane.offers = 0;
        self.lane.has_completions = false;
    }

    /// A successor's lane knows nothing: offers again what is undecided, and hands on the completions that the dead lane had not read. What waits goes on waiting.
    pub fn offer_again(&mut self) {
        self.lane.unwritten.retain(|record| !matches!(record, Unwritten::Offer(_) | Unwritten::Late(_)));
        let unread = std::iter::from_fn(|| self.lane.ring.next_for_lane()).filter(|record| outward::is_told_once(record));
        let unread: Vec<Unwritten> = unread.map(|record| Unwritten::Record(record.into_boxed_slice())).collect();
        self.lane.has_completions |= !unread.is_empty() || !self.lane.unwritten.is_empty();
        unread.into_iter().rev().for_each(|record| self.lane.unwritten.push_front(record));
        self.lane.ring.reset();
        self.lane.offers = 0;
        for key in self.exchanges.keys() {
            let exchange = self.exchanges.get(key).expect("a key of the slab");
            if let Some(decide) = exchange.state().decide() {
                let again = Decide { written_at: None, is_offered_again: true, ..*decide };
                self.offer(key, again);
            }
        }
        self.write_unwritten();
    }

    /// Takes one decision of the lane. One about an exchange that is gone, or is not to be decided, is passed over.
    pub fn decide(&mut self, upstreams: &mut Upstreams, key: Key, decision: Decision<'_>) {
        match decision {
            Decision::Forward(forward, values) if forward.flags & HEDGE != 0 => return self.hedge(upstreams, key, forward, values),
            Decision::Wake => return self.wake(key),
            _ => {}
        }
        let Some(exchange) = self.exchanges.get_mut(key).filter(|exchange| exchange.state().decide().is_some()) else { return };
        exchange.times.moved = self.turn.now;
        if let Decision::Wait { tag, wait_ms, reason } = decision {
            return self.wait(upstreams, key, tag, wait_ms, reason_of(reason));
        }
        if let Decision::Commit { tag, reason } = decision {
            return self.commit(key, tag, reason_of(reason));
        }
        self.let_go(upstreams, key);
        match decision {
            Decision::Forward(forward, values) => self.forward(upstreams, key, forward, values),
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
