//! Sessions bound to one client: NTLM or Negotiate was spoken on them, so the backend may take
//! every request there for that client's.
//!
//! A client is a connection and, behind a trusted proxy, the address that the proxy named. Only its
//! exchanges use the session, which ends with the connection. It counts against the backend's limit
//! like any other. So that one client does not keep others out, it may have few of them at a
//! backend, and idle ones end for others who wait when no further session may be opened.

use super::sessions::Member;
use super::state::Upstreams;
use crate::base::slab;
use crate::base::timers::Nanos;
use crate::upstream::client::Client;
use crate::upstream::session::Session;
use crate::upstream::sink::SessionRef;
use crate::upstream::stats::Stat;

const NANOS_A_MS: Nanos = 1_000_000;

/// Counts a session that became bound.
pub fn bind(upstreams: &mut Upstreams, name: SessionRef) {
    let Some(member) = upstreams.sessions.get_mut(name) else { return };
    let owner = member.session.protocol.owner();
    let Some(client) = owner.filter(|_| !member.is_bound && !member.session.is_closed()) else { return };
    member.is_bound = true;
    upstreams.stats[Stat::SessionsBound] += 1;
    upstreams.stats[Stat::Bound] += 1;
    let Some(backend) = upstreams.backends.get_mut(member.backend) else { return };
    backend.bound += 1;
    let sessions = upstreams.sessions.of(&backend.sessions).map(|member| &member.session);
    let own = sessions.filter(|session| session.is_lasting() && session.protocol.owner() == Some(client)).count();
    if own > backend.config.limits.max_bound as usize
        && let Some(member) = upstreams.sessions.get_mut(name)
    {
        member.session.is_draining = true;
        upstreams.stats[Stat::BoundInExcess] += 1;
    }
}

/// The first session with room that is bound to a client.
pub fn find_own(upstreams: &Upstreams, key: slab::Key, client: Client) -> Option<SessionRef> {
    let mut sessions = upstreams.sessions.of(&upstreams.backends.get(key)?.sessions);
    let own = sessions.find(|member| member.session.protocol.owner() == Some(client) && member.session.has_room());
    own.map(|member| member.name)
}

/// Attempts wait and no session may be opened for them: bound sessions that are idle end for them,
/// or will once their clients have had their time.
pub fn give_up_idle(upstreams: &mut Upstreams, key: slab::Key, now: Nanos) {
    let Some(backend) = upstreams.backends.get(key) else { return };
    let mut wanted = backend.queue.len();
    for name in &backend.sessions {
        let Some(Member { session, is_bound, .. }) = upstreams.sessions.get(*name) else { continue };
        if wanted == 0 || !is_bound || !session.is_lasting() || !session.is_unused() {
            continue;
        }
        if !may_be_given_up(session, now) {
            upstreams.next_deadline = upstreams.next_deadline.min(session.timing.idle_since() + kept_nanos(session));
        } else if let Some(member) = upstreams.sessions.touch(*name) {
            member.session.is_draining = true;
            upstreams.stats[Stat::BoundGivenUp] += 1;
            wanted -= 1;
        }
    }
}

/// Whether an idle session may end for others.
pub fn may_be_given_up(session: &Session, now: Nanos) -> bool {
    session.protocol.owner().is_none() || session.is_idle_for(kept_nanos(session), now)
}

/// How long an idle session is kept for its client: there is a challenge to answer.
fn kept_nanos(session: &Session) -> Nanos {
    session.config.limits.bound_idle_ms * NANOS_A_MS
}
