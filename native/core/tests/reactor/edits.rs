//! Plans at work: what a backend gets of a request's head and a client of a response's, and that no
//! hop's own fields pass.

use crate::support::bed::Setup;
use crate::support::lane::{Verdict, forward};
use crate::support::wire::{GET, headers};
use crate::support::{Bed, Kind};
use lychgate_core::plan::{Edit, Edits, Plan};
use lychgate_core::record::inward::Forward;

/// Operation, name, value; for a prefix what is taken off in the place of the name.
type Line = (&'static str, &'static str, &'static str);

fn edits(lines: &[Line]) -> Edits {
    let compile = |(operation, name, value): &Line| match *operation {
        "prefix" => Edit::compile(operation, ":path", value, name),
        _ => Edit::compile(operation, name, value, ""),
    };
    Edits::new(lines.iter().map(|line| compile(line).unwrap()))
}

/// A bed whose every request is forwarded by a plan of these edits.
fn bed(request: &[Line], response: &[Line]) -> Bed {
    bed_with(request, response, forward())
}

fn bed_with(request: &[Line], response: &[Line], forward: Forward) -> Bed {
    let plan = Plan::new(edits(request), edits(response), &[], &[]).unwrap();
    let mut bed = Bed::with(Setup { plans: vec![plan], ..Setup::default() });
    bed.shard().lane.on_head = Box::new(move |_| Verdict::Forward(Forward { plan: 0, ..forward }));
    bed
}

/// The head the origin got for the latest request.
fn seen(bed: &Bed) -> Vec<(String, String)> {
    bed.origin.notes.heads.lock().unwrap().last().unwrap().clone()
}

fn value<'a>(fields: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    fields.iter().filter(|field| field.0 == name).map(|field| &field.1[..]).collect()
}

#[test]
fn a_request_is_edited_on_its_way_to_the_backend() {
    let mut bed = bed(
        &[
            ("prefix", "/api", "/v2"),
            ("set", ":authority", "backend.test"),
            ("remove", "x-internal-*", ""),
            ("append", "x-list", "${header:x-one}"),
            ("add", "via", "3 edge"),
            ("set", "x-was", "${method} ${scheme}://${authority}${path}"),
            ("set", "x-empty", "${header:x-none}"),
        ],
        &[],
    );
    let client = bed.connect(Kind::Raw);
    let mut head = GET.to_vec();
    head[3].1 = "/api/items?q=1";
    head.extend([("x-internal-user", "root"), ("x-list", "a"), ("x-one", "b"), ("via", "2 other"), ("x-list", "c")]);
    assert_eq!(bed.send(client, &headers(&head)).status, 200);
    let seen = seen(&bed);
    assert_eq!(value(&seen, ":path"), ["/v2/items?q=1"]);
    assert_eq!(value(&seen, ":authority"), ["backend.test"]);
    assert_eq!(value(&seen, "x-internal-user"), [""; 0]);
    assert_eq!(value(&seen, "x-list"), ["a, c, b"]);
    assert_eq!(value(&seen, "via"), ["2 other", "3 edge"]);
    assert_eq!(value(&seen, "x-was"), ["GET https://localhost/api/items?q=1"]);
    assert_eq!(value(&seen, "x-empty"), [""; 0]);
}

#[test]
fn a_host_without_authority_is_edited_too() {
    let mut bed = bed(&[("set", ":authority", "backend.test"), ("set", "x-was", "${authority}")], &[("set", "x-was", "${authority}")]);
    let client = bed.connect(Kind::Raw);
    let head = [GET[0], GET[1], GET[3], ("host", "Front.test:443")];
    let answer = bed.send(client, &headers(&head));
    assert_eq!((answer.status, answer.field("x-was")), (200, Some("front.test")));
    let seen = seen(&bed);
    assert_eq!(
        (value(&seen, ":authority"), value(&seen, "x-was"), value(&seen, "host").len()),
        (vec!["backend.test"], vec!["front.test"], 0)
    );
}

#[test]
fn a_response_is_edited_on_its_way_to_the_client() {
    let mut bed = bed(&[], &[("remove", "x-m*", ""), ("set", "x-length", "${request_id}"), ("add", "x-path", "${path}")]);
    let client = bed.connect(Kind::Http3);
    let answer = bed.get(client, "/echo");
    assert_eq!((answer.status, answer.field("x-method"), answer.field("x-path")), (200, None, Some("/echo")));
    assert_eq!(answer.field("x-length").map(str::len), Some(32));
}

#[test]
fn the_time_that_is_left_is_told_when_the_head_is_sent() {
    let lines = [("set", "grpc-timeout", "${remaining_grpc}"), ("set", "x-left", "${remaining_ms}")];
    let mut timed = bed_with(&lines, &[], Forward { exchange_timeout_ms: 5_000, ..forward() });
    let client = timed.connect(Kind::Http3);
    timed.get(client, "/");
    let head = seen(&timed);
    let left: u64 = value(&head, "x-left")[0].parse().unwrap();
    assert!((4_000..=5_000).contains(&left), "{left}");
    assert_eq!(value(&head, "grpc-timeout"), [format!("{left}m")]);

    let mut endless = bed(&lines, &[]);
    let client = endless.connect(Kind::Http3);
    endless.get(client, "/");
    let head = seen(&endless);
    assert!(value(&head, "x-left").is_empty() && value(&head, "grpc-timeout").is_empty());
}

#[test]
fn fields_of_the_clients_connection_are_malformed_but_te_for_trailers() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Raw);
    let names = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "http2-settings"];
    for (name, value) in names.map(|name| (name, "x")).into_iter().chain([("te", "gzip"), ("te", "trailers, deflate")]) {
        let head = [&GET[..], &[(name, value)]].concat();
        assert_eq!(bed.send(client, &headers(&head)).status, 400, "{name}");
    }
    assert_eq!(bed.send(client, &headers(&[&GET[..], &[("te", "trailers")]].concat())).status, 200);
    assert_eq!(value(&seen(&bed), "te"), ["trailers"]);
}

#[test]
fn fields_of_a_backends_connection_make_its_response_malformed() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "http2-settings", "te"] {
        assert_eq!(bed.get(client, &format!("/field/{name}")).status, 502, "{name}");
    }
    let answer = bed.get(client, "/field/x-fine");
    assert_eq!((answer.status, answer.field("x-fine")), (200, Some("value")));
}

#[test]
fn what_came_over_tls_is_https_whatever_the_client_says() {
    let mut bed = bed(&[("set", "x-was", "${scheme}")], &[("set", "x-was", "${scheme}")]);
    let client = bed.connect(Kind::Raw);
    let head: Vec<_> = GET.iter().map(|&(name, value)| (name, if name == ":scheme" { "http" } else { value })).collect();
    let answer = bed.send(client, &headers(&head));
    assert_eq!((answer.status, answer.field("x-was")), (200, Some("https")));
    let seen = seen(&bed);
    assert_eq!((value(&seen, ":scheme"), value(&seen, "x-was")), (vec!["https"], vec!["https"]));
}

#[test]
fn names_with_an_underscore_are_removed_but_those_that_are_spared() {
    let mut bed = bed(&[("remove", "*_*", "x_kept,y_kept")], &[]);
    let client = bed.connect(Kind::Raw);
    assert_eq!(bed.send(client, &headers(&GET)).status, 200);
    let mut head = GET.to_vec();
    head.extend([("x_forwarded_for", "10.0.0.1"), ("x_kept", "1"), ("x-other", "a_b"), ("_", "2")]);
    assert_eq!(bed.send(client, &headers(&head)).status, 200);
    let seen = seen(&bed);
    assert_eq!(value(&seen, "x_kept"), ["1"]);
    assert_eq!(value(&seen, "x-other"), ["a_b"]);
    assert!(value(&seen, "x_forwarded_for").is_empty() && value(&seen, "_").is_empty());
}
