//! Resets cross from one side to the other with the code that means the same there.

use crate::support::lane::{Verdict, forward};
use crate::support::{Bed, Kind, Request};
use lychgate_core::base::reason::Reason;
use lychgate_core::http::error::{h2, h3};
use lychgate_core::record::layout::{COMPLETED_BY_BACKEND, COMPLETED_BY_CLIENT};
use std::sync::atomic::Ordering::Relaxed;

/// A request that the origin has and does not answer, with its upload open or not.
fn held(bed: &mut Bed, is_unfinished: bool) -> (usize, u64) {
    let client = bed.connect(Kind::Http3);
    let stream = bed.clients[client].request(Request { method: "POST", path: "/hold", is_unfinished, ..Request::default() });
    bed.until("the origin to have it", |bed| bed.origin.notes.requests.load(Relaxed) == 1);
    (client, stream)
}

/// The origin heard CANCEL, and the exchange ended by the client.
fn is_cancelled(bed: &mut Bed) {
    bed.until("RST_STREAM", |bed| *bed.origin.notes.resets.lock().unwrap() == [h2::CANCEL]);
    bed.until("the completion", |bed| bed.shard().lane.completions.len() == 1);
    let end = bed.shard().lane.completions[0].clone();
    assert_eq!((end.reason, end.flags & COMPLETED_BY_CLIENT), (Reason::ClientReset.number(), COMPLETED_BY_CLIENT));
    assert!(bed.shard().reactor.relay.exchanges.is_empty());
    assert_eq!(bed.in_flight(), 0);
}

#[test]
fn stop_sending_before_the_response_reaches_the_backend() {
    let mut bed = Bed::new();
    let (client, stream) = held(&mut bed, false);
    bed.clients[client].stop(stream, h3::REQUEST_CANCELLED);
    is_cancelled(&mut bed);
    assert_eq!(bed.get(client, "/").status, 200);
}

#[test]
fn reset_stream_during_the_upload_reaches_the_backend() {
    let mut bed = Bed::new();
    let (client, stream) = held(&mut bed, true);
    bed.clients[client].reset(stream, h3::REQUEST_CANCELLED);
    is_cancelled(&mut bed);
    assert_eq!(bed.get(client, "/").status, 200);
}

#[test]
fn stop_sending_during_the_response_reaches_the_backend() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    let stream = bed.clients[client].get("/bytes/50000000");
    bed.until("the beginning", |bed| bed.clients[client].streams[&stream].body.len() > 100_000);
    bed.clients[client].stop(stream, h3::REQUEST_CANCELLED);
    is_cancelled(&mut bed);
    assert_eq!(bed.get(client, "/").status, 200);
}

#[test]
fn stop_sending_while_a_response_pauses_reaches_the_backend() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    let stream = bed.clients[client].get("/drip");
    bed.until("the beginning", |bed| bed.clients[client].streams[&stream].body.len() == 5);
    bed.clients[client].stop(stream, h3::REQUEST_CANCELLED);
    is_cancelled(&mut bed);
}

#[test]
fn a_connection_that_closes_takes_its_exchanges_along() {
    let mut bed = Bed::new();
    let (client, _) = held(&mut bed, true);
    bed.clients[client].get("/drip");
    bed.until("the origin to have both", |bed| bed.origin.notes.requests.load(Relaxed) == 2);
    bed.clients[client].quic.close(true, h3::NO_ERROR, b"").unwrap();
    bed.until("both resets", |bed| *bed.origin.notes.resets.lock().unwrap() == [h2::CANCEL, h2::CANCEL]);
    bed.until("both completions", |bed| bed.shard().lane.completions.len() == 2);
    assert!(bed.shard().lane.completions.iter().all(|end| end.reason == Reason::ClientGone.number()));
}

#[test]
fn a_reset_of_the_backend_after_the_head_resets_the_clients_stream() {
    let codes = [
        (h2::CANCEL, h3::REQUEST_CANCELLED),
        (h2::INTERNAL_ERROR, h3::INTERNAL_ERROR),
        (h2::ENHANCE_YOUR_CALM, h3::EXCESSIVE_LOAD),
        (h2::PROTOCOL_ERROR, h3::GENERAL_PROTOCOL_ERROR),
        (77, h3::INTERNAL_ERROR),
    ];
    for (two, three) in codes {
        let mut bed = Bed::new();
        let client = bed.connect(Kind::Http3);
        let stream = bed.clients[client].get(&format!("/half/{two}"));
        bed.until("the head", |bed| bed.clients[client].streams[&stream].body == b"half a body");
        bed.origin.notes.is_released.store(true, Relaxed);
        let answer = bed.finish(client, stream);
        assert_eq!((answer.status, answer.reset), (200, Some(three)), "{two}");
        bed.until("the completion", |bed| bed.shard().lane.completions.len() == 1);
        let end = bed.shard().lane.completions[0].clone();
        assert_eq!((end.reason, end.flags & COMPLETED_BY_BACKEND), (Reason::BackendReset.number(), COMPLETED_BY_BACKEND));
        assert_eq!(bed.get(client, "/").status, 200);
    }
}

#[test]
fn a_reset_before_the_head_asks_the_lane_and_its_answer_goes_out() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    let answer = bed.get(client, &format!("/reset/{}", h2::INTERNAL_ERROR));
    assert_eq!((answer.status, answer.field("x-own"), &answer.body[..]), (502, Some("yes"), &b"failed"[..]));
    let failure = bed.shard().lane.failures[0];
    assert_eq!((failure.attempts, failure.reason), (1, Reason::BackendReset.number()));
    assert_eq!(failure.flags, 2 | 4, "idempotent, replayable, and it may have been processed");
}

#[test]
fn a_refused_stream_may_be_tried_again_until_it_succeeds() {
    let mut bed = Bed::new();
    bed.origin.notes.refusals.store(2, Relaxed);
    bed.shard().lane.on_failure = Box::new(|failure| {
        assert_eq!((failure.reason, failure.flags & 1), (Reason::BackendRefused.number(), 1));
        Verdict::Forward(forward())
    });
    let client = bed.connect(Kind::Http3);
    assert_eq!(bed.fetch(client, Request { method: "POST", path: "/refuse", ..Request::default() }).status, 200);
    bed.until("the completion", |bed| bed.shard().lane.completions.len() == 1);
    assert_eq!(bed.shard().lane.completions[0].attempts, 3);
}

#[test]
fn a_lane_may_answer_or_reset_by_itself() {
    let mut bed = Bed::new();
    bed.shard().lane.on_head = Box::new(|head| match &head.path[..] {
        "/reset" => Verdict::Reset(h3::EXCESSIVE_LOAD as u32, Reason::Overloaded.number()),
        _ => Verdict::Respond(404, Reason::RouteNotFound.number(), "nowhere"),
    });
    let client = bed.connect(Kind::Http3);
    let answer = bed.get(client, "/");
    assert_eq!((answer.status, answer.field("content-length"), &answer.body[..]), (404, Some("7"), &b"nowhere"[..]));
    assert_eq!(bed.get(client, "/reset").reset, Some(h3::EXCESSIVE_LOAD));
    bed.until("the completions", |bed| bed.shard().lane.completions.len() == 2);
    let reasons: Vec<u32> = bed.shard().lane.completions.iter().map(|end| end.reason).collect();
    assert_eq!(reasons, [Reason::RouteNotFound.number(), Reason::Overloaded.number()]);
    assert_eq!(bed.origin.notes.requests.load(Relaxed), 0);
}
