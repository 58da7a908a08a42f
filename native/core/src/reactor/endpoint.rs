//! Phases 1 to 4: datagrams come in batches, find their connection, or make one, or are dropped for a reason that is counted.

use super::switchboard::Handed;
use super::{Reactor, TURN_BATCHES};
use crate::base::budget::Pressure;
use crate::base::counters::{Dropped, Id, Refused};
use crate::base::panics::{self, Owner, Panicked, plant};
use crate::base::slab::Key;
use crate::downstream::connection::{Accepted, Connection};
use crate::downstream::http3::Http3;
use crate::quic::count::ConnectionPlace;
use crate::quic::ids::{Ids, Route};
use crate::quic::stateless::{self, LongHeader};
use crate::quic::transport::Transport;
use std::net::SocketAddr;

impl Reactor {
    /// Phase 1, receive: takes what waits on a listener's socket, a fair share of it.
    pub(super) fn receive(&mut self, listener: usize) {
        let Some(mut receiver) = self.receiver.take() else { return };
        let local = self.listeners[listener].local;
        let mut datagrams = 0;
        for _ in 0..TURN_BATCHES {
            let (buffers, has_more) = receiver.receive(self.listeners[listener].fd());
            self.counters.add(Id::ReceiveCalls, 1);
            for buffer in 0..buffers {
                let Some(arrival) = receiver.arrival(buffer, local) else { continue };
                self.counters.add(Id::ReceivedBytes, arrival.length as u64);
                if arrival.overflows != 0 {
                    let known = std::mem::replace(&mut self.listeners[listener].overflows, arrival.overflows);
                    self.counters.add(Id::ReceiveOverflows, arrival.overflows.wrapping_sub(known) as u64);
                }
                for datagram in receiver.datagrams(&arrival) {
                    datagrams += 1;
                    self.steer(listener, datagram, arrival.from, arrival.to, true);
                }
            }
            if !has_more {
                break;
            }
        }
        self.receiver = Some(receiver);
        self.turn_datagrams += datagrams;
        self.counters.add(Id::DatagramsReceived, datagrams);
    }

    /// Takes what other shards handed over.
    pub(super) fn receive_handed(&mut self) {
        self.inbox.wake.acknowledge();
        if self.inbox.are_places_asked_for() {
            self.upstreams.yield_connections(self.relay.turn.now);
        }
        while let Some(mut packet) = self.inbox.take() {
            self.counters.add_to(Id::HandedOver, 1, 1);
            self.steer(packet.listener as usize, &mut packet.bytes, packet.from, packet.to, false);
        }
    }

    /// Phase 2, steer.
    fn steer(&mut self, listener: usize, datagram: &mut [u8], from: SocketAddr, to: SocketAddr, may_hand_over: bool) {
        match self.ids.route(datagram) {
            Route::Connection(key) => self.decrypt(key, datagram, from, to),
            Route::New => {
                let listener = self.listeners.receiver(listener);
                match self.admit(listener, from) {
                    Ok(place) => self.accept(listener, datagram, from, to, place),
                    Err(refused) => self.refuse(listener, datagram, from, to, refused),
                }
            }
            Route::Shard(shard) if may_hand_over => {
                let packet = Handed { listener: listener as u32, from, to, bytes: (&*datagram).into() };
                if self.ports[shard as usize].hand_over(packet) {
                    self.counters.add_to(Id::HandedOver, 0, 1);
                } else {
                    self.counters.dropped(Dropped::HandOverFull);
                }
            }
            Route::Shard(_) => self.counters.dropped(Dropped::UnknownConnection),
            Route::Negotiate => self.negotiate(listener, datagram, from, to),
            Route::Drop(reason) => self.counters.dropped(reason),
        }
    }

    /// A place for a new connection, or why there is none. The client has not shown yet that it is
    /// at its address: that others have used up what is allowed there is reason to refuse it, which
    /// spares a handshake, but it takes none of its client's places before that is through.
    fn admit(&self, listener: usize, from: SocketAddr) -> Result<ConnectionPlace, Refused> {
        if self.relay.rules.is_draining {
            return Err(Refused::Draining);
        }
        let listener = &self.listeners[listener];
        if listener.is_retiring {
            return Err(Refused::Draining);
        }
        if listener.client_limit.as_ref().is_some_and(|limit| limit.is_full(from.ip())) {
            return Err(Refused::ClientLimit);
        }
        listener.connections.take(listener.settings.max_connections).ok_or(Refused::ConnectionLimit)
    }

    /// Answers a version we do not speak with those we do.
    fn negotiate(&mut self, listener: usize, datagram: &[u8], from: SocketAddr, to: SocketAddr) {
        let Some(client) = LongHeader::read(datagram) else { return };
        match self.reply(listener, from, to, |out| stateless::negotiate(client, out)) {
            true => self.counters.add(Id::VersionNegotiations, 1),
            false => self.counters.dropped(Dropped::VersionLimit),
        }
    }

    /// Tells a client at once that it gets no connection, so that it need not find out by waiting.
    fn refuse(&mut self, listener: usize, datagram: &[u8], from: SocketAddr, to: SocketAddr, refused: Refused) {
        let Some(client) = LongHeader::read(datagram) else { return };
        if self.reply(listener, from, to, |out| stateless::refuse(client, out)) {
            return self.counters.add_to(Id::ConnectionsRefused, refused as usize, 1);
        }
        self.counters.dropped(match refused {
            Refused::ConnectionLimit => Dropped::ConnectionLimit,
            Refused::Draining => Dropped::Draining,
            Refused::ClientLimit => Dropped::ClientLimit,
        });
    }

    /// Sends an answer that nothing is remembered of, at the rate that is allowed: the address it goes to may be somebody else's than the sender's.
    fn reply(&mut self, listener: usize, from: SocketAddr, to: SocketAddr, write: impl FnOnce(&mut [u8]) -> Option<usize>) -> bool {
        let sender = &mut self.listeners[listener].sender;
        if !sender.has_room() || !self.stateless_replies.take(self.relay.turn.now) {
            return false;
        }
        let length = write(sender.spare());
        if let Some(length) = length {
            sender.push(length, length, to, from);
        }
        length.is_some()
    }

    /// Phase 3, accept.
    fn accept(&mut self, listener: usize, datagram: &mut [u8], from: SocketAddr, to: SocketAddr, place: ConnectionPlace) {
        let Some(initial_id) = Ids::initial_of(datagram) else { return self.counters.dropped(Dropped::Malformed) };
        let (id, token) = self.ids.mint();
        let state = &mut self.listeners[listener];
        state.set_tight(self.relay.held.pressure >= Pressure::High);
        state.config.set_stateless_reset_token(Some(token));
        let transport = panics::guard(|| {
            plant::here("accept");
            Transport::accept(id, initial_id.clone(), from, to, &mut state.config)
        });
        let transport = match transport {
            Ok(Some(transport)) => transport,
            Ok(None) => return self.counters.dropped(Dropped::Refused),
            Err(Panicked) => return self.relay.note_panic(Owner::Connection),
        };
        let number = self.next_number;
        self.next_number += self.ports.len().max(1) as u64;
        let (socket, listener, at) = (listener as u32, state.number, self.relay.turn.now);
        state.enter();
        let accepted = Accepted { number, listener, socket, peer: from, at, place };
        let key = self.relay.connections.insert(Connection::new(Http3::new(transport), accepted));
        self.ids.enter(key, id, initial_id);
        self.counters.add(Id::ConnectionsOpened, 1);
        self.counters.set(Id::ConnectionsOpen, 0, self.relay.connections.len() as u64);
        self.decrypt(key, datagram, from, to);
    }

    /// Phase 4, decrypt: quiche takes the datagram; its streams are looked at once the batch is through.
    fn decrypt(&mut self, key: Key, datagram: &mut [u8], from: SocketAddr, to: SocketAddr) {
        let Some(connection) = self.relay.connections.get_mut(key) else { return };
        connection.has_arrivals = true;
        connection.protocol.transport.note_arrival();
        let received = panics::guard(|| {
            plant::here("receive");
            connection.protocol.transport.receive(datagram, from, to)
        });
        match received {
            Ok(true) => {}
            Ok(false) => self.counters.dropped(Dropped::Undecryptable),
            Err(Panicked) => return self.end_panicked(key),
        }
        self.relay.connections.touch(key);
    }
}
