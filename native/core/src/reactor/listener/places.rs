//! The listeners of a shard, by place.

use super::Listener;
use crate::quic::send::SendStats;
use std::ops::{Index, IndexMut};

/// The listeners of a shard, by place. One is taken out only when no connection has its place any
/// more, so whoever has a place of a connection finds it.
#[derive(Default)]
pub struct Listeners {
    places: Vec<Option<Box<Listener>>>,
    /// Sockets that are to be closed after their last connections.
    pub closing: usize,
    /// What was sent by sockets that are closed.
    closed: SendStats,
}

impl Listeners {
    /// Whether there is one.
    pub fn has(&self, place: usize) -> bool {
        self.places.get(place).is_some_and(Option::is_some)
    }

    /// The listener in a place that may have none.
    pub fn get(&self, place: usize) -> Option<&Listener> {
        self.places.get(place)?.as_deref()
    }

    /// Puts one in a place that has none.
    pub fn insert(&mut self, place: usize, listener: Listener) {
        if self.places.len() <= place {
            self.places.resize_with(place + 1, || None);
        }
        self.places[place] = Some(Box::new(listener));
    }

    /// Who takes new connections that come by a socket: the kernel gives packets to the socket of
    /// an address, also to one that retires, before it gives them to the one of a wildcard, which
    /// may have followed on it.
    pub fn receiver(&self, place: usize) -> usize {
        let Some(retiring) = self.get(place).filter(|listener| listener.is_retiring) else { return place };
        let follows = |listener: &Listener| {
            let (own, left) = (listener.local, retiring.local);
            !listener.is_retiring && own.ip().is_unspecified() && own.port() == left.port() && own.is_ipv4() == left.is_ipv4()
        };
        (0..self.places.len()).find(|next| self.get(*next).is_some_and(follows)).unwrap_or(place)
    }

    /// Takes one out, whose socket is closed by that.
    pub fn close(&mut self, place: usize) {
        if let Some(listener) = self.places.get_mut(place).and_then(Option::take) {
            self.closed += listener.output.sender.stats;
        }
    }

    /// Places that have one.
    pub fn places(&self) -> impl Iterator<Item = usize> + use<> {
        let places: Vec<usize> = (0..self.places.len()).filter(|place| self.has(*place)).collect();
        places.into_iter()
    }

    /// One more than the last place.
    pub fn room(&self) -> usize {
        self.places.len()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Listener> {
        self.places.iter().flatten().map(Box::as_ref)
    }

    /// What was sent by all, also those that are gone.
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
