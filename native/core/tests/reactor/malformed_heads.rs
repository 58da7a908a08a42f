//! Heads that RFC 9114 §4 forbids are answered on their stream; the connection goes on.

use crate::support::wire::{GET, data, head, headers};
use crate::support::{Bed, Kind};
use lychgate_core::base::reason::Reason;
use lychgate_core::http::error::h3::MESSAGE_ERROR;
use lychgate_core::record::layout::{COMPLETED_BY_CLIENT, COMPLETED_COMMITTED};
use std::sync::atomic::Ordering::Relaxed;

/// Sends some bytes as a request and expects a reason's answer, and the connection and the origin
/// untouched.
fn is_refused(name: &str, bytes: &[u8], is_fin: bool, reason: Reason) {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Raw);
    let stream = bed.clients[client].open(bytes, is_fin);
    let answer = bed.finish(client, stream);
    assert_eq!(answer.status, reason.status(), "{name}");
    assert!(String::from_utf8_lossy(&answer.body).contains(reason.code()), "{name}: {:?}", answer.body);
    assert_eq!(bed.send(client, &headers(&GET)).status, 200, "{name}");
    assert_eq!(bed.clients[client].closed_with(), None, "{name}");
    bed.until("both completions", |bed| bed.shard().lane.completions.len() == 2);
    assert_eq!(bed.shard().lane.completions[0].reason, reason.number(), "{name}");
}

fn without(name: &str) -> Vec<(&'static str, &'static str)> {
    GET.into_iter().filter(|field| field.0 != name).collect()
}

fn with(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    [&GET[..], more].concat()
}

#[test]
fn heads_that_are_malformed_get_400() {
    let mut late_pseudo = without(":path");
    late_pseudo.extend([("x-first", "1"), (":path", "/")]);
    let mut bad_authority = without(":authority");
    bad_authority.push((":authority", "user@localhost"));
    let mut spaced_authority = without(":authority");
    spaced_authority.push((":authority", "local host"));
    let cases: [(&str, Vec<(&str, &str)>); 17] = [
        ("no path", without(":path")),
        ("no method", without(":method")),
        ("no scheme", without(":scheme")),
        ("no authority", without(":authority")),
        ("empty path", [without(":path"), vec![(":path", "")]].concat()),
        ("upper-case name", with(&[("X-Upper", "1")])),
        ("pseudo-header given twice", with(&[(":path", "/other")])),
        ("pseudo-header after a regular field", late_pseudo),
        ("unknown pseudo-header", with(&[(":colour", "blue")])),
        ("response's pseudo-header", with(&[(":status", "200")])),
        ("connection", with(&[("connection", "close")])),
        ("transfer-encoding", with(&[("transfer-encoding", "chunked")])),
        ("te: gzip", with(&[("te", "gzip")])),
        ("user in the authority", bad_authority),
        ("blank in the authority", spaced_authority),
        ("line break in a value", with(&[("x-break", "a\r\nb: c")])),
        ("lengths that differ", with(&[("content-length", "1"), ("content-length", "2")])),
    ];
    for (name, fields) in cases {
        is_refused(name, &headers(&fields), true, Reason::RequestMalformed);
    }
}

#[test]
fn connect_gets_501() {
    is_refused("connect", &headers(&[(":method", "CONNECT"), (":authority", "localhost:443")]), false, Reason::ConnectNotSupported);
}

#[test]
fn a_head_that_announces_a_body_and_ends_gets_400() {
    is_refused("no body", &headers(&head("POST", "/echo", &[("content-length", "5")])), true, Reason::RequestLengthMismatch);
}

#[test]
fn a_body_shorter_than_announced_gets_400() {
    let bytes = [headers(&head("POST", "/echo", &[("content-length", "5")])), data(b"abc")].concat();
    is_refused("short body", &bytes, true, Reason::RequestLengthMismatch);
}

#[test]
fn a_body_longer_than_announced_gets_400_before_it_ends() {
    let bytes = [headers(&head("POST", "/echo", &[("content-length", "2")])), data(b"abc")].concat();
    is_refused("long body", &bytes, false, Reason::RequestLengthMismatch);
}

#[test]
fn a_body_that_turns_out_longer_than_announced_after_the_response_has_begun_resets_the_stream() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Raw);
    let stream = bed.clients[client].open(&headers(&head("POST", "/half", &[("content-length", "5")])), false);
    bed.until("the response", |bed| bed.shard().reactor.relay.exchanges.iter().any(|(_, exchange)| exchange.state().is_committed()));
    bed.clients[client].write(stream, &data(b"abc"), false);
    bed.until("the body", |bed| bed.origin.notes.taken.load(Relaxed) == 3);
    bed.clients[client].write(stream, &data(b"defg"), false);
    assert_eq!(bed.finish(client, stream).reset, Some(MESSAGE_ERROR));
    bed.until("the completion", |bed| bed.shard().lane.completions.len() == 1);
    let end = bed.shard().lane.completions[0].clone();
    assert_eq!(
        (end.reason, end.flags & (COMPLETED_COMMITTED | COMPLETED_BY_CLIENT)),
        (Reason::RequestLengthMismatch.number(), COMPLETED_COMMITTED | COMPLETED_BY_CLIENT)
    );
    bed.until("the origin to hear of it", |bed| bed.origin.notes.resets.lock().unwrap().len() == 1);
    assert_eq!(bed.origin.notes.taken.load(Relaxed), 3, "nothing of what is too much reached the backend");
}

#[test]
fn an_end_that_comes_by_itself_before_the_announced_body_gets_400() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Raw);
    let stream = bed.clients[client].open(&headers(&head("POST", "/echo", &[("content-length", "5")])), false);
    bed.until("the origin to hear of it", |bed| bed.origin.notes.requests.load(Relaxed) == 1);
    bed.clients[client].write(stream, b"", true);
    assert_eq!(bed.finish(client, stream).status, 400);
    bed.until("the origin to hear that it is no whole request", |bed| bed.origin.notes.resets.lock().unwrap().len() == 1);
}

#[test]
fn pseudo_headers_in_trailers_get_400() {
    let bytes = [headers(&head("POST", "/echo", &[])), data(b"abc"), headers(&[(":path", "/")])].concat();
    is_refused("trailers", &bytes, true, Reason::RequestMalformed);
}
