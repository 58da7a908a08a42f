//! Back-pressure: a slow side stops the other, and what lies between them is bounded.

use crate::support::client::socket;
use crate::support::origin::patterned;
use crate::support::{Bed, Kind, Request, Setup};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

#[test]
fn a_client_that_does_not_read_stops_the_backend_within_the_windows() {
    const CLIENT_WINDOW: usize = 100_000;
    let mut bed = Bed::new();
    let client = bed.connect_from(Kind::Http3, socket(), CLIENT_WINDOW as u64);
    bed.clients[client].is_reading = false;
    let stream = bed.clients[client].get("/bytes/67108864");
    bed.until("the windows to fill", |bed| bed.origin.notes.sent.load(Relaxed) > CLIENT_WINDOW);
    bed.rest(Duration::from_millis(500));
    let sent = bed.origin.notes.sent.load(Relaxed);
    // The client's window, then the upstream stream's, which is credited only for what the client's
    // stream took.
    assert!(sent <= CLIENT_WINDOW + 64 * 1024, "{sent} bytes left the origin");
    bed.clients[client].is_reading = true;
    assert!(bed.finish(client, stream).body == patterned(67_108_864));
}

#[test]
fn a_slow_reader_does_not_hold_up_others_of_the_same_session() {
    let mut bed = Bed::new();
    let slow = bed.connect_from(Kind::Http3, socket(), 50_000);
    bed.clients[slow].is_reading = false;
    let held: Vec<u64> = (0..5).map(|_| bed.clients[slow].get("/bytes/1000000")).collect();
    bed.until("the windows to fill", |bed| bed.origin.notes.sent.load(Relaxed) > 200_000);
    let quick = bed.connect(Kind::Http3);
    assert_eq!(bed.get(quick, "/bytes/1000000").body.len(), 1_000_000);
    bed.clients[slow].is_reading = true;
    for stream in held {
        assert!(bed.finish(slow, stream).body == patterned(1_000_000));
    }
}

#[test]
fn as_many_slow_downloads_as_the_session_has_windows_for_leave_it_to_others() {
    let mut bed = Bed::new();
    // Sixteen clients take nothing: each has a stream window of the backend's waiting, together as
    // much as the session's window.
    let slow: Vec<(usize, u64)> = (0..16)
        .map(|_| {
            let client = bed.connect_from(Kind::Http3, socket(), 20_000);
            bed.clients[client].is_reading = false;
            (client, bed.clients[client].get("/bytes/1000000"))
        })
        .collect();
    bed.until("the windows to fill", |bed| bed.origin.notes.sent.load(Relaxed) > 16 * 65_000);
    let quick = bed.connect(Kind::Http3);
    assert_eq!(bed.get(quick, "/bytes/1000000").body.len(), 1_000_000);
    assert_eq!(bed.origin.notes.sessions.load(Relaxed), 1, "and on the same session");
    for (client, stream) in slow {
        bed.clients[client].is_reading = true;
        assert!(bed.finish(client, stream).body == patterned(1_000_000));
    }
}

#[test]
fn a_backend_that_does_not_read_stops_the_client_within_the_windows() {
    let mut bed = Bed::with(Setup { request_window: 64 * 1024, ..Setup::default() });
    let client = bed.connect(Kind::Http3);
    bed.origin.notes.is_full.store(true, Relaxed);
    let total = 16 << 20;
    let request = Request { method: "POST", path: "/sink", body: patterned(total), ..Request::default() };
    let stream = bed.clients[client].request(request);
    bed.until("the backend's window to fill", |bed| bed.origin.notes.taken.load(Relaxed) == 256 * 1024);
    bed.rest(Duration::from_millis(500));
    let left = total - bed.clients[client].waiting(stream);
    assert!(left <= 256 * 1024 + 2 * 64 * 1024, "{left} bytes left the client");
    bed.clients[client].stop(stream, 0x10c);
    bed.clients[client].reset(stream, 0x10c);
    bed.until("the reset", |bed| bed.origin.notes.resets.lock().unwrap().len() == 1);
}
