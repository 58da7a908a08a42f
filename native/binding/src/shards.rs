//! The process's reactors. They belong to no worker: a worker attaches to one, and when it dies its
//! successor does.

use crate::types::BindingReactorOptions;
use crate::{failure, key};
use lychgate_core::base::budget::Budget;
use lychgate_core::base::counters::Counters;
use lychgate_core::base::panics::{self, Panicked};
use lychgate_core::quic::cid::CidKey;
use lychgate_core::reactor::switchboard::{self, Inbox, Port};
use lychgate_core::reactor::{Reactor, ReactorOptions};
use lychgate_core::relay::BackendTable;
use napi::Result;
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Instant;

/// A reactor and what other threads may know of it.
pub struct Shard {
    reactor: UnsafeCell<Reactor>,
    is_entered: AtomicBool,
    /// Whether a worker drives it.
    pub is_attached: AtomicBool,
    /// Its counters.
    pub counters: Arc<Counters>,
    busy_since: AtomicU64,
    /// The reactor panicked and has begun anew: the worker that drives it has to go, its successor
    /// brings backends and plans.
    pub is_renewed: AtomicBool,
    /// It could not even begin anew; the next who enters tries again.
    is_broken: AtomicBool,
}

// SAFETY: the reactor is entered by one thread at a time, which `is_entered` enforces; the rest is
// atomic or immutable. Non-atomic reference counts inside the reactor never leave it, and workers
// hand it over whole: the old one has stopped before the new one attaches.
unsafe impl Send for Shard {}
unsafe impl Sync for Shard {}

#[derive(Default)]
struct Registry {
    shards: Vec<Option<Arc<Shard>>>,
    ports: Vec<Port>,
    inboxes: Vec<Option<Inbox>>,
    budget: Arc<Budget>,
}

static REGISTRY: LazyLock<Mutex<Registry>> = LazyLock::new(Mutex::default);
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

fn now_ms() -> u64 {
    ORIGIN.elapsed().as_millis() as u64 + 1
}

impl Shard {
    /// Runs something in the reactor. An error when it is already being run, by this thread further
    /// up or by another, and when it panics: then it begins anew.
    pub fn enter<T>(&self, run: impl FnOnce(&mut Reactor) -> T) -> Result<T> {
        if self.is_entered.swap(true, Acquire) {
            return Err(failure("the reactor is busy with a turn"));
        }
        // SAFETY: the flag makes this the only reference.
        let reactor = unsafe { &mut *self.reactor.get() };
        let result = match self.is_broken.load(Relaxed) {
            true => Err(Panicked),
            false => panics::guard_shard(|| run(reactor)),
        };
        if result.is_err() {
            self.is_broken.store(panics::guard_shard(|| reactor.start_over()).is_err(), Relaxed);
            self.is_renewed.store(true, Release);
        }
        self.is_entered.store(false, Release);
        // The words by which the supervisor knows the cause (`src/control/shards/cause.ts`).
        result.map_err(|_| failure("the reactor panicked and began anew"))
    }

    /// The lane begins, or ends, a call.
    pub fn set_busy(&self, is_busy: bool) {
        self.busy_since.store(if is_busy { now_ms() } else { 0 }, Relaxed);
    }

    /// How long the lane's present call has taken.
    pub fn busy_ms(&self) -> f64 {
        match self.busy_since.load(Relaxed) {
            0 => 0.0,
            since => now_ms().saturating_sub(since).max(1) as f64,
        }
    }
}

/// Makes a shard's reactor.
pub fn create(options: BindingReactorOptions) -> Result<()> {
    let shard = options.shard as usize;
    let cid_key = CidKey::new(&key(&options.cid_key)?);
    let table: &[u8] = &options.backend_table;
    // SAFETY: the main thread keeps the table as long as reactors live (`src/control`).
    let table = unsafe { BackendTable::new(table.as_ptr(), table.len()) };
    let mut registry = REGISTRY.lock().map_err(|_| failure("the registry of reactors is broken"))?;
    if registry.shards.iter().all(Option::is_none) {
        let (ports, inboxes) = switchboard::connect(options.shards.max(1) as usize).map_err(|error| failure(error.to_string()))?;
        let inboxes = inboxes.into_iter().map(Some).collect();
        let shards = (0..options.shards).map(|_| None).collect();
        *registry = Registry { shards, ports, inboxes, budget: Arc::new(Budget::new(options.max_held_bytes as u64)) };
    }
    if registry.shards.get(shard).is_none_or(Option::is_some) {
        return Err(failure(format!("shard {shard} exists already or is none of {}", registry.shards.len())));
    }
    let inbox = registry.inboxes[shard].take().ok_or_else(|| failure(format!("shard {shard} existed before")))?;
    let reactor = Reactor::new(ReactorOptions {
        shard: shard as u8,
        generation: options.process_generation as u8,
        cid_key,
        max_exchanges: options.max_exchanges as usize,
        stateless_replies: options.stateless_replies as u32,
        table,
        ports: registry.ports.clone(),
        inbox,
        budget: registry.budget.clone(),
    })
    .map_err(|error| failure(format!("shard {shard}: {error}")))?;
    registry.shards[shard] = Some(Arc::new(Shard {
        counters: reactor.counters(),
        reactor: UnsafeCell::new(reactor),
        is_entered: AtomicBool::new(false),
        is_attached: AtomicBool::new(false),
        busy_since: AtomicU64::new(0),
        is_renewed: AtomicBool::new(false),
        is_broken: AtomicBool::new(false),
    }));
    Ok(())
}

/// Another limit of what all shards hold for peers.
pub fn limit_held(bytes: u64) -> Result<()> {
    let registry = REGISTRY.lock().map_err(|_| failure("the registry of reactors is broken"))?;
    registry.budget.set_limit(bytes);
    Ok(())
}

/// Ends a shard's reactor; no worker may drive it.
pub fn destroy(shard: u32) -> Result<()> {
    let found = find(shard)?;
    if found.is_attached.load(Acquire) {
        return Err(failure(format!("shard {shard} is still attached to a worker")));
    }
    // Nothing is left to be told where that panicked.
    let _ = found.enter(Reactor::close);
    let mut registry = REGISTRY.lock().map_err(|_| failure("the registry of reactors is broken"))?;
    registry.shards[shard as usize] = None;
    Ok(())
}

/// A shard by number.
pub fn find(shard: u32) -> Result<Arc<Shard>> {
    let registry = REGISTRY.lock().map_err(|_| failure("the registry of reactors is broken"))?;
    let found = registry.shards.get(shard as usize).and_then(Option::as_ref);
    found.cloned().ok_or_else(|| failure(format!("there is no shard {shard}")))
}

/// Runs something in a shard's reactor.
pub fn with<T>(shard: u32, run: impl FnOnce(&mut Reactor) -> T) -> Result<T> {
    find(shard)?.enter(run)
}
