//! Bytes held for peers: what is counted, and that nothing of it stays when its holders are gone (the bed looks after each test).

use crate::support::client::socket;
use crate::support::origin::patterned;
use crate::support::{Bed, Kind, Request, Setup};
use lychgate_core::base::counters::Id;
use std::sync::atomic::Ordering::Relaxed;

const WINDOW: u64 = 64 * 1024;

/// What the shard says it holds for the sake of clients, and of backends.
fn held(bed: &mut Bed) -> (u64, u64) {
    let shard = bed.shard();
    (shard.count_of(Id::HeldBytes, 0), shard.count_of(Id::HeldBytes, 1))
}

/// The head of a POST whose body comes later, or never.
fn post<'a>(fields: &'a [(&'a str, &'a str)]) -> Request<'a> {
    Request { method: "POST", path: "/sink", fields, is_unfinished: true, ..Request::default() }
}

#[test]
fn a_response_counts_with_what_came_and_what_may_come_until_its_client_has_acknowledged_it() {
    let mut bed = Bed::new();
    let client = bed.connect_from(Kind::Http3, socket(), 20_000);
    bed.clients[client].is_reading = false;
    let stream = bed.clients[client].get("/bytes/1000000");
    bed.until("the windows to fill", |bed| bed.origin.notes.sent.load(Relaxed) as u64 == WINDOW);
    // The stream's window, of which the client's stream took less than a half: that much was not granted anew.
    bed.until("the window to be counted", |bed| (WINDOW - 20_000..=WINDOW + 100).contains(&held(bed).1));
    bed.until("the client's acknowledgements", |bed| held(bed).0 == 0);
    bed.clients[client].is_reading = true;
    assert!(bed.finish(client, stream).body == patterned(1_000_000));
    bed.until("the end of all that was held", |bed| held(bed) == (0, 0));
    let quick = bed.connect(Kind::Http3);
    bed.clients[quick].get("/bytes/5000");
    bed.clients[quick].drive();
    bed.clients[quick].is_silent = true;
    bed.until("bytes that nobody acknowledges", |bed| held(bed) > (5_000, 0) && held(bed).1 == 0);
    bed.clients[quick].is_silent = false;
}

#[test]
fn what_a_backend_may_send_counts_before_it_comes() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    let open = bed.clients[client].get("/hold");
    bed.until("the request to be granted a window", |bed| held(bed).1 == WINDOW);
    bed.clients[client].stop(open, 0x10c);
    bed.until("the end of the stream", |bed| held(bed).1 == 0);
}

#[test]
fn an_upload_counts_with_what_its_window_lets_come_and_no_more_than_its_length() {
    let mut bed = Bed::with(Setup { request_window: WINDOW, ..Setup::default() });
    let client = bed.connect(Kind::Http3);
    let unknown = bed.clients[client].request(post(&[]));
    bed.until("the window", |bed| held(bed).0 >= WINDOW && held(bed).0 < WINDOW + 2_000);
    let short = bed.clients[client].request(post(&[("content-length", "3000")]));
    bed.until("the length", |bed| held(bed).0 >= WINDOW + 3_000 && held(bed).0 < WINDOW + 5_000);
    for stream in [unknown, short] {
        bed.clients[client].stop(stream, 0x10c);
        bed.clients[client].reset(stream, 0x10c);
    }
    bed.until("the end of all that was held", |bed| held(bed) == (0, 0));
}

#[test]
fn uploads_of_a_connection_count_no_more_than_its_window() {
    // The connection's window is sixteen streams' of the bed.
    let mut bed = Bed::with(Setup { request_window: WINDOW, ..Setup::default() });
    let client = bed.connect(Kind::Http3);
    let streams: Vec<u64> = (0..40).map(|_| bed.clients[client].request(post(&[]))).collect();
    bed.until("all to be at the origin", |bed| bed.origin.notes.requests.load(Relaxed) == 40);
    bed.until("the window", |bed| held(bed).0 >= 16 * WINDOW && held(bed).0 < 16 * WINDOW + 20_000);
    for stream in streams {
        bed.clients[client].stop(stream, 0x10c);
        bed.clients[client].reset(stream, 0x10c);
    }
    bed.until("the end of all that was held", |bed| held(bed) == (0, 0));
}

#[test]
fn an_upload_that_its_backend_does_not_read_counts_where_it_waits() {
    let mut bed = Bed::with(Setup { request_window: WINDOW, ..Setup::default() });
    bed.origin.notes.is_full.store(true, Relaxed);
    let client = bed.connect(Kind::Http3);
    let request = Request { method: "POST", path: "/sink", body: patterned(4 << 20), ..Request::default() };
    let stream = bed.clients[client].request(request);
    bed.until("the backend's window to fill", |bed| bed.origin.notes.taken.load(Relaxed) == 256 * 1024);
    bed.until("the client's window to fill", |bed| held(bed).0 >= WINDOW);
    bed.clients[client].stop(stream, 0x10c);
    bed.clients[client].reset(stream, 0x10c);
    bed.until("the end of all that was held", |bed| held(bed) == (0, 0));
}
