//! How sessions are opened and counted.

use super::backend::Counted;
use super::renew::drain_paused;
use super::state::Upstreams;
use crate::base::slab;
use crate::base::timers::Nanos;
use crate::upstream::session::{Origin, Session, is_out_of_descriptors};
use crate::upstream::sink::SessionRef;
use crate::upstream::stats::Stat;

/// Begins to open a session; false when that is not allowed or not possible.
pub fn connect(upstreams: &mut Upstreams, key: slab::Key, now: Nanos) -> bool {
    let Some(backend) = upstreams.backends.get_mut(key) else { return false };
    if backend.is_without_trust() || backend.share.as_ref().is_some_and(|share| !share.take()) {
        return false;
    }
    let origin = Origin {
        config: backend.config.clone(),
        last_max_streams: backend.last_max_streams.clone(),
        epoll: upstreams.sessions.epoll(),
        token: upstreams.sessions.token(upstreams.sessions.next_name()),
        random: (upstreams.rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64,
    };
    let session = match Session::connect(origin, now) {
        Ok(session) => session,
        Err(error) => {
            if let Some(share) = &backend.share {
                share.give();
            }
            let is_ours = is_out_of_descriptors(&error);
            upstreams.stats[if is_ours { Stat::ConnectsWithoutDescriptor } else { Stat::ConnectsFailed }] += 1;
            return false;
        }
    };
    upstreams.next_deadline = upstreams.next_deadline.min(session.deadline(now));
    upstreams.stats[Stat::SessionsConnecting] += 1;
    let name = upstreams.sessions.insert(key, session);
    backend.sessions.push(name);
    recount(upstreams, name);
    true
}

/// Recounts a session as it has become, and takes back the permits of its streams that have ended.
pub fn recount(upstreams: &mut Upstreams, name: SessionRef) {
    let Some(member) = upstreams.sessions.get_mut(name) else { return };
    let key = member.backend;
    let Some(backend) = upstreams.backends.get_mut(key) else { return };
    let after = Counted::of(&member.session);
    let before = std::mem::replace(&mut member.counted, after);
    backend.recount(before, after);
    member.session.permits.released.drain(..).for_each(|permit| backend.queue.release(permit));
    if before.is_connecting && after.is_lasting && !after.is_connecting {
        drain_paused(upstreams, key);
    }
}
