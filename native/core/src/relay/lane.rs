//! To the lane and back: heads, failures and completions go into its ring, decisions come out of the other.

use super::exchange::{Offer, Phase};
use super::{Held, Relay};
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::record::inward::{Decision, NO_PLAN};
use crate::record::outward::{self, HeadFacts};
use crate::upstream::Upstreams;

impl Relay {
    /// Offers an exchange to the lane, now or when the ring has room.
    pub(super) fn offer(&mut self, key: Key, offer: Offer) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.phase = Phase::Decide;
        exchange.offer = Some(offer);
        self.offers += 1;
        if !self.held.is_empty() || !self.write_offer(key) {
            self.held.push_back(Held::Offer(key));
        }
    }

    pub(super) fn write_offer(&mut self, key: Key) -> bool {
        let Some(exchange) = self.exchanges.get(key) else { return true };
        let connection = self.connections.get(exchange.connection);
        match exchange.offer {
            None => true,
            Some(Offer::Failure(facts)) => {
                let age_us = exchange.age_us(self.now);
                outward::write_attempt_failed(&mut self.ring, key, &facts, exchange.tag, age_us, &exchange.request_id)
            }
            Some(Offer::Head) => {
                let Some(connection) = connection else { return true };
                let mut flags = outward::ADDRESS_VALIDATED;
                flags |= if exchange.incoming.is_done { 0 } else { outward::HAS_BODY };
                flags |= if exchange.facts.content_length.is_some() { outward::HAS_LENGTH } else { 0 };
                flags |= if exchange.facts.is_idempotent { outward::IDEMPOTENT } else { 0 };
                flags |= if exchange.is_offered_again { outward::OFFERED_AGAIN } else { 0 };
                let facts = HeadFacts {
                    exchange: key,
                    listener: connection.listener,
                    flags,
                    peer: exchange.peer,
                    cipher: connection.tls.0,
                    group: connection.tls.1,
                    connection: connection.number,
                    content_length: exchange.facts.content_length,
                    request_id: exchange.request_id,
                    tag: exchange.tag,
                    age_us: exchange.age_us(self.now),
                };
                outward::write_head(&mut self.ring, &facts, &exchange.request)
            }
        }
    }

    /// Writes records that had no room before. Called when the lane has read.
    pub fn write_held(&mut self) {
        while let Some(held) = self.held.pop_front() {
            let is_written = match &held {
                Held::Offer(key) => self.write_offer(*key),
                Held::Completion(record) => outward::write_completion(&mut self.ring, &record.0, &record.1),
                Held::Record(record) => self.ring.write(record),
            };
            if !is_written {
                self.held.push_front(held);
                return;
            }
        }
    }

    /// Whether records wait for room.
    pub fn has_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether the lane should be called: heads wait, or completions have waited long enough.
    pub fn is_lane_due(&self) -> bool {
        self.offers > 0
    }

    /// The lane was called.
    pub fn lane_was_called(&mut self) {
        self.offers = 0;
        self.has_completions = false;
    }

    /// A successor's lane knows nothing: offers again what is undecided, and hands on the completions that the dead lane had not read.
    pub fn offer_again(&mut self) {
        self.held.retain(|held| !matches!(held, Held::Offer(_)));
        let unread = std::iter::from_fn(|| self.ring.next_for_lane()).filter(|record| outward::is_told_once(record));
        let unread: Vec<Held> = unread.map(|record| Held::Record(record.into_boxed_slice())).collect();
        self.has_completions |= !unread.is_empty() || !self.held.is_empty();
        unread.into_iter().rev().for_each(|held| self.held.push_front(held));
        self.ring.reset();
        self.offers = 0;
        for key in self.exchanges.keys() {
            let exchange = self.exchanges.get_mut(key).expect("a key of the slab");
            if exchange.phase == Phase::Decide
                && let Some(offer) = exchange.offer
            {
                exchange.is_offered_again = true;
                self.offer(key, offer);
            }
        }
        self.write_held();
    }

    /// Takes one decision of the lane.
    pub fn decide(&mut self, upstreams: &mut Upstreams, key: Key, decision: Decision<'_>) {
        let Some(exchange) = self.exchanges.get_mut(key).filter(|exchange| exchange.phase == Phase::Decide) else { return };
        exchange.offer = None;
        exchange.times.decided = self.now;
        exchange.times.moved = self.now;
        match decision {
            Decision::Forward(forward, values) => {
                exchange.take_values(values);
                self.forward(upstreams, key, forward);
            }
            Decision::Respond(respond) => {
                exchange.tag = respond.tag;
                if respond.plan != NO_PLAN {
                    exchange.plan = self.plans.get(respond.plan as usize).cloned();
                }
                let reason = Reason::from_number(respond.reason).unwrap_or(Reason::LaneFailed);
                let mut fields = std::mem::take(&mut self.head);
                fields.clear();
                respond.write_fields(&mut fields);
                self.answer(key, respond.status as u16, reason, &fields, respond.body());
                self.head = fields;
            }
            Decision::Reset { code, reason } => {
                let reason = Reason::from_number(reason).unwrap_or(Reason::LaneFailed);
                self.abort(upstreams, key, code as u64, reason, 0);
            }
            Decision::Wait { .. } | Decision::Wake | Decision::Commit { .. } => {}
        }
    }
}
