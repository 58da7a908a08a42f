//! Listeners that come, change and go while the reactor runs.
//!
//! A listener has a number, and a place for each address that it has: a socket in each shard. When
//! it leaves an address the place retires: it lets nobody in any more, its connections are told to
//! go elsewhere, and what is left of them is cut when their time is over. Its sockets are closed
//! when they are not asked for any more, which the main thread does once no shard has a connection
//! there: so one that comes back meanwhile finds its sockets, and the kernel their order.

use super::Reactor;
use super::listener::{Listener, ListenerOptions};
use crate::base::panics;
use crate::base::slab::Key;
use crate::base::timers::{NEVER, Nanos};
use crate::http::error::h3;
use crate::relay::end;
use std::io;

impl Reactor {
    /// Listens where `options` say and nowhere else, and obeys what else they say. Connections to
    /// listeners that have left their address have so much time to end. When it fails nothing has
    /// changed, and the sockets are still the caller's.
    pub fn listen(&mut self, options: &mut Vec<ListenerOptions>, drain: Nanos) -> io::Result<()> {
        let mut prepared = Vec::with_capacity(options.len());
        for option in &*options {
            prepared.push(Listener::prepare(option, self.listeners.get(option.place as usize), &self.counters)?);
        }
        let is_new = |option: &&ListenerOptions| !self.listeners.has(option.place as usize);
        let added: Vec<_> = options.iter().filter(is_new).filter_map(|option| Some((option.place, option.socket.as_ref()?.fd()))).collect();
        for (count, (place, fd)) in added.iter().enumerate() {
            if let Err(error) = self.poll.add(*fd, u64::from(*place), false) {
                added[..count].iter().for_each(|(_, fd)| self.poll.remove(*fd));
                return Err(error);
            }
        }
        let mut has_left = false;
        let mut is_wanted = vec![false; self.listeners.room()];
        for (option, prepared) in options.drain(..).zip(prepared) {
            let place = option.place as usize;
            if let Some(is_wanted) = is_wanted.get_mut(place) {
                *is_wanted = true;
            }
            has_left |= option.is_retiring || self.listeners.get(place).is_some_and(|present| present.number != option.number);
            option.certificates.follow(&self.inbox.wake);
            self.relay.rules.set_limits(option.number as usize, option.settings.limits());
            if self.listeners.has(place) {
                self.closing -= usize::from(self.listeners[place].is_closing);
                self.listeners[place].change(option, prepared);
            } else if let Some(listener) = Listener::new(option, prepared) {
                self.listeners.insert(place, listener);
            }
        }
        for place in is_wanted.iter().enumerate().filter(|(_, is_wanted)| !**is_wanted).map(|(place, _)| place) {
            has_left |= self.listeners.has(place);
            if self.listeners.has(place) && !self.listeners[place].is_closing {
                (self.listeners[place].is_retiring, self.listeners[place].is_closing) = (true, true);
                self.closing += 1;
            }
        }
        // Connections are looked through only where some may have to go.
        if has_left {
            self.retire_connections(drain);
        }
        Ok(())
    }

    /// Tells the connections whose listener is gone from their address.
    fn retire_connections(&mut self, drain: Nanos) {
        self.relay.turn.tick();
        let now = self.relay.turn.now;
        for key in self.relay.connections.keys() {
            let told = panics::guard(|| {
                let Some(connection) = self.relay.connections.get_mut(key) else { return };
                let listener = &self.listeners[connection.accepted.socket as usize];
                if connection.end.is_retired || !listener.is_retiring && listener.number == connection.accepted.listener {
                    return;
                }
                (connection.end.is_retired, connection.end.cut_at) = (true, now.saturating_add(drain));
                connection.notify_drain(now);
                self.relay.connections.mark(key);
                self.arm(key);
            });
            if told.is_err() {
                self.end_panicked(key);
            }
        }
        self.transmit();
        self.close_done();
        self.ask_for_turn();
        self.timers.set(now);
    }

    /// Ends what is left of a connection whose time is over.
    pub(super) fn cut_retired(&mut self, key: Key) {
        let Some(connection) = self.relay.connections.get_mut(key) else { return };
        connection.end.cut_at = NEVER;
        if !connection.is_open {
            connection.protocol.transport.close(0);
            return;
        }
        let exchanges: Vec<Key> = connection.exchanges.values().copied().collect();
        for exchange in exchanges {
            self.relay.guarded(exchange, (), |relay| end::cut(relay, &mut self.upstreams, exchange));
        }
        // What ends its streams has to leave before the close, which would tell it less.
        self.relay.connections.mark(key);
        self.transmit_one(key);
        self.relay.close_connection(key, h3::NO_ERROR);
    }

    /// Closes the sockets that nobody sends by any more and nobody may come to.
    pub(super) fn close_done(&mut self) {
        for place in self.listeners.places() {
            let listener = &mut self.listeners[place];
            if listener.is_done() {
                // Answers to those who came late, if they still leave.
                let _ = listener.sender.flush();
                self.poll.remove(listener.fd());
                self.listeners.close(place);
                self.closing -= 1;
            }
        }
    }
}
