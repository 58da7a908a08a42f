//! All upstream sessions of a reactor: who gets a stream on which, and what happens to those who wait.
//!
//! The reactor drives it: it passes on what epoll says (`on_ready`), calls `flush` when it has written something and `on_timer` when `next_timer` is due. Nothing here
//! waits, and what is to be told goes to the [`Sink`] during these calls.

pub(super) mod backend;
mod bound;
mod describe;
mod grow;
pub(super) mod places;
mod renew;
mod shared;

use std::os::fd::RawFd;

use backend::Backend;
pub use backend::FullTime;
pub use places::Client;

use super::config::BackendConfig;
use super::io::Work;
use super::session::{Session, Turn};
use super::sink::{Fault, Key, Opened, SessionRef, Sink, StreamRef};
use super::stats::{Stat, Stats};
use crate::base::panics::{self, OfShard, Panicked, plant};
use crate::base::poll::Readiness;
use crate::base::reason::Reason;
use crate::base::rng::Rng;
use crate::base::slab::{self, Slab};
use crate::base::table::BackendTable;
use crate::base::timers::{NEVER, Nanos};
use crate::http::fields::Fields;

/// Bits of a token that name a session: 32 of its place and 20 of its generation. The caller's base lies above.
pub const TOKEN_BITS: u32 = 52;

/// Times a flush looks at what it has given rise to.
const FLUSH_PASSES: u32 = 3;

const GENERATION_MASK: u64 = 0xf_ffff;

/// The pool.
pub struct Upstreams {
    epoll: RawFd,
    token_base: u64,
    table: BackendTable,
    backends: Slab<Backend>,
    by_slot: Vec<Option<slab::Key>>,
    sessions: Slab<Box<Session>>,
    dirty: Vec<SessionRef>,
    /// Sessions that panicked, to be ended.
    condemned: Vec<SessionRef>,
    work: Work,
    rng: Rng,
    next_deadline: Nanos,
    /// Attempts wait for connections that other shards have.
    wants_others_places: bool,
    /// What has happened so far.
    pub stats: Stats,
}

impl Upstreams {
    /// An empty pool whose sockets are watched by `epoll` under tokens of which it uses the lower [`TOKEN_BITS`]; `token_base` has none of these set.
    /// What shards share of backends stands in `table`.
    pub fn new(epoll: RawFd, token_base: u64, table: BackendTable) -> Upstreams {
        debug_assert!(token_base & ((1 << TOKEN_BITS) - 1) == 0);
        Upstreams {
            epoll,
            token_base,
            table,
            backends: Slab::default(),
            by_slot: Vec::new(),
            sessions: Slab::default(),
            dirty: Vec::new(),
            condemned: Vec::new(),
            work: Work::default(),
            rng: Rng::default(),
            next_deadline: NEVER,
            wants_others_places: false,
            stats: Stats::default(),
        }
    }

    /// An empty pool in place of this one, which counts on. It knows no backend until a snapshot comes.
    pub fn start_over(&mut self) {
        let fresh = Upstreams::new(self.epoll, self.token_base, self.table);
        let mut old = std::mem::replace(self, fresh);
        self.stats = old.stats;
        self.stats.clear_gauges();
        let mut sessions = std::mem::take(&mut old.sessions);
        // Their sockets close with them. Tokens of theirs that are on the way find nothing.
        for session in sessions.drain() {
            let _ = panics::guard_shard(|| drop(session));
        }
        self.sessions = sessions;
        // What other shards know of it goes too.
        let _ = panics::guard_shard(|| drop(old));
    }

    /// Whether windows are to be small from now on.
    pub fn set_tight(&mut self, is_tight: bool) {
        self.work.is_tight = is_tight;
    }

    /// A new snapshot. Sessions of backends that are gone or have become another peer end with their last stream, and attempts that wait for them are
    /// served; other sessions stay, and take the new addresses and limits into account from the next connect on.
    pub fn apply(&mut self, backends: Vec<BackendConfig>) {
        let mut by_slot = vec![None; backends.iter().map(|config| config.slot as usize + 1).max().unwrap_or(0)];
        for config in backends {
            let slot = config.slot as usize;
            by_slot[slot] = Some(self.adopt(config));
        }
        let old = std::mem::replace(&mut self.by_slot, by_slot);
        for key in old.into_iter().flatten() {
            if !self.by_slot.contains(&Some(key)) {
                self.retire(key);
            }
        }
    }

    fn adopt(&mut self, config: BackendConfig) -> slab::Key {
        let known = self.by_slot.get(config.slot as usize).copied().flatten();
        if let Some(key) = known
            && let Some(backend) = self.backends.get_mut(key)
            && backend.config.is_same_peer(&config)
        {
            backend.config = config.into();
            backend.connect_not_before = 0;
            return key;
        }
        self.backends.insert_with(|_| Backend::new(config))
    }

    fn retire(&mut self, key: slab::Key) {
        let Some(backend) = self.backends.get_mut(key) else { return };
        backend.is_retired = true;
        for session in &backend.sessions {
            if let Some(session) = self.sessions.get_mut(session.0) {
                session.is_draining = true;
                mark_dirty(&mut self.dirty, session);
            }
        }
        // Those that end with streams say so by themselves; the rest is seen to by the timer.
        self.next_deadline = 0;
    }

    /// Asks for a stream to a backend on a client's behalf, for a request with a body or without.
    pub fn open(&mut self, slot: u32, key: Key, client: Client, has_body: bool, now: Nanos) -> Opened {
        let _books = OfShard;
        plant::here("pool");
        let Some(backend_key) = self.by_slot.get(slot as usize).copied().flatten() else {
            return Opened::Failed(Fault::unsent(Reason::BackendNotAvailable));
        };
        let Some(backend) = self.backends.get(backend_key) else {
            return Opened::Failed(Fault::unsent(Reason::BackendNotAvailable));
        };
        // Nobody else can use what is a client's own, so nobody is passed over.
        let own = if backend.bound > 0 { self.find_own(backend_key, client) } else { None };
        if (own.is_some() || backend.places.is_quiet())
            && let Some(name) = own.or_else(|| self.find_room(backend_key, has_body, now))
            && let Some(session) = self.sessions.get_mut(name.0)
            && let Some(backend) = self.backends.get_mut(backend_key)
        {
            session.reserved.push((key, backend.places.hold(client)));
            return Opened::Now(name);
        }
        if let Some(reason) = self.hopeless(backend_key) {
            return Opened::Failed(Fault::unsent(reason));
        }
        if let Some(backend) = self.backends.get_mut(backend_key) {
            backend.places.wait(key, client);
            self.stats[Stat::Waiting] += 1;
        }
        self.grow(backend_key, now);
        self.note(backend_key, now);
        if self.is_hopeful(backend_key, now) {
            return Opened::Waiting;
        }
        self.forget(backend_key, key);
        self.note(backend_key, now);
        Opened::Failed(Fault::unsent(Reason::ConnectFailed))
    }

    /// The attempt does not want to wait any longer. One that has been opened meanwhile is to be released instead.
    pub fn cancel_wait(&mut self, slot: u32, key: Key) {
        let _books = OfShard;
        let current = self.by_slot.get(slot as usize).copied().flatten();
        if current.is_some_and(|backend| self.forget(backend, key)) {
            return;
        }
        for backend in self.backends.keys() {
            let is_former = self.backends.get(backend).is_some_and(|backend| backend.is_retired && backend.config.slot == slot);
            if is_former && self.forget(backend, key) {
                return;
            }
        }
    }

    fn forget(&mut self, backend: slab::Key, key: Key) -> bool {
        let Some(backend) = self.backends.get_mut(backend) else { return false };
        let is_known = backend.places.forget(key);
        self.stats[Stat::Waiting] -= u64::from(is_known);
        backend.tell(&self.table);
        is_known
    }

    /// Sends a request head on a reserved place. `head` holds the pseudo-header fields first. Without a body the request is complete.
    pub fn start(&mut self, session: SessionRef, key: Key, head: &Fields, has_body: bool, now: Nanos) -> Result<StreamRef, Fault> {
        let Some(found) = self.sessions.get_mut(session.0) else { return Err(Fault::unsent(Reason::BackendClosed)) };
        mark_dirty(&mut self.dirty, found);
        let started = self.on_session(session, now, |session, turn| session.start(turn, key, head, has_body));
        let (slot, id) = started.unwrap_or(Err(Fault::unsent(Reason::InternalError)))?;
        Ok(StreamRef { session, slot, id })
    }

    /// Whether a session has carried a request before.
    pub fn is_reused(&self, session: SessionRef) -> bool {
        self.sessions.get(session.0).is_some_and(|session| session.is_reused())
    }

    /// Gives the place back that was reserved for an attempt and not used.
    pub fn release(&mut self, session: SessionRef, key: Key) {
        if let Some(session) = self.sessions.get_mut(session.0) {
            session.release_place(key);
            mark_dirty(&mut self.dirty, session);
        }
    }

    /// Bytes of the request body that may be written now: what both windows and the session's buffer take. At 0, `on_window` will come.
    pub fn body_room(&mut self, stream: StreamRef) -> usize {
        self.on_session(stream.session, 0, |session, _| session.body_room(stream.slot, stream.id)).unwrap_or(0)
    }

    /// Lends room for body bytes of one frame, at most what [`Upstreams::body_room`] says, to `fill`, which puts bytes there and says how many, and whether
    /// the request ends with them. Room may be empty; the end can still be told. Returns the bytes taken.
    pub fn write_body(&mut self, stream: StreamRef, fill: impl FnOnce(&mut [u8]) -> (usize, bool)) -> usize {
        let Some(session) = self.sessions.get_mut(stream.session.0) else { return 0 };
        mark_dirty(&mut self.dirty, session);
        self.on_session(stream.session, 0, |session, turn| session.write_body(turn, stream.slot, stream.id, fill)).unwrap_or(0)
    }

    /// Ends the request with a trailer section.
    pub fn write_trailers(&mut self, stream: StreamRef, fields: &Fields) {
        let Some(session) = self.sessions.get_mut(stream.session.0) else { return };
        mark_dirty(&mut self.dirty, session);
        self.on_session(stream.session, 0, |session, turn| session.write_trailers(turn, stream.slot, stream.id, fields));
    }

    /// So many of the response's bytes have been passed on; the backend may send as many again.
    pub fn credit(&mut self, stream: StreamRef, bytes: usize) {
        let has_work = self.on_session(stream.session, 0, |session, turn| {
            session.credit(turn, stream.slot, stream.id, bytes);
            session.has_work()
        });
        if let (Some(true), Some(session)) = (has_work, self.sessions.get_mut(stream.session.0)) {
            mark_dirty(&mut self.dirty, session);
        }
    }

    /// Gives an attempt up: RST_STREAM within HTTP/2, the end of the connection within HTTP/1.1. The sink hears nothing of it any more.
    pub fn reset(&mut self, stream: StreamRef, h2_code: u32) {
        let Some(session) = self.sessions.get_mut(stream.session.0) else { return };
        mark_dirty(&mut self.dirty, session);
        self.on_session(stream.session, 0, |session, turn| session.reset(turn, stream.slot, stream.id, h2_code));
    }

    /// epoll reported a token of ours.
    pub fn on_ready<S: Sink + ?Sized>(&mut self, token: u64, readiness: Readiness, now: Nanos, sink: &mut S) {
        let Some(name) = self.session_of(token) else { return };
        let Some(session) = self.sessions.get_mut(name.0) else { return };
        let mut turn = Turn { work: &mut self.work, stats: &mut self.stats, now };
        let done = panics::guard(|| {
            plant::here("session");
            if session.is_connecting() {
                let tls = self.backends.get(session.backend).and_then(|backend| backend.tls.as_ref());
                session.on_connecting(&mut turn, tls, sink);
                self.next_deadline = self.next_deadline.min(session.deadline(now));
            } else {
                session.on_open_ready(&mut turn, readiness, sink);
            }
        });
        match done {
            Ok(()) => self.settle(name, now, sink),
            Err(Panicked) => self.end_panicked(name, now, sink),
        }
    }

    /// Runs something on a session, if it is still there. One that panics is ended with the next flush, and nothing came of it.
    fn on_session<T>(&mut self, name: SessionRef, now: Nanos, run: impl FnOnce(&mut Session, &mut Turn<'_>) -> T) -> Option<T> {
        let session = self.sessions.get_mut(name.0)?;
        let mut turn = Turn { work: &mut self.work, stats: &mut self.stats, now };
        let result = panics::guard(|| run(session, &mut turn));
        if result.is_err() {
            self.condemned.push(name);
        }
        result.ok()
    }

    /// Once a turn, after everything was written: one write a session that has something to write. Attempts may be opened by this; flush again after they have started.
    pub fn flush<S: Sink + ?Sized>(&mut self, now: Nanos, sink: &mut S) {
        // What a flush gives rise to (a window update, a goodbye) is written too, but no session can keep this busy.
        for _ in 0..FLUSH_PASSES {
            let count = self.dirty.len();
            for place in 0..count {
                let name = self.dirty[place];
                let Some(session) = self.sessions.get_mut(name.0) else { continue };
                session.is_dirty = false;
                self.on_session(name, now, |session, turn| session.flush(turn, sink));
                self.settle(name, now, sink);
            }
            self.dirty.drain(..count);
            while let Some(name) = self.condemned.pop() {
                self.end_panicked(name, now, sink);
            }
            if self.dirty.is_empty() {
                return;
            }
        }
    }

    /// Whether [`Upstreams::flush`] has something to do.
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty() || !self.condemned.is_empty()
    }

    /// When [`Upstreams::on_timer`] is to be called at the latest; [`NEVER`] for not at all.
    pub fn next_timer(&self) -> Nanos {
        self.next_deadline
    }

    /// Sees to everything that is due. Cheap when nothing is.
    pub fn on_timer<S: Sink + ?Sized>(&mut self, now: Nanos, sink: &mut S) {
        if now < self.next_deadline {
            return;
        }
        self.next_deadline = NEVER;
        for key in self.sessions.keys() {
            self.on_session(SessionRef(key), now, |session, turn| session.on_timer(turn, sink));
            self.settle(SessionRef(key), now, sink);
            if let Some(session) = self.sessions.get(key) {
                self.next_deadline = self.next_deadline.min(session.deadline(now));
            }
        }
        for key in self.backends.keys() {
            self.grow(key, now);
            self.give_up(key, Reason::ConnectFailed, now, sink);
            self.note(key, now);
            self.close_books(key);
        }
    }

    /// Places held in the books, and streams that are open or promised.
    #[cfg(test)]
    pub fn held(&self) -> (u64, u64) {
        let held = self.backends.iter().map(|(_, backend)| backend.places.held()).sum();
        let taken = self.sessions.iter().map(|(_, session)| u64::from(session.open_streams()) + session.reserved.len() as u64).sum();
        (held, taken)
    }

    fn session_of(&self, token: u64) -> Option<SessionRef> {
        let index = token as u32;
        let generation = self.sessions.generation_at(index)?;
        let is_current = u64::from(generation) & GENERATION_MASK == token >> 32 & GENERATION_MASK;
        is_current.then_some(SessionRef(slab::Key { index, generation }))
    }

    fn token_of(&self, key: slab::Key) -> u64 {
        self.token_base | (u64::from(key.generation) & GENERATION_MASK) << 32 | u64::from(key.index)
    }
}

/// Puts a session on the list of those to flush, once.
fn mark_dirty(dirty: &mut Vec<SessionRef>, session: &mut Session) {
    if !session.is_dirty {
        session.is_dirty = true;
        dirty.push(session.key);
    }
}
