//! What follows when something happened to a session: free streams go to attempts that wait,
//! sessions are opened and removed.

use super::backend::Backend;
use super::bound::bind;
use super::connect::{connect, recount};
use super::renew::{pause, resume_paused};
use super::room::{grow, may_grow, may_wait};
use super::state::{Upstreams, run};
use super::yields::{publish, yield_session};
use crate::base::panics::OfShard;
use crate::base::reason::Reason;
use crate::base::slab;
use crate::base::timers::Nanos;
use crate::http::error::h2;
use crate::upstream::session::{Phase, Turn};
use crate::upstream::sink::{Fault, SessionRef, Sink};
use crate::upstream::stats::Stat;

/// Pause before another session is tried after one could not be opened, while others serve.
const CONNECT_PAUSE_NANOS: Nanos = 250_000_000;

/// Draws the consequences after a session was touched: it may have room, be over, or have something
/// to write.
pub fn reconcile<S: Sink + ?Sized>(upstreams: &mut Upstreams, name: SessionRef, now: Nanos, sink: &mut S) {
    bind(upstreams, name);
    yield_session(upstreams, name, now);
    let Some(member) = upstreams.sessions.get(name) else { return };
    let backend = member.backend;
    if member.session.is_spent() {
        run(upstreams, name, now, |session, turn| session.shut_down(turn, sink, Reason::BackendClosed, 0));
    }
    if upstreams.sessions.is_condemned(name) {
        return;
    }
    if let Some(backend) = pause(upstreams, name, now) {
        match connect(upstreams, backend, now) {
            true => upstreams.stats[Stat::SessionsRenewed] += 1,
            false => resume_paused(upstreams, backend),
        }
    }
    recount(upstreams, name);
    let Some(member) = upstreams.sessions.get(name) else { return };
    match member.session.phase() {
        Phase::Closed(reason) => remove(upstreams, name, reason, now, sink),
        _ if member.session.has_work() => {
            upstreams.sessions.touch(name);
        }
        _ => {}
    }
    promote(upstreams, backend, now, sink);
    publish(upstreams, backend, now);
}

/// Gives free streams to attempts that wait, in the order of the queue, and opens sessions for the
/// rest.
fn promote<S: Sink + ?Sized>(upstreams: &mut Upstreams, key: slab::Key, now: Nanos, sink: &mut S) {
    if upstreams.backends.get(key).is_none_or(|backend| backend.queue.is_empty()) {
        return;
    }
    let may_grow = may_grow(upstreams, key, now);
    let Some(backend) = upstreams.backends.get_mut(key) else { return };
    let part = backend.part().max(1);
    for name in &backend.sessions {
        let Some(member) = upstreams.sessions.get_mut(*name) else { continue };
        let session = &mut member.session;
        while session.has_room() && (session.protocol.has_credit() || !may_grow) {
            let (attempt, permit) = match session.protocol.owner() {
                Some(client) => match backend.queue.pop_of(client) {
                    Some(next) => next,
                    None => break,
                },
                None => match backend.queue.pop(part.saturating_mul(session.protocol.capacity())) {
                    Some(next) => next,
                    None => return,
                },
            };
            upstreams.stats[Stat::Waiting] -= 1;
            session.permits.reserve(attempt, permit);
            sink.on_opened(attempt, *name);
        }
    }
    if !backend.queue.is_empty() {
        grow(upstreams, key, now);
    }
    fail_waiting(upstreams, key, Reason::ConnectFailed, now, sink);
}

/// Fails the attempts that wait for a backend, when there is nothing to wait for. Sessions that
/// drain do not count: no new attempt starts on them.
pub fn fail_waiting<S: Sink + ?Sized>(upstreams: &mut Upstreams, key: slab::Key, reason: Reason, now: Nanos, sink: &mut S) {
    if may_wait(upstreams, key, now) {
        return;
    }
    let Some(backend) = upstreams.backends.get_mut(key) else { return };
    while let Some(attempt) = backend.queue.reject() {
        upstreams.stats[Stat::Waiting] -= 1;
        sink.on_failed(attempt, Fault::unsent(reason));
    }
}

/// Removes a session. Attempts that waited for it alone fail as it did, if it was never usable.
fn remove<S: Sink + ?Sized>(upstreams: &mut Upstreams, name: SessionRef, reason: Reason, now: Nanos, sink: &mut S) {
    let Some(mut member) = upstreams.sessions.remove(name) else { return };
    let key = member.backend;
    let Some(backend) = upstreams.backends.get_mut(key) else { return };
    member.session.permits.drain().for_each(|permit| backend.queue.release(permit));
    backend.sessions.retain(|other| *other != name);
    if let Some(share) = &backend.share {
        share.give();
    }
    backend.bound -= u32::from(member.is_bound);
    upstreams.stats[Stat::SessionsBound] -= u64::from(member.is_bound);
    if !member.session.fault.0.is_empty() {
        backend.last_fault = member.session.fault;
    }
    if matches!(reason, Reason::ConnectFailed | Reason::ConnectTimeout) || reason.of_tls().is_some() {
        backend.connect_not_before = now + CONNECT_PAUSE_NANOS;
        upstreams.next_deadline = upstreams.next_deadline.min(now + CONNECT_PAUSE_NANOS);
        resume_paused(upstreams, key);
        fail_waiting(upstreams, key, reason, now, sink);
    }
    remove_unused(upstreams, key);
}

/// Ends a session that panicked, in an unknown state. If its streams cannot be ended in order, the
/// state of the whole pool is in doubt, and the panic is the shard's.
pub fn end_panicked<S: Sink + ?Sized>(upstreams: &mut Upstreams, name: SessionRef, now: Nanos, sink: &mut S) {
    let _shard = OfShard;
    let Some(member) = upstreams.sessions.get_mut(name) else { return };
    let (backend, session) = (member.backend, &mut member.session);
    assert!(!session.is_closed() || session.open_streams() == 0, "a session panicked while it ended");
    let mut turn = Turn { work: &mut upstreams.work, stats: &mut upstreams.stats, now };
    session.close(&mut turn, sink, Reason::InternalError, h2::INTERNAL_ERROR);
    recount(upstreams, name);
    remove(upstreams, name, Reason::InternalError, now, sink);
    sink.on_session_lost(name);
    if let Some(backend) = upstreams.backends.get_mut(backend) {
        backend.last_fault = ("a fault of the edge", "");
    }
    promote(upstreams, backend, now, sink);
    publish(upstreams, backend, now);
}

/// Removes a backend that no snapshot names and that is not in use.
pub fn remove_unused(upstreams: &mut Upstreams, key: slab::Key) {
    let is_unused = |backend: &Backend| backend.is_retired && backend.sessions.is_empty() && backend.queue.is_empty();
    if upstreams.backends.get(key).is_some_and(is_unused) {
        upstreams.backends.remove(key);
    }
}
