//! Connections to `http://` backends, of which all shards together may have so many: each carries
//! one exchange, so what a shard keeps others lack.
//!
//! Shards know of each other by four words of the backend's slot: connections, attempts that wait,
//! shards that have either, and connections that shards lack of their part, which is the limit
//! divided by the shards. Nobody takes what another lacks, and who has more than his part closes
//! connections for it as they become idle; what has been idle for long is closed for anybody who
//! waits. Who waits asks the others for that, and looks again every few milliseconds.

use super::backend::Backend;
use super::bound::may_be_given_up;
use super::{Upstreams, mark_dirty};
use crate::base::reason::Reason;
use crate::base::slab;
use crate::base::table::BackendTable;
use crate::base::timers::Nanos;
use crate::upstream::config::Scheme;
use crate::upstream::session::Session;
use crate::upstream::sink::{Fault, SessionRef, Sink};
use crate::upstream::stats::Stat;

/// How often attempts look whether another shard's connection has become free.
const LOOK_NANOS: Nanos = 10_000_000;

/// For how long a shard leaves a connection to others that it gave up for them below its part:
/// until they have looked.
const LEAVE_NANOS: Nanos = 2 * LOOK_NANOS;

/// A connection that was idle for so long is not needed here soon.
const LONG_IDLE_NANOS: Nanos = 100_000_000;

/// What a shard has told the others of a backend.
#[derive(Clone, Copy, Default)]
pub struct Told {
    waiting: u32,
    lacking: u32,
    is_using: bool,
    /// When others are asked for connections again.
    asks_at: Nanos,
    /// Until when a connection that was given up is left to them.
    leaves_until: Nanos,
}

impl Backend {
    /// Whether its limit is one for all shards.
    pub fn is_shared(&self) -> bool {
        self.config.scheme == Scheme::Http
    }

    /// Whether another session may be opened.
    pub fn may_connect(&self, table: &BackendTable, now: Nanos) -> bool {
        if !self.is_shared() {
            return self.lasting < self.limit();
        }
        let (free, lacking) = (self.free(table), self.others_lacking(table));
        let is_due = self.connections() < self.part(table).max(1) && (lacking == 0 || now >= self.told.leaves_until);
        free > lacking || free > 0 && is_due
    }

    /// Sessions that this shard may have whatever others want.
    pub fn part(&self, table: &BackendTable) -> u32 {
        if !self.is_shared() {
            return self.limit();
        }
        self.limit() / table.shards(self.config.slot).max(1)
    }

    /// Connections that this shard should close, as soon as they are idle, for others who have less
    /// than their part.
    fn owed(&self, table: &BackendTable) -> u32 {
        let lacking = self.others_lacking(table);
        if lacking == 0 {
            return 0;
        }
        lacking.saturating_sub(self.free(table)).min(self.connections().saturating_sub(self.part(table)))
    }

    fn free(&self, table: &BackendTable) -> u32 {
        self.limit().saturating_sub(table.connections(self.config.slot))
    }

    fn connections(&self) -> u32 {
        self.sessions.len() as u32
    }

    fn others_waiting(&self, table: &BackendTable) -> u32 {
        table.waiting(self.config.slot).saturating_sub(self.told.waiting)
    }

    fn others_lacking(&self, table: &BackendTable) -> u32 {
        table.lacking(self.config.slot).saturating_sub(self.told.lacking)
    }

    /// Tells other shards how things are here.
    pub fn tell(&mut self, table: &BackendTable) {
        if !self.is_shared() {
            return;
        }
        let slot = self.config.slot;
        let is_using = !self.places.is_quiet() || !self.sessions.is_empty();
        if is_using != self.told.is_using {
            table.add_shards(slot, if is_using { 1 } else { -1 });
            self.told.is_using = is_using;
        }
        // Whoever waits for a session that is on its way lacks nothing.
        let waiting = (self.places.waiting() as u32).saturating_sub(self.connecting);
        let lacking = match waiting {
            0 => 0,
            _ => waiting.min(self.part(table).max(1).saturating_sub(self.connections())),
        };
        if waiting != self.told.waiting {
            table.add_waiting(slot, waiting as i32 - self.told.waiting as i32);
            self.told.waiting = waiting;
        }
        if lacking != self.told.lacking {
            table.add_lacking(slot, lacking as i32 - self.told.lacking as i32);
            self.told.lacking = lacking;
        }
    }

    /// Takes the place of another connection, where places are counted.
    pub fn take_connection(&self, table: &BackendTable) -> bool {
        !self.is_shared() || table.take_connection(self.config.slot, self.limit())
    }

    /// Gives it back.
    pub fn give_connection(&self, table: &BackendTable) {
        if self.is_shared() {
            table.give_connection(self.config.slot);
        }
    }
}

impl Upstreams {
    /// Notes how a backend's pool stands now: for those who wait in it, and for other shards.
    pub(super) fn note(&mut self, key: slab::Key, now: Nanos) {
        let Some(backend) = self.backends.get_mut(key) else { return };
        backend.tell(&self.table);
        let may_connect = backend.may_connect(&self.table, now);
        backend.full.note(backend.connecting == 0 && !may_connect, now);
        if !may_connect && backend.bound > 0 && !backend.places.is_quiet() {
            self.give_up_bound(key, now);
        }
        let Some(backend) = self.backends.get_mut(key) else { return };
        if may_connect || !backend.is_shared() || backend.places.is_quiet() {
            return;
        }
        let have_others = self.table.connections(backend.config.slot) > backend.connections();
        if have_others && now >= backend.told.asks_at {
            backend.told.asks_at = now + LOOK_NANOS;
            self.wants_others_places = true;
        }
        // Of what changes here one hears; of what changes there one does not.
        if have_others || backend.others_waiting(&self.table) > 0 {
            self.next_deadline = self.next_deadline.min(now + LOOK_NANOS);
        }
    }

    /// Whether others have to be asked for connections: attempts here wait for some.
    pub fn wants_others_places(&mut self) -> bool {
        std::mem::take(&mut self.wants_others_places)
    }

    /// Other shards want connections: those that are idle here are closed, as far as this shard has
    /// more than its part or has not used them for long.
    pub fn yield_places(&mut self, now: Nanos) {
        for key in self.backends.keys() {
            let Some(backend) = self.backends.get(key).filter(|backend| backend.is_shared()) else { continue };
            let mut owed = backend.owed(&self.table);
            let mut wanted = backend.others_waiting(&self.table).saturating_sub(backend.free(&self.table));
            for name in &backend.sessions {
                let Some(session) = self.sessions.get_mut(name.0).filter(|session| is_idle(session, now)) else { continue };
                if owed > 0 || wanted > 0 && session.is_idle_for(LONG_IDLE_NANOS, now) {
                    session.is_draining = true;
                    mark_dirty(&mut self.dirty, session);
                    (owed, wanted) = (owed.saturating_sub(1), wanted.saturating_sub(1));
                }
            }
        }
    }

    /// A session has become idle: others may need its connection more.
    pub(super) fn yield_place(&mut self, name: SessionRef, now: Nanos) {
        let Some(session) = self.sessions.get_mut(name.0) else { return };
        let Some(backend) = self.backends.get_mut(session.backend).filter(|backend| backend.is_shared()) else { return };
        if session.is_reused() && is_idle(session, now) && backend.owed(&self.table) > 0 {
            session.is_draining = true;
            backend.told.leaves_until = now + LEAVE_NANOS;
        }
    }

    /// Whether those who wait for a backend have something to wait for: a session here, or one that
    /// other shards have.
    pub(super) fn is_hopeful(&self, key: slab::Key, now: Nanos) -> bool {
        let Some(backend) = self.backends.get(key) else { return false };
        self.has_lasting(key) || backend.is_shared() && !backend.may_connect(&self.table, now)
    }

    /// Fails everybody who waits for a backend in vain. Sessions that only end are no hope: nobody
    /// new gets in there.
    pub(super) fn give_up<S: Sink + ?Sized>(&mut self, key: slab::Key, reason: Reason, now: Nanos, sink: &mut S) {
        if self.is_hopeful(key, now) {
            return;
        }
        let Some(backend) = self.backends.get_mut(key) else { return };
        while let Some(waiting) = backend.places.dismiss() {
            self.stats[Stat::Waiting] -= 1;
            sink.on_failed(waiting, Fault::unsent(reason));
        }
    }
}

/// What this shard has is others' again.
impl Drop for Upstreams {
    fn drop(&mut self) {
        for key in self.backends.keys() {
            let Some(mut backend) = self.backends.remove(key) else { continue };
            backend.sessions.iter().for_each(|_| backend.give_connection(&self.table));
            backend.sessions.clear();
            while backend.places.dismiss().is_some() {}
            backend.tell(&self.table);
        }
    }
}

fn is_idle(session: &Session, now: Nanos) -> bool {
    session.has_room() && session.open_streams() == 0 && session.reserved.is_empty() && may_be_given_up(session, now)
}
