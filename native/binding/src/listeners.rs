//! The sockets of the process's listeners, by place, and what all shards count of a listener. The
//! main thread opens a place for every shard at once; each reactor takes its socket when it is told
//! to listen there.

use crate::types::{BindingListener, BindingPlace};
use crate::{convert, failure, key, stores};
use lychgate_core::quic::cid::CidKey;
use lychgate_core::quic::clients::ClientCounts;
use lychgate_core::quic::count::ConnectionCount;
use lychgate_core::quic::{socket, steer};
use lychgate_core::reactor::Reactor;
use lychgate_core::reactor::listener::{ListenerOptions, ListenerSocket, PlaceCount};
use napi::Result;
use std::collections::BTreeMap;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Sockets that no reactor has taken, by shard.
struct Place {
    sockets: Vec<Option<ListenerSocket>>,
    /// Held by every socket of the place, here and in reactors.
    count: Arc<PlaceCount>,
}

#[derive(Default)]
struct Registry {
    places: BTreeMap<u32, Place>,
    /// By number of the listener: connections of all shards, and the same by client.
    counts: BTreeMap<u32, (ConnectionCount, ClientCounts)>,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry { places: BTreeMap::new(), counts: BTreeMap::new() });

fn registry() -> MutexGuard<'static, Registry> {
    // What is in it is changed in single steps: who panicked there left nothing half done.
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens the sockets of a place, one for each shard, all or none.
pub fn open(place: u32, address: &str, shards: u32, buffers: (usize, usize), cid_key: &[u8]) -> Result<BindingPlace> {
    let mut wanted = address.parse().map_err(|_| failure(format!("{address} is no address of the form ip:port")))?;
    let cid_key = CidKey::new(&key(cid_key)?);
    if registry().places.contains_key(&place) {
        return Err(failure(format!("place {place} is open already")));
    }
    let count = Arc::default();
    let mut sockets = Vec::new();
    for _ in 0..shards {
        let socket = socket::open(wanted, buffers.0, buffers.1).map_err(|error| failure(format!("cannot listen on {wanted}: {error}")))?;
        // Port 0 is taken once; the other shards join the port it became.
        wanted = socket::local_address(socket.as_raw_fd()).map_err(|error| failure(error.to_string()))?;
        sockets.push(Some(ListenerSocket::new(socket, &count)));
    }
    let first = sockets.first().and_then(Option::as_ref);
    let is_steered = shards == 1 || first.is_some_and(|socket| steer::attach(socket.fd(), shards, &cid_key).is_ok());
    registry().places.insert(place, Place { sockets, count });
    Ok(BindingPlace { port: u32::from(wanted.port()), is_steered })
}

/// Closes the sockets of a place that no reactor has taken, and forgets it.
pub fn close(place: u32) {
    let closed = registry().places.remove(&place);
    drop(closed);
}

/// Sockets of a place that are open, with those that reactors have.
pub fn sockets(place: u32) -> u32 {
    registry().places.get(&place).map_or(0, |place| Arc::strong_count(&place.count) as u32 - 1)
}

/// Connections that send by the sockets of a place.
pub fn place_connections(place: u32) -> usize {
    registry().places.get(&place).map_or(0, |place| place.count.connections())
}

/// Connections of a listener, in all shards.
pub fn connections(number: u32) -> usize {
    registry().counts.get(&number).map_or(0, |(connections, _)| connections.get())
}

/// Has a shard's reactor listen where `listeners` say, and nowhere else.
pub fn listen(reactor: &mut Reactor, shard: usize, listeners: Vec<BindingListener>, drain_ms: f64) -> Result<()> {
    let mut registry = registry();
    let mut options: Vec<ListenerOptions> = Vec::with_capacity(listeners.len());
    let mut failed = None;
    for listener in listeners {
        let (connections, clients) = registry.counts.entry(listener.listener).or_default().clone();
        let socket = registry.places.get_mut(&listener.place).and_then(|place| place.sockets.get_mut(shard)).and_then(Option::take);
        match stores::find(listener.listener).and_then(|store| convert::listener(listener, connections, clients, store)) {
            Ok(option) => options.push(ListenerOptions { socket, ..option }),
            Err(error) => failed = Some(error),
        }
    }
    let result = match failed {
        Some(error) => Err(error),
        None => reactor.listen(&mut options, (drain_ms * 1e6) as u64).map_err(|error| failure(error.to_string())),
    };
    // What the reactor did not take is kept for the successor of the worker that fails now.
    for ListenerOptions { place, socket, .. } in options {
        if let (Some(socket), Some(place)) = (socket, registry.places.get_mut(&place).and_then(|place| place.sockets.get_mut(shard))) {
            *place = Some(socket);
        }
    }
    result
}

/// What is wrong with the settings of a listener.
pub fn check(listener: BindingListener) -> Result<()> {
    let named = listener.listener;
    let settings = convert::settings(&listener)?;
    convert::client_limit(&listener, ClientCounts::default())?;
    settings.check().map_err(|said| failure(format!("listener {named}: {said}")))
}
