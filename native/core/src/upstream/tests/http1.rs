//! HTTP/1.1, valid and not.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;

use super::driver::{Driver, Outcome, config};
use super::peer::Peer;
use crate::base::budget::SMALL_WINDOW;
use crate::base::reason::Reason;
use crate::upstream::Scheme;
use crate::upstream::Stat;

/// Reads a request head; none when the client closed.
fn head(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        text.push(byte[0]);
    }
    Some(String::from_utf8(text).unwrap())
}

fn say(stream: &mut TcpStream, text: &str) {
    let _ = stream.write_all(text.as_bytes());
}

fn driver(peer: &Peer) -> Driver {
    Driver::new(vec![config(0, Scheme::Http, peer.address)])
}

/// The outcome of a request that is answered with `text`, byte by byte if asked for, before the
/// server closes.
fn answered(method: &'static str, text: &'static str, is_slow: bool) -> Outcome {
    let peer = Peer::serve(1, move |_, mut stream| {
        head(&mut stream);
        if !is_slow {
            return say(&mut stream, text);
        }
        for byte in text.as_bytes() {
            let _ = stream.write_all(&[*byte]);
            std::thread::sleep(std::time::Duration::from_micros(300));
        }
    });
    let mut driver = driver(&peer);
    let key = driver.request(0, method, "/", &[], None);
    let outcome = driver.finish(key);
    driver.until("the connection to end", |driver| driver.upstreams.stats[Stat::SessionsOpen] == 0);
    assert_eq!(driver.upstreams.stats[Stat::StreamsOpen], 0);
    peer.join();
    outcome
}

#[test]
fn every_way_in_which_a_body_can_end_is_understood() {
    for is_slow in [false, true] {
        let outcome = answered("GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello", is_slow);
        assert_eq!((outcome.status, &outcome.body[..], outcome.field("x-a")), (Some(200), &b"hello"[..], Some("b")));
        let outcome = answered("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n", is_slow);
        assert_eq!((&outcome.body[..], outcome.trailers, outcome.is_ended), (&b"hello"[..], None, true));
        let outcome = answered("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 9\r\n\r\n", is_slow);
        assert_eq!((&outcome.body[..], outcome.trailers), (&b"hello"[..], Some(vec![("x-sum".into(), "9".into())])));
        let outcome = answered("GET", "HTTP/1.0 200 OK\r\n\r\nhello", is_slow);
        assert_eq!((&outcome.body[..], outcome.is_ended), (&b"hello"[..], true));
        let outcome = answered("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", is_slow);
        assert_eq!((outcome.status, outcome.is_ended), (Some(200), true));
        let outcome = answered("GET", "HTTP/1.1 204 No Content\r\n\r\n", is_slow);
        assert_eq!((outcome.status, outcome.is_ended), (Some(204), true));
        let outcome = answered("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", is_slow);
        assert_eq!((outcome.status, outcome.is_ended), (Some(304), true));
        let outcome = answered("GET", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", is_slow);
        assert_eq!((outcome.status, &outcome.informational[..]), (Some(200), &[103][..]));
    }
}

#[test]
fn trailers_that_connection_names_are_removed_and_others_stay() {
    for (connection, expected) in [
        ("Connection: X-Hop, x-sum\r\n", None),
        ("Connection: X-HOP\r\nConnection\t: close\r\n", Some(vec![("x-sum".to_owned(), "9".to_owned())])),
        ("", Some(vec![("x-hop".to_owned(), "1".to_owned()), ("x-sum".to_owned(), "9".to_owned())])),
    ] {
        let text = format!(
            "HTTP/1.1 103 Early Hints\r\nConnection: x-sum\r\n\r\nHTTP/1.1 200 OK\r\n{connection}Transfer-Encoding: chunked\r\n\r\n\
             5\r\nhello\r\n0\r\nX-Hop: 1\r\nX-Sum : 9\r\n\r\n"
        );
        let outcome = answered("GET", text.leak(), false);
        assert_eq!((&outcome.body[..], outcome.is_ended, outcome.trailers), (&b"hello"[..], true, expected), "{connection}");
    }
}

#[test]
fn white_space_before_a_colon_is_removed() {
    let outcome = answered("GET", "HTTP/1.1 200 OK\r\nContent-Length : 5\r\nContent-Length: 5\r\nX-A\t : b\r\n\r\nhello", false);
    assert_eq!((outcome.status, &outcome.body[..], outcome.field("x-a")), (Some(200), &b"hello"[..], Some("b")));
    let outcome = answered("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n2\r\nhe\r\n0\r\n\r\n", false);
    assert_eq!((&outcome.body[..], outcome.is_ended), (&b"he"[..], true));
}

#[test]
fn what_is_not_a_response_fails_the_exchange() {
    for text in [
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\nContent-Length : 1\r\nContent-Length: 2\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 3\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length : 3\r\n\r\n",
        "SSH-2.0-OpenSSH\r\n\r\n",
    ] {
        let outcome = answered("GET", text, false);
        assert_eq!(outcome.fault.map(|fault| fault.reason), Some(Reason::BackendProtocolError), "{text:?}");
    }
}

#[test]
fn a_response_that_breaks_off_is_a_failure_that_was_sent() {
    for text in [
        "",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    ] {
        let fault = answered("GET", text, false).fault.unwrap();
        assert_eq!((fault.reason, fault.is_unsent, fault.was_reused), (Reason::BackendClosed, false, false), "{text:?}");
    }
}

#[test]
fn too_large_a_head_is_named_as_such() {
    let peer = Peer::serve(1, |_, mut stream| {
        head(&mut stream);
        say(&mut stream, &format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(20_000)));
        head(&mut stream);
    });
    let mut driver = driver(&peer);
    assert_eq!(driver.fetch(0, "/").fault.unwrap().reason, Reason::BackendHeadTooLarge);
    driver.until("the connection to end", |driver| driver.upstreams.stats[Stat::SessionsOpen] == 0);
    peer.join();
}

#[test]
fn a_head_larger_than_a_read_block_is_taken_when_it_is_allowed() {
    let peer = Peer::serve(1, |_, mut stream| {
        head(&mut stream);
        let fields: String = (0..4).map(|n| format!("x{n}: {}\r\n", "y".repeat(40_000))).collect();
        say(&mut stream, &format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok"));
        head(&mut stream);
    });
    let mut backend = config(0, Scheme::Http, peer.address);
    backend.limits.max_head_bytes = 300_000;
    let mut driver = Driver::new(vec![backend]);
    assert_eq!(driver.fetch(0, "/").body, b"ok");
    drop(driver);
    peer.join();
}

#[test]
fn a_connection_is_kept_and_used_again_and_its_stale_end_is_noticed() {
    let peer = Peer::serve(2, |number, mut stream| {
        for round in 0..3 {
            let Some(text) = head(&mut stream) else { return };
            assert!(text.starts_with(&format!("GET /{number}{round} HTTP/1.1\r\nhost: localhost\r\n")), "{text}");
            say(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let mut driver = driver(&peer);
    for path in ["/00", "/01", "/02"] {
        assert_eq!(driver.fetch(0, path).body, b"ok");
    }
    assert_eq!(driver.upstreams.stats[Stat::ConnectsSucceeded], 1);
    driver.until("the end to be noticed", |driver| driver.upstreams.stats[Stat::SessionsOpen] == 0);
    assert_eq!(driver.fetch(0, "/10").body, b"ok");
    drop(driver);
    peer.join();
}

#[test]
fn a_kept_connection_that_closes_under_a_request_says_that_it_was_reused() {
    let peer = Peer::serve(1, |_, mut stream| {
        head(&mut stream);
        say(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        head(&mut stream);
    });
    let mut driver = driver(&peer);
    driver.fetch(0, "/");
    let fault = driver.fetch(0, "/").fault.unwrap();
    assert_eq!((fault.reason, fault.is_unsent, fault.was_reused), (Reason::BackendClosed, false, true));
    peer.join();
}

#[test]
fn concurrent_exchanges_get_connections_of_their_own_up_to_the_limit_and_then_wait() {
    let peer = Peer::serve(2, |_, mut stream| {
        while head(&mut stream).is_some() {
            std::thread::sleep(std::time::Duration::from_millis(5));
            say(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    // One connection is served after the other, so the second gets its turn only when the first
    // ends.
    let mut backend = config(0, Scheme::Http, peer.address);
    backend.limits.max_sessions = 1;
    let mut driver = Driver::new(vec![backend]);
    let keys: Vec<_> = (0..10).map(|_| driver.get(0, "/")).collect();
    assert_eq!(driver.upstreams.stats[Stat::Waiting], 10);
    for key in keys {
        assert_eq!(driver.finish(key).body, b"ok");
    }
    assert_eq!((driver.upstreams.stats[Stat::ConnectsSucceeded], driver.upstreams.stats[Stat::Waiting]), (1, 0));
    driver.upstreams.apply(vec![]);
    driver.until("the connection to end", |driver| driver.upstreams.stats[Stat::SessionsOpen] == 0);
    let _ = TcpStream::connect(peer.address);
    peer.join();
}

#[test]
fn a_body_of_unknown_length_is_sent_in_chunks_and_a_known_one_as_it_is() {
    let peer = Peer::serve(1, |_, mut stream| {
        let text = head(&mut stream).unwrap();
        assert!(text.contains("transfer-encoding: chunked\r\n"), "{text}");
        let mut body = vec![0; 4 + 2 + 16_384 + 2 + 6 + 3616 + 2 + 5];
        stream.read_exact(&mut body).unwrap();
        assert_eq!((&body[..6], &body[body.len() - 7..]), (&b"4000\r\n"[..], &b"\r\n0\r\n\r\n"[..]));
        say(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        let text = head(&mut stream).unwrap();
        assert!(text.contains("content-length: 20000\r\n") && !text.contains("chunked"), "{text}");
        stream.read_exact(&mut vec![0; 20_000]).unwrap();
        say(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let mut driver = driver(&peer);
    let key = driver.request(0, "POST", "/", &[], Some(vec![7; 20_000]));
    assert_eq!(driver.finish(key).status, Some(200));
    let key = driver.request(0, "POST", "/", &[("content-length", "20000")], Some(vec![7; 20_000]));
    assert_eq!(driver.finish(key).status, Some(200));
    assert_eq!(driver.upstreams.stats[Stat::ConnectsSucceeded], 1);
    peer.join();
}

#[test]
fn less_body_than_announced_fails_the_exchange_instead_of_the_next_one() {
    let peer = Peer::serve(1, |_, mut stream| while stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {});
    let mut driver = driver(&peer);
    let key = driver.request(0, "POST", "/", &[("content-length", "10")], Some(vec![7; 5]));
    assert_eq!(driver.finish(key).fault.unwrap().reason, Reason::RequestLengthMismatch);
    driver.until("the connection to end", |driver| driver.upstreams.stats[Stat::SessionsOpen] == 0);
    peer.join();
}

#[test]
fn a_response_may_come_before_the_request_has_ended() {
    let peer = Peer::serve(1, |_, mut stream| {
        head(&mut stream);
        say(&mut stream, "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    });
    let mut driver = driver(&peer);
    let key = driver.request(0, "POST", "/", &[], Some(vec![7; 20_000_000]));
    let outcome = driver.finish(key);
    assert_eq!(outcome.status, Some(413), "{outcome:?}");
    driver.until("the upload to stop", |driver| driver.sink.outcomes[&key].is_upload_stopped);
    peer.join();
}

#[test]
fn a_slow_client_stops_the_reading_and_credit_goes_on() {
    let peer = Peer::serve(1, |_, mut stream| {
        head(&mut stream);
        say(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n");
        let _ = stream.write_all(&vec![7; 10_000_000]);
        head(&mut stream);
    });
    let mut driver = driver(&peer);
    driver.sink.is_slow = true;
    let key = driver.get(0, "/");
    driver.until("the window's worth", |driver| driver.sink.outcomes[&key].held >= 65_535);
    driver.idle(10);
    assert!(driver.sink.outcomes[&key].held <= 65_535 + 100);
    let stream = driver.streams[&key];
    let mut credited = 0;
    driver.until("the rest", |driver| {
        let held = driver.sink.outcomes[&key].held;
        driver.upstreams.credit(stream, held - credited);
        credited = held;
        held == 10_000_000
    });
    assert!(driver.sink.outcomes[&key].is_ended);
    drop(driver);
    peer.join();
}

#[test]
fn a_response_is_read_ahead_by_its_window_and_by_a_small_one_where_it_has_to_be() {
    for (is_tight, window) in [(false, 1 << 20), (true, SMALL_WINDOW as usize)] {
        let peer = Peer::serve(1, |_, mut stream| {
            head(&mut stream);
            say(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n");
            let _ = stream.write_all(&vec![7; 10_000_000]);
        });
        let mut backend = config(0, Scheme::Http, peer.address);
        backend.limits.stream_window_bytes = 1 << 20;
        let mut driver = Driver::new(vec![backend]);
        driver.upstreams.set_tight(is_tight);
        driver.sink.is_slow = true;
        let key = driver.get(0, "/");
        driver.until("the window's worth", |driver| driver.sink.outcomes[&key].held >= window);
        driver.idle(10);
        let held = driver.sink.outcomes[&key].held;
        assert!(held <= window + 100, "{held} bytes are held");
        drop(driver);
        peer.join();
    }
}

#[test]
fn a_connection_that_breaks_while_nobody_reads_keeps_nobody_busy() {
    let peer = Peer::serve(1, |_, mut stream| {
        head(&mut stream);
        say(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n");
        let _ = stream.write_all(&[7; 200_000]);
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        let size = size_of::<libc::linger>() as libc::socklen_t;
        // SAFETY: an open socket and an option of the size given. It makes closing a reset.
        unsafe { libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, (&raw const linger).cast(), size) };
    });
    let mut driver = driver(&peer);
    driver.sink.is_slow = true;
    let key = driver.get(0, "/");
    driver.until("the window's worth", |driver| driver.sink.outcomes[&key].held >= 65_535);
    peer.join();
    driver.flush();
    let started = std::time::Instant::now();
    (0..5).for_each(|_| driver.turn(20));
    assert!(started.elapsed().as_millis() >= 80, "epoll reports what nobody wants to read");
    let stream = driver.streams[&key];
    // How much the kernel keeps of what came before the reset is not defined.
    driver.until("the end", |driver| {
        let outcome = driver.sink.outcomes.get_mut(&key).unwrap();
        let held = std::mem::take(&mut outcome.held);
        let is_over = outcome.is_over();
        driver.upstreams.credit(stream, held);
        is_over
    });
    assert_eq!(driver.finish(key).fault.unwrap().reason, Reason::BackendClosed);
}

#[test]
fn cancelling_closes_the_connection() {
    let peer = Peer::serve(1, |_, mut stream| {
        head(&mut stream);
        say(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
        assert!(head(&mut stream).is_none());
    });
    let mut driver = driver(&peer);
    let key = driver.get(0, "/");
    driver.until("a head", |driver| driver.sink.outcomes[&key].status.is_some());
    let stream = driver.streams[&key];
    driver.upstreams.reset(stream, 8);
    driver.flush();
    assert_eq!((driver.upstreams.stats[Stat::SessionsOpen], driver.upstreams.stats[Stat::StreamsOpen]), (0, 0));
    assert!(driver.sink.outcomes[&key].fault.is_none());
    peer.join();
}

#[test]
fn bytes_that_nobody_asked_for_end_the_connection() {
    let peer = Peer::serve(1, |_, mut stream| {
        head(&mut stream);
        say(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
        head(&mut stream);
    });
    let mut driver = driver(&peer);
    assert_eq!(driver.fetch(0, "/").body, b"ok");
    driver.until("the connection to end", |driver| driver.upstreams.stats[Stat::SessionsOpen] == 0);
    peer.join();
}
