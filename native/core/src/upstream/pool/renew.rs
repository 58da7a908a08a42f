//! Failing sessions: one on which the backend resets stream after stream is replaced. It is paused
//! while its successor connects, drains once that is open, and resumes where none can be had.

use super::state::Upstreams;
use crate::base::slab;
use crate::base::timers::Nanos;
use crate::upstream::sink::SessionRef;

/// A backend that resets everything has one session replaced in this time at most.
const RENEW_PAUSE_NANOS: Nanos = 1_000_000_000;

/// Pauses a failing session; whether another is to be opened in its place.
pub fn pause(upstreams: &mut Upstreams, name: SessionRef, now: Nanos) -> Option<slab::Key> {
    let member = upstreams.sessions.get_mut(name)?;
    let key = member.backend;
    if !member.session.protocol.is_failing() || !member.session.is_lasting() {
        return None;
    }
    let backend = upstreams.backends.get_mut(key).filter(|backend| !backend.is_retired && now >= backend.renew_not_before)?;
    backend.renew_not_before = now + RENEW_PAUSE_NANOS;
    member.session.is_paused = true;
    Some(key)
}

/// A session of the backend has opened: those that are paused end with their last streams.
pub fn drain_paused(upstreams: &mut Upstreams, key: slab::Key) {
    let Some(backend) = upstreams.backends.get_mut(key) else { return };
    for name in &backend.sessions {
        if upstreams.sessions.get(*name).is_some_and(|member| member.session.is_paused)
            && let Some(member) = upstreams.sessions.touch(*name)
        {
            (member.session.is_paused, member.session.is_draining) = (false, true);
            backend.last_fault = ("stream after stream was reset", "");
        }
    }
}

/// None could be opened: a failing session is better than none.
pub fn resume_paused(upstreams: &mut Upstreams, key: slab::Key) {
    let Some(backend) = upstreams.backends.get(key) else { return };
    for name in &backend.sessions {
        if upstreams.sessions.get(*name).is_some_and(|member| member.session.is_paused)
            && let Some(member) = upstreams.sessions.touch(*name)
        {
            member.session.resume();
        }
    }
}
