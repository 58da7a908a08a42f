//! Adds, changes and removes listeners while the reactor runs.
//!
//! A listener has a number, and a place for each of its addresses, with a socket in each shard.
//! When it leaves an address, the place retires: it accepts no connection, its connections are
//! drained, and the rest are cut at the deadline. The main thread closes the sockets once no shard
//! has a connection there. Until then a listener that returns finds its sockets, in the order that
//! the kernel knows.

use super::listener::{Listener, ListenerOptions};
use super::look;
use super::parts::Reactor;
use crate::base::timers::Nanos;
use std::io;

/// Listens exactly where `options` say, with their settings. Connections to addresses that were
/// left have `drain` to end. On failure nothing has changed, and the caller still owns the sockets.
pub fn listen(reactor: &mut Reactor, options: &mut Vec<ListenerOptions>, drain: Nanos) -> io::Result<()> {
    let mut prepared = Vec::with_capacity(options.len());
    for option in &*options {
        prepared.push(Listener::prepare(option, reactor.listeners.get(option.place as usize), &reactor.counters)?);
    }
    let is_new = |option: &&ListenerOptions| !reactor.listeners.has(option.place as usize);
    let added: Vec<_> = options.iter().filter(is_new).filter_map(|option| Some((option.place, option.socket.as_ref()?.fd()))).collect();
    for (count, (place, fd)) in added.iter().enumerate() {
        if let Err(error) = reactor.poll.add(*fd, u64::from(*place), false) {
            added[..count].iter().for_each(|(_, fd)| reactor.poll.remove(*fd));
            return Err(error);
        }
    }
    let mut has_left = false;
    let mut is_wanted = vec![false; reactor.listeners.room()];
    for (option, prepared) in options.drain(..).zip(prepared) {
        let place = option.place as usize;
        if let Some(is_wanted) = is_wanted.get_mut(place) {
            *is_wanted = true;
        }
        has_left |= option.is_retiring || reactor.listeners.get(place).is_some_and(|present| present.number != option.number);
        option.certificates.follow(&reactor.switchboard.inbox.wake);
        reactor.relay.rules.set_limits(option.number as usize, option.settings.limits());
        if reactor.listeners.has(place) {
            reactor.listeners.closing -= usize::from(reactor.listeners[place].is_closing);
            reactor.listeners[place].change(option, prepared);
        } else if let Some(listener) = Listener::new(option, prepared) {
            reactor.listeners.insert(place, listener);
        }
    }
    for place in is_wanted.iter().enumerate().filter(|(_, is_wanted)| !**is_wanted).map(|(place, _)| place) {
        has_left |= reactor.listeners.has(place);
        if reactor.listeners.has(place) && !reactor.listeners[place].is_closing {
            (reactor.listeners[place].is_retiring, reactor.listeners[place].is_closing) = (true, true);
            reactor.listeners.closing += 1;
        }
    }
    // Walk the connections only if some may have to go.
    if has_left {
        reactor.relay.turn.tick();
        reactor.rounds.retire(reactor.relay.turn.now.saturating_add(drain));
        look::begin(reactor);
        close_done(reactor);
    }
    Ok(())
}

/// Closes sockets that no connection uses and no client may reach any more.
pub fn close_done(reactor: &mut Reactor) {
    for place in reactor.listeners.places() {
        let listener = &mut reactor.listeners[place];
        if listener.is_done() {
            // Last answers to late arrivals, best effort.
            let _ = listener.output.sender.flush();
            reactor.poll.remove(listener.fd());
            reactor.listeners.close(place);
            reactor.listeners.closing -= 1;
        }
    }
}
