//! The listeners of a shard, by place.

use super::Listener;
use crate::quic::send::SendStats;
use std::ops::{Index, IndexMut};

/// The listeners of a shard, by place. A listener stays until no connection has its place any more,
/// so a connection always finds its own.
#[derive(Default)]
pub struct Listeners {
    places: Vec<Option<Box<Listener>>>,
    /// Sockets to close after their last connections.
    pub closing: usize,
    /// Statistics of sockets that are closed.
    closed: SendStats,
}

impl Listeners {
    /// Whether there is a listener in a place.
    pub fn has(&self, place: usize) -> bool {
        self.places.get(place).is_some_and(Option::is_some)
    }

    /// The listener in a place, if any.
    pub fn get(&self, place: usize) -> Option<&Listener> {
        self.places.get(place)?.as_deref()
    }

    /// Puts a listener in an empty place.
    pub fn insert(&mut self, place: usize, listener: Listener) {
        if self.places.len() <= place {
            self.places.resize_with(place + 1, || None);
        }
        self.places[place] = Some(Box::new(listener));
    }

    /// The place that takes new connections from a socket. The kernel prefers a socket bound to the
    /// address, even if that retires, to a wildcard socket that may have replaced it.
    pub fn receiver(&self, place: usize) -> usize {
        let Some(retiring) = self.get(place).filter(|listener| listener.is_retiring) else { return place };
        let follows = |listener: &Listener| {
            let (own, left) = (listener.local, retiring.local);
            !listener.is_retiring && own.ip().is_unspecified() && own.port() == left.port() && own.is_ipv4() == left.is_ipv4()
        };
        (0..self.places.len()).find(|next| self.get(*next).is_some_and(follows)).unwrap_or(place)
    }

    /// Removes a listener, which closes its socket.
    pub fn close(&mut self, place: usize) {
        if let Some(listener) = self.places.get_mut(place).and_then(Option::take) {
            self.closed += listener.output.sender.stats;
        }
    }

    /// Places that have a listener.
    pub fn places(&self) -> impl Iterator<Item = usize> + use<> {
        let places: Vec<usize> = (0..self.places.len()).filter(|place| self.has(*place)).collect();
        places.into_iter()
    }

    /// One more than the last place.
    pub fn room(&self) -> usize {
        self.places.len()
    }

    /// All listeners.
    pub fn iter(&self) -> impl Iterator<Item = &Listener> {
        self.places.iter().flatten().map(Box::as_ref)
    }

    /// Send statistics of all listeners, including closed ones.
    pub fn sent(&self) -> SendStats {
        let mut sum = self.closed;
        for listener in self.iter() {
            sum += listener.output.sender.stats;
        }
        sum
    }
}

impl Index<usize> for Listeners {
    type Output = Listener;

    fn index(&self, place: usize) -> &Listener {
        self.places[place].as_deref().expect("a connection's listener")
    }
}

impl IndexMut<usize> for Listeners {
    fn index_mut(&mut self, place: usize) -> &mut Listener {
        self.places[place].as_deref_mut().expect("a connection's listener")
    }
}
