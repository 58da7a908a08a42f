//! Phase 15 and the ends of connections: each touched connection is flushed once a turn, its timer entered, its identifiers kept in step.

use super::{Reactor, recheck};
use crate::base::counters::{Closed, Handshake, Id, Refused};
use crate::base::panics::{self, Owner, plant};
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::base::timers::{NEVER, Nanos};
use crate::http::error::h3;
use crate::quic::cid;
use crate::quic::clients::ClientPlace;
use crate::quic::connection::{Connection, Quic};
use crate::quic::send::{Flushed, Sender};
use crate::quic::stateless::CONNECTION_REFUSED;
use crate::tls::facts;
use quiche::{ConnectionId, PathEvent};

/// Packets whose release lies nearer than this leave at once: timers are no finer.
const PACING_SLACK: Nanos = 1_000_000;

/// Connection IDs a client may hold at once: one in use, two to move with.
const CONNECTION_IDS: usize = 3;

/// A connection flushes at most this many bytes a turn, so that one download does not hold up the others.
const TURN_BYTES: usize = 256 * 1024;

/// INTERNAL_ERROR (RFC 9000 §20.1).
const INTERNAL_ERROR: u64 = 0x1;

impl Reactor {
    /// Looks at connections that got packets: handshakes that ended, addresses that changed, streams that have something to say.
    pub(super) fn process_arrivals(&mut self) {
        let mut place = 0;
        while place < self.relay.dirty.len() {
            let key = self.relay.dirty[place];
            place += 1;
            let Some(connection) = self.relay.connections.get_mut(key).filter(|connection| connection.has_arrivals) else { continue };
            connection.has_arrivals = false;
            if panics::guard(|| self.process_arrival(key)).is_err() {
                self.end_panicked(key);
            }
        }
    }

    fn process_arrival(&mut self, key: Key) {
        let Some(connection) = self.relay.connections.get_mut(key) else { return };
        plant::here("process");
        if !connection.is_open && !connection.is_counted && connection.quic.is_established() {
            let listener = &self.listeners[connection.socket as usize];
            let outcome = if connection.quic.is_resumed() { Handshake::Resumed } else { Handshake::Completed };
            self.counters.add_to(Id::Handshakes, outcome as usize, 1);
            // The handshake has shown that the client is where it says: now it counts there.
            match listener.client_limit.as_ref().map_or_else(|| Some(ClientPlace::default()), |limit| limit.take(connection.peer.ip())) {
                Some(place) => connection.client = place,
                None => return self.refuse_client(key),
            }
            connection.open(listener.settings.http.max_head_bytes, listener.keep_alive());
            // What is wanted may have changed during the handshake.
            let is_late = listener.is_late(connection.tls.generation());
            if self.relay.rules.is_draining || connection.is_retired {
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
        connection.is_counted = true;
        // The code that a first datagram is refused with: it is the same refusal, found out later.
        let _ = connection.quic.close(false, CONNECTION_REFUSED, b"");
        self.counters.add_to(Id::ConnectionsRefused, Refused::ClientLimit as usize, 1);
        self.counters.add_to(Id::ConnectionsClosed, Closed::Refused as usize, 1);
    }

    /// Keeps addresses and connection IDs in step with quiche.
    fn follow_paths(&mut self, key: Key) {
        let Some(connection) = self.relay.connections.get_mut(key) else { return };
        while let Some(event) = connection.quic.path_event_next() {
            match event {
                // A packet from a new address: ask it to prove itself (RFC 9000 §8.2).
                PathEvent::New(local, peer) => drop(connection.quic.probe_path(local, peer)),
                PathEvent::PeerMigrated(_, peer) => {
                    connection.peer = peer;
                    // It goes on counting where it was opened (docs/design/limits.md).
                    self.counters.add(Id::Migrations, 1);
                }
                _ => {}
            }
        }
        while let Some(retired) = connection.quic.retired_scid_next() {
            if let Some(id) = cid::read(&retired) {
                connection.cids.retain(|own| *own != id);
                self.by_cid.remove(&id);
            }
        }
        while connection.quic.scids_left() > 0 && connection.quic.active_scids() < CONNECTION_IDS {
            let id = self.cid_key.mint_free(self.shard, self.generation, |id| self.by_cid.contains_key(&id));
            let bytes = id.to_be_bytes();
            if connection.quic.new_scid(&ConnectionId::from_ref(&bytes), self.cid_key.reset_token(id), false).is_err() {
                break;
            }
            connection.cids.push(id);
            self.by_cid.insert(id, key);
        }
    }

    /// Phase 15: flushes what was touched. What is touched meanwhile is flushed in the next turn.
    pub(super) fn transmit(&mut self) {
        let mut later = std::mem::take(&mut self.later);
        let mut flushing = std::mem::take(&mut self.flushing);
        std::mem::swap(&mut self.relay.dirty, &mut flushing);
        for key in flushing.drain(..) {
            match panics::guard(|| self.transmit_one(key)) {
                Ok(true) => later.push(key),
                Ok(false) => {}
                Err(_) => self.end_panicked(key),
            }
        }
        self.flushing = flushing;
        for key in later.drain(..) {
            self.relay.mark(key);
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
        connection.is_dirty = false;
        if connection.is_drained() {
            connection.close(h3::NO_ERROR);
        }
        if connection.may_wait(self.relay.turn.now) {
            self.arm(key);
            return false;
        }
        let place = connection.socket as usize;
        let listener = &mut self.listeners[place];
        let flushed = match listener.is_blocked {
            true => Flush::Blocked,
            false => flush(
                connection,
                &mut listener.sender,
                listener.settings.quic.max_udp_payload,
                (listener.settings.quic.is_paced && connection.pace.is_due(self.relay.turn.now)).then_some(self.relay.turn.now),
                &self.relay.turn.clock,
            ),
        };
        if matches!(flushed, Flush::Blocked) {
            listener.hold_up(key, connection);
            self.set_blocked(place, true);
        }
        if let Some(connection) = self.relay.connections.get_mut(key) {
            connection.measure(self.relay.turn.now);
            connection.recount(&mut self.relay.held.account);
        }
        self.after_flush(key);
        matches!(flushed, Flush::More)
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
                connection.is_held_up = false;
            }
            self.relay.mark(key);
        }
        self.listeners[place].held_up = held_up;
    }

    /// After a flush: ends what has ended, enters the timer.
    fn after_flush(&mut self, key: Key) {
        let Some(connection) = self.relay.connections.get_mut(key) else { return };
        let handshake_timeout = self.listeners[connection.socket as usize].handshake_timeout();
        // A handshake that was given up leaves at once: its close may never be sent, where the address was not validated and has got all it may.
        let is_given_up = !connection.is_open && self.relay.turn.now >= connection.accepted_at + handshake_timeout;
        if connection.quic.is_closed() || is_given_up {
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
        let deadline = deadline(connection, &self.relay.turn.clock, self.listeners[connection.socket as usize].handshake_timeout());
        self.timers.arm(&mut connection.armed, deadline, key.pack());
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
        if !crate::base::timers::Timers::is_current(&mut connection.armed, due) {
            return;
        }
        let handshake_timeout = self.listeners[connection.socket as usize].handshake_timeout();
        if deadline(connection, &self.relay.turn.clock, handshake_timeout) > now {
            return self.arm(key);
        }
        if connection.quic.timeout_instant().is_some_and(|at| self.relay.turn.clock.nanos(at) <= now) {
            connection.time_out();
        }
        if !connection.is_open && now >= connection.accepted_at + handshake_timeout {
            let _ = connection.quic.close(false, 0, b"");
        }
        connection.advance_drain(now);
        connection.advance_end(now);
        connection.advance_keep_alive(now);
        if connection.cut_at <= now {
            self.cut_retired(key);
        }
        self.relay.mark(key);
    }

    /// The client is gone: its exchanges end.
    fn end_exchanges(&mut self, key: Key) {
        let Some(connection) = self.relay.connections.get(key).filter(|connection| !connection.exchanges.is_empty()) else { return };
        let exchanges: Vec<Key> = connection.exchanges.values().copied().collect();
        for exchange in exchanges {
            self.relay.client_left(&mut self.upstreams, exchange, Reason::ClientGone, h3::REQUEST_CANCELLED);
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
        self.listeners[connection.socket as usize].leave();
        self.upstreams.client_gone(key.pack());
        connection.forget(&mut self.relay.held.account);
        for id in &connection.cids {
            self.by_cid.remove(id);
        }
        self.by_initial.remove(&connection.initial_dcid);
        self.counters.set(Id::ConnectionsOpen, 0, self.relay.connections.len() as u64);
        Some(connection)
    }

    /// Ends the connections in whose exchanges something panicked.
    pub(super) fn end_condemned(&mut self) {
        while let Some(key) = self.relay.condemned.pop() {
            self.end_panicked(key);
        }
    }

    /// Ends a connection whose work panicked: nobody knows in which state it left it. The client is told, if that can be done still; nothing else is asked of quiche.
    pub(super) fn end_panicked(&mut self, key: Key) {
        self.relay.note_panic(Owner::Connection);
        // What panics again, the farewell, the books or the memory, is left as it is.
        let _ = panics::guard(|| self.say_farewell(key));
        self.relay.fail_exchanges(&mut self.upstreams, key);
        let Some(connection) = self.take_out(key) else { return };
        if !connection.is_counted {
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
        let listener = &mut self.listeners[connection.socket as usize];
        if !listener.is_blocked {
            let _ = connection.quic.close(false, INTERNAL_ERROR, b"");
            flush(connection, &mut listener.sender, listener.settings.quic.max_udp_payload, None, &self.relay.turn.clock);
        }
    }

    /// Counts how a connection ended, once, when it does: it is kept a little longer for what is on its way (RFC 9000 §10.2).
    fn count_end(&mut self, key: Key) {
        let Some(connection) = self.relay.connections.get_mut(key).filter(|connection| !connection.is_counted) else { return };
        connection.is_counted = true;
        // It carries nothing any more, and its client may have another.
        connection.client = ClientPlace::default();
        let counters = &self.counters;
        if !connection.is_open {
            let age = self.relay.turn.now.saturating_sub(connection.accepted_at);
            let is_late = connection.quic.is_timed_out() || age >= self.listeners[connection.socket as usize].handshake_timeout();
            facts::note_failure(connection.quic.as_mut());
            let outcome = if is_late { Handshake::TimedOut } else { Handshake::Failed };
            return counters.add_to(Id::Handshakes, outcome as usize, 1);
        }
        counters.add_to(Id::ConnectionsClosed, cause(&connection.quic) as usize, 1);
        counters.observe(Id::ConnectionAge, self.relay.turn.now.saturating_sub(connection.accepted_at) / 1_000_000);
        counters.observe(Id::ConnectionRtt, connection.rtt_us);
        let stats = connection.quic.stats();
        if let Some(ppm) = (stats.lost * 1_000_000).checked_div(stats.sent) {
            counters.observe(Id::ConnectionLoss, ppm as u64);
        }
    }
}

fn cause(quic: &Quic) -> Closed {
    if quic.is_timed_out() {
        return Closed::Idle;
    }
    match (quic.peer_error(), quic.local_error()) {
        (None, Some(error)) if error.is_app && error.error_code == h3::NO_ERROR => Closed::Local,
        (None, Some(_)) => Closed::Protocol,
        _ => Closed::Peer,
    }
}

/// When a connection has to be looked at again.
fn deadline(connection: &Connection, clock: &crate::base::timers::Clock, handshake_timeout: Nanos) -> Nanos {
    let mut deadline = connection.quic.timeout_instant().map_or(NEVER, |at| clock.nanos(at));
    for at in [connection.release_at, connection.acknowledge_at] {
        if at > 0 {
            deadline = deadline.min(at);
        }
    }
    if !connection.is_open && !connection.is_ending() {
        deadline = deadline.min(connection.accepted_at + handshake_timeout);
    }
    deadline.min(connection.cut_at).min(connection.drain_deadline()).min(connection.keep_alive_deadline())
}

enum Flush {
    Done,
    More,
    Blocked,
}

/// Makes packets of everything a connection may send now. Packets of one size form a message.
fn flush(
    connection: &mut Connection,
    sender: &mut Sender,
    max_payload: usize,
    paced_at: Option<Nanos>,
    clock: &crate::base::timers::Clock,
) -> Flush {
    let mut budget = TURN_BYTES;
    connection.release_at = 0;
    connection.acknowledge_at = 0;
    connection.has_output = false;
    connection.unanswered = 0;
    connection.flushed = 0;
    loop {
        if !sender.has_room() && sender.flush() == Flushed::Blocked {
            return Flush::Blocked;
        }
        let max_payload = max_payload.min(connection.quic.max_send_udp_payload_size());
        let burst = sender.burst(max_payload);
        let (mut length, mut segment, mut packets) = (0, 0, 0);
        let mut addresses = None;
        let mut stray = None;
        let end = loop {
            let room = if packets == 0 { max_payload } else { segment };
            let spare = sender.spare();
            match connection.quic.send(&mut spare[length..length + room]) {
                Ok((written, info)) => {
                    if packets == 0 {
                        segment = written;
                        addresses = Some((info.from, info.to));
                    }
                    packets += 1;
                    // A path of its own gets a message of its own.
                    if addresses != Some((info.from, info.to)) {
                        stray = Some((written, info));
                        break None;
                    }
                    length += written;
                    if let Some(now) = paced_at {
                        let release = clock.nanos(info.at);
                        if release > now + PACING_SLACK {
                            connection.release_at = release;
                            break Some(Flush::Done);
                        }
                    }
                    // A small first packet would make all that follow it small.
                    let is_small = packets == 1 && written < max_payload / 4 * 3;
                    if is_small || written < segment || packets >= burst {
                        break None;
                    }
                }
                // In less than a full packet's room quiche may find nothing that fits: ask again with more.
                Err(quiche::Error::Done) if packets > 0 && segment < max_payload => break None,
                Err(quiche::Error::Done) => break Some(Flush::Done),
                // Told to the client in the next turn, once.
                Err(_) => match connection.quic.close(false, 0x1, b"") {
                    Ok(()) => break Some(Flush::More),
                    Err(_) => break Some(Flush::Done),
                },
            }
        };
        connection.flushed += packets;
        if let (1.., Some((from, to))) = (length, addresses) {
            sender.push(length, segment, from, to);
        }
        if let Some((written, info)) = stray {
            sender.push(written, written, info.from, info.to);
        }
        match end {
            Some(end) => return end,
            None if length >= budget => return Flush::More,
            None => budget -= length,
        }
    }
}
