//! What shards do for each other at `http://` backends, see [`super::share`]: connections that are
//! idle here end for attempts that wait there.

use super::bound::{give_up_idle, may_be_given_up};
use super::share::LOOK_NANOS;
use super::state::Upstreams;
use crate::base::slab;
use crate::base::timers::Nanos;
use crate::upstream::session::Session;
use crate::upstream::sink::SessionRef;

/// A connection that was idle for so long is not needed here soon.
const LONG_IDLE_NANOS: Nanos = 100_000_000;

/// Publishes how a backend stands now: to attempts that wait for it, and to other shards.
pub fn publish(upstreams: &mut Upstreams, key: slab::Key, now: Nanos) {
    let Some(backend) = upstreams.backends.get_mut(key) else { return };
    backend.publish();
    let may_connect = backend.may_connect(backend.lasting, now);
    backend.full.set(backend.connecting == 0 && !may_connect, now);
    if may_connect || backend.queue.is_empty() {
        return;
    }
    if backend.bound > 0 {
        give_up_idle(upstreams, key, now);
    }
    let Some(backend) = upstreams.backends.get_mut(key) else { return };
    let own = backend.connections();
    let Some(share) = &mut backend.share else { return };
    let is_theirs = share.others_connected(own);
    if is_theirs && share.is_time_to_ask(now) {
        upstreams.wants_others_connections = true;
    }
    // Changes on this shard are noticed; those on other shards have to be looked for.
    if is_theirs || share.others_waiting() > 0 {
        upstreams.next_deadline = upstreams.next_deadline.min(now + LOOK_NANOS);
    }
}

/// Other shards want connections: idle ones end, as far as this shard has more than its part or has
/// not used them for long.
pub fn yield_idle(upstreams: &mut Upstreams, now: Nanos) {
    for key in upstreams.backends.keys() {
        let Some(backend) = upstreams.backends.get(key) else { continue };
        let Some(share) = &backend.share else { continue };
        let mut owed = backend.owed();
        let mut wanted = share.others_waiting().saturating_sub(share.free());
        for name in &backend.sessions {
            let Some(member) = upstreams.sessions.get(*name).filter(|member| is_idle(&member.session, now)) else { continue };
            if (owed > 0 || wanted > 0 && member.session.is_idle_for(LONG_IDLE_NANOS, now))
                && let Some(member) = upstreams.sessions.touch(*name)
            {
                member.session.is_draining = true;
                (owed, wanted) = (owed.saturating_sub(1), wanted.saturating_sub(1));
            }
        }
    }
}

/// A session may have become idle: others may need its connection more.
pub fn yield_session(upstreams: &mut Upstreams, name: SessionRef, now: Nanos) {
    let Some(member) = upstreams.sessions.get_mut(name) else { return };
    let Some(backend) = upstreams.backends.get_mut(member.backend) else { return };
    let own = backend.connections();
    let Some(share) = &mut backend.share else { return };
    if member.session.started > 0 && is_idle(&member.session, now) && share.owed(own) > 0 {
        member.session.is_draining = true;
        share.leave(now);
    }
}

fn is_idle(session: &Session, now: Nanos) -> bool {
    session.has_room() && session.is_unused() && may_be_given_up(session, now)
}
