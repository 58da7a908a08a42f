//! Streams in pieces: each that waits costs the edge far more than its bytes.

use crate::support::client::{Client, Request, config, socket};
use crate::support::lane::{Verdict, forward};
use crate::support::origin::patterned;
use crate::support::{Bed, Kind, Setup};
use lychgate_core::base::counters::{Closed, Id};
use lychgate_core::base::reason::Reason;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// FLOW_CONTROL_ERROR (RFC 9000 §20.1).
const FLOW_CONTROL_ERROR: u64 = 3;

/// The windows that the edge has by default.
fn bed() -> Bed {
    Bed::with(Setup { request_window: 2 << 20, ..Setup::default() })
}

/// A client that may have everything under way at once.
fn unbounded(kind: Kind, bed: &Bed) -> Client {
    let mut settings = config(1 << 20);
    settings.set_initial_congestion_window_packets(100_000);
    Client::with_config(kind, bed.address, socket(), &mut settings, b"unbounded")
}

/// Sends pieces of one byte, each behind a hole, on so many streams until the edge has enough of
/// it; how many that were.
fn pieces_taken(bed: &mut Bed, client: usize, streams: u64, hole: usize) -> u64 {
    // It hears nothing, so it never learns of the holes.
    bed.clients[client].is_silent = true;
    let before = bed.shard().reactor.relay.connections.iter().map(|(_, connection)| connection.protocol.stats().packets.0).sum::<usize>();
    let mut pieces = 0;
    while bed.shard().count_of(Id::ConnectionsClosed, Closed::Protocol as usize) == 0 {
        assert!(pieces < 200_000, "there is no end of it");
        for (bytes, is_lost) in [(&[0; 256][..hole], true), (&[0][..], false)] {
            for stream in 0..streams {
                bed.clients[client].quic.stream_send(4 * stream, bytes, false).unwrap();
            }
            if is_lost {
                bed.clients[client].send_into_the_void();
            } else {
                bed.clients[client].transmit();
                pieces += streams;
            }
        }
        // What the edge answers is lost: the client's socket must have room for the close.
        while bed.clients[client].lose() {}
        bed.until("the pieces to arrive", |bed| {
            let mut connections = bed.shard().reactor.relay.connections.iter();
            connections
                .next()
                .is_none_or(|(_, connection)| connection.is_ending() || connection.protocol.stats().packets.0 >= before + pieces as usize)
        });
    }
    bed.clients[client].is_silent = false;
    bed.until("the close", |bed| bed.clients[client].quic.peer_error().is_some());
    assert_eq!(bed.clients[client].quic.peer_error().map(|error| error.error_code), Some(FLOW_CONTROL_ERROR));
    pieces
}

#[test]
fn a_stream_of_one_byte_pieces_closes_its_connection() {
    let mut bed = bed();
    let attacker = unbounded(Kind::Raw, &bed);
    let client = bed.adopt(attacker);
    let pieces = pieces_taken(&mut bed, client, 1, 1);
    assert!((256..2_000).contains(&pieces), "{pieces} pieces");
}

#[test]
fn a_connection_of_many_streams_in_pieces_is_closed_before_they_cost_8_megabytes() {
    let mut bed = bed();
    let attacker = unbounded(Kind::Raw, &bed);
    let client = bed.adopt(attacker);
    // Each stream by itself stays below what it may have: a piece for 64 bytes. Their first windows
    // together are large enough.
    let pieces = pieces_taken(&mut bed, client, 100, 99);
    assert!((48_000..52_000).contains(&pieces), "{pieces} pieces");
}

#[test]
fn an_upload_of_which_every_second_of_5000_packets_is_lost_passes() {
    let mut bed = bed();
    let unlucky = unbounded(Kind::Http3, &bed);
    let client = bed.adopt(unlucky);
    bed.clients[client].lossy = 5_000;
    let body = patterned(1_700_000);
    let streams: Vec<u64> = (0..4)
        .map(|_| bed.clients[client].request(Request { method: "POST", path: "/echo", body: body.clone(), ..Request::default() }))
        .collect();
    for stream in streams {
        let answer = bed.finish(client, stream);
        assert!(answer.is_finished && answer.body == body);
    }
    assert_eq!(bed.clients[client].lossy, 0);
}

#[test]
fn small_pieces_in_order_wait_in_any_number() {
    let mut bed = bed();
    let is_released = Rc::new(AtomicBool::new(false));
    let released = is_released.clone();
    bed.shard().lane.on_head = Box::new(move |_| match released.load(Relaxed) {
        false => Verdict::Wait(20, Reason::QueueTimeout.number()),
        true => Verdict::Forward(forward()),
    });
    let talker = unbounded(Kind::Http3, &bed);
    let client = bed.adopt(talker);
    let stream = bed.clients[client].request(Request { method: "POST", path: "/echo", is_unfinished: true, ..Request::default() });
    let body = patterned(80_000);
    for piece in body.chunks(16) {
        bed.clients[client].write(stream, piece, false);
        bed.clients[client].transmit();
        bed.turn();
    }
    is_released.store(true, Relaxed);
    bed.clients[client].write(stream, b"", true);
    let answer = bed.finish(client, stream);
    assert!(answer.is_finished && answer.body == body);
}
