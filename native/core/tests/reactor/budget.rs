//! Bytes held for peers: what is counted, that nothing of it stays when its holders are gone (the
//! bed looks after each test), and what happens when it is too much.

use crate::support::client::socket;
use crate::support::origin::patterned;
use crate::support::{Bed, Kind, Request, Setup};
use lychgate_core::base::budget::Pressure;
use lychgate_core::base::counters::Id;
use lychgate_core::base::reason::Reason;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const WINDOW: u64 = 64 * 1024;
const EXCESSIVE_LOAD: u64 = 0x107;

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
    // The stream's window, of which the client's stream took less than a half: that much was not
    // granted anew.
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

/// Room for four windows and a little more.
fn four_windows() -> Bed {
    Bed::with(Setup { request_window: WINDOW, max_held: 4 * WINDOW + WINDOW / 2, ..Setup::default() })
}

/// How exchanges ended, without those that ended well.
fn reasons(bed: &mut Bed) -> Vec<u32> {
    bed.shard().lane.completions.iter().map(|end| end.reason).filter(|reason| *reason != 0).collect()
}

#[test]
fn when_all_is_held_the_slowest_download_ends_and_the_others_go_on() {
    let mut bed = four_windows();
    let mut slow = Vec::new();
    for number in 1..=5u64 {
        let client = bed.connect_from(Kind::Http3, socket(), 2_000);
        bed.clients[client].is_reading = false;
        slow.push((client, bed.clients[client].get("/bytes/500000")));
        bed.until("the window to fill", |bed| bed.origin.notes.sent.load(Relaxed) as u64 >= number * WINDOW);
        bed.rest(Duration::from_millis(30));
    }
    bed.until("an end", |bed| !reasons(bed).is_empty());
    for (client, _) in &slow {
        bed.clients[*client].is_reading = true;
    }
    let first = slow.remove(0);
    assert_eq!(bed.finish(first.0, first.1).reset, Some(EXCESSIVE_LOAD));
    for (client, stream) in slow {
        assert!(bed.finish(client, stream).body == patterned(500_000));
    }
    assert_eq!(reasons(&mut bed), [Reason::BudgetExhausted as u32]);
    assert_eq!(bed.origin.notes.resets.lock().unwrap().len(), 1);
}

#[test]
fn when_all_is_held_the_upload_that_does_not_come_is_answered_with_503() {
    let mut bed = four_windows();
    let client = bed.connect(Kind::Http3);
    let first = bed.clients[client].request(post(&[]));
    bed.until("the first at the origin", |bed| bed.origin.notes.requests.load(Relaxed) == 1);
    bed.rest(Duration::from_millis(30));
    // Each has a window of its client's and one for its answer.
    let others: Vec<u64> = (0..2).map(|_| bed.clients[client].request(post(&[]))).collect();
    let answer = bed.finish(client, first);
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    assert!(String::from_utf8(answer.body).unwrap().contains("\"budget_exhausted\""));
    for stream in others {
        bed.clients[client].stop(stream, 0x10c);
        bed.clients[client].reset(stream, 0x10c);
    }
}

#[test]
fn when_all_is_held_new_requests_get_503_and_who_only_waits_for_a_backend_stays() {
    let mut bed = four_windows();
    let client = bed.connect(Kind::Http3);
    let mut waiting: Vec<u64> = (0..5).map(|_| bed.clients[client].get("/hold")).collect();
    bed.until("all to be at the origin", |bed| bed.origin.notes.requests.load(Relaxed) == 5);
    bed.until("all to be granted windows", |bed| bed.budget.pressure() == Pressure::Full);
    let answer = bed.get(client, "/bytes/10");
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    assert!(String::from_utf8(answer.body).unwrap().contains("\"overloaded\""));
    assert_eq!(bed.origin.notes.requests.load(Relaxed), 5);
    bed.rest(Duration::from_millis(100));
    assert!(waiting.iter().all(|stream| !bed.clients[client].streams[stream].is_over()));
    bed.clients[client].stop(waiting.pop().unwrap(), 0x10c);
    bed.until("room", |bed| bed.budget.pressure() < Pressure::Full);
    assert_eq!(bed.get(client, "/bytes/10").body, patterned(10));
    for stream in waiting {
        bed.clients[client].stop(stream, 0x10c);
    }
}

#[test]
fn an_answer_of_the_edge_that_nobody_takes_ends_too() {
    // An answer needs less than its client's window, so that one is left without any room.
    let mut bed = Bed::with(Setup { request_window: WINDOW, max_held: WINDOW, ..Setup::default() });
    let client = bed.connect_from(Kind::Http3, socket(), 20);
    bed.clients[client].is_reading = false;
    let refused = bed.clients[client].request(Request { path: "/", fields: &[("content-length", "x")], ..Request::default() });
    bed.until("the answer to wait", |bed| held(bed).1 > 0);
    let other = bed.connect(Kind::Http3);
    let waiting = bed.clients[other].get("/hold");
    bed.until("an end", |bed| reasons(bed) == [Reason::BudgetExhausted as u32]);
    bed.clients[other].stop(waiting, 0x10c);
    bed.clients[client].is_reading = true;
    assert_eq!(bed.finish(client, refused).reset, Some(EXCESSIVE_LOAD));
}

#[test]
fn a_connection_that_begins_when_half_is_held_keeps_its_small_windows() {
    let mut bed = Bed::with(Setup { request_window: 1 << 20, response_window: 1 << 20, max_held: 16 * WINDOW, ..Setup::default() });
    let other = bed.connect(Kind::Http3);
    let waiting: Vec<u64> = (0..9).map(|_| bed.clients[other].get("/hold")).collect();
    bed.until("windows for all", |bed| held(bed).1 == 9 * WINDOW && bed.budget.pressure() == Pressure::High);
    bed.origin.notes.is_full.store(true, Relaxed);
    let client = bed.connect(Kind::Http3);
    let stream = bed.clients[client].request(Request { method: "POST", path: "/sink", body: patterned(3 << 20), ..Request::default() });
    // What is taken at once makes quiche's windows grow, where they may.
    bed.until("the backend's window to fill", |bed| bed.origin.notes.taken.load(Relaxed) == 256 * 1024);
    bed.rest(Duration::from_millis(300));
    let left = (3 << 20) - bed.clients[client].waiting(stream);
    assert!(left <= 256 * 1024 + 256 * 1024 + 2 * WINDOW as usize, "{left} bytes left the client");
    bed.clients[client].stop(stream, 0x10c);
    bed.clients[client].reset(stream, 0x10c);
    for stream in waiting {
        bed.clients[other].stop(stream, 0x10c);
    }
}
