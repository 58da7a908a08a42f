//! Heads reach lane and completion in their canonical form, and a backend in a spelling that has
//! this form, or not at all.

use crate::support::bed::Setup;
use crate::support::wire::{GET, headers};
use crate::support::{Bed, Kind};
use lychgate_core::base::reason::Reason;
use lychgate_core::reactor::listener::settings::{EscapedSlashes, Normalise};
use std::sync::atomic::Ordering::Relaxed;

/// GET with other values, or other fields at the end.
fn but(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let mut fields: Vec<_> = GET.to_vec();
    for (name, value) in more {
        match fields.iter_mut().find(|field| field.0 == *name) {
            Some(field) => field.1 = value,
            None => fields.push((name, value)),
        }
    }
    fields
}

#[test]
fn lane_and_completion_see_the_form_and_the_backend_the_clients_spelling_of_it() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Raw);
    let fields = but(&[(":path", "/x/../%62ook//./5?a=%2e%2f"), (":authority", "LocalHost.:443"), ("host", "localhost:")]);
    assert_eq!(bed.send(client, &headers(&fields)).status, 200);
    bed.until("the completion", |bed| !bed.shard().lane.completions.is_empty());
    let form = "/book/5?a=%2E%2F";
    assert_eq!(bed.shard().lane.heads[0].path, form);
    assert_eq!(bed.shard().lane.heads[0].authority, "localhost");
    assert_eq!(bed.shard().lane.completions[0].path, form);
    let seen = bed.origin.notes.heads.lock().unwrap()[0].clone();
    assert!(seen.contains(&(":path".to_owned(), "/%62ook//5?a=%2e%2f".to_owned())), "{seen:?}");
    assert!(seen.contains(&(":authority".to_owned(), "localhost".to_owned())), "{seen:?}");
    assert!(!seen.iter().any(|field| field.0 == "host"));
}

#[test]
fn a_form_may_be_longer_than_what_came() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Raw);
    assert_eq!(bed.send(client, &headers(&but(&[(":path", "/a|b{c}"), ("x-last", "kept")]))).status, 200);
    let head = bed.shard().lane.heads[0].clone();
    assert_eq!(head.path, "/a%7Cb%7Bc%7D");
    assert!(head.fields.contains(&("x-last".to_owned(), "kept".to_owned())));
}

#[test]
fn what_has_no_form_gets_400_and_reaches_nobody() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Raw);
    let cases = [
        (":path", "/../etc/passwd"),
        (":path", "/a/%2e%2e/%2e%2e/b"),
        (":path", "/a%00b"),
        (":path", "/a\\b"),
        (":path", "/a%2"),
        (":path", "/a/..;/b"),
        (":path", "/%c0%ae%c0%ae/"),
        (":path", "/a?b=%00"),
        (":authority", "a..test"),
        (":authority", "a%2etest"),
        (":authority", "127.1"),
    ];
    for (place, case) in cases.into_iter().enumerate() {
        let answer = bed.send(client, &headers(&but(&[case])));
        assert_eq!(answer.status, 400, "{case:?}");
        assert!(String::from_utf8_lossy(&answer.body).contains("path_not_canonical"), "{case:?}");
        bed.until("the completion", |bed| bed.shard().lane.completions.len() > place);
        assert_eq!(bed.shard().lane.completions[place].reason, Reason::PathNotCanonical.number());
    }
    assert!(bed.shard().lane.heads.is_empty());
    assert_eq!(bed.origin.notes.requests.load(Relaxed), 0);
}

#[test]
fn an_answer_to_head_that_has_no_form_is_a_head() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    let answer = bed.fetch(client, crate::support::Request { method: "HEAD", path: "/..", ..Default::default() });
    assert_eq!((answer.status, answer.body.len()), (400, 0));
}

#[test]
fn authority_and_host_that_differ_in_form_are_malformed() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Raw);
    let answer = bed.send(client, &headers(&but(&[("host", "localhost:8443")])));
    assert!(String::from_utf8_lossy(&answer.body).contains("request_malformed"));
    for host in ["LOCALHOST", "localhost.", "localhost:443", "localhost.:0443"] {
        assert_eq!(bed.send(client, &headers(&but(&[("host", host)]))).status, 200, "{host}");
    }
}

#[test]
fn a_listener_that_does_not_normalise_passes_what_came() {
    let mut bed = Bed::with(Setup { normalise: Normalise::default(), ..Setup::default() });
    let client = bed.connect(Kind::Raw);
    for path in ["/a/../..//%7e%2f?", "/a\\b|%zz"] {
        assert_eq!(bed.send(client, &headers(&but(&[(":path", path), (":authority", "LOCALHOST.:443")]))).status, 200);
        let head = bed.shard().lane.heads.pop().unwrap();
        assert_eq!((&head.path[..], &head.authority[..]), (path, "LOCALHOST.:443"));
        bed.shard().lane.heads.push(head);
    }
}

#[test]
fn a_listener_may_keep_empty_segments_and_refuse_escaped_slashes() {
    let normalise = Normalise { is_on: true, are_slashes_merged: false, escaped_slashes: EscapedSlashes::Reject };
    let mut bed = Bed::with(Setup { normalise, ..Setup::default() });
    let client = bed.connect(Kind::Raw);
    assert_eq!(bed.send(client, &headers(&but(&[(":path", "//a//b")]))).status, 200);
    assert_eq!(bed.shard().lane.heads[0].path, "//a//b");
    assert_eq!(bed.send(client, &headers(&but(&[(":path", "/a%2fb")]))).status, 400);
}
