//! Phase 15: flushes each touched connection once a turn, and then each socket.

use super::ends;
use super::parts::Reactor;
use crate::base::counters::Id;
use crate::base::panics::{self, plant};
use crate::base::slab::Key;
use crate::downstream::cause::Cause;
use crate::quic::send::Flushed;
use crate::quic::transport::{Life, Sent};

/// Phase 15: flushes touched connections. Those touched meanwhile are flushed in the next turn.
pub fn transmit(reactor: &mut Reactor) {
    let mut later = std::mem::take(&mut reactor.flushing.later);
    let mut flushing = std::mem::take(&mut reactor.flushing.now);
    reactor.relay.connections.take_dirty(&mut flushing);
    for key in flushing.drain(..) {
        match panics::guard(|| transmit_one(reactor, key)) {
            Ok(true) => later.push(key),
            Ok(false) => {}
            Err(_) => ends::end_panicked(reactor, key),
        }
    }
    reactor.flushing.now = flushing;
    for key in later.drain(..) {
        reactor.relay.connections.mark(key);
    }
    reactor.flushing.later = later;
    for place in 0..reactor.listeners.room() {
        // A blocked socket reports when it has room.
        if reactor.listeners.get(place).is_some_and(|listener| !listener.output.is_blocked) {
            flush_socket(reactor, place);
        }
    }
}

/// Flushes one connection. Returns true if it has more to send in the next turn.
pub fn transmit_one(reactor: &mut Reactor, key: Key) -> bool {
    let Some(connection) = reactor.relay.connections.get_mut(key) else { return false };
    plant::here("send");
    connection.listed.is_dirty = false;
    if connection.is_drained() {
        connection.close(Cause::Done);
    }
    if connection.may_wait(reactor.relay.turn.now) {
        ends::arm(reactor, key);
        return false;
    }
    let place = connection.accepted.socket as usize;
    let listener = &mut reactor.listeners[place];
    let settings = &listener.settings.quic;
    let sent = match listener.output.is_blocked {
        true => Sent::Blocked,
        false => connection.flush(
            &mut listener.output.sender,
            settings.max_udp_payload,
            settings.is_paced,
            reactor.relay.turn.now,
            &reactor.relay.turn.clock,
        ),
    };
    if sent == Sent::Blocked {
        listener.hold_up(key, connection);
        set_blocked(reactor, place, true);
    }
    if let Some(connection) = reactor.relay.connections.get_mut(key) {
        connection.recount(reactor.relay.turn.now, &mut reactor.relay.held.account);
    }
    after_flush(reactor, key);
    sent == Sent::Part
}

/// Hands a listener's batch to the kernel, and waits for writability if that is full.
pub fn flush_socket(reactor: &mut Reactor, place: usize) {
    let sender = &mut reactor.listeners[place].output.sender;
    let is_blocked = !sender.is_empty() && sender.flush() == Flushed::Blocked;
    set_blocked(reactor, place, is_blocked);
}

/// Marks a listener's socket full or writable, and in the latter case resumes what waited for it.
fn set_blocked(reactor: &mut Reactor, place: usize, is_blocked: bool) {
    let listener = &mut reactor.listeners[place];
    if listener.output.is_blocked == is_blocked {
        return;
    }
    listener.output.is_blocked = is_blocked;
    // A failure here would mean a closed descriptor, which cannot be: the listener owns it.
    let _ = reactor.poll.modify(listener.fd(), place as u64, is_blocked);
    if is_blocked {
        return reactor.counters.add(Id::SendBufferFull, 1);
    }
    let mut held_up = std::mem::take(&mut listener.output.held_up);
    for key in held_up.drain(..) {
        if let Some(connection) = reactor.relay.connections.get_mut(key) {
            connection.listed.is_held_up = false;
        }
        reactor.relay.connections.mark(key);
    }
    reactor.listeners[place].output.held_up = held_up;
}

/// After a flush: removes a connection that has ended, arms its timer.
fn after_flush(reactor: &mut Reactor, key: Key) {
    let Some(connection) = reactor.relay.connections.get_mut(key) else { return };
    let handshake_timeout = reactor.listeners[connection.accepted.socket as usize].handshake_timeout();
    // A handshake that is given up is removed at once: its close may never be sent if the address
    // is not validated and the amplification limit is reached.
    let is_given_up = !connection.is_open && reactor.relay.turn.now >= connection.accepted.at + handshake_timeout;
    if connection.protocol.life() == Life::Closed || is_given_up {
        return ends::remove(reactor, key);
    }
    if connection.is_ending() {
        ends::count_end(reactor, key);
        ends::end_exchanges(reactor, key);
    }
    ends::arm(reactor, key);
}
