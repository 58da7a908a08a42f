//! The state of the pool.

use super::backend::Backend;
use super::sessions::{Member, Sessions};
use crate::base::panics;
use crate::base::rng::Rng;
use crate::base::slab::{self, Slab};
use crate::base::table::BackendTable;
use crate::base::timers::Nanos;
use crate::upstream::io::Work;
use crate::upstream::session::{Session, Turn};
use crate::upstream::sink::SessionRef;
use crate::upstream::stats::Stats;

/// The pool: all sessions of a reactor to all backends.
pub struct Upstreams {
    pub(super) table: BackendTable,
    pub(super) backends: Slab<Backend>,
    /// Backends of the latest snapshot, by their slot.
    pub(super) by_slot: Vec<Option<slab::Key>>,
    pub(super) sessions: Sessions,
    pub(super) work: Work,
    pub(super) rng: Rng,
    pub(super) next_deadline: Nanos,
    /// Attempts wait for connections that other shards have.
    pub(super) wants_others_connections: bool,
    /// Counters and gauges.
    pub stats: Stats,
}

/// Runs something on a session, if there is one of this name. A session that panics ends with the
/// next flush, and nothing came of the call.
pub(super) fn run<T>(
    upstreams: &mut Upstreams,
    name: SessionRef,
    now: Nanos,
    call: impl FnOnce(&mut Session, &mut Turn<'_>) -> T,
) -> Option<T> {
    guard(upstreams, name, now, Sessions::get_mut, call)
}

/// As [`run`], for what the next flush has to write.
pub(super) fn run_dirty<T>(
    upstreams: &mut Upstreams,
    name: SessionRef,
    now: Nanos,
    call: impl FnOnce(&mut Session, &mut Turn<'_>) -> T,
) -> Option<T> {
    guard(upstreams, name, now, Sessions::touch, call)
}

fn guard<T>(
    upstreams: &mut Upstreams,
    name: SessionRef,
    now: Nanos,
    find: impl FnOnce(&mut Sessions, SessionRef) -> Option<&mut Member>,
    call: impl FnOnce(&mut Session, &mut Turn<'_>) -> T,
) -> Option<T> {
    let Upstreams { sessions, work, stats, .. } = upstreams;
    let member = find(sessions, name)?;
    let result = panics::guard(|| call(&mut member.session, &mut Turn { work, stats, now })).ok();
    if result.is_none() {
        sessions.condemn(name);
    }
    result
}
