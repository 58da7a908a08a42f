//! The floor under what a client takes and sends.

use crate::support::client::{Client, socket};
use crate::support::lane::{Verdict, forward};
use crate::support::origin::patterned;
use crate::support::wire::{data, head, headers};
use crate::support::{Bed, Kind, Request, Setup};
use lychgate_core::base::reason::Reason;
use lychgate_core::http::error::h3;
use lychgate_core::record::inward::Forward;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Clients have to move so many bytes in half a second.
fn floor(bytes: u64) -> Setup {
    Setup { min_rate: 2 * bytes, min_rate_period_ms: 500, ..Setup::default() }
}

/// A floor over so long a time that a machine which is busy with something else does not make a
/// client slower than that.
fn low_floor(bytes: u64) -> Setup {
    Setup { min_rate: bytes.div_ceil(2), min_rate_period_ms: 2_000, ..Setup::default() }
}

/// The reason with which the first exchange ended.
fn reason(bed: &mut Bed) -> u32 {
    bed.until("the completion", |bed| !bed.shard().lane.completions.is_empty());
    bed.shard().lane.completions[0].reason
}

/// Sends a byte of a body every 50 ms for as long as it is wanted, five seconds at most; true when
/// it was to the end.
fn drip(bed: &mut Bed, client: usize, stream: u64) -> bool {
    for _ in 0..100 {
        bed.clients[client].write(stream, &data(b"x"), false);
        bed.rest(Duration::from_millis(50));
        let received = &bed.clients[client].streams[&stream];
        if received.is_over() {
            return false;
        }
    }
    true
}

#[test]
fn a_client_that_drips_its_body_byte_by_byte_gets_408() {
    let mut bed = Bed::with(floor(1_000));
    let client = bed.connect(Kind::Raw);
    let stream = bed.clients[client].open(&headers(&head("POST", "/sink", &[])), false);
    assert!(!drip(&mut bed, client, stream));
    assert_eq!(bed.finish(client, stream).status, 408);
    assert_eq!(reason(&mut bed), Reason::ClientBelowRate.number());
}

#[test]
fn a_slow_body_above_the_floor_is_taken() {
    let mut bed = Bed::with(low_floor(5));
    let client = bed.connect(Kind::Raw);
    let stream = bed.clients[client].open(&headers(&head("POST", "/sink", &[])), false);
    assert!(drip(&mut bed, client, stream));
    bed.clients[client].write(stream, &[], true);
    assert_eq!(bed.finish(client, stream).status, 200);
}

#[test]
fn without_a_floor_a_body_may_drip() {
    let mut bed = Bed::with(Setup { min_rate: 0, ..floor(0) });
    let client = bed.connect(Kind::Raw);
    let stream = bed.clients[client].open(&headers(&head("POST", "/sink", &[])), false);
    assert!(drip(&mut bed, client, stream));
    bed.clients[client].write(stream, &[], true);
    assert_eq!(bed.finish(client, stream).status, 200);
}

#[test]
fn a_body_may_drip_once_its_response_has_begun() {
    let mut bed = Bed::with(floor(1_000));
    let client = bed.connect(Kind::Raw);
    let stream = bed.clients[client].open(&headers(&head("POST", "/drip", &[])), false);
    assert!(drip(&mut bed, client, stream));
    bed.clients[client].stop(stream, h3::REQUEST_CANCELLED);
    bed.clients[client].reset(stream, h3::REQUEST_CANCELLED);
    assert_eq!(reason(&mut bed), Reason::ClientReset.number());
}

#[test]
fn messages_of_grpc_may_be_far_between() {
    let mut bed = Bed::with(floor(1_000));
    let client = bed.connect(Kind::Raw);
    let fields = [("content-type", "application/grpc+proto"), ("te", "trailers")];
    let stream = bed.clients[client].open(&headers(&head("POST", "/sink", &fields)), false);
    for _ in 0..2 {
        bed.rest(Duration::from_millis(1_200));
        bed.clients[client].write(stream, &data(b"message"), false);
    }
    bed.clients[client].write(stream, &[], true);
    assert_eq!(bed.finish(client, stream).status, 200);
}

/// A bed in which a backend's silence, or a client's, ends nothing.
fn patient(setup: Setup) -> Bed {
    let mut bed = Bed::with(setup);
    bed.shard().lane.on_head = Box::new(|_| Verdict::Forward(Forward { idle_timeout_ms: 60_000, ..forward() }));
    bed
}

#[test]
fn a_client_that_takes_nothing_is_reset() {
    let mut bed = patient(floor(1_000));
    let client = bed.connect_from(Kind::Http3, socket(), 50_000);
    bed.clients[client].is_reading = false;
    let stream = bed.clients[client].get("/bytes/1000000");
    assert_eq!(reason(&mut bed), Reason::ClientBelowRate.number());
    bed.clients[client].is_reading = true;
    assert_eq!(bed.finish(client, stream).reset, Some(h3::REQUEST_CANCELLED));
}

/// Lets a client read now and then, a window of 4,096 bytes at a time, for five seconds; true when
/// its stream lasted.
fn sip(bed: &mut Bed, path: &str) -> bool {
    let client = bed.connect_from(Kind::Http3, socket(), 4_096);
    let stream = bed.clients[client].get(path);
    for _ in 0..50 {
        bed.clients[client].is_reading = false;
        bed.rest(Duration::from_millis(100));
        bed.clients[client].is_reading = true;
        bed.rest(Duration::from_millis(1));
        if bed.clients[client].streams[&stream].is_over() {
            return false;
        }
    }
    bed.clients[client].stop(stream, h3::REQUEST_CANCELLED);
    true
}

#[test]
fn a_client_that_takes_a_little_now_and_then_is_reset_below_the_floor_only() {
    let mut below = patient(floor(1_000_000));
    assert!(!sip(&mut below, "/bytes/10000000"));
    assert_eq!(reason(&mut below), Reason::ClientBelowRate.number());
    assert!(sip(&mut patient(low_floor(500)), "/bytes/10000000"));
}

#[test]
fn events_wait_for_their_reader_as_long_as_it_takes() {
    assert!(sip(&mut patient(floor(1_000_000)), "/events/10000000"));
}

#[test]
fn an_answer_of_the_edges_own_has_to_be_taken_too() {
    let mut bed = Bed::with(floor(1_000));
    let body: &'static str = Box::leak("a".repeat(16 * 1024).into_boxed_str());
    bed.shard().lane.on_head = Box::new(move |_| Verdict::Respond(200, Reason::FixedResponse.number(), body));
    let client = bed.connect_from(Kind::Http3, socket(), 4_096);
    bed.clients[client].is_reading = false;
    bed.clients[client].get("/");
    assert_eq!(reason(&mut bed), Reason::ClientBelowRate.number());
}

#[test]
fn time_in_which_the_backend_owes_does_not_count() {
    let mut bed = patient(floor(1_000_000));
    let client = bed.connect(Kind::Http3);
    // A request whose answer is long in coming, and a response of which nothing more comes.
    let (late, quiet) = (bed.clients[client].get("/late"), bed.clients[client].get("/drip"));
    bed.rest(Duration::from_millis(1_500));
    assert!(!bed.clients[client].streams[&quiet].is_over());
    bed.origin.notes.is_released.store(true, Relaxed);
    assert_eq!(bed.finish(client, late).status, 200);
    bed.clients[client].stop(quiet, h3::REQUEST_CANCELLED);
}

#[test]
fn a_backend_that_takes_nothing_is_not_put_down_to_the_client() {
    let mut bed = patient(floor(1_000));
    bed.origin.notes.is_full.store(true, Relaxed);
    let client = bed.connect(Kind::Http3);
    let request = Request { method: "POST", path: "/sink", body: patterned(4 << 20), ..Default::default() };
    let stream = bed.clients[client].request(request);
    bed.rest(Duration::from_millis(2_000));
    assert!(!bed.clients[client].streams[&stream].is_over());
    bed.clients[client].stop(stream, h3::REQUEST_CANCELLED);
    bed.clients[client].reset(stream, h3::REQUEST_CANCELLED);
    assert_eq!(reason(&mut bed), Reason::ClientReset.number());
}

#[test]
fn downloads_that_wait_for_others_of_their_connection_are_put_down_to_nobody() {
    // All together get what the client allows, and one or two at a time have it all: others get
    // nothing for longer than the idle timeout of a second, and than the floor has it.
    let mut bed = Bed::with(floor(50_000));
    bed.shard().lane.on_head = Box::new(|_| Verdict::Forward(Forward { idle_timeout_ms: 1_000, ..forward() }));
    let client = Client::with_connection_window(Kind::Http3, bed.address, socket(), 100_000_000, 64_000);
    let client = bed.adopt(client);
    let streams: Vec<u64> = (0..4).map(|_| bed.clients[client].get("/bytes/100000000")).collect();
    for _ in 0..150 {
        bed.clients[client].is_reading = false;
        bed.rest(Duration::from_millis(30));
        bed.clients[client].is_reading = true;
        bed.rest(Duration::from_millis(1));
        assert!(streams.iter().all(|stream| !bed.clients[client].streams[stream].is_over()));
    }
    streams.into_iter().for_each(|stream| bed.clients[client].stop(stream, h3::REQUEST_CANCELLED));
}
