//! The reactor's part of clients' connections: those that got bytes are looked at (phase 4), each
//! touched one is flushed once a turn (phase 15), its timer entered, its end seen to.

use super::{Reactor, recheck};
use crate::base::counters::{Closed, Handshake, Id, Refused};
use crate::base::panics::{self, Owner, plant};
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::base::timers::{Nanos, Timers};
use crate::downstream::connection::Connection;
use crate::http::error::h3;
use crate::quic::clients::ClientPlace;
use crate::quic::send::Flushed;
use crate::quic::stateless::CONNECTION_REFUSED;
use crate::quic::transport::Sent;
use crate::relay::end;
use crate::tls::facts;

impl Reactor {
    /// Looks at connections that got packets: handshakes that ended, addresses that changed, streams that have something to say.
    pub(super) fn process_arrivals(&mut self) {
        let mut place = 0;
        while let Some(key) = self.relay.connections.next_arrival(&mut place) {
            if panics::guard(|| self.process_arrival(key)).is_err() {
                self.end_panicked(key);
            }
        }
    }

    fn process_arrival(&mut self, key: Key) {
        let Some(connection) = self.relay.connections.get_mut(key) else { return };
        plant::here("process");
        let quic = &connection.protocol.transport.quic;
        if !connection.is_open && !connection.end.is_counted && quic.is_established() {
            let listener = &self.listeners[connection.accepted.socket as usize];
            let outcome = if quic.is_resumed() { Handshake::Resumed } else { Handshake::Completed };
            self.counters.add_to(Id::Handshakes, outcome as usize, 1);
            // The handshake has shown that the client is where it says: now it counts there.
            match listener.client_limit.as_ref().map_or_else(|| Some(ClientPlace::default()), |limit| limit.take(connection.peer.ip())) {
                Some(place) => connection.place = place,
                None => return self.refuse_client(key),
            }
            connection.open(listener.settings.http.max_head_bytes, listener.keep_alive());
            // What is wanted may have changed during the handshake.
            let is_late = listener.is_late(connection.tls.generation());
            if self.relay.rules.is_draining || connection.end.is_retired {
                connection.notify_drain(self.relay.turn.now);
            }
            if is_late {
                self.recheck_one(key, recheck::unix_now());
            }
        }
        if self.relay.connections.get(key).is_some_and(|connection| connection.is_open) {
            self.follow_paths(key);
            crate::relay::streams::process(&mut self.relay, &mut self.upstreams, key);
        }
    }

    /// Ends a connection whose client has as many as it may: nothing of it was looked at, so that
    /// the client may come again, here or elsewhere, with all it wanted.
    fn refuse_client(&mut self, key: Key) {
        let Some(connection) = self.relay.connections.get_mut(key) else { return };
        connection.end.is_counted = true;
        // The code that a first datagram is refused with: it is the same refusal, found out later.
        connection.protocol.transport.close(CONNECTION_REFUSED);
        self.counters.add_to(Id::ConnectionsRefused, Refused::ClientLimit as usize, 1);
        self.counters.add_to(Id::ConnectionsClosed, Closed::Refused as usize, 1);
    }

    /// Keeps addresses and connection IDs in step with quiche.
    fn follow_paths(&mut self, key: Key) {
        let Some(Connection { protocol, peer, .. }) = self.relay.connections.get_mut(key) else { return };
        self.ids.follow(key, &mut protocol.transport, |address| {
            *peer = address;
            // It goes on counting where it was opened (docs/design/limits.md).
            self.counters.add(Id::Migrations, 1);
        });
    }

    /// Phase 15: flushes what was touched. What is touched meanwhile is flushed in the next turn.
    pub(super) fn transmit(&mut self) {
        let mut later = std::mem::take(&mut self.later);
        let mut flushing = std::mem::take(&mut self.flushing);
        self.relay.connections.take_dirty(&mut flushing);
        for key in flushing.drain(..) {
            match panics::guard(|| self.transmit_one(key)) {
                Ok(true) => later.push(key),
                Ok(false) => {}
                Err(_) => self.end_panicked(key),
            }
        }
        self.flushing = flushing;
        for key in later.drain(..) {
            self.relay.connections.mark(key);
        }
        self.later = later;
        for place in 0..self.listeners.room() {
            // A full socket says when it has room.
            if self.listeners.get(place).is_some_and(|listener| !listener.is_blocked) {
                self.flush_socket(place);
            }
        }
    }

    /// Flushes one connection; true when it has more to send in the next turn.
    pub(super) fn transmit_one(&mut self, key: Key) -> bool {
        let Some(connection) = self.relay.connections.get_mut(key) else { return false };
        plant::here("send");
        connection.listed.is_dirty = false;
        if connection.is_drained() {
            connection.close(h3::NO_ERROR);
        }
        if connection.may_wait(self.relay.turn.now) {
            self.arm(key);
            return false;
        }
        let place = connection.accepted.socket as usize;
        let listener = &mut self.listeners[place];
        let settings = &listener.settings.quic;
        let sent = match listener.is_blocked {
            true => Sent::Blocked,
            false => connection.flush(
                &mut listener.sender,
                settings.max_udp_payload,
                settings.is_paced,
                self.relay.turn.now,
                &self.relay.turn.clock,
            ),
        };
        if sent == Sent::Blocked {
            listener.hold_up(key, connection);
            self.set_blocked(place, true);
        }
        if let Some(connection) = self.relay.connections.get_mut(key) {
            connection.protocol.transport.measure(self.relay.turn.now);
            connection.recount(&mut self.relay.held.account);
        }
        self.after_flush(key);
        sent == Sent::Part
    }

    /// Hands a listener's batch to the kernel; waits for room when it has none.
    pub(super) fn flush_socket(&mut self, place: usize) {
        let sender = &mut self.listeners[place].sender;
        let is_blocked = !sender.is_empty() && sender.flush() == Flushed::Blocked;
        self.set_blocked(place, is_blocked);
    }

    /// A listener's socket is full, or has room again: then whoever was held up by it goes on.
    fn set_blocked(&mut self, place: usize, is_blocked: bool) {
        let listener = &mut self.listeners[place];
        if listener.is_blocked == is_blocked {
            return;
        }
        listener.is_blocked = is_blocked;
        // A failure here would mean a closed descriptor, which cannot be: the listener owns it.
        let _ = self.poll.modify(listener.fd(), place as u64, is_blocked);
        if is_blocked {
            return self.counters.add(Id::SendBufferFull, 1);
        }
        let mut held_up = std::mem::take(&mut listener.held_up);
        for key in held_up.drain(..) {
            if let Some(connection) = self.relay.connections.get_mut(key) {
                connection.listed.is_held_up = false;
            }
            self.relay.connections.mark(key);
        }
        self.listeners[place].held_up = held_up;
    }

    /// After a flush: ends what has ended, enters the timer.
    fn after_flush(&mut self, key: Key) {
        let Some(connection) = self.relay.connections.get_mut(key) else { return };
        let handshake_timeout = self.listeners[connection.accepted.socket as usize].handshake_timeout();
        // A handshake that was given up leaves at once: its close may never be sent, where the address was not validated and has got all it may.
        let is_given_up = !connection.is_open && self.relay.turn.now >= connection.accepted.at + handshake_timeout;
        if connection.protocol.transport.quic.is_closed() || is_given_up {
            return self.remove(key);
        }
        if connection.is_ending() {
            self.count_end(key);
            self.end_exchanges(key);
        }
        self.arm(key);
    }

    pub(super) fn arm(&mut self, key: Key) {
        let Some(connection) = self.relay.connections.get_mut(key) else { return };
        let handshake_timeout = self.listeners[connection.accepted.socket as usize].handshake_timeout();
        let deadline = connection.deadline(&self.relay.turn.clock, handshake_timeout);
        self.timers.arm(&mut connection.listed.armed, deadline, key.pack());
    }

    /// A connection's timer came due.
    pub(super) fn on_connection_timer(&mut self, key: Key, due: Nanos) {
        if panics::guard(|| self.take_connection_timer(key, due)).is_err() {
            self.end_panicked(key);
        }
    }

    fn take_connection_timer(&mut self, key: Key, due: Nanos) {
        let now = self.relay.turn.now;
        let Some(connection) = self.relay.connections.get_mut(key) else { return };
        if !Timers::is_current(&mut connection.listed.armed, due) {
            return;
        }
        let handshake_timeout = self.listeners[connection.accepted.socket as usize].handshake_timeout();
        if connection.deadline(&self.relay.turn.clock, handshake_timeout) > now {
            return self.arm(key);
        }
        connection.advance(now, &self.relay.turn.clock, handshake_timeout);
        if connection.end.cut_at <= now {
            self.cut_retired(key);
        }
        self.relay.connections.mark(key);
    }

    /// The client is gone: its exchanges end.
    fn end_exchanges(&mut self, key: Key) {
        let Some(connection) = self.relay.connections.get(key).filter(|connection| !connection.exchanges.is_empty()) else { return };
        let exchanges: Vec<Key> = connection.exchanges.values().copied().collect();
        for exchange in exchanges {
            end::client_left(&mut self.relay, &mut self.upstreams, exchange, Reason::ClientGone, h3::REQUEST_CANCELLED);
        }
    }

    /// Forgets a connection.
    fn remove(&mut self, key: Key) {
        self.count_end(key);
        self.end_exchanges(key);
        self.take_out(key);
    }

    /// Takes a connection out of all books.
    fn take_out(&mut self, key: Key) -> Option<Box<Connection>> {
        let mut connection = self.relay.connections.remove(key)?;
        self.listeners[connection.accepted.socket as usize].leave();
        self.upstreams.client_gone(key.pack());
        connection.forget(&mut self.relay.held.account);
        self.ids.forget(&connection.protocol.transport);
        self.counters.set(Id::ConnectionsOpen, 0, self.relay.connections.len() as u64);
        Some(connection)
    }

    /// Ends the connections in whose exchanges something panicked.
    pub(super) fn end_condemned(&mut self) {
        while let Some(key) = self.relay.connections.next_condemned() {
            self.end_panicked(key);
        }
    }

    /// Ends a connection whose work panicked: nobody knows in which state it left it. The client is told, if that can be done still; nothing else is asked of quiche.
    pub(super) fn end_panicked(&mut self, key: Key) {
        self.relay.note_panic(Owner::Connection);
        // What panics again, the farewell, the books or the memory, is left as it is.
        let _ = panics::guard(|| self.say_farewell(key));
        end::fail_all(&mut self.relay, &mut self.upstreams, key);
        let Some(connection) = self.take_out(key) else { return };
        if !connection.end.is_counted {
            match connection.is_open {
                true => self.counters.add_to(Id::ConnectionsClosed, Closed::Panic as usize, 1),
                false => self.counters.add_to(Id::Handshakes, Handshake::Failed as usize, 1),
            }
        }
        let _ = panics::guard(|| drop(connection));
    }

    /// CONNECTION_CLOSE, as far as it can be sent at once.
    pub(super) fn say_farewell(&mut self, key: Key) {
        let Some(connection) = self.relay.connections.get_mut(key) else { return };
        let listener = &mut self.listeners[connection.accepted.socket as usize];
        if !listener.is_blocked {
            connection.protocol.transport.close_failed();
            let (max_payload, turn) = (listener.settings.quic.max_udp_payload, &self.relay.turn);
            connection.flush(&mut listener.sender, max_payload, false, turn.now, &turn.clock);
        }
    }

    /// Counts how a connection ended, once, when it does: it is kept a little longer for what is on its way (RFC 9000 §10.2).
    fn count_end(&mut self, key: Key) {
        let Some(connection) = self.relay.connections.get_mut(key).filter(|connection| !connection.end.is_counted) else { return };
        connection.end.is_counted = true;
        // It carries nothing any more, and its client may have another.
        connection.place = ClientPlace::default();
        let counters = &self.counters;
        if !connection.is_open {
            let age = self.relay.turn.now.saturating_sub(connection.accepted.at);
            let is_late = connection.protocol.transport.quic.is_timed_out()
                || age >= self.listeners[connection.accepted.socket as usize].handshake_timeout();
            facts::note_failure(connection.protocol.transport.quic.as_mut());
            let outcome = if is_late { Handshake::TimedOut } else { Handshake::Failed };
            return counters.add_to(Id::Handshakes, outcome as usize, 1);
        }
        counters.add_to(Id::ConnectionsClosed, connection.protocol.closed_by() as usize, 1);
        counters.observe(Id::ConnectionAge, self.relay.turn.now.saturating_sub(connection.accepted.at) / 1_000_000);
        counters.observe(Id::ConnectionRtt, connection.protocol.transport.rtt_us);
        let (_, sent, lost) = connection.protocol.transport.stats().packets;
        if let Some(ppm) = (lost * 1_000_000).checked_div(sent) {
            counters.observe(Id::ConnectionLoss, ppm as u64);
        }
    }
}
