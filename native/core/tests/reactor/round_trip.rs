//! Requests and responses that nothing is wrong with.

use crate::support::origin::{pattern, patterned};
use crate::support::{Bed, Kind, Request};
use lychgate_core::base::counters::Id;
use lychgate_core::record::layout::{HEAD_HAS_BODY, HEAD_IDEMPOTENT, HEAD_LENGTH_KNOWN};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

#[test]
fn a_get_comes_back() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    let answer = bed.get(client, "/");
    assert_eq!((answer.status, &answer.body[..]), (200, &b"hello"[..]));
    assert_eq!(answer.field("content-length"), Some("5"));
    bed.until("the completion", |bed| !bed.shard().lane.completions.is_empty());
    let end = bed.shard().lane.completions[0].clone();
    assert_eq!((end.status, end.reason, end.attempts, end.backend, &end.path[..]), (200, 0, 1, 0, "/"));
    assert_eq!((end.bytes_in, end.bytes_out), (0.0, 5.0));
}

#[test]
fn a_post_goes_and_comes_with_body_and_trailers() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    let body = patterned(300_000);
    let fields = [("x-field", "seen"), ("content-length", "300000")];
    let request = Request {
        method: "POST",
        path: "/echo",
        fields: &fields,
        body: body.clone(),
        trailers: &[("x-trailer", "sum")],
        ..Request::default()
    };
    let answer = bed.fetch(client, request);
    assert_eq!((answer.status, answer.field("x-method"), answer.field("x-length")), (200, Some("POST"), Some("300000")));
    assert!(answer.body == body);
    let head = &bed.shard().lane.heads[0];
    assert_eq!((&head.method[..], &head.authority[..], head.content_length), ("POST", "localhost", 300_000.0));
    assert!(head.fields.iter().any(|field| *field == ("x-field".to_owned(), "seen".to_owned())));
    assert_eq!(head.flags & (HEAD_HAS_BODY | HEAD_LENGTH_KNOWN | HEAD_IDEMPOTENT), HEAD_HAS_BODY | HEAD_LENGTH_KNOWN);
    assert_eq!(answer.trailers, [("x-trailer-back".to_owned(), "sum".to_owned())]);
}

#[test]
fn a_body_of_announced_length_passes_and_one_without_end_of_its_own_too() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    for length in [1, 1_000, 16_384, 70_000] {
        let text = length.to_string();
        let fields = [("content-length", &text[..])];
        let request = Request { method: "PUT", path: "/echo", fields: &fields, body: patterned(length), ..Request::default() };
        assert!(bed.fetch(client, request).body == patterned(length), "{length}");
    }
}

#[test]
fn large_and_many_responses_share_a_connection_and_a_session() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    let large = bed.clients[client].get("/bytes/5000000");
    let streams: Vec<u64> = (0..50).map(|_| bed.clients[client].get("/bytes/20000")).collect();
    for stream in streams {
        assert!(bed.finish(client, stream).body == patterned(20_000));
    }
    let body = bed.finish(client, large).body;
    assert_eq!(body.len(), 5_000_000);
    assert!(body.iter().enumerate().all(|(place, byte)| *byte == pattern(place)));
    assert_eq!(bed.origin.notes.sessions.load(Relaxed), 1);
}

#[test]
fn interim_responses_pass_before_the_final_one() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    let answer = bed.get(client, "/interim");
    assert_eq!((&answer.interim[..], answer.status), (&[103][..], 200));
}

#[test]
fn a_response_that_precedes_the_end_of_the_upload_passes_and_the_upload_goes_on() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    let stream =
        bed.clients[client].request(Request { method: "POST", path: "/", body: vec![1; 10], is_unfinished: true, ..Request::default() });
    bed.until("the response", |bed| bed.clients[client].streams[&stream].body == b"hello");
    let bytes = crate::support::wire::data(&[2; 1000]);
    bed.clients[client].quic.stream_send(stream, &bytes, true).unwrap();
    assert!(bed.finish(client, stream).is_finished);
    bed.until("the upload", |bed| bed.origin.notes.taken.load(Relaxed) == 1_010);
}

#[test]
fn an_end_that_comes_after_the_body_arrives_even_if_its_packet_is_lost() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    bed.get(client, "/");
    let stream = bed.clients[client].get("/paused");
    bed.clients[client].drive();
    bed.clients[client].is_silent = true;
    bed.until("the body to leave", |bed| bed.shard().count(Id::BodyBytesOut) == 5 && bed.origin.notes.sent.load(Relaxed) == 10);
    bed.rest(Duration::from_millis(5));
    bed.origin.notes.is_released.store(true, Relaxed);
    bed.until("the end to leave", |bed| bed.shard().count(Id::BodyBytesOut) == 10);
    bed.rest(Duration::from_millis(3));
    bed.clients[client].lose_last();
    bed.clients[client].is_silent = false;
    assert_eq!(bed.finish(client, stream).body.len(), 5);
}
