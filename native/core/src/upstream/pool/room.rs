//! Who finds room on which session, and when another is opened.

use super::connect::connect;
use super::state::Upstreams;
use crate::base::reason::Reason;
use crate::base::slab;
use crate::base::timers::Nanos;
use crate::upstream::sink::SessionRef;

/// Why no session can come to be for an attempt that finds none.
pub fn cannot_connect(upstreams: &Upstreams, key: slab::Key) -> Option<Reason> {
    let backend = upstreams.backends.get(key)?;
    if has_lasting(upstreams, key) {
        return None;
    }
    if backend.config.addresses.is_empty() {
        return Some(Reason::NameNotResolved);
    }
    backend.is_without_trust().then_some(Reason::TlsFailed)
}

/// Whether a backend has a session, open or connecting, that goes on taking streams.
fn has_lasting(upstreams: &Upstreams, key: slab::Key) -> bool {
    let Some(backend) = upstreams.backends.get(key) else { return false };
    upstreams.sessions.of(&backend.sessions).any(|member| member.session.is_lasting())
}

/// Whether an attempt may wait for a backend: for a session here, or for one that another shard
/// has.
pub fn may_wait(upstreams: &Upstreams, key: slab::Key, now: Nanos) -> bool {
    let Some(backend) = upstreams.backends.get(key) else { return false };
    let is_theirs = || backend.share.as_ref().is_some_and(|share| !share.may_connect(backend.connections(), now));
    has_lasting(upstreams, key) || is_theirs()
}

/// The first session with room for anybody. A body needs one on which it can be sent, as long as
/// another session could be opened instead.
pub fn find_room(upstreams: &Upstreams, key: slab::Key, has_body: bool, now: Nanos) -> Option<SessionRef> {
    let sessions = upstreams.sessions.of(&upstreams.backends.get(key)?.sessions);
    let mut with_room = sessions.filter(|member| member.session.has_room() && member.session.protocol.owner().is_none());
    let first = with_room.next()?;
    if !has_body || first.session.protocol.has_credit() {
        return Some(first.name);
    }
    match with_room.find(|member| member.session.protocol.has_credit()) {
        Some(member) => Some(member.name),
        None => (!may_grow(upstreams, key, now)).then_some(first.name),
    }
}

/// Whether another session could be opened now.
pub fn may_grow(upstreams: &Upstreams, key: slab::Key, now: Nanos) -> bool {
    let Some(backend) = upstreams.backends.get(key) else { return false };
    let lasting = upstreams.sessions.of(&backend.sessions).filter(|member| member.session.is_lasting()).count() as u32;
    backend.may_connect(lasting, now) && (lasting == 0 || now >= backend.connect_not_before)
}

/// Opens as many sessions as the attempts that wait can be expected to need, within the limit.
pub fn grow(upstreams: &mut Upstreams, key: slab::Key, now: Nanos) {
    loop {
        let Some(backend) = upstreams.backends.get(key) else { return };
        // Counted as they are, not as last recounted: one that was just given up makes room for
        // another.
        let sessions = upstreams.sessions.of(&backend.sessions).map(|member| &member.session);
        let (mut lasting, mut expected) = (0, 0);
        for session in sessions.filter(|session| session.is_lasting()) {
            lasting += 1;
            expected += if session.is_connecting() { session.expected_room() as usize } else { 0 };
        }
        let is_pausing = lasting > 0 && now < backend.connect_not_before;
        if backend.queue.len() <= expected || !backend.may_connect(lasting, now) || is_pausing {
            return;
        }
        if !connect(upstreams, key, now) {
            return;
        }
    }
}
