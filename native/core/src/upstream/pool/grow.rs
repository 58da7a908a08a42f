//! How sessions come and go: when another is opened, who gets the room that becomes free, and what follows from an end.

use super::backend::{Counted, FullTime};
use super::{Upstreams, mark_dirty};
use crate::base::panics::OfShard;
use crate::base::reason::Reason;
use crate::base::slab;
use crate::base::timers::Nanos;
use crate::http::error::h2;
use crate::upstream::session::{Origin, Phase, Session, Turn, is_out_of_descriptors};
use crate::upstream::sink::{SessionRef, Sink};
use crate::upstream::stats::Stat;

/// Pause before another session is tried after one could not be opened, while others serve.
const CONNECT_PAUSE_NANOS: Nanos = 250_000_000;

impl Upstreams {
    /// Why an attempt that finds no session with room need not wait.
    pub(super) fn hopeless(&self, key: slab::Key) -> Option<Reason> {
        let backend = self.backends.get(key)?;
        if self.has_lasting(key) {
            return None;
        }
        if backend.config.addresses.is_empty() {
            return Some(Reason::NameNotResolved);
        }
        backend.is_without_trust().then_some(Reason::TlsFailed)
    }

    /// Whether a backend has a session, open or on its way, that goes on taking streams.
    pub(super) fn has_lasting(&self, key: slab::Key) -> bool {
        let Some(backend) = self.backends.get(key) else { return false };
        backend.sessions.iter().any(|name| self.sessions.get(name.0).is_some_and(|session| session.is_lasting()))
    }

    /// How long a backend's pool has been full.
    pub fn full_time(&self, slot: u32, now: Nanos) -> FullTime {
        let key = self.by_slot.get(slot as usize).copied().flatten();
        key.and_then(|key| self.backends.get(key)).map_or_else(FullTime::default, |backend| backend.full.read(now))
    }

    /// Takes a session into its backend's books as it has become.
    fn count(&mut self, name: SessionRef) {
        let Some(session) = self.sessions.get_mut(name.0) else { return };
        let Some(backend) = self.backends.get_mut(session.backend) else { return };
        let after = Counted::of(session);
        let before = std::mem::replace(&mut session.counted, after);
        backend.count(before, after);
        session.freed.drain(..).for_each(|holder| backend.places.free(holder));
        if before.is_connecting && after.is_lasting && !after.is_connecting {
            let key = session.backend;
            self.drain_suspects(key);
        }
    }

    /// The first session with room. A body wants one on which it can be sent too, as long as another session could be opened instead.
    pub(super) fn find_room(&self, key: slab::Key, has_body: bool, now: Nanos) -> Option<SessionRef> {
        let sessions = self.backends.get(key)?.sessions.iter().filter_map(|name| self.sessions.get(name.0));
        let mut with_room = sessions.filter(|session| session.has_room_for_all());
        let first = with_room.next()?;
        if !has_body || first.has_credit() {
            return Some(first.key);
        }
        match with_room.find(|session| session.has_credit()) {
            Some(session) => Some(session.key),
            None => (!self.may_grow(key, now)).then_some(first.key),
        }
    }

    /// Whether another session could be opened now.
    fn may_grow(&self, key: slab::Key, now: Nanos) -> bool {
        let Some(backend) = self.backends.get(key) else { return false };
        let lasting = backend.sessions.iter().filter(|name| self.sessions.get(name.0).is_some_and(|session| session.is_lasting())).count();
        let may_connect = if backend.is_shared() { backend.may_connect(&self.table, now) } else { lasting < backend.limit() as usize };
        may_connect && (lasting == 0 || now >= backend.connect_not_before)
    }

    /// Opens as many sessions as those who wait can be expected to need, within the backend's limit.
    pub(super) fn grow(&mut self, key: slab::Key, now: Nanos) {
        loop {
            let Some(backend) = self.backends.get(key) else { return };
            let sessions = backend.sessions.iter().filter_map(|name| self.sessions.get(name.0)).filter(|session| session.is_lasting());
            let (mut lasting, mut expected) = (0, 0);
            for session in sessions {
                lasting += 1;
                expected += if session.is_connecting() { session.expected_room() as usize } else { 0 };
            }
            let is_pausing = lasting > 0 && now < backend.connect_not_before;
            // Counted as they are, not as they were last seen: one that was just given up leaves its place to another.
            let may_connect = if backend.is_shared() { backend.may_connect(&self.table, now) } else { lasting < backend.limit() };
            if backend.places.waiting() <= expected || !may_connect || is_pausing {
                return;
            }
            if !self.connect(key, now) {
                return;
            }
        }
    }

    pub(super) fn connect(&mut self, key: slab::Key, now: Nanos) -> bool {
        let Some(backend) = self.backends.get_mut(key) else { return false };
        if backend.is_without_trust() || !backend.take_connection(&self.table) {
            return false;
        }
        let (config, told_streams) = (backend.config.clone(), backend.told_streams.clone());
        let chance = (self.rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let name = self.sessions.next_key();
        let origin =
            Origin { key: SessionRef(name), backend: key, config, told_streams, epoll: self.epoll, token: self.token_of(name), chance };
        let session = match Session::connect(origin, now) {
            Ok(session) => session,
            Err(error) => {
                let is_ours = is_out_of_descriptors(&error);
                if let Some(backend) = self.backends.get_mut(key) {
                    backend.give_connection(&self.table);
                }
                *(if is_ours { &mut self.stats[Stat::ConnectsWithoutDescriptor] } else { &mut self.stats[Stat::ConnectsFailed] }) += 1;
                return false;
            }
        };
        self.next_deadline = self.next_deadline.min(session.deadline(now));
        self.sessions.insert_with(|_| Box::new(session));
        self.stats[Stat::SessionsConnecting] += 1;
        if let Some(backend) = self.backends.get_mut(key) {
            backend.sessions.push(SessionRef(name));
        }
        self.count(SessionRef(name));
        true
    }

    /// Draws the consequences after a session was touched: it may have room, be over, or have something to write.
    pub(super) fn settle<S: Sink + ?Sized>(&mut self, name: SessionRef, now: Nanos, sink: &mut S) {
        self.bind(name);
        self.yield_place(name, now);
        let Some(session) = self.sessions.get_mut(name.0) else { return };
        let (is_spent, backend) = (session.is_spent(), session.backend);
        if is_spent {
            self.on_session(name, now, |session, turn| session.say_goodbye(turn, sink, Reason::BackendClosed, 0));
        }
        if self.condemned.contains(&name) {
            return;
        }
        self.renew(name, now);
        self.count(name);
        let Some(session) = self.sessions.get_mut(name.0) else { return };
        match session.phase() {
            Phase::Closed(reason) => self.remove(name, reason, now, sink),
            _ => {
                if session.has_work() {
                    mark_dirty(&mut self.dirty, session);
                }
            }
        }
        self.promote(backend, now, sink);
        self.note(backend, now);
    }

    /// Gives free places to those who wait, whoever is next, and opens sessions for the rest.
    fn promote<S: Sink + ?Sized>(&mut self, key: slab::Key, now: Nanos, sink: &mut S) {
        if self.backends.get(key).is_none_or(|backend| backend.places.is_quiet()) {
            return;
        }
        let may_grow = self.may_grow(key, now);
        let Some(backend) = self.backends.get_mut(key) else { return };
        let part = backend.part(&self.table);
        for name in &backend.sessions {
            let Some(session) = self.sessions.get_mut(name.0) else { continue };
            while session.has_room() && (session.has_credit() || !may_grow) {
                let (waiting, holder) = match session.owner() {
                    Some(client) => match backend.places.next_of(client) {
                        Some(next) => next,
                        None => break,
                    },
                    None => match backend.places.next(part.max(1).saturating_mul(session.capacity())) {
                        Some(next) => next,
                        None => return,
                    },
                };
                self.stats[Stat::Waiting] -= 1;
                session.reserved.push((waiting, holder));
                sink.on_opened(waiting, *name);
            }
        }
        if !backend.places.is_quiet() {
            self.grow(key, now);
        }
        self.give_up(key, Reason::ConnectFailed, now, sink);
    }

    /// Takes a session off the books. Those who waited for it alone fail as it did, if it never came to be.
    fn remove<S: Sink + ?Sized>(&mut self, name: SessionRef, reason: Reason, now: Nanos, sink: &mut S) {
        let Some(session) = self.sessions.remove(name.0) else { return };
        let key = session.backend;
        let Some(backend) = self.backends.get_mut(key) else { return };
        let reserved = session.reserved.iter().map(|(_, holder)| holder);
        session.freed.iter().chain(reserved).for_each(|holder| backend.places.free(*holder));
        backend.sessions.retain(|other| *other != name);
        backend.give_connection(&self.table);
        backend.bound -= u32::from(session.is_bound);
        self.stats[Stat::SessionsBound] -= u64::from(session.is_bound);
        if !session.because().0.is_empty() {
            backend.last_fault = session.because();
        }
        if matches!(reason, Reason::ConnectFailed | Reason::ConnectTimeout) || reason.of_tls().is_some() {
            backend.connect_not_before = now + CONNECT_PAUSE_NANOS;
            self.next_deadline = self.next_deadline.min(now + CONNECT_PAUSE_NANOS);
            self.forgive_suspects(key);
            self.give_up(key, reason, now, sink);
        }
        self.close_books(key);
    }

    /// Ends a session that panicked: nobody knows in which state. If its streams cannot be ended in order, all books are in doubt, and the panic is the shard's.
    pub(super) fn end_panicked<S: Sink + ?Sized>(&mut self, name: SessionRef, now: Nanos, sink: &mut S) {
        let _books = OfShard;
        let Some(session) = self.sessions.get_mut(name.0) else { return };
        let backend = session.backend;
        assert!(!session.is_closed() || session.open_streams() == 0, "a session panicked while it ended");
        let mut turn = Turn { work: &mut self.work, stats: &mut self.stats, now };
        session.close(&mut turn, sink, Reason::InternalError, h2::INTERNAL_ERROR);
        self.count(name);
        self.remove(name, Reason::InternalError, now, sink);
        sink.on_session_lost(name);
        if let Some(backend) = self.backends.get_mut(backend) {
            backend.last_fault = ("a fault of the edge", "");
        }
        self.promote(backend, now, sink);
        self.note(backend, now);
    }

    /// Forgets a backend that no snapshot names and nobody uses.
    pub(super) fn close_books(&mut self, key: slab::Key) {
        let Some(backend) = self.backends.get_mut(key) else { return };
        if backend.is_retired && backend.sessions.is_empty() && backend.places.is_quiet() {
            backend.tell(&self.table);
            self.backends.remove(key);
        }
    }
}
