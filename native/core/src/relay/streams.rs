//! Handles a connection's streams after packets arrived: requests, the client's own streams, room
//! for responses.

use super::{Relay, decode, end, write};
use crate::base::slab::Key;
use crate::upstream::Upstreams;

/// Phases 4 and 5: handles a connection's readable and writable streams.
pub fn process(relay: &mut Relay, upstreams: &mut Upstreams, key: Key) {
    // Listed first and handled afterwards: a stream that keeps its bytes because its backend is
    // slow is listed again at once.
    let mut streams = std::mem::take(&mut relay.scratch.streams);
    let Some(connection) = relay.connections.get_mut(key) else { return };
    connection.protocol.arrivals().list_readable(&mut streams);
    for stream in streams.drain(..) {
        if is_request(relay, key, stream) {
            decode::on_readable(relay, upstreams, key, stream);
        } else {
            read_own(relay, key, stream);
        }
    }
    notice_gaps(relay, key);
    notice_stops(relay, upstreams, key);
    if let Some(connection) = relay.connections.get_mut(key) {
        connection.protocol.arrivals().list_writable(connection.books.blocked > 0, &mut streams);
    }
    for stream in streams.drain(..) {
        if is_request(relay, key, stream) {
            write::on_writable(relay, key, stream);
        } else if let Some(connection) = relay.connections.get_mut(key) {
            connection.protocol.arrivals().write_own();
        }
    }
    relay.scratch.streams = streams;
}

fn is_request(relay: &mut Relay, key: Key, stream: u64) -> bool {
    relay.connections.get_mut(key).is_some_and(|connection| connection.protocol.arrivals().is_request(stream))
}

/// Starts the clock for streams that were skipped and have not begun.
fn notice_gaps(relay: &mut Relay, key: Key) {
    let Some(connection) = relay.connections.get_mut(key) else { return };
    if connection.protocol.arrivals().notice_gaps(relay.turn.now) {
        relay.connections.note_gaps(key);
    }
}

/// Ends exchanges whose client asked to stop the response.
fn notice_stops(relay: &mut Relay, upstreams: &mut Upstreams, key: Key) {
    let Some(connection) = relay.connections.get_mut(key) else { return };
    let mut stopped = Vec::new();
    if !connection.protocol.arrivals().list_stopped(&connection.exchanges, &mut stopped) {
        return;
    }
    for (exchange, left) in stopped {
        end::client_left(relay, upstreams, exchange, left);
    }
    relay.connections.mark(key);
}

fn read_own(relay: &mut Relay, key: Key, stream: u64) {
    let Relay { connections, scratch, .. } = relay;
    let Some(connection) = connections.get_mut(key) else { return };
    if let Err(cause) = connection.protocol.arrivals().read_own(stream, &mut scratch.bytes) {
        relay.connections.close(key, cause);
    }
}
