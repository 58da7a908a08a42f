//! Violations of HTTP/2: each has its answer, and costs no more than it must.

use super::driver::{Driver, Outcome, config};
use super::peer::*;
use crate::base::reason::Reason;
use crate::http::error::h2 as code;
use crate::upstream::Scheme;
use crate::upstream::Stat;

/// The outcome of a request whose peer does `offence` after receiving it, and how the client ends
/// the session.
fn offended(offence: impl Fn(&mut Wire, u32) + Send + 'static) -> (Outcome, Option<u32>) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let peer = Peer::serve_h2(1, move |_, wire| {
        let (stream, _) = wire.request();
        offence(wire, stream);
        let _ = sender.send(wire.goodbye());
    });
    let mut driver = Driver::new(vec![config(0, Scheme::H2c, peer.address)]);
    let outcome = driver.fetch(0, "/");
    assert_eq!(driver.upstreams.stats[Stat::StreamsOpen], 0);
    assert_eq!(driver.upstreams.stats[Stat::SessionsOpen], 0, "the session must end");
    peer.join();
    (outcome, receiver.recv().unwrap())
}

/// As [`offended`], for offences that cost only the stream: the code it is reset with. The session
/// goes on.
fn reset(offence: impl Fn(&mut Wire, u32) + Send + 'static) -> (Outcome, u32) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let peer = Peer::serve_h2(1, move |_, wire| {
        let (stream, _) = wire.request();
        offence(wire, stream);
        let (named, h2_code) = wire.reset().unwrap();
        assert_eq!(named, stream);
        let _ = sender.send(h2_code);
        let (stream, _) = wire.request();
        wire.answer(stream, b"alive");
        wire.drain();
    });
    let mut driver = Driver::new(vec![config(0, Scheme::H2c, peer.address)]);
    let outcome = driver.fetch(0, "/");
    assert_eq!(driver.fetch(0, "/").body, b"alive");
    drop(driver);
    peer.join();
    (outcome, receiver.recv().unwrap())
}

#[test]
fn what_breaks_the_connection_ends_the_session_with_the_right_code() {
    type Offence = (&'static str, u32, fn(&mut Wire, u32));
    let offences: &[Offence] = &[
        ("a frame beyond our limit", code::FRAME_SIZE_ERROR, |wire, stream| wire.data(stream, &[0; 16_385], false)),
        ("DATA on an idle stream", code::PROTOCOL_ERROR, |wire, stream| wire.data(stream + 2, b"x", false)),
        ("DATA on the connection", code::PROTOCOL_ERROR, |wire, _| wire.data(0, b"x", false)),
        ("DATA beyond its padding", code::PROTOCOL_ERROR, |wire, stream| wire.write(DATA, PADDED, stream, &[9, 1])),
        ("HEADERS on a pushed stream", code::PROTOCOL_ERROR, |wire, _| wire.headers(2, &[(":status", "200")], true)),
        ("HEADERS that cannot be decoded", code::COMPRESSION_ERROR, |wire, stream| wire.write(HEADERS, END_HEADERS, stream, &[0xff; 20])),
        ("HEADERS beyond their padding", code::PROTOCOL_ERROR, |wire, stream| wire.write(HEADERS, END_HEADERS | PADDED, stream, &[9, 1])),
        ("CONTINUATION of nothing", code::PROTOCOL_ERROR, |wire, stream| wire.write(CONTINUATION, END_HEADERS, stream, b"")),
        ("a block that is interrupted", code::PROTOCOL_ERROR, |wire, stream| {
            wire.write(HEADERS, 0, stream, b"");
            wire.write(PING, 0, 0, &[0; 8]);
        }),
        ("PUSH_PROMISE", code::PROTOCOL_ERROR, |wire, stream| wire.write(5, END_HEADERS, stream, &[0, 0, 0, 2])),
        ("SETTINGS on a stream", code::PROTOCOL_ERROR, |wire, stream| wire.write(SETTINGS, 0, stream, b"")),
        ("SETTINGS of a wrong size", code::FRAME_SIZE_ERROR, |wire, _| wire.write(SETTINGS, 0, 0, &[0; 5])),
        ("SETTINGS acknowledged with payload", code::FRAME_SIZE_ERROR, |wire, _| wire.write(SETTINGS, ACK, 0, &[0; 6])),
        ("a window beyond all bounds", code::FLOW_CONTROL_ERROR, |wire, _| wire.settings(&[(4, 0x8000_0000)])),
        ("a frame size below the least", code::PROTOCOL_ERROR, |wire, _| wire.settings(&[(5, 100)])),
        ("push allowed by a server", code::PROTOCOL_ERROR, |wire, _| wire.settings(&[(2, 1)])),
        ("PING of a wrong size", code::FRAME_SIZE_ERROR, |wire, _| wire.write(PING, 0, 0, &[0; 7])),
        ("PING on a stream", code::PROTOCOL_ERROR, |wire, stream| wire.write(PING, 0, stream, &[0; 8])),
        ("GOAWAY on a stream", code::PROTOCOL_ERROR, |wire, stream| wire.write(GOAWAY, 0, stream, &[0; 8])),
        ("an empty WINDOW_UPDATE", code::PROTOCOL_ERROR, |wire, _| wire.write(WINDOW_UPDATE, 0, 0, &[0; 4])),
        ("a session window that overflows", code::FLOW_CONTROL_ERROR, |wire, _| {
            wire.write(WINDOW_UPDATE, 0, 0, &0x7fff_ffffu32.to_be_bytes());
        }),
        ("WINDOW_UPDATE of a wrong size", code::FRAME_SIZE_ERROR, |wire, _| wire.write(WINDOW_UPDATE, 0, 0, &[0; 3])),
        ("RST_STREAM on an idle stream", code::PROTOCOL_ERROR, |wire, stream| wire.write(RST_STREAM, 0, stream + 2, &[0; 4])),
        ("RST_STREAM of a wrong size", code::FRAME_SIZE_ERROR, |wire, stream| wire.write(RST_STREAM, 0, stream, &[0; 3])),
        ("a flood of PING", code::ENHANCE_YOUR_CALM, |wire, _| (0..5000).for_each(|_| wire.write(PING, 0, 0, &[0; 8]))),
        ("a flood of SETTINGS", code::ENHANCE_YOUR_CALM, |wire, _| (0..5000).for_each(|_| wire.settings(&[]))),
        ("a flood of unknown frames", code::ENHANCE_YOUR_CALM, |wire, _| (0..9000).for_each(|_| wire.write(99, 0, 0, b""))),
        ("a flood of empty DATA", code::ENHANCE_YOUR_CALM, |wire, stream| {
            wire.headers(stream, &[(":status", "200")], false);
            (0..9000).for_each(|_| wire.data(stream, b"", false));
        }),
        ("endless CONTINUATION", code::ENHANCE_YOUR_CALM, |wire, stream| {
            wire.write(HEADERS, 0, stream, b"");
            (0..100).for_each(|_| wire.write(CONTINUATION, 0, stream, &[0; 1000]));
        }),
    ];
    for (name, expected, offence) in offences {
        let (outcome, goodbye) = offended(*offence);
        let fault = outcome.fault.unwrap_or_else(|| panic!("{name}: {outcome:?}"));
        assert_eq!((fault.reason, fault.h2_code, fault.is_unsent), (Reason::BackendProtocolError, *expected, false), "{name}");
        // A peer that floods may see the reset before it reads GOAWAY.
        assert!(
            goodbye == Some(*expected) || *expected == code::ENHANCE_YOUR_CALM || *expected == code::FRAME_SIZE_ERROR,
            "{name}: {goodbye:?}"
        );
    }
}

#[test]
fn what_breaks_a_stream_costs_only_the_stream() {
    type Offence = (&'static str, u32, Reason, fn(&mut Wire, u32));
    let wrong = Reason::BackendProtocolError;
    let offences: &[Offence] = &[
        ("DATA before a head", code::PROTOCOL_ERROR, wrong, |wire, stream| wire.data(stream, b"x", false)),
        ("a head without a status", code::PROTOCOL_ERROR, wrong, |wire, stream| wire.headers(stream, &[("x", "y")], true)),
        ("101", code::PROTOCOL_ERROR, wrong, |wire, stream| wire.headers(stream, &[(":status", "101")], false)),
        ("a name in upper case", code::PROTOCOL_ERROR, wrong, |wire, stream| {
            wire.write(HEADERS, END_HEADERS, stream, b"\x88\x00\x01X\x01y");
        }),
        ("a field of the connection", code::PROTOCOL_ERROR, wrong, |wire, stream| {
            wire.headers(stream, &[(":status", "200"), ("connection", "close")], true);
        }),
        ("an interim response that ends", code::PROTOCOL_ERROR, wrong, |wire, stream| wire.headers(stream, &[(":status", "100")], true)),
        ("interim responses without end", code::PROTOCOL_ERROR, wrong, |wire, stream| {
            (0..50).for_each(|_| wire.headers(stream, &[(":status", "103")], false));
        }),
        ("trailers that do not end", code::PROTOCOL_ERROR, wrong, |wire, stream| {
            wire.headers(stream, &[(":status", "200")], false);
            wire.headers(stream, &[("x", "y")], false);
        }),
        ("pseudo-header fields in trailers", code::PROTOCOL_ERROR, wrong, |wire, stream| {
            wire.headers(stream, &[(":status", "200")], false);
            wire.headers(stream, &[(":status", "200")], true);
        }),
        ("a body of 204", code::PROTOCOL_ERROR, wrong, |wire, stream| {
            wire.headers(stream, &[(":status", "204")], false);
            wire.data(stream, b"x", true);
        }),
        ("too short a body", code::PROTOCOL_ERROR, Reason::ResponseLengthMismatch, |wire, stream| {
            wire.headers(stream, &[(":status", "200"), ("content-length", "3")], false);
            wire.data(stream, b"xy", true);
        }),
        ("too long a body", code::PROTOCOL_ERROR, Reason::ResponseLengthMismatch, |wire, stream| {
            wire.headers(stream, &[(":status", "200"), ("content-length", "3")], false);
            wire.data(stream, b"wxyz", false);
        }),
        ("no body where one was announced", code::PROTOCOL_ERROR, Reason::ResponseLengthMismatch, |wire, stream| {
            wire.headers(stream, &[(":status", "200"), ("content-length", "3")], true);
        }),
        ("trailers after too short a body", code::PROTOCOL_ERROR, Reason::ResponseLengthMismatch, |wire, stream| {
            wire.headers(stream, &[(":status", "200"), ("content-length", "3")], false);
            wire.headers(stream, &[("x", "y")], true);
        }),
        ("too large a head", code::CANCEL, Reason::BackendHeadTooLarge, |wire, stream| {
            wire.headers(stream, &[(":status", "200"), ("x", &"y".repeat(16_000)), ("z", &"y".repeat(300))], true);
        }),
        ("a stream window that overflows", code::FLOW_CONTROL_ERROR, wrong, |wire, stream| {
            wire.write(WINDOW_UPDATE, 0, stream, &0x7fff_ffffu32.to_be_bytes());
        }),
        ("an empty WINDOW_UPDATE", code::PROTOCOL_ERROR, wrong, |wire, stream| wire.write(WINDOW_UPDATE, 0, stream, &[0; 4])),
        ("PRIORITY of a wrong size", code::FRAME_SIZE_ERROR, wrong, |wire, stream| wire.write(2, 0, stream, &[0; 4])),
    ];
    for (name, expected, reason, offence) in offences {
        let (outcome, h2_code) = reset(*offence);
        let fault = outcome.fault.unwrap_or_else(|| panic!("{name}: {outcome:?}"));
        assert_eq!((h2_code, fault.h2_code, fault.reason), (*expected, *expected, *reason), "{name}");
    }
}

#[test]
fn more_data_than_the_window_is_refused() {
    let peer = Peer::serve_h2(1, |_, wire| {
        let (stream, _) = wire.request();
        wire.headers(stream, &[(":status", "200")], false);
        (0..5).for_each(|_| wire.data(stream, &[0; 16_000], false));
        assert_eq!(wire.reset(), Some((stream, code::FLOW_CONTROL_ERROR)));
    });
    let mut driver = Driver::new(vec![config(0, Scheme::H2c, peer.address)]);
    driver.sink.is_slow = true;
    assert_eq!(driver.fetch(0, "/").fault.unwrap().reason, Reason::BackendProtocolError);
    peer.join();
}

#[test]
fn frames_after_the_end_of_a_stream_end_the_session() {
    for offence in [
        |wire: &mut Wire, stream| wire.data(stream, b"more", false),
        |wire: &mut Wire, stream| {
            wire.headers(stream, &[(":status", "200")], true);
        },
    ] {
        let peer = Peer::serve_h2(1, move |_, wire| {
            let (stream, _) = wire.request();
            wire.answer(stream, b"all");
            offence(wire, stream);
            assert_eq!(wire.goodbye(), Some(code::STREAM_CLOSED));
        });
        let mut driver = Driver::new(vec![config(0, Scheme::H2c, peer.address)]);
        assert_eq!(driver.fetch(0, "/").body, b"all");
        driver.until("the session to end", |driver| driver.upstreams.stats[Stat::SessionsOpen] == 0);
        peer.join();
    }
}

#[test]
fn a_session_begins_with_settings_or_not_at_all() {
    let peer = Peer::serve(1, |_, stream| {
        let mut wire = Wire::new(stream);
        wire.read_preface();
        wire.write(PING, 0, 0, &[0; 8]);
        assert_eq!(wire.goodbye(), Some(code::PROTOCOL_ERROR));
    });
    let mut driver = Driver::new(vec![config(0, Scheme::H2c, peer.address)]);
    assert_eq!(driver.fetch(0, "/").fault.unwrap().reason, Reason::BackendProtocolError);
    peer.join();
}

#[test]
fn an_http_1_server_is_not_mistaken_for_http_2() {
    let peer = Peer::serve(1, |_, mut stream| {
        use std::io::Write;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").unwrap();
    });
    let mut driver = Driver::new(vec![config(0, Scheme::H2c, peer.address)]);
    let reason = driver.fetch(0, "/").fault.unwrap().reason;
    assert!(matches!(reason, Reason::BackendProtocolError | Reason::BackendClosed), "{reason:?}");
    peer.join();
}
