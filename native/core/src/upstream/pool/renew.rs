//! Sick sessions: one on which the backend resets stream after stream is replaced. It gets no more streams while its successor is on its way, ends with its last one when
//! that is there, and goes on where there is none to be had.

use super::{Upstreams, mark_dirty};
use crate::base::slab;
use crate::base::timers::Nanos;
use crate::upstream::sink::SessionRef;
use crate::upstream::stats::Stat;

/// A backend that resets everything has no more sessions replaced than one in this time.
const RENEW_PAUSE_NANOS: Nanos = 1_000_000_000;

impl Upstreams {
    /// Has a sick session replaced.
    pub(super) fn renew(&mut self, name: SessionRef, now: Nanos) {
        let Some(session) = self.sessions.get_mut(name.0).filter(|session| session.is_sick() && session.is_lasting()) else { return };
        let key = session.backend;
        let Some(backend) = self.backends.get_mut(key).filter(|backend| !backend.is_retired && now >= backend.renew_not_before) else {
            return;
        };
        backend.renew_not_before = now + RENEW_PAUSE_NANOS;
        session.is_suspect = true;
        if self.connect(key, now) {
            self.stats[Stat::SessionsRenewed] += 1;
        } else {
            self.forgive_suspects(key);
        }
    }

    /// A session of the backend has been opened: the sick ones end with their last streams.
    pub(super) fn drain_suspects(&mut self, key: slab::Key) {
        let Some(backend) = self.backends.get_mut(key) else { return };
        for name in &backend.sessions {
            if let Some(session) = self.sessions.get_mut(name.0).filter(|session| session.is_suspect) {
                (session.is_suspect, session.is_draining) = (false, true);
                backend.last_fault = ("stream after stream was reset", "");
                mark_dirty(&mut self.dirty, session);
            }
        }
    }

    /// None could be opened: better a sick session than none.
    pub(super) fn forgive_suspects(&mut self, key: slab::Key) {
        let Some(backend) = self.backends.get(key) else { return };
        for name in &backend.sessions {
            if let Some(session) = self.sessions.get_mut(name.0).filter(|session| session.is_suspect) {
                session.forgive();
                mark_dirty(&mut self.dirty, session);
            }
        }
    }
}
