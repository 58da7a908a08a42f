//! What the reactor and the relay call.
//!
//! The reactor passes on what epoll reports (`on_ready`), calls `flush` when it has written
//! something and `on_timer` when `next_timer` is due. Nothing here waits. Events go to the [`Sink`]
//! during these calls.

use std::mem;
use std::os::fd::RawFd;

use super::backend::{Backend, FullTime};
use super::bound::find_own;
use super::reconcile::{end_panicked, fail_waiting, reconcile, remove_unused};
use super::room::{cannot_connect, find_room, grow, may_wait};
use super::sessions::Sessions;
use super::state::{Upstreams, run, run_dirty};
use super::yields::{publish, yield_idle};
use crate::base::panics::{self, OfShard, Panicked, plant};
use crate::base::poll::Readiness;
use crate::base::reason::Reason;
use crate::base::rng::Rng;
use crate::base::slab::{self, Slab};
use crate::base::table::BackendTable;
use crate::base::timers::{NEVER, Nanos};
use crate::http::fields::Fields;
use crate::upstream::client::Client;
use crate::upstream::config::BackendConfig;
use crate::upstream::io::Work;
use crate::upstream::session::Turn;
use crate::upstream::sink::{AttemptId, Fault, Opened, SessionRef, Sink, StreamRef};
use crate::upstream::stats::{Stat, Stats};

/// Rounds of a flush, which may give rise to more output.
const FLUSH_PASSES: u32 = 3;

impl Upstreams {
    /// An empty pool. Sockets are watched by `epoll` under tokens whose lower [`super::TOKEN_BITS`]
    /// bits the pool uses; `token_base` has none of them set. `table` is what shards share of
    /// backends.
    pub fn new(epoll: RawFd, token_base: u64, table: BackendTable) -> Upstreams {
        Upstreams {
            table,
            backends: Slab::default(),
            by_slot: Vec::new(),
            sessions: Sessions::new(epoll, token_base),
            work: Work::default(),
            rng: Rng::default(),
            next_deadline: NEVER,
            wants_others_connections: false,
            stats: Stats::default(),
        }
    }

    /// Empties the pool, whatever state it is in; counters go on. It knows no backend until a
    /// snapshot comes.
    pub fn start_over(&mut self) {
        let fresh = Upstreams::new(self.sessions.epoll(), self.sessions.token_base(), self.table);
        let mut old = mem::replace(self, fresh);
        self.stats = old.stats;
        self.stats.clear_gauges();
        // Names and tokens of the old sessions stay void.
        mem::swap(&mut self.sessions, &mut old.sessions);
        self.sessions.clear();
        let _ = panics::guard_shard(|| drop(old));
    }

    /// Whether windows are to be small from now on.
    pub fn set_tight(&mut self, is_tight: bool) {
        self.work.is_tight = is_tight;
    }

    /// Applies a snapshot. Sessions of backends that are gone, or are another peer now, end with
    /// their last stream, and attempts that wait for them are served. Other sessions stay, and the
    /// next connect uses the new addresses and limits.
    pub fn apply(&mut self, backends: Vec<BackendConfig>) {
        let mut by_slot = vec![None; backends.iter().map(|config| config.slot as usize + 1).max().unwrap_or(0)];
        for config in backends {
            let slot = config.slot as usize;
            by_slot[slot] = Some(adopt(self, config));
        }
        let old = mem::replace(&mut self.by_slot, by_slot);
        for key in old.into_iter().flatten() {
            if !self.by_slot.contains(&Some(key)) {
                retire(self, key);
            }
        }
    }

    /// Asks for a stream to a backend on a client's behalf, for a request with or without a body.
    pub fn open(&mut self, slot: u32, key: AttemptId, client: Client, has_body: bool, now: Nanos) -> Opened {
        let _shard = OfShard;
        plant::here("pool");
        let Some(backend_key) = self.by_slot.get(slot as usize).copied().flatten() else {
            return Opened::Failed(Fault::unsent(Reason::BackendNotAvailable));
        };
        let Some(backend) = self.backends.get(backend_key) else {
            return Opened::Failed(Fault::unsent(Reason::BackendNotAvailable));
        };
        // Only this client can use a session bound to it, so no one is overtaken.
        let own = if backend.bound > 0 { find_own(self, backend_key, client) } else { None };
        if (own.is_some() || backend.queue.is_empty())
            && let Some(name) = own.or_else(|| find_room(self, backend_key, has_body, now))
            && let Some(member) = self.sessions.get_mut(name)
            && let Some(backend) = self.backends.get_mut(backend_key)
        {
            member.session.permits.reserve(key, backend.queue.acquire(client));
            return Opened::Now(name);
        }
        if let Some(reason) = cannot_connect(self, backend_key) {
            return Opened::Failed(Fault::unsent(reason));
        }
        if let Some(backend) = self.backends.get_mut(backend_key) {
            backend.queue.push(key, client);
            self.stats[Stat::Waiting] += 1;
        }
        grow(self, backend_key, now);
        publish(self, backend_key, now);
        if may_wait(self, backend_key, now) {
            return Opened::Waiting;
        }
        cancel(self, backend_key, key);
        publish(self, backend_key, now);
        Opened::Failed(Fault::unsent(Reason::ConnectFailed))
    }

    /// Takes an attempt out of the queue. One that got a stream meanwhile is to be released
    /// instead.
    pub fn cancel_wait(&mut self, slot: u32, key: AttemptId) {
        let _shard = OfShard;
        let current = self.by_slot.get(slot as usize).copied().flatten();
        if current.is_some_and(|backend| cancel(self, backend, key)) {
            return;
        }
        for backend in self.backends.keys() {
            let is_former = self.backends.get(backend).is_some_and(|backend| backend.is_retired && backend.config.slot == slot);
            if is_former && cancel(self, backend, key) {
                return;
            }
        }
    }

    /// Sends a request head on a reserved stream. `head` has the pseudo-header fields first.
    /// Without a body the request is complete.
    pub fn start(&mut self, session: SessionRef, key: AttemptId, head: &Fields, has_body: bool, now: Nanos) -> Result<StreamRef, Fault> {
        if self.sessions.get(session).is_none() {
            return Err(Fault::unsent(Reason::BackendClosed));
        }
        let started = run_dirty(self, session, now, |session, turn| session.start(turn, key, head, has_body));
        let (slot, id) = started.unwrap_or(Err(Fault::unsent(Reason::InternalError)))?;
        Ok(StreamRef { session, slot, id })
    }

    /// Whether a session has carried a request before.
    pub fn is_reused(&self, session: SessionRef) -> bool {
        self.sessions.get(session).is_some_and(|member| member.session.started > 0)
    }

    /// Gives up a reserved stream that was not started.
    pub fn release(&mut self, session: SessionRef, key: AttemptId) {
        if let Some(member) = self.sessions.touch(session) {
            member.session.permits.release(key);
        }
    }

    /// Bytes of the request body that may be written now: what both windows and the out buffer
    /// take. At 0, `on_window` follows.
    pub fn body_room(&mut self, stream: StreamRef) -> usize {
        let room = run(self, stream.session, 0, |session, turn| {
            let (protocol, io) = session.lend(turn);
            protocol.body_room(io.out, stream.slot, stream.id)
        });
        room.unwrap_or(0)
    }

    /// Lends room for the body bytes of one frame, at most what [`Upstreams::body_room`] says, to
    /// `fill`. It returns the bytes it wrote and whether the request ends with them. The room may
    /// be empty; the end may be written even so. Returns the bytes taken.
    pub fn write_body(&mut self, stream: StreamRef, fill: impl FnOnce(&mut [u8]) -> (usize, bool)) -> usize {
        let written = run_dirty(self, stream.session, 0, |session, turn| {
            let (protocol, mut io) = session.lend(turn);
            protocol.write_body(&mut io, stream.slot, stream.id, fill)
        });
        written.unwrap_or(0)
    }

    /// Ends the request with a trailer section.
    pub fn write_trailers(&mut self, stream: StreamRef, fields: &Fields) {
        run_dirty(self, stream.session, 0, |session, turn| {
            let (protocol, mut io) = session.lend(turn);
            protocol.write_trailers(&mut io, stream.slot, stream.id, fields);
        });
    }

    /// Bytes of the response were passed on; the backend may send as many again.
    pub fn credit(&mut self, stream: StreamRef, bytes: usize) {
        let has_work = run(self, stream.session, 0, |session, turn| {
            let (protocol, mut io) = session.lend(turn);
            protocol.credit(&mut io, stream.slot, stream.id, bytes);
            session.has_work()
        });
        if has_work == Some(true) {
            self.sessions.touch(stream.session);
        }
    }

    /// Cancels a stream: RST_STREAM with HTTP/2, the end of the connection with HTTP/1.1. The sink
    /// hears no more of it.
    pub fn reset(&mut self, stream: StreamRef, h2_code: u32) {
        run_dirty(self, stream.session, 0, |session, turn| {
            let (protocol, mut io) = session.lend(turn);
            protocol.reset(&mut io, stream.slot, stream.id, h2_code);
        });
    }

    /// epoll reported a token of the pool.
    pub fn on_ready<S: Sink + ?Sized>(&mut self, token: u64, readiness: Readiness, now: Nanos, sink: &mut S) {
        let Some(name) = self.sessions.by_token(token) else { return };
        let Upstreams { backends, sessions, work, stats, next_deadline, .. } = self;
        let Some(member) = sessions.get_mut(name) else { return };
        let session = &mut member.session;
        let mut turn = Turn { work, stats, now };
        let done = panics::guard(|| {
            plant::here("session");
            if session.is_connecting() {
                let tls = backends.get(member.backend).and_then(|backend| backend.tls.as_ref());
                session.on_connecting(&mut turn, tls, sink);
                *next_deadline = (*next_deadline).min(session.deadline(now));
            } else {
                session.on_open_ready(&mut turn, readiness, sink);
            }
        });
        match done {
            Ok(()) => reconcile(self, name, now, sink),
            Err(Panicked) => end_panicked(self, name, now, sink),
        }
    }

    /// Once a turn, after everything was written: one write for each session with output. Attempts
    /// may be opened by this; flush again after they have started.
    pub fn flush<S: Sink + ?Sized>(&mut self, now: Nanos, sink: &mut S) {
        // What a flush gives rise to (a window update, a GOAWAY) is written too, but no session can
        // keep this busy.
        for _ in 0..FLUSH_PASSES {
            let count = self.sessions.dirty();
            for index in 0..count {
                let Some(name) = self.sessions.clean(index) else { continue };
                run(self, name, now, |session, turn| session.flush(turn, sink));
                reconcile(self, name, now, sink);
            }
            self.sessions.forget_flushed(count);
            while let Some(name) = self.sessions.next_condemned() {
                end_panicked(self, name, now, sink);
            }
            if self.sessions.dirty() == 0 {
                return;
            }
        }
    }

    /// Whether [`Upstreams::flush`] has something to do.
    pub fn is_dirty(&self) -> bool {
        self.sessions.dirty() > 0 || self.sessions.has_condemned()
    }

    /// When [`Upstreams::on_timer`] is to be called at the latest; [`NEVER`] for not at all.
    pub fn next_timer(&self) -> Nanos {
        self.next_deadline
    }

    /// Does what is due. Cheap when nothing is.
    pub fn on_timer<S: Sink + ?Sized>(&mut self, now: Nanos, sink: &mut S) {
        if now < self.next_deadline {
            return;
        }
        self.next_deadline = NEVER;
        for name in self.sessions.names() {
            run(self, name, now, |session, turn| session.on_timer(turn, sink));
            reconcile(self, name, now, sink);
            if let Some(member) = self.sessions.get(name) {
                self.next_deadline = self.next_deadline.min(member.session.deadline(now));
            }
        }
        for key in self.backends.keys() {
            grow(self, key, now);
            fail_waiting(self, key, Reason::ConnectFailed, now, sink);
            publish(self, key, now);
            remove_unused(self, key);
        }
    }

    /// How long a backend has been full.
    pub fn full_time(&self, slot: u32, now: Nanos) -> FullTime {
        let key = self.by_slot.get(slot as usize).copied().flatten();
        key.and_then(|key| self.backends.get(key)).map_or_else(FullTime::default, |backend| backend.full.read(now))
    }

    /// A client's connection has ended, and with it every session that is bound to it.
    pub fn client_gone(&mut self, connection: u64) {
        if self.stats[Stat::SessionsBound] == 0 {
            return;
        }
        for name in self.sessions.names() {
            let owner = self.sessions.get(name).and_then(|member| member.session.protocol.owner());
            if owner.is_some_and(|owner| owner.connection == connection)
                && let Some(member) = self.sessions.touch(name)
            {
                member.session.is_draining = true;
            }
        }
    }

    /// Whether other shards are to be asked for connections, since attempts wait here; asked once.
    pub fn wants_others_connections(&mut self) -> bool {
        mem::take(&mut self.wants_others_connections)
    }

    /// Another shard asks for connections.
    pub fn yield_connections(&mut self, now: Nanos) {
        yield_idle(self, now);
    }

    /// Permits that are held, and streams that are open or reserved.
    #[cfg(test)]
    pub fn held(&self) -> (u64, u64) {
        let held = self.backends.iter().map(|(_, backend)| backend.queue.held()).sum();
        let names = self.sessions.names();
        let sessions = self.sessions.of(&names).map(|member| &member.session);
        (held, sessions.map(|session| u64::from(session.open_streams() + session.permits.reserved())).sum())
    }
}

/// The backend of a configuration: the one in its slot if that is the same peer, a new one
/// otherwise.
fn adopt(upstreams: &mut Upstreams, config: BackendConfig) -> slab::Key {
    let known = upstreams.by_slot.get(config.slot as usize).copied().flatten();
    if let Some(key) = known
        && let Some(backend) = upstreams.backends.get_mut(key)
        && backend.config.is_same_peer(&config)
    {
        backend.adopt(config);
        return key;
    }
    let table = upstreams.table;
    upstreams.backends.insert_with(|_| Backend::new(config, table))
}

/// Drains the sessions of a backend that no snapshot names any more.
fn retire(upstreams: &mut Upstreams, key: slab::Key) {
    let Some(backend) = upstreams.backends.get_mut(key) else { return };
    backend.is_retired = true;
    for name in &backend.sessions {
        if let Some(member) = upstreams.sessions.touch(*name) {
            member.session.is_draining = true;
        }
    }
    // Sessions with streams are seen to as these end; the timer sees to the rest.
    upstreams.next_deadline = 0;
}

/// Takes an attempt out of a backend's queue; false when it is not there.
fn cancel(upstreams: &mut Upstreams, backend: slab::Key, key: AttemptId) -> bool {
    let Some(backend) = upstreams.backends.get_mut(backend) else { return false };
    let is_known = backend.queue.remove(key);
    upstreams.stats[Stat::Waiting] -= u64::from(is_known);
    backend.publish();
    is_known
}
