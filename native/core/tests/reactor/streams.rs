//! Request streams: they begin in any order, end in any way, and each is answered and makes room
//! for another.

use crate::support::client::socket;
use crate::support::lane::Verdict;
use crate::support::wire::{self, GET};
use crate::support::{Bed, Kind, Setup};
use lychgate_core::base::counters::{Id, Rejected};
use lychgate_core::base::reason::Reason;
use lychgate_core::downstream::http3::Stream;
use lychgate_core::http::error::h3;
use std::time::{Duration, Instant};

/// Streams that the bed's listener lets a client have open.
const OPEN: u64 = 100;

#[test]
fn a_stream_whose_beginning_comes_after_its_successors_is_answered() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Raw);
    for stream in [396, 0, 200, 4, 392] {
        bed.clients[client].write(stream, &wire::headers(&GET), true);
        bed.until("the answer", |bed| bed.clients[client].streams.get(&stream).is_some_and(|received| received.is_finished));
        assert_eq!(bed.clients[client].streams[&stream].status, 200, "stream {stream}");
    }
    bed.until("the completions", |bed| bed.shard().lane.completions.len() == 5);
}

#[test]
fn requests_of_which_datagrams_are_lost_are_all_answered() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Raw);
    let mut chance = 7u64;
    for _ in 0..100 {
        // Each request in a datagram of its own, about every third of which is lost on its way.
        let streams: Vec<u64> = (0..10)
            .map(|_| {
                let stream = bed.clients[client].open(&wire::headers(&GET), true);
                chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                if chance >> 33 & 3 == 0 {
                    bed.clients[client].send_into_the_void();
                } else {
                    bed.clients[client].drive();
                }
                stream
            })
            .collect();
        for stream in streams {
            assert_eq!(bed.finish(client, stream).status, 200);
        }
    }
    bed.until("the completions", |bed| bed.shard().lane.completions.len() == 1_000);
}

#[test]
fn a_drain_waits_for_a_request_below_its_goaway_whose_beginning_was_lost() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Raw);
    bed.clients[client].write(4, &wire::headers(&GET), true);
    bed.until("the later answer", |bed| bed.clients[client].streams.get(&4).is_some_and(|received| received.is_finished));
    bed.shard().reactor.drain();
    bed.until("both GOAWAYs", |bed| bed.clients[client].goaways().len() == 2);
    bed.rest(Duration::from_millis(100));
    bed.clients[client].write(0, &wire::headers(&GET), true);
    bed.until("the earlier answer", |bed| bed.clients[client].streams.get(&0).is_some_and(|received| received.is_finished));
    assert_eq!(bed.clients[client].streams[&0].status, 200);
}

#[test]
fn a_stream_of_which_only_later_bytes_come_is_refused_when_a_head_would_be() {
    let mut bed = Bed::with(Setup { handshake_timeout_ms: 300, ..Setup::default() });
    let client = bed.connect(Kind::Raw);
    // The first datagram of stream 0 is lost; what follows arrives, and then the client says
    // nothing for a while.
    bed.clients[client].write(0, &wire::headers(&GET), false);
    bed.clients[client].send_into_the_void();
    bed.clients[client].write(0, &wire::data(b"body"), false);
    bed.clients[client].write(4, &wire::headers(&GET), true);
    bed.clients[client].drive();
    bed.clients[client].is_silent = true;
    bed.rest(Duration::from_millis(600));
    bed.clients[client].is_silent = false;
    bed.until("the later answer", |bed| bed.clients[client].streams.get(&4).is_some_and(|received| received.is_finished));
    bed.until("the refusal", |bed| bed.clients[client].streams.get(&0).is_some_and(|received| received.reset.is_some()));
    assert_eq!(bed.clients[client].streams[&0].reset, Some(h3::REQUEST_REJECTED));
}

#[test]
fn a_stream_of_which_only_later_bytes_come_is_refused_though_no_other_comes_after_it() {
    let mut bed = Bed::with(Setup { handshake_timeout_ms: 300, ..Setup::default() });
    let client = bed.connect(Kind::Raw);
    bed.clients[client].write(0, &wire::headers(&GET), false);
    bed.clients[client].send_into_the_void();
    bed.clients[client].write(0, &wire::data(b"body"), false);
    bed.clients[client].drive();
    bed.clients[client].is_silent = true;
    bed.until("the refusal", |bed| bed.shard().count_of(Id::RequestsRejected, Rejected::NotBegun as usize) == 1);
    // Nothing that the client sends is needed for it to leave.
    bed.rest(Duration::from_millis(50));
    bed.clients[client].hear();
    assert_eq!(bed.clients[client].streams[&0].reset, Some(h3::REQUEST_REJECTED));
    bed.clients[client].is_silent = false;
    bed.clients[client].write(4, &wire::headers(&GET), true);
    bed.until("the answer", |bed| bed.clients[client].streams.get(&4).is_some_and(|received| received.status == 200));
}

#[test]
fn a_stream_that_a_client_only_stops_is_refused() {
    let mut bed = Bed::with(Setup { handshake_timeout_ms: 300, ..Setup::default() });
    let client = bed.connect(Kind::Raw);
    bed.clients[client].write(0, &wire::headers(&GET), false);
    bed.clients[client].send_into_the_void();
    bed.clients[client].stop(0, h3::REQUEST_CANCELLED);
    bed.clients[client].drive();
    bed.clients[client].is_silent = true;
    bed.until("the refusal", |bed| bed.shard().count_of(Id::RequestsRejected, Rejected::NotBegun as usize) == 1);
    bed.clients[client].is_silent = false;
}

#[test]
fn a_head_that_drips_has_no_more_time_than_one_that_stands_still() {
    let head = wire::headers(&[&GET[..], &[("x-long", "a value that is long in coming, because it comes byte by byte")]].concat());
    // The head itself, and unknown frames before it.
    for bytes in [head, [wire::frame(0x21, &[0; 40]), wire::frame(0x40, &[0; 40])].concat()] {
        let mut bed = Bed::with(Setup { handshake_timeout_ms: 400, ..Setup::default() });
        let client = bed.connect(Kind::Raw);
        let stream = bed.clients[client].open(&bytes[..1], false);
        for byte in &bytes[1..70] {
            bed.rest(Duration::from_millis(40));
            bed.clients[client].write(stream, &[*byte], false);
            if bed.clients[client].streams[&stream].is_over() {
                break;
            }
        }
        assert_eq!(bed.finish(client, stream).status, 408);
    }
}

/// Streams of a client that quiche still knows on the edge's side.
fn known(bed: &mut Bed, streams: std::ops::Range<u64>) -> Vec<u64> {
    let connections = &mut bed.shard().reactor.relay.connections;
    let key = connections.keys()[0];
    let quic = &mut connections.get_mut(key).unwrap().protocol.transport().unwrap().quic;
    streams.step_by(4).filter(|stream| Stream { quic, id: *stream }.is_known()).collect()
}

#[test]
fn a_stream_whose_end_comes_after_everything_else_is_forgotten() {
    let mut bed = Bed::new();
    bed.shard().lane.on_head = Box::new(|_| Verdict::Respond(403, Reason::AccessDenied.number(), "no"));
    let client = bed.connect(Kind::Raw);
    for _ in 0..20 {
        // What the client says when it is stopped is lost; a later packet acknowledges all that the
        // edge has sent, and what was lost is sent again after it.
        let stream = bed.clients[client].open(&wire::headers(&wire::head("POST", "/", &[])), false);
        bed.clients[client].drive();
        bed.clients[client].is_silent = true;
        bed.rest(Duration::from_millis(10));
        bed.clients[client].hear();
        bed.clients[client].send_into_the_void();
        bed.clients[client].is_silent = false;
        let next = bed.clients[client].open(&wire::headers(&GET), true);
        bed.finish(client, next);
        bed.finish(client, stream);
    }
    bed.rest(Duration::from_millis(500));
    assert_eq!(known(&mut bed, 0..160), [0u64; 0]);
}

#[test]
fn a_stream_that_is_stopped_when_all_of_its_answer_is_on_its_way_is_forgotten() {
    const STREAMS: u64 = 40;
    let mut bed = Bed::new();
    bed.shard().lane.on_head = Box::new(|_| Verdict::Respond(200, Reason::FixedResponse.number(), "an answer"));
    let client = bed.connect(Kind::Raw);
    for begun in 1..=STREAMS {
        // With its request complete, and with one that the edge does not want.
        let stream = bed.clients[client].open(&wire::headers(&wire::head("POST", "/", &[])), begun % 2 == 0);
        bed.clients[client].drive();
        bed.clients[client].is_silent = true;
        let asked = Instant::now();
        bed.until("the completion", |bed| {
            let client = &mut bed.clients[client];
            client.insist();
            // On a busy machine so much may count as lost that the edge sends nothing more until it
            // hears of the client.
            client.is_silent = asked.elapsed() < Duration::from_secs(1);
            bed.shard().lane.completions.len() as u64 == begun
        });
        bed.clients[client].stop(stream, h3::REQUEST_CANCELLED);
        bed.clients[client].is_silent = false;
        bed.rest(Duration::from_millis(5));
    }
    bed.rest(Duration::from_millis(500));
    assert_eq!(known(&mut bed, 0..4 * STREAMS), [0u64; 0]);
}

/// How a request ends.
const ENDS: usize = 9;

fn end(bed: &mut Bed, client: usize, way: usize) -> u64 {
    let head = |path| wire::headers(&wire::head("POST", path, &[]));
    if way == 8 {
        // STOP_SENDING when the whole answer is on its way.
        let stream = bed.clients[client].open(&head("/own"), true);
        bed.clients[client].drive();
        bed.clients[client].is_silent = true;
        bed.rest(Duration::from_millis(2));
        bed.clients[client].stop(stream, h3::REQUEST_CANCELLED);
        bed.clients[client].is_silent = false;
        return stream;
    }
    let client = &mut bed.clients[client];
    match way {
        0 => client.open(&wire::headers(&GET), true),
        // The client takes back its own direction alone, before the head is there, with the body,
        // or after an answer.
        1 => {
            let stream = client.open(&head("/hold")[..3], false);
            client.drive();
            client.reset(stream, h3::REQUEST_CANCELLED);
            stream
        }
        2 => {
            let stream = client.open(&head("/hold"), false);
            client.drive();
            client.reset(stream, h3::REQUEST_CANCELLED);
            stream
        }
        // STOP_SENDING, and what the client sends goes on, ends, or is reset.
        3..=5 => {
            let stream = client.open(&head("/hold"), false);
            client.drive();
            client.stop(stream, h3::REQUEST_CANCELLED);
            client.drive();
            match way {
                3 => client.write(stream, &wire::data(b"more"), true),
                4 => client.reset(stream, h3::REQUEST_CANCELLED),
                _ => {}
            }
            stream
        }
        // The edge answers, or resets, before the request has ended; the client sees STOP_SENDING.
        6 => client.open(&head("/own"), false),
        _ => client.open(&head("/reset"), false),
    }
}

#[test]
fn every_way_to_end_frees_its_stream() {
    const STREAMS: u64 = 10_000;
    let mut bed = Bed::new();
    bed.shard().lane.on_head = Box::new(|head| match &head.path[..] {
        "/own" => Verdict::Respond(403, Reason::AccessDenied.number(), "no"),
        "/reset" => Verdict::Reset(h3::EXCESSIVE_LOAD as u32, Reason::Overloaded.number()),
        _ => Verdict::Forward(crate::support::lane::forward()),
    });
    let client = bed.connect_from(Kind::Raw, socket(), 1 << 20);
    let mut chance = 1u64;
    for begun in 0..STREAMS {
        bed.until("room for another stream", |bed| bed.clients[client].quic.peer_streams_left_bidi() > OPEN / 4);
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(begun);
        end(&mut bed, client, (chance >> 33) as usize % ENDS);
        // Now and then a datagram is lost in either direction, so that frames come in any order.
        match chance >> 40 & 127 {
            0 => bed.clients[client].send_into_the_void(),
            1 => _ = bed.clients[client].lose(),
            _ => {}
        }
    }
    bed.until("all exchanges to end", |bed| bed.shard().reactor.relay.exchanges.is_empty());
    bed.until("room for as many as at first", |bed| bed.clients[client].quic.peer_streams_left_bidi() >= OPEN / 2);
    bed.until("the completions", |bed| bed.shard().lane.completions.len() as u64 == STREAMS);
    bed.until("every stream to be forgotten", |bed| known(bed, 0..4 * STREAMS).is_empty());
    assert_eq!(bed.in_flight(), 0);
}

#[test]
fn a_client_that_takes_back_its_direction_alone_gets_streams_for_ever() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Raw);
    for begun in 0..10 * OPEN {
        bed.until("room for another stream", |bed| bed.clients[client].quic.peer_streams_left_bidi() > 0);
        end(&mut bed, client, 1 + begun as usize % 2);
    }
    bed.until("all exchanges to end", |bed| bed.shard().reactor.relay.exchanges.is_empty());
    bed.until("the completions", |bed| bed.shard().lane.completions.len() as u64 == 10 * OPEN);
    assert_eq!(bed.in_flight(), 0);
}

#[test]
fn an_answer_of_the_edges_own_has_the_time_that_a_small_window_takes() {
    let mut bed = Bed::new();
    let body = "a".repeat(16 * 1024);
    bed.shard().lane.on_head =
        Box::new(move |_| Verdict::Respond(200, Reason::FixedResponse.number(), Box::leak(body.clone().into_boxed_str())));
    let client = bed.connect_from(Kind::Http3, socket(), 4 * 1024);
    bed.clients[client].is_reading = false;
    let stream = bed.clients[client].get("/");
    bed.rest(Duration::from_millis(1_500));
    bed.clients[client].is_reading = true;
    let answer = bed.finish(client, stream);
    assert_eq!((answer.status, answer.body.len(), answer.reset), (200, 16 * 1024, None));
}
