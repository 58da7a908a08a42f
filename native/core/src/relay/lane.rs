//! Tells the lane about exchanges.

use super::{Relay, Rules};
use crate::base::slab::{Key, Slab};
use crate::base::timers::{Nanos, micros};
use crate::downstream::connections::Connections;
use crate::exchange::{Decide, Exchange, Offer, State};
use crate::lane::{Exchanges, Failure, Lane, Offered, Place};
use crate::record::layout;
use crate::record::outward::{HeadFacts, LateFacts};
use crate::tls::told::Told;

/// The exchanges as the lane sees them.
pub(super) struct View<'a> {
    exchanges: &'a mut Slab<Box<Exchange>>,
    connections: &'a Connections,
    rules: &'a Rules,
    now: Nanos,
}

/// Splits the relay into the lane and its view of the exchanges.
fn parts(relay: &mut Relay) -> (&mut Lane, View<'_>) {
    let Relay { lane, exchanges, connections, rules, turn, .. } = relay;
    (lane, View { exchanges, connections, rules, now: turn.now })
}

/// Offers an exchange to the lane.
pub(super) fn offer(relay: &mut Relay, key: Key, decide: Decide) {
    let Some(exchange) = relay.exchanges.get_mut(key) else { return };
    exchange.enter(State::Decide(decide));
    let (lane, mut exchanges) = parts(relay);
    lane.offer(key, &mut exchanges);
}

/// Takes back an unread offer: the exchange ends without a decision.
pub(super) fn take_back(relay: &mut Relay, key: Key) {
    let decide = relay.exchanges.get(key).and_then(|exchange| exchange.state().decide());
    if let Some(place) = decide.and_then(|decide| decide.written_at) {
        relay.lane.withdraw(place, key);
    }
}

/// Tells the lane that an attempt is late.
pub(super) fn tell_late(relay: &mut Relay, key: Key) {
    let (lane, exchanges) = parts(relay);
    lane.tell_late(key, &exchanges);
}

/// Handles the return of the lane from a call.
pub(crate) fn end_call(relay: &mut Relay) {
    let (lane, mut exchanges) = parts(relay);
    lane.end_call(&mut exchanges);
}

/// Offers undecided exchanges again, because a successor's lane knows none. Exchanges that wait go
/// on waiting.
pub(crate) fn offer_again(relay: &mut Relay) {
    relay.lane.begin_again();
    for key in relay.exchanges.keys() {
        let exchange = relay.exchanges.get(key).expect("a key of the slab");
        if let Some(decide) = exchange.state().decide() {
            let again = Decide { written_at: None, ..*decide };
            offer(relay, key, again);
        }
    }
    let (lane, mut exchanges) = parts(relay);
    lane.write_backlog(&mut exchanges);
}

impl Exchanges for View<'_> {
    fn offered(&self, key: Key) -> Option<Offered<'_>> {
        let exchange = self.exchanges.get(key)?;
        let decide = exchange.state().decide()?;
        match decide.offer {
            Offer::Failure(mut facts) | Offer::Held(mut facts, _) => {
                facts.flags |= if exchange.state().is_held() { layout::FAILED_HELD } else { 0 };
                facts.flags |= if decide.has_waited { layout::FAILED_WAITED } else { 0 };
                let (age_us, request_id) = (exchange.times.age_us(self.now), exchange.request.id);
                Some(Offered::Failure(Failure { facts, tag: exchange.tag, age_us, request_id }))
            }
            Offer::Head => Some(Offered::Head(self.head_facts(exchange, decide)?, &exchange.request.head)),
        }
    }

    fn offer_written(&mut self, key: Key, place: Place) {
        if let Some(decide) = self.exchanges.get_mut(key).and_then(|exchange| exchange.decide_mut()) {
            decide.written_at = Some(place);
        }
    }

    fn late(&self, key: Key) -> Option<LateFacts> {
        let exchange = self.exchanges.get(key).filter(|exchange| exchange.may_hedge())?;
        Some(LateFacts {
            attempts: exchange.attempts.made,
            backend: exchange.attempt.forward.backend,
            tag: exchange.tag,
            took_us: micros(exchange.attempt.decided, self.now),
            age_us: exchange.times.age_us(self.now),
            plan: exchange.attempt.forward.plan,
        })
    }
}

impl View<'_> {
    fn head_facts<'e>(&self, exchange: &'e Exchange, decide: &Decide) -> Option<HeadFacts<'e>> {
        let connection = self.connections.get(exchange.connection)?;
        let told = exchange.client.told.as_deref();
        let mut flags = if exchange.incoming.is_done { 0 } else { layout::HEAD_HAS_BODY };
        flags |= if exchange.request.facts.content_length.is_some() { layout::HEAD_LENGTH_KNOWN } else { 0 };
        flags |= if exchange.request.facts.is_idempotent { layout::HEAD_IDEMPOTENT } else { 0 };
        flags |= if decide.has_waited { layout::HEAD_WAITED } else { 0 };
        flags |= if exchange.request.facts.has_underscore { layout::HEAD_UNDERSCORE } else { 0 };
        flags |= if exchange.request.facts.max_forwards == Some(0) { layout::HEAD_LAST_HOP } else { 0 };
        flags |= told.map_or(0, Told::head_flags);
        Some(HeadFacts {
            exchange: exchange.key,
            listener: connection.accepted.listener,
            flags,
            peer: exchange.client.peer,
            cipher: connection.tls.cipher,
            group: connection.tls.group,
            connection: connection.accepted.number,
            content_length: exchange.request.facts.content_length,
            request_id: exchange.request.id,
            tag: exchange.tag,
            age_us: exchange.times.age_us(self.now),
            certificate: told.filter(|_| self.rules.telling.is_lane_told).map_or(&[], Told::record),
        })
    }
}
