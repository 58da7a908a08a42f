//! Limits of heads, bodies and exchanges.

use crate::support::lane::{Verdict, forward};
use crate::support::wire::{GET, data, head, headers};
use crate::support::{Bed, Kind, Request, Setup};
use lychgate_core::base::reason::Reason;
use lychgate_core::http::error::{h2, h3};
use lychgate_core::record::inward::Forward;
use std::sync::atomic::Ordering::Relaxed;

#[test]
fn a_head_of_too_many_fields_gets_431() {
    let mut bed = Bed::with(Setup { max_fields: 20, ..Setup::default() });
    let client = bed.connect(Kind::Raw);
    let fits = [&GET[..], &[("x", "1"); 16]].concat();
    let more = [&GET[..], &[("x", "1"); 17]].concat();
    assert_eq!(bed.send(client, &headers(&fits)).status, 200);
    assert_eq!(bed.send(client, &headers(&more)).status, 431);
    assert_eq!(bed.send(client, &headers(&GET)).status, 200);
}

#[test]
fn a_head_of_too_many_bytes_gets_431() {
    let mut bed = Bed::with(Setup { max_head_bytes: 2_000, ..Setup::default() });
    let client = bed.connect(Kind::Raw);
    // Once too large as it comes, once only when it is decoded: 32 bytes a field count (RFC 9114
    // §4.2.2).
    let value = "\u{7f}".repeat(2_000).replace('\u{7f}', "~");
    assert_eq!(bed.send(client, &headers(&[&GET[..], &[("x-large", &value)]].concat())).status, 431);
    assert_eq!(bed.send(client, &headers(&[&GET[..], &[("accept", "*/*"); 55]].concat())).status, 431);
    assert_eq!(bed.send(client, &headers(&GET)).status, 200);
    assert_eq!(bed.origin.notes.requests.load(Relaxed), 1);
}

fn limited(max_body_bytes: u64) -> Bed {
    let mut bed = Bed::new();
    bed.shard().lane.on_head = Box::new(move |_| Verdict::Forward(Forward { max_body_bytes: Some(max_body_bytes), ..forward() }));
    bed
}

#[test]
fn a_body_announced_too_large_gets_413_and_no_backend_hears_of_it() {
    let mut bed = limited(1_000);
    let client = bed.connect(Kind::Raw);
    let stream = bed.clients[client].open(&headers(&head("POST", "/echo", &[("content-length", "1001")])), false);
    assert_eq!(bed.finish(client, stream).status, 413);
    assert_eq!(bed.origin.notes.requests.load(Relaxed), 0);
}

#[test]
fn a_body_that_grows_too_large_gets_413_and_is_taken_back_from_the_backend() {
    let mut bed = limited(1_000);
    let client = bed.connect(Kind::Raw);
    let fits = [headers(&head("POST", "/echo", &[])), data(&[1; 600]), data(&[2; 400])].concat();
    assert_eq!(bed.send(client, &fits).body.len(), 1_000);
    let stream = bed.clients[client].open(&headers(&head("POST", "/echo", &[])), false);
    for _ in 0..3 {
        bed.clients[client].write(stream, &data(&[3; 400]), false);
        bed.rest(std::time::Duration::from_millis(10));
    }
    assert_eq!(bed.finish(client, stream).status, 413);
    bed.until("the reset", |bed| *bed.origin.notes.resets.lock().unwrap() == [h2::CANCEL]);
    assert_eq!(bed.send(client, &headers(&GET)).status, 200);
}

#[test]
fn an_unknown_expectation_gets_417() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    let answer = bed.fetch(client, Request { path: "/", fields: &[("expect", "miracles")], ..Request::default() });
    assert_eq!(answer.status, Reason::ExpectationFailed.status());
}

#[test]
fn a_request_beyond_the_limit_of_exchanges_is_rejected_and_may_be_sent_again() {
    let mut bed = Bed::with(Setup { max_exchanges: 1, ..Setup::default() });
    let client = bed.connect(Kind::Http3);
    let first = bed.clients[client].get("/late");
    bed.until("the first", |bed| bed.origin.notes.requests.load(Relaxed) == 1);
    assert_eq!(bed.get(client, "/").reset, Some(h3::REQUEST_REJECTED));
    bed.origin.notes.is_released.store(true, Relaxed);
    assert_eq!(bed.finish(client, first).status, 200);
    assert_eq!(bed.get(client, "/").status, 200);
}
