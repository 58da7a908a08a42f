//! What a connection's streams have to say after packets came: requests, the client's own streams, room for responses.

use super::Relay;
use crate::base::slab::Key;
use crate::upstream::Upstreams;

/// Looks at what a connection's streams have to say: phases 4 and 5, and clients that can take more.
pub fn process(relay: &mut Relay, upstreams: &mut Upstreams, key: Key) {
    // Listed first, then looked at: a stream that keeps bytes because its backend is slow goes back into quiche's list at once.
    let mut streams = std::mem::take(&mut relay.streams);
    let Some(connection) = relay.connections.get_mut(key) else { return };
    streams.extend(std::iter::from_fn(|| connection.quic.stream_readable_next()));
    for stream in streams.drain(..) {
        if stream & 3 == 0 {
            relay.on_request_readable(upstreams, key, stream);
        } else {
            read_peer_stream(relay, key, stream);
        }
    }
    if let Some(connection) = relay.connections.get_mut(key) {
        streams.extend(std::iter::from_fn(|| connection.quic.stream_writable_next()));
    }
    for stream in streams.drain(..) {
        if stream & 3 == 0 {
            relay.on_response_writable(key, stream);
        } else if let Some(connection) = relay.connections.get_mut(key) {
            connection.write_control();
        }
    }
    relay.streams = streams;
}

fn read_peer_stream(relay: &mut Relay, key: Key, stream: u64) {
    let Relay { connections, scratch, .. } = relay;
    let Some(connection) = connections.get_mut(key) else { return };
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
