//! Phases 1 to 4: datagrams arrive in batches. Each finds its connection, makes a new one, or is
//! dropped and counted by reason.

use super::ends;
use super::parts::Reactor;
use super::switchboard::Handed;
use crate::base::budget::Pressure;
use crate::base::counters::{Dropped, Id, Refused};
use crate::base::panics::{self, Owner, Panicked, plant};
use crate::base::slab::Key;
use crate::downstream::connection::{Accepted, Connection};
use crate::downstream::http3::Http3;
use crate::downstream::protocol::Protocol;
use crate::quic::count::ConnectionPlace;
use crate::quic::ids::{Ids, Route};
use crate::quic::stateless::{self, LongHeader};
use crate::quic::transport::Transport;
use std::net::SocketAddr;

/// Receive calls for one socket in a turn.
const TURN_BATCHES: usize = 4;

/// Phase 1, receive: reads a fair share of what waits on a listener's socket.
pub fn receive(reactor: &mut Reactor, listener: usize) {
    let Some(mut receiver) = reactor.arrivals.receiver.take() else { return };
    let local = reactor.listeners[listener].local;
    let mut datagrams = 0;
    for _ in 0..TURN_BATCHES {
        let (buffers, has_more) = receiver.receive(reactor.listeners[listener].fd());
        reactor.counters.add(Id::ReceiveCalls, 1);
        for buffer in 0..buffers {
            let Some(arrival) = receiver.arrival(buffer, local) else { continue };
            reactor.counters.add(Id::ReceivedBytes, arrival.length as u64);
            if arrival.overflows != 0 {
                let known = std::mem::replace(&mut reactor.listeners[listener].overflows, arrival.overflows);
                reactor.counters.add(Id::ReceiveOverflows, arrival.overflows.wrapping_sub(known) as u64);
            }
            for datagram in receiver.datagrams(&arrival) {
                datagrams += 1;
                steer(reactor, listener, datagram, arrival.from, arrival.to, true);
            }
        }
        if !has_more {
            break;
        }
    }
    reactor.arrivals.receiver = Some(receiver);
    reactor.arrivals.datagrams += datagrams;
    reactor.counters.add(Id::DatagramsReceived, datagrams);
}

/// Receives datagrams that other shards handed over.
pub fn receive_handed(reactor: &mut Reactor) {
    reactor.switchboard.inbox.wake.acknowledge();
    if reactor.switchboard.inbox.are_places_asked_for() {
        reactor.upstreams.yield_connections(reactor.relay.turn.now);
    }
    while let Some(mut packet) = reactor.switchboard.inbox.take() {
        reactor.counters.add_to(Id::HandedOver, 1, 1);
        steer(reactor, packet.listener as usize, &mut packet.bytes, packet.from, packet.to, false);
    }
}

/// Phase 2, steer.
fn steer(reactor: &mut Reactor, listener: usize, datagram: &mut [u8], from: SocketAddr, to: SocketAddr, may_hand_over: bool) {
    match reactor.ids.route(datagram) {
        Route::Connection(key) => decrypt(reactor, key, datagram, from, to),
        Route::New => {
            let listener = reactor.listeners.receiver(listener);
            match admit(reactor, listener, from) {
                Ok(place) => accept(reactor, listener, datagram, from, to, place),
                Err(refused) => refuse(reactor, listener, datagram, from, to, refused),
            }
        }
        Route::Shard(shard) if may_hand_over => {
            let packet = Handed { listener: listener as u32, from, to, bytes: (&*datagram).into() };
            if reactor.switchboard.ports[shard as usize].hand_over(packet) {
                reactor.counters.add_to(Id::HandedOver, 0, 1);
            } else {
                reactor.counters.dropped(Dropped::HandOverFull);
            }
        }
        Route::Shard(_) => reactor.counters.dropped(Dropped::UnknownConnection),
        Route::Negotiate => negotiate(reactor, listener, datagram, from, to),
        Route::Drop(reason) => reactor.counters.dropped(reason),
    }
}

/// Finds a place for a new connection, or the reason why there is none. The client's address is not
/// validated yet: a full limit there is reason to refuse and spares a handshake, but the place is
/// only taken after the handshake.
fn admit(reactor: &Reactor, listener: usize, from: SocketAddr) -> Result<ConnectionPlace, Refused> {
    if reactor.relay.rules.is_draining {
        return Err(Refused::Draining);
    }
    let listener = &reactor.listeners[listener];
    if listener.is_retiring {
        return Err(Refused::Draining);
    }
    if listener.client_limit.as_ref().is_some_and(|limit| limit.is_full(from.ip())) {
        return Err(Refused::ClientLimit);
    }
    listener.connections.take(listener.settings.max_connections).ok_or(Refused::ConnectionLimit)
}

/// Answers an unsupported version with Version Negotiation.
fn negotiate(reactor: &mut Reactor, listener: usize, datagram: &[u8], from: SocketAddr, to: SocketAddr) {
    let Some(client) = LongHeader::read(datagram) else { return };
    match reply(reactor, listener, from, to, |out| stateless::negotiate(client, out)) {
        true => reactor.counters.add(Id::VersionNegotiations, 1),
        false => reactor.counters.dropped(Dropped::VersionLimit),
    }
}

/// Refuses a connection at once, so that the client does not wait for a timeout.
fn refuse(reactor: &mut Reactor, listener: usize, datagram: &[u8], from: SocketAddr, to: SocketAddr, refused: Refused) {
    let Some(client) = LongHeader::read(datagram) else { return };
    if reply(reactor, listener, from, to, |out| stateless::refuse(client, out)) {
        return reactor.counters.add_to(Id::ConnectionsRefused, refused as usize, 1);
    }
    reactor.counters.dropped(match refused {
        Refused::ConnectionLimit => Dropped::ConnectionLimit,
        Refused::Draining => Dropped::Draining,
        Refused::ClientLimit => Dropped::ClientLimit,
    });
}

/// Sends a stateless answer, rate-limited because the source address may be spoofed.
fn reply(reactor: &mut Reactor, listener: usize, from: SocketAddr, to: SocketAddr, write: impl FnOnce(&mut [u8]) -> Option<usize>) -> bool {
    let sender = &mut reactor.listeners[listener].output.sender;
    if !sender.has_room() || !reactor.admission.stateless_replies.take(reactor.relay.turn.now) {
        return false;
    }
    let length = write(sender.spare());
    if let Some(length) = length {
        sender.push(length, length, to, from);
    }
    length.is_some()
}

/// Phase 3, accept.
fn accept(reactor: &mut Reactor, listener: usize, datagram: &mut [u8], from: SocketAddr, to: SocketAddr, place: ConnectionPlace) {
    let Some(initial_id) = Ids::initial_of(datagram) else { return reactor.counters.dropped(Dropped::Malformed) };
    let (id, token) = reactor.ids.mint();
    let state = &mut reactor.listeners[listener];
    let config = state.config(reactor.relay.held.pressure >= Pressure::High);
    config.set_stateless_reset_token(Some(token));
    let transport = panics::guard(|| {
        plant::here("accept");
        Transport::accept(id, initial_id.clone(), from, to, config)
    });
    let transport = match transport {
        Ok(Some(transport)) => transport,
        Ok(None) => return reactor.counters.dropped(Dropped::Refused),
        Err(Panicked) => return reactor.relay.note_panic(Owner::Connection),
    };
    let number = reactor.admission.next_number();
    let (socket, listener, at) = (listener as u32, state.number, reactor.relay.turn.now);
    state.enter();
    let accepted = Accepted { number, listener, socket, peer: from, at, place };
    let key = reactor.relay.connections.insert(Connection::new(Protocol::Http3(Http3::new(transport)), accepted));
    reactor.ids.enter(key, id, initial_id);
    reactor.counters.add(Id::ConnectionsOpened, 1);
    reactor.counters.set(Id::ConnectionsOpen, 0, reactor.relay.connections.len() as u64);
    decrypt(reactor, key, datagram, from, to);
}

/// Phase 4, decrypt: passes the datagram to quiche. Streams are handled after the batch.
fn decrypt(reactor: &mut Reactor, key: Key, datagram: &mut [u8], from: SocketAddr, to: SocketAddr) {
    let Some(connection) = reactor.relay.connections.get_mut(key) else { return };
    connection.has_arrivals = true;
    let Some(transport) = connection.protocol.transport() else { return };
    let received = panics::guard(|| {
        plant::here("receive");
        transport.receive(datagram, from, to)
    });
    match received {
        Ok(true) => {}
        Ok(false) => reactor.counters.dropped(Dropped::Undecryptable),
        Err(Panicked) => return ends::end_panicked(reactor, key),
    }
    reactor.relay.connections.touch(key);
}
