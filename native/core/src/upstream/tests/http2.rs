//! Valid HTTP/2.

use super::driver::{Driver, config};
use super::peer::*;
use crate::base::budget::{SMALL_SHARED_WINDOW, SMALL_WINDOW};
use crate::base::reason::Reason;
use crate::upstream::Scheme;
use crate::upstream::Stat;

fn driver(peer: &Peer) -> Driver {
    Driver::new(vec![config(0, Scheme::H2c, peer.address)])
}

#[test]
fn a_request_and_its_response_pass_with_their_fields() {
    let peer = Peer::serve_h2(1, |_, wire| {
        let (stream, fields) = wire.request();
        let expected = [(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", "/a?b"), ("x-one", "1")];
        assert_eq!(fields, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
        wire.headers(stream, &[(":status", "103"), ("link", "</a>")], false);
        wire.headers(stream, &[(":status", "200"), ("x-two", "2"), ("content-length", "5")], false);
        wire.data(stream, b"hel", false);
        wire.data(stream, b"lo", false);
        wire.headers(stream, &[("x-sum", "9")], true);
        wire.drain();
    });
    let mut driver = driver(&peer);
    let key = driver.request(0, "GET", "/a?b", &[("x-one", "1")], None);
    let outcome = driver.finish(key);
    assert_eq!((outcome.status, &outcome.body[..], &outcome.informational[..]), (Some(200), &b"hello"[..], &[103][..]));
    assert_eq!(outcome.field("x-two"), Some("2"));
    assert_eq!(outcome.trailers, Some(vec![("x-sum".into(), "9".into())]));
    assert_eq!(driver.upstreams.stats[Stat::StreamsOpen], 0);
    drop(driver);
    peer.join();
}

#[test]
fn many_exchanges_share_one_session_and_requests_leave_before_the_settings_of_the_peer() {
    let peer = Peer::serve(1, |_, stream| {
        let mut wire = Wire::new(stream);
        wire.read_preface();
        let streams: Vec<u32> = (0..50).map(|_| wire.request().0).collect();
        wire.settings(&[]);
        for stream in streams.iter().rev() {
            wire.answer(*stream, &stream.to_be_bytes());
        }
        wire.drain();
    });
    let mut driver = driver(&peer);
    let keys: Vec<_> = (0..50).map(|_| driver.get(0, "/")).collect();
    for key in keys {
        let outcome = driver.finish(key);
        assert_eq!(outcome.body, (key as u32 * 2 - 1).to_be_bytes());
    }
    assert_eq!(driver.upstreams.stats[Stat::ConnectsSucceeded], 1);
    assert_eq!(driver.upstreams.stats[Stat::SessionsReused], 49);
    drop(driver);
    peer.join();
}

#[test]
fn an_upload_obeys_both_windows_and_goes_on_when_they_open() {
    let peer = Peer::serve(1, |_, stream| {
        let mut wire = Wire::new(stream);
        wire.greet(&[(4, 10)]);
        let (stream, _) = wire.request();
        let mut body = Vec::new();
        // The request may have left with the default window; what is beyond ten bytes then counts
        // against later credit.
        loop {
            let frame = wire.next(DATA).unwrap();
            body.extend_from_slice(&frame.payload);
            if frame.flags & END_STREAM != 0 {
                break;
            }
            wire.write(WINDOW_UPDATE, 0, stream, &60_000u32.to_be_bytes());
            wire.write(WINDOW_UPDATE, 0, 0, &(frame.payload.len() as u32).to_be_bytes());
        }
        assert_eq!(body.len(), 1_000_000);
        assert!(body.iter().enumerate().all(|(index, byte)| *byte == (index % 251) as u8));
        wire.answer(stream, b"ok");
        wire.drain();
    });
    let mut driver = driver(&peer);
    let body = (0..1_000_000).map(|index| (index % 251) as u8).collect();
    let key = driver.request(0, "POST", "/", &[], Some(body));
    assert_eq!(driver.finish(key).body, b"ok");
    drop(driver);
    peer.join();
}

#[test]
fn an_empty_body_ends_with_an_empty_frame_and_trailers_end_a_request() {
    let peer = Peer::serve_h2(1, |_, wire| {
        let (stream, _) = wire.request();
        let frame = wire.next(DATA).unwrap();
        assert_eq!((frame.payload.len(), frame.flags), (0, END_STREAM));
        wire.answer(stream, b"");
        wire.drain();
    });
    let mut driver = driver(&peer);
    let key = driver.request(0, "POST", "/", &[], Some(Vec::new()));
    assert_eq!(driver.finish(key).status, Some(200));
    drop(driver);
    peer.join();
}

#[test]
fn a_slow_client_stops_the_backend_at_the_stream_window() {
    let peer = Peer::serve_h2(1, |_, wire| {
        let (stream, _) = wire.request();
        wire.headers(stream, &[(":status", "200")], false);
        for _ in 0..4 {
            wire.data(stream, &[7; 16_000], false);
        }
        let update = loop {
            let frame = wire.next(WINDOW_UPDATE).unwrap();
            if frame.stream == stream {
                break frame;
            }
        };
        assert_eq!(u32::from_be_bytes(update.payload.try_into().unwrap()), 64_000);
        wire.data(stream, &[7; 16_000], true);
        wire.drain();
    });
    let mut driver = driver(&peer);
    driver.sink.is_slow = true;
    let key = driver.get(0, "/");
    driver.until("the window's worth", |driver| driver.sink.outcomes[&key].held == 64_000);
    driver.idle(5);
    assert_eq!(driver.sink.outcomes[&key].held, 64_000);
    let stream = driver.streams[&key];
    driver.upstreams.credit(stream, 64_000);
    assert_eq!(driver.finish(key).body.len(), 80_000);
    drop(driver);
    peer.join();
}

#[test]
fn what_the_backend_may_still_send_is_counted_by_window_and_content_length() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let peer = Peer::serve_h2(1, move |_, wire| {
        let (stream, _) = wire.request();
        wait.recv().unwrap();
        wire.headers(stream, &[(":status", "200"), ("content-length", "1000")], false);
        wire.data(stream, &[7; 400], false);
        wait.recv().unwrap();
        wire.data(stream, &[7; 600], true);
        let (stream, _) = wire.request();
        wire.headers(stream, &[(":status", "200")], false);
        wire.data(stream, &[7; 400], false);
        wire.drain();
    });
    let mut driver = driver(&peer);
    let key = driver.get(0, "/");
    driver.until("a session", |driver| driver.upstreams.stats[Stat::StreamsOpen] == 1);
    assert_eq!(driver.upstreams.stats[Stat::GrantedBytes], 65_535);
    go.send(()).unwrap();
    driver.until("a part of the body", |driver| driver.sink.outcomes[&key].body.len() == 400);
    assert_eq!(driver.upstreams.stats[Stat::GrantedBytes], 600);
    go.send(()).unwrap();
    assert_eq!(driver.finish(key).body.len(), 1_000);
    assert_eq!(driver.upstreams.stats[Stat::GrantedBytes], 0);
    let key = driver.get(0, "/");
    driver.until("a part of the body", |driver| driver.sink.outcomes[&key].body.len() == 400);
    assert_eq!(driver.upstreams.stats[Stat::GrantedBytes], 65_135);
    driver.upstreams.reset(driver.streams[&key], 8);
    assert_eq!(driver.upstreams.stats[Stat::GrantedBytes], 0);
    drop(driver);
    peer.join();
}

/// Sum of WINDOW_UPDATE for a response of `bytes` bytes that is taken as it comes, with windows of
/// 1 MiB: the stream's, then the session's.
fn updates(bytes: usize, is_tight: bool) -> (u32, Vec<u32>, Vec<u32>) {
    let (tell, outcome) = std::sync::mpsc::channel();
    let peer = Peer::serve_h2(1, move |_, wire| {
        // The session's window comes with the preface.
        let greeting = wire.next(WINDOW_UPDATE).unwrap();
        assert_eq!(u32::from_be_bytes(greeting.payload.try_into().unwrap()), SMALL_SHARED_WINDOW - 65_535);
        let (stream, _) = wire.request();
        wire.headers(stream, &[(":status", "200")], false);
        let (mut of_stream, mut of_session) = (Vec::new(), Vec::new());
        let (mut window, mut session, mut left) = (SMALL_WINDOW as usize, SMALL_SHARED_WINDOW as usize, bytes);
        while left > 0 {
            let count = window.min(session).min(left).min(16_384);
            if count > 0 {
                wire.data(stream, &vec![7; count], false);
                (window, session, left) = (window - count, session - count, left - count);
            }
            while left > 0 && (window == 0 || session == 0) {
                let frame = wire.next(WINDOW_UPDATE).unwrap();
                let by = u32::from_be_bytes(frame.payload.try_into().unwrap());
                if frame.stream == 0 {
                    of_session.push(by);
                    session += by as usize;
                } else {
                    of_stream.push(by);
                    window += by as usize;
                }
            }
        }
        wire.data(stream, &[], true);
        tell.send((of_stream, of_session)).unwrap();
        wire.drain();
    });
    let mut backend = config(0, Scheme::H2c, peer.address);
    backend.limits.stream_window_bytes = 1 << 20;
    backend.limits.session_window_bytes = 4 << 20;
    let mut driver = Driver::new(vec![backend]);
    driver.upstreams.set_tight(is_tight);
    let key = driver.get(0, "/");
    assert_eq!(driver.finish(key).body.len(), bytes);
    let (of_stream, of_session) = outcome.recv().unwrap();
    assert_eq!(driver.upstreams.stats[Stat::GrantedBytes], 0);
    drop(driver);
    peer.join();
    (of_stream.iter().sum(), of_stream, of_session)
}

#[test]
fn windows_grow_with_what_clients_take_and_stay_small_where_they_have_to() {
    let (sum, of_stream, of_session) = updates(5 << 20, false);
    assert!(sum as usize >= (5 << 20) - SMALL_WINDOW as usize, "{of_stream:?}");
    // Half of the first window is given back with three times the window beside it.
    assert!(of_stream[0] >= SMALL_WINDOW / 2 + 3 * SMALL_WINDOW && *of_stream.iter().max().unwrap() >= 512 * 1024, "{of_stream:?}");
    assert!(of_session.iter().any(|by| *by >= 1 << 20), "{of_session:?}");
    let (_, of_stream, _) = updates(5 << 20, true);
    assert!(*of_stream.iter().max().unwrap() <= SMALL_WINDOW, "{of_stream:?}");
}

#[test]
fn padding_and_continuation_are_taken_apart() {
    let peer = Peer::serve_h2(1, |_, wire| {
        let (stream, _) = wire.request();
        let block = wire.block(&[(":status", "200"), ("x-long", &"y".repeat(300))]);
        let padded = [&[4], &block[..5], &[0; 4]].concat();
        wire.write(HEADERS, PADDED, stream, &padded);
        wire.write(CONTINUATION, 0, stream, &block[5..50]);
        wire.write(CONTINUATION, END_HEADERS, stream, &block[50..]);
        wire.write(DATA, PADDED, stream, &[&[3][..], b"body", &[0; 3]].concat());
        wire.write(DATA, PADDED | END_STREAM, stream, &[&[9][..], &[0; 9]].concat());
        wire.drain();
    });
    let mut driver = driver(&peer);
    let outcome = driver.fetch(0, "/");
    assert_eq!((&outcome.body[..], outcome.field("x-long").map(str::len)), (&b"body"[..], Some(300)));
    drop(driver);
    peer.join();
}

#[test]
fn a_goaway_ends_what_it_took_refuses_the_rest_as_unsent_and_moves_on_to_another_session() {
    let peer = Peer::serve_h2(2, |number, wire| {
        if number == 1 {
            let (stream, _) = wire.request();
            wire.answer(stream, b"second");
            return wire.drain();
        }
        let first = wire.request().0;
        let second = wire.request().0;
        assert!(second > first);
        wire.write(GOAWAY, 0, 0, &goaway(first, 0));
        wire.answer(first, b"first");
        wire.drain();
    });
    let mut driver = driver(&peer);
    let (first, second) = (driver.get(0, "/1"), driver.get(0, "/2"));
    assert_eq!(driver.finish(first).body, b"first");
    let fault = driver.finish(second).fault.unwrap();
    assert_eq!((fault.reason, fault.is_unsent), (Reason::BackendGoaway, true));
    assert_eq!(driver.fetch(0, "/3").body, b"second");
    assert_eq!(driver.upstreams.stats[Stat::GoawaysIn], 1);
    driver.until("the old session to end", |driver| driver.upstreams.stats[Stat::SessionsOpen] == 1);
    drop(driver);
    peer.join();
}

#[test]
fn resets_say_whether_the_backend_can_have_acted() {
    let peer = Peer::serve_h2(1, |_, wire| {
        let (first, second) = (wire.request().0, wire.request().0);
        wire.write(RST_STREAM, 0, first, &7u32.to_be_bytes());
        wire.write(RST_STREAM, 0, second, &2u32.to_be_bytes());
        wire.drain();
    });
    let mut driver = driver(&peer);
    let (first, second) = (driver.get(0, "/1"), driver.get(0, "/2"));
    let fault = driver.finish(first).fault.unwrap();
    assert_eq!((fault.reason, fault.is_unsent, fault.h2_code), (Reason::BackendRefused, true, 7));
    let fault = driver.finish(second).fault.unwrap();
    assert_eq!((fault.reason, fault.is_unsent, fault.h2_code), (Reason::BackendReset, false, 2));
    drop(driver);
    peer.join();
}

#[test]
fn an_early_response_stops_only_the_upload() {
    let peer = Peer::serve_h2(1, |_, wire| {
        let (stream, _) = wire.request();
        wire.headers(stream, &[(":status", "413")], true);
        wire.write(RST_STREAM, 0, stream, &0u32.to_be_bytes());
        wire.drain();
    });
    let mut driver = driver(&peer);
    let key = driver.request(0, "POST", "/", &[], Some(vec![1; 500_000]));
    let outcome = driver.finish(key);
    assert_eq!((outcome.status, outcome.fault), (Some(413), None));
    driver.until("the upload to stop", |driver| driver.sink.outcomes[&key].is_upload_stopped);
    assert_eq!(driver.upstreams.stats[Stat::StreamsOpen], 0);
    drop(driver);
    peer.join();
}

#[test]
fn an_upload_may_outlive_its_response() {
    let peer = Peer::serve_h2(1, |_, wire| {
        let (stream, _) = wire.request();
        wire.answer(stream, b"early");
        let mut count = 0;
        while count < 200_000 {
            let frame = wire.next(DATA).unwrap();
            count += frame.payload.len();
            wire.write(WINDOW_UPDATE, 0, stream, &200_000u32.to_be_bytes());
            wire.write(WINDOW_UPDATE, 0, 0, &200_000u32.to_be_bytes());
        }
        wire.drain();
    });
    let mut driver = driver(&peer);
    let key = driver.request(0, "POST", "/", &[], Some(vec![1; 200_000]));
    assert_eq!(driver.finish(key).body, b"early");
    driver.until("the upload to end", |driver| driver.upstreams.stats[Stat::StreamsOpen] == 0);
    driver.idle(20);
    drop(driver);
    peer.join();
}

#[test]
fn a_cancelled_exchange_is_reset_once_and_what_still_comes_is_ignored() {
    let peer = Peer::serve_h2(1, |_, wire| {
        let (first, _) = wire.request();
        wire.headers(first, &[(":status", "200")], false);
        assert_eq!(wire.reset(), Some((first, 8)));
        wire.data(first, &[1; 10_000], false);
        wire.headers(first, &[("x-indexed", "so that the table moves")], true);
        let (second, _) = wire.request();
        wire.headers(second, &[(":status", "200"), ("x-indexed", "so that the table moves")], true);
        wire.drain();
    });
    let mut driver = driver(&peer);
    let key = driver.get(0, "/");
    driver.until("a head", |driver| driver.sink.outcomes[&key].status.is_some());
    let stream = driver.streams[&key];
    driver.upstreams.reset(stream, 8);
    driver.upstreams.reset(stream, 8);
    assert_eq!((driver.upstreams.stats[Stat::StreamsOpen], driver.upstreams.stats[Stat::ResetsOut]), (0, 1));
    driver.idle(5);
    let outcome = driver.fetch(0, "/");
    assert_eq!(outcome.field("x-indexed"), Some("so that the table moves"));
    assert!(driver.sink.outcomes[&key].body.is_empty());
    drop(driver);
    peer.join();
}

#[test]
fn pings_are_answered_and_sent() {
    let peer = Peer::serve_h2(1, |_, wire| {
        let (stream, _) = wire.request();
        wire.answer(stream, b"");
        wire.write(PING, 0, 0, b"12345678");
        let pong = wire.next(PING).unwrap();
        assert_eq!((pong.flags, &pong.payload[..]), (ACK, &b"12345678"[..]));
        let ping = wire.next(PING).unwrap();
        assert_eq!(ping.flags, 0);
        wire.write(PING, ACK, 0, &ping.payload);
        assert_eq!(wire.next(PING).map(|ping| ping.flags), Some(0));
        // No answer this time.
        wire.drain();
    });
    let mut backend = config(0, Scheme::H2c, peer.address);
    (backend.limits.ping_interval_ms, backend.limits.ping_timeout_ms) = (30, 100);
    let mut driver = Driver::new(vec![backend]);
    driver.fetch(0, "/");
    driver.until("the session to be given up", |driver| driver.upstreams.stats[Stat::PingsTimedOut] == 1);
    assert_eq!(driver.upstreams.stats[Stat::SessionsOpen], 0);
    peer.join();
}

#[test]
fn a_long_request_head_is_continued() {
    let peer = Peer::serve_h2(1, |_, wire| {
        let first = wire.next(HEADERS).unwrap();
        assert_eq!((first.payload.len(), first.flags & END_HEADERS), (16_384, 0));
        let second = wire.next(CONTINUATION).unwrap();
        assert_ne!(second.flags & END_HEADERS, 0);
        wire.answer(first.stream, b"");
        wire.drain();
    });
    let mut driver = driver(&peer);
    let long: String = (0..30_000u32).map(|n| char::from(b'!' + (n.wrapping_mul(2_654_435_761) >> 8) as u8 % 90)).collect();
    let key = driver.request(0, "GET", "/", &[("x-long", &long)], None);
    assert_eq!(driver.finish(key).status, Some(200));
    drop(driver);
    peer.join();
}
