//! Sessions that are one client's alone: on which NTLM or Negotiate were spoken of, so that the
//! backend may take every request there for that client's.
//!
//! A client is a connection and, behind a trusted proxy, the address that the proxy named. Only its
//! exchanges get such a session, and it ends with the connection. It counts in the pool like any
//! other. So that nobody keeps others out by it, a client has few of them at a backend, and those
//! that are idle end for others who wait where no further session may be opened.

use super::places::Client;
use super::{Upstreams, mark_dirty};
use crate::base::slab;
use crate::base::timers::Nanos;
use crate::upstream::session::Session;
use crate::upstream::sink::SessionRef;
use crate::upstream::stats::Stat;

const NANOS_A_MS: Nanos = 1_000_000;

impl Upstreams {
    /// Takes into the books that a session is one client's alone from now on.
    pub(super) fn bind(&mut self, name: SessionRef) {
        let Some(session) = self.sessions.get_mut(name.0) else { return };
        let Some(client) = session.owner().filter(|_| !session.is_bound && !session.is_closed()) else { return };
        let key = session.backend;
        session.is_bound = true;
        self.stats[Stat::SessionsBound] += 1;
        self.stats[Stat::Bound] += 1;
        let Some(backend) = self.backends.get_mut(key) else { return };
        backend.bound += 1;
        let own = backend.sessions.iter().filter_map(|name| self.sessions.get(name.0));
        if own.filter(|session| session.is_lasting() && session.owner() == Some(client)).count() > backend.config.limits.max_bound as usize
            && let Some(session) = self.sessions.get_mut(name.0)
        {
            session.is_draining = true;
            self.stats[Stat::BoundInExcess] += 1;
        }
    }

    /// The first session with room that is this client's alone.
    pub(super) fn find_own(&self, key: slab::Key, client: Client) -> Option<SessionRef> {
        let mut sessions = self.backends.get(key)?.sessions.iter().filter_map(|name| self.sessions.get(name.0));
        sessions.find(|session| session.owner() == Some(client) && session.has_room()).map(|session| session.key)
    }

    /// A client's connection has ended, and with it every session that is its alone.
    pub fn client_gone(&mut self, connection: u64) {
        if self.stats[Stat::SessionsBound] == 0 {
            return;
        }
        for key in self.sessions.keys() {
            let Some(session) = self.sessions.get_mut(key) else { continue };
            if session.owner().is_some_and(|owner| owner.connection == connection) {
                session.is_draining = true;
                mark_dirty(&mut self.dirty, session);
            }
        }
    }

    /// Others wait and no session may be opened for them: those that are idle end in their favour,
    /// or will when their clients have had their time.
    pub(super) fn give_up_bound(&mut self, key: slab::Key, now: Nanos) {
        let Some(backend) = self.backends.get(key) else { return };
        let mut wanted = backend.places.waiting();
        for name in &backend.sessions {
            let Some(session) = self.sessions.get_mut(name.0) else { continue };
            let is_idle = session.is_bound && session.is_lasting() && session.open_streams() == 0 && session.reserved.is_empty();
            if !is_idle || wanted == 0 {
                continue;
            }
            if may_be_given_up(session, now) {
                session.is_draining = true;
                mark_dirty(&mut self.dirty, session);
                self.stats[Stat::BoundGivenUp] += 1;
                wanted -= 1;
            } else {
                self.next_deadline = self.next_deadline.min(session.idle_since() + left_nanos(session));
            }
        }
    }
}

/// Whether a session may end for others' sake.
pub(super) fn may_be_given_up(session: &Session, now: Nanos) -> bool {
    session.owner().is_none() || session.is_idle_for(left_nanos(session), now)
}

/// For how long an idle one is left to its client: there is a challenge to answer.
fn left_nanos(session: &Session) -> Nanos {
    session.config.limits.bound_idle_ms * NANOS_A_MS
}
