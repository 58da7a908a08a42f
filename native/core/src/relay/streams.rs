//! What a connection's streams have to say after packets came: requests, the client's own streams, room for responses.

use super::Relay;
use crate::base::reason::Reason;
use crate::base::slab::Key;
use crate::http::error::h3;
use crate::upstream::Upstreams;

/// Looks at what a connection's streams have to say: phases 4 and 5, and clients that can take more.
pub fn process(relay: &mut Relay, upstreams: &mut Upstreams, key: Key) {
    // Listed first, then looked at: a stream that keeps bytes because its backend is slow goes back into quiche's list at once.
    let mut streams = std::mem::take(&mut relay.scratch.streams);
    let Some(connection) = relay.connections.get_mut(key) else { return };
    streams.extend(std::iter::from_fn(|| connection.quic.stream_readable_next()));
    for stream in streams.drain(..) {
        if stream & 3 == 0 {
            relay.on_request_readable(upstreams, key, stream);
        } else {
            read_peer_stream(relay, key, stream);
        }
    }
    notice_gaps(relay, key);
    notice_stops(relay, upstreams, key);
    // quiche lists every stream that could take bytes: of interest only while one of them did not.
    if let Some(connection) = relay.connections.get_mut(key).filter(|connection| connection.is_blocked()) {
        streams.extend(std::iter::from_fn(|| connection.quic.stream_writable_next()));
    }
    for stream in streams.drain(..) {
        if stream & 3 == 0 {
            relay.on_response_writable(key, stream);
        } else if let Some(connection) = relay.connections.get_mut(key) {
            connection.write_control();
        }
    }
    relay.scratch.streams = streams;
}

/// Streams that the client has opened and that have not begun, because others came first or because their first byte is missing, are waited for as long as a head is.
fn notice_gaps(relay: &mut Relay, key: Key) {
    let Some(connection) = relay.connections.get_mut(key) else { return };
    connection.requests.pass_over(connection.quic.peer_streams_opened_bidi(), relay.turn.now);
    if connection.requests.has_gaps() && !connection.is_gapped {
        connection.is_gapped = true;
        relay.gapped.push(key);
    }
}

/// quiche lists a stopped stream as writable, unless it has listed it before and nothing was written since: while an exchange waits for its backend the stop would go unseen.
/// Its count of stops tells that there is one to look for.
fn notice_stops(relay: &mut Relay, upstreams: &mut Upstreams, key: Key) {
    let Some(connection) = relay.connections.get_mut(key) else { return };
    let stops = connection.quic.stats().stopped_stream_count_remote;
    if stops == connection.stops {
        return;
    }
    connection.stops = stops;
    let mut stopped = Vec::new();
    for (stream, exchange) in &connection.exchanges {
        match connection.quic.stream_capacity(*stream) {
            Err(quiche::Error::StreamStopped(code)) => stopped.push((*exchange, code)),
            // Stopped, and its request has been read to the end: quiche has forgotten it with the last byte.
            Err(quiche::Error::InvalidStreamState(_)) => stopped.push((*exchange, h3::REQUEST_CANCELLED)),
            _ => {}
        }
    }
    for (exchange, code) in stopped {
        relay.client_left(upstreams, exchange, Reason::ClientReset, code);
    }
    relay.mark(key);
}

fn read_peer_stream(relay: &mut Relay, key: Key, stream: u64) {
    let Relay { connections, scratch, .. } = relay;
    let Some(connection) = connections.get_mut(key) else { return };
    let scratch = &mut scratch.bytes;
    let fault = loop {
        match connection.quic.stream_recv(stream, scratch) {
            Ok((count, is_end)) => {
                if let Err(code) = connection.peer_streams.take(stream, &scratch[..count], is_end) {
                    break Some(code);
                }
                if is_end {
                    break None;
                }
            }
            Err(quiche::Error::StreamReset(_)) => break connection.peer_streams.end(stream).err(),
            Err(_) => break None,
        }
    };
    if let Some(code) = fault {
        connection.close(code);
        relay.mark(key);
    }
}
