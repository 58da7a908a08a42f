//! Which attempt gets which session, which waits, and how sessions end.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::driver::{Driver, config};
use super::peer::*;
use crate::base::reason::Reason;
use crate::upstream::{Client, Scheme, Stat};

const SECOND: u64 = 1_000_000_000;

fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Answers everything, on any number of connections at once.
fn echo(connections: usize) -> Peer {
    Peer::serve(connections, |_, stream| {
        std::thread::spawn(move || {
            let mut wire = Wire::new(stream);
            wire.greet(&[]);
            while let Some(frame) = wire.next(HEADERS) {
                wire.answer(frame.stream, b"ok");
            }
        });
    })
}

#[test]
fn a_second_session_is_opened_only_when_the_first_is_full_and_the_rest_waits_in_order() {
    let peer = echo(2);
    let mut backend = config(0, Scheme::H2c, peer.address);
    (backend.limits.max_sessions, backend.limits.max_streams) = (2, 3);
    let mut driver = Driver::new(vec![backend]);
    driver.fetch(0, "/");
    assert_eq!(driver.upstreams.stats[Stat::ConnectsSucceeded], 1);
    let keys: Vec<_> = (0..10).map(|_| driver.get(0, "/")).collect();
    assert_eq!(driver.upstreams.stats[Stat::Waiting], 7);
    for key in &keys {
        assert_eq!(driver.finish(*key).body, b"ok");
    }
    assert_eq!(driver.upstreams.stats[Stat::ConnectsSucceeded], 2);
    assert_eq!((driver.upstreams.stats[Stat::Waiting], driver.upstreams.stats[Stat::StreamsOpen]), (0, 0));
    peer.join();
}

#[test]
fn how_long_a_pool_was_full_is_known() {
    let peer = echo(2);
    let mut backend = config(0, Scheme::H2c, peer.address);
    (backend.limits.max_sessions, backend.limits.max_streams) = (2, 1);
    let mut driver = Driver::new(vec![backend]);
    let full = |driver: &Driver| {
        let full = driver.upstreams.full_time(0, driver.now());
        (full.is_full, full.total / SECOND)
    };
    assert_eq!(driver.fetch(0, "/").body, b"ok");
    driver.skew += 5 * SECOND;
    assert_eq!(full(&driver), (false, 0), "there may be another session");
    let crate::upstream::Opened::Now(held) = driver.upstreams.open(0, 99, driver.client, false, driver.now()) else { panic!("no index") };
    assert_eq!(driver.fetch(0, "/").body, b"ok");
    driver.skew += 7 * SECOND;
    assert_eq!(full(&driver), (true, 7));
    driver.upstreams.release(held, 99);
    driver.skew += 61 * SECOND;
    driver.until("the idle sessions to end", |driver| driver.upstreams.stats[Stat::SessionsOpen] == 0);
    driver.skew += 3 * SECOND;
    assert_eq!((full(&driver), driver.upstreams.full_time(9, 0).total), ((false, 68), 0));
    peer.join();
}

#[test]
fn a_lower_limit_of_the_peer_is_obeyed() {
    let peer = Peer::serve(1, |_, stream| {
        let mut wire = Wire::new(stream);
        wire.greet(&[(3, 1)]);
        for _ in 0..3 {
            let (stream, _) = wire.request();
            wire.answer(stream, b"ok");
        }
        wire.drain();
    });
    let mut backend = config(0, Scheme::H2c, peer.address);
    backend.limits.max_sessions = 1;
    let mut driver = Driver::new(vec![backend]);
    driver.fetch(0, "/");
    let (first, second) = (driver.get(0, "/"), driver.get(0, "/"));
    assert_eq!(driver.upstreams.stats[Stat::Waiting], 1);
    assert_eq!((driver.finish(first).body, driver.finish(second).body), (b"ok".to_vec(), b"ok".to_vec()));
    drop(driver);
    peer.join();
}

#[test]
fn nobody_listening_fails_everybody_who_waits_as_unsent() {
    let mut driver = Driver::new(vec![config(0, Scheme::H2c, closed_port())]);
    let (first, second) = (driver.get(0, "/"), driver.get(0, "/"));
    for key in [first, second] {
        let fault = driver.finish(key).fault.unwrap();
        assert_eq!((fault.reason, fault.is_unsent), (Reason::ConnectFailed, true));
    }
    assert_eq!((driver.upstreams.stats[Stat::ConnectsFailed], driver.upstreams.stats[Stat::Waiting]), (1, 0));
    assert_eq!(driver.upstreams.stats[Stat::SessionsConnecting], 0);
}

#[test]
fn the_next_address_is_tried_when_one_does_not_answer() {
    let peer = echo(1);
    let mut backend = config(0, Scheme::H2c, peer.address);
    backend.addresses.insert(0, closed_port());
    let mut driver = Driver::new(vec![backend]);
    assert_eq!(driver.fetch(0, "/").body, b"ok");
    peer.join();
}

#[test]
fn an_address_that_swallows_everything_times_out() {
    // TEST-NET-1 (RFC 5737): no route, or no answer.
    let mut driver = Driver::new(vec![config(0, Scheme::H2c, "192.0.2.1:9".parse().unwrap())]);
    let key = driver.get(0, "/");
    driver.skew += 11 * SECOND;
    let fault = driver.finish(key).fault.unwrap();
    assert!(matches!(fault.reason, Reason::ConnectTimeout | Reason::ConnectFailed), "{fault:?}");
    assert!(fault.is_unsent);
}

#[test]
fn unknown_backends_and_names_without_address_are_told_apart() {
    let mut backend = config(1, Scheme::H2c, closed_port());
    backend.addresses.clear();
    let mut driver = Driver::new(vec![backend]);
    assert_eq!(driver.fetch(0, "/").fault.unwrap().reason, Reason::BackendNotAvailable);
    assert_eq!(driver.fetch(1, "/").fault.unwrap().reason, Reason::NameNotResolved);
}

#[test]
fn an_attempt_that_stops_waiting_is_forgotten() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut driver = Driver::new(vec![config(0, Scheme::Https, listener.local_addr().unwrap())]);
    let key = driver.get(0, "/");
    driver.idle(3);
    driver.cancel(0, key);
    assert_eq!(driver.upstreams.stats[Stat::Waiting], 0);
    driver.skew += 11 * SECOND;
    driver.until("the handshake to time out", |driver| driver.upstreams.stats[Stat::SessionsConnecting] == 0);
    assert!(driver.sink.outcomes[&key].fault.is_none());
}

#[test]
fn a_place_that_is_not_used_goes_to_the_next_in_the_queue() {
    let peer = echo(1);
    let mut backend = config(0, Scheme::H2c, peer.address);
    (backend.limits.max_sessions, backend.limits.max_streams) = (1, 1);
    let mut driver = Driver::new(vec![backend]);
    driver.fetch(0, "/");
    let crate::upstream::Opened::Now(session) = driver.upstreams.open(0, 99, driver.client, false, driver.now()) else {
        panic!("no index")
    };
    let key = driver.get(0, "/");
    assert_eq!(driver.upstreams.stats[Stat::Waiting], 1);
    driver.upstreams.release(session, 99);
    assert_eq!(driver.finish(key).body, b"ok");
    peer.join();
}

#[test]
fn a_place_goes_to_those_with_less_than_their_share_first_and_to_anybody_when_nobody_else_waits() {
    let peer = Peer::serve_h2(1, |_, wire| {
        let mut open: std::collections::VecDeque<u32> = (0..4).map(|_| wire.request().0).collect();
        for _ in 0..6 {
            let first = open.pop_front().unwrap();
            wire.answer(first, b"ok");
            open.push_back(wire.request().0);
        }
        open.into_iter().for_each(|stream| wire.answer(stream, b"ok"));
        wire.drain();
    });
    let mut backend = config(0, Scheme::H2c, peer.address);
    (backend.limits.max_sessions, backend.limits.max_streams) = (1, 4);
    let mut driver = Driver::new(vec![backend]);
    let ask = |driver: &mut Driver, network, connection| {
        driver.client = Client { network, connection };
        driver.get(0, "/")
    };
    // While none waits one connection takes all; then its own attempts wait, and others behind
    // them.
    let all: Vec<_> = (0..4).map(|_| ask(&mut driver, 1, 1)).collect();
    driver.until("the streams", |driver| driver.streams.len() == 4);
    let own: Vec<_> = (0..3).map(|_| ask(&mut driver, 1, 1)).collect();
    let neighbour = ask(&mut driver, 1, 2);
    let others = [ask(&mut driver, 2, 3), ask(&mut driver, 2, 3)];
    for key in all.iter().chain(&own).chain([&neighbour]).chain(&others) {
        driver.finish(*key);
    }
    let mut order: Vec<_> = own.iter().chain([&neighbour]).chain(&others).copied().collect();
    order.sort_by_key(|key| driver.streams[key].id);
    assert_eq!(order, [others[0], neighbour, others[1], own[0], own[1], own[2]]);
    drop(driver);
    peer.join();
}

const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;

/// Sends requests one after another, on behalf of these connections; the backend resets them with
/// these codes, 0 for a response. It does so on every session.
fn reset_by_script(script: &'static [(u64, u32)]) -> Driver {
    let peer = Peer::serve(2, move |_, stream| {
        std::thread::spawn(move || {
            let mut wire = Wire::new(stream);
            wire.greet(&[]);
            while let Some(frame) = wire.next(HEADERS) {
                let index = script.len().min((frame.stream / 2) as usize);
                match script.get(index).map_or(0, |step| step.1) {
                    0 => wire.answer(frame.stream, b"ok"),
                    code => wire.write(RST_STREAM, 0, frame.stream, &code.to_be_bytes()),
                }
            }
        });
    });
    let mut driver = Driver::new(vec![config(0, Scheme::H2c, peer.address)]);
    for (connection, _) in script {
        driver.client = Client { network: 1, connection: *connection };
        driver.fetch(0, "/");
    }
    driver
}

#[test]
fn a_session_is_replaced_after_five_resets_in_a_row_for_more_than_one_client_and_not_otherwise() {
    const FIVE: [(u64, u32); 5] = [(1, INTERNAL_ERROR), (1, INTERNAL_ERROR), (2, INTERNAL_ERROR), (1, INTERNAL_ERROR), (1, INTERNAL_ERROR)];
    const OF_ONE: [(u64, u32); 9] = [(1, INTERNAL_ERROR); 9];
    const REFUSED: [(u64, u32); 6] =
        [(1, REFUSED_STREAM), (2, REFUSED_STREAM), (1, REFUSED_STREAM), (2, REFUSED_STREAM), (1, REFUSED_STREAM), (2, REFUSED_STREAM)];
    const ANSWERED: [(u64, u32); 8] = [
        (1, INTERNAL_ERROR),
        (2, INTERNAL_ERROR),
        (1, INTERNAL_ERROR),
        (2, INTERNAL_ERROR),
        (1, 0),
        (1, INTERNAL_ERROR),
        (2, INTERNAL_ERROR),
        (1, INTERNAL_ERROR),
    ];
    let renewed = |script| reset_by_script(script).upstreams.stats[Stat::SessionsRenewed];
    assert_eq!((renewed(&FIVE), renewed(&FIVE[1..])), (1, 0));
    assert_eq!((renewed(&OF_ONE), renewed(&REFUSED), renewed(&ANSWERED)), (0, 0, 0));
}

/// A backend that resets every request but `/ok` and, once released, `/hold`.
fn resetting(connections: usize, is_released: &Arc<AtomicBool>) -> Peer {
    let is_released = is_released.clone();
    Peer::serve(connections, move |_, stream| {
        let is_released = is_released.clone();
        std::thread::spawn(move || {
            let later = stream.try_clone().unwrap();
            let mut wire = Wire::new(stream);
            wire.greet(&[]);
            while let Some((stream, fields)) = wire.try_request() {
                match fields.iter().find(|(name, _)| name == ":path").map(|(_, path)| path.as_str()) {
                    Some("/hold") => {
                        let (mut later, is_released) = (later.try_clone().unwrap(), is_released.clone());
                        std::thread::spawn(move || {
                            while !is_released.load(Relaxed) {
                                std::thread::sleep(std::time::Duration::from_millis(1));
                            }
                            // `:status: 200` as an index (RFC 7541 appendix A).
                            let answer = [frame(HEADERS, END_HEADERS, stream, &[0x88]), frame(DATA, END_STREAM, stream, b"ok")].concat();
                            let _ = later.write_all(&answer);
                        });
                    }
                    Some("/ok") => wire.answer(stream, b"ok"),
                    _ => wire.write(RST_STREAM, 0, stream, &INTERNAL_ERROR.to_be_bytes()),
                }
            }
        });
    })
}

/// Makes requests that are reset, from two connections in turn.
fn be_reset(driver: &mut Driver, count: u64) {
    for n in 0..count {
        driver.client = Client { network: 1, connection: n % 2 };
        assert_eq!(driver.fetch(0, "/").fault.unwrap().h2_code, INTERNAL_ERROR);
    }
}

#[test]
fn a_backend_that_resets_everything_has_one_session_replaced_a_second() {
    let peer = resetting(3, &Arc::default());
    let mut driver = Driver::new(vec![config(0, Scheme::H2c, peer.address)]);
    be_reset(&mut driver, 20);
    driver.until("the first to end", |driver| driver.upstreams.stats[Stat::SessionsOpen] == 1);
    assert_eq!((driver.upstreams.stats[Stat::SessionsRenewed], driver.upstreams.stats[Stat::ConnectsSucceeded]), (1, 2));
    driver.skew += SECOND;
    be_reset(&mut driver, 5);
    driver.until("the second to end", |driver| {
        driver.upstreams.stats[Stat::ConnectsSucceeded] == 3 && driver.upstreams.stats[Stat::SessionsOpen] == 1
    });
    assert_eq!(driver.upstreams.stats[Stat::SessionsRenewed], 2);
    peer.join();
}

#[test]
fn a_sick_session_carries_its_other_streams_to_their_end_and_leaves_when_its_successor_is_there() {
    let is_released = Arc::default();
    let peer = resetting(2, &is_released);
    let mut backend = config(0, Scheme::H2c, peer.address);
    backend.limits.max_sessions = 1;
    let mut driver = Driver::new(vec![backend]);
    let held = driver.get(0, "/hold");
    driver.until("the stream", |driver| driver.streams.len() == 1);
    be_reset(&mut driver, 5);
    assert_eq!(driver.fetch(0, "/ok").body, b"ok");
    assert_eq!((driver.upstreams.stats[Stat::ConnectsSucceeded], driver.upstreams.stats[Stat::SessionsOpen]), (2, 2));
    assert_ne!(driver.streams[&held].session, driver.streams[&driver.last()].session);
    is_released.store(true, Relaxed);
    assert_eq!(driver.finish(held).body, b"ok");
    driver.until("the old session to end", |driver| driver.upstreams.stats[Stat::SessionsOpen] == 1);
    peer.join();
}

#[test]
fn a_sick_session_goes_on_where_no_other_can_be_opened() {
    let peer = resetting(1, &Arc::default());
    let mut driver = Driver::new(vec![config(0, Scheme::H2c, peer.address)]);
    driver.fetch(0, "/ok");
    let mut moved = config(0, Scheme::H2c, peer.address);
    moved.addresses = vec![closed_port()];
    driver.upstreams.apply(vec![moved]);
    be_reset(&mut driver, 5);
    driver.until("the failure to connect", |driver| driver.upstreams.stats[Stat::ConnectsFailed] == 1);
    assert_eq!(driver.fetch(0, "/ok").body, b"ok");
    assert_eq!((driver.upstreams.stats[Stat::SessionsOpen], driver.upstreams.stats[Stat::SessionsRenewed]), (1, 1));
    drop(driver);
    peer.join();
}

#[test]
fn idle_sessions_end_and_old_ones_take_no_more_streams() {
    let peer = echo(3);
    let mut backend = config(0, Scheme::H2c, peer.address);
    (backend.limits.idle_timeout_ms, backend.limits.max_age_ms) = (10_000, 60_000);
    let mut driver = Driver::new(vec![backend]);
    driver.fetch(0, "/");
    driver.skew += 9 * SECOND;
    driver.idle(2);
    assert_eq!(driver.upstreams.stats[Stat::SessionsOpen], 1);
    driver.skew += 2 * SECOND;
    driver.until("the idle session to end", |driver| driver.upstreams.stats[Stat::SessionsOpen] == 0);
    for _ in 0..5 {
        driver.fetch(0, "/");
        driver.skew += 9 * SECOND;
        driver.idle(1);
    }
    assert_eq!(driver.upstreams.stats[Stat::ConnectsSucceeded], 2);
    for _ in 0..3 {
        driver.skew += 9 * SECOND;
        driver.idle(1);
        driver.fetch(0, "/");
    }
    assert_eq!(driver.upstreams.stats[Stat::ConnectsSucceeded], 3, "the old session was retired");
    peer.join();
}

#[test]
fn a_backend_that_became_another_gets_new_sessions_and_one_that_only_moved_keeps_them() {
    let (first, second) = (echo(1), echo(1));
    let mut driver = Driver::new(vec![config(0, Scheme::H2c, first.address)]);
    driver.fetch(0, "/");
    let mut moved = config(0, Scheme::H2c, first.address);
    moved.addresses = vec![second.address];
    driver.upstreams.apply(vec![moved]);
    driver.idle(2);
    assert_eq!(driver.fetch(0, "/").body, b"ok");
    assert_eq!(driver.upstreams.stats[Stat::ConnectsSucceeded], 1);
    driver.upstreams.apply(vec![config(0, Scheme::H2c, second.address)]);
    driver.until("the old session to end", |driver| driver.upstreams.stats[Stat::SessionsOpen] == 0);
    assert_eq!(driver.fetch(0, "/").body, b"ok");
    assert_eq!(driver.upstreams.stats[Stat::ConnectsSucceeded], 2);
    assert!(driver.upstreams.describe(driver.now()).starts_with("[{\"slot\":0,\"scheme\":\"h2c\""));
    first.join();
    second.join();
}

#[test]
fn streams_that_run_when_their_backend_vanishes_are_finished() {
    let peer = Peer::serve_h2(1, |_, wire| {
        let (stream, _) = wire.request();
        wire.headers(stream, &[(":status", "200")], false);
        std::thread::sleep(std::time::Duration::from_millis(50));
        wire.data(stream, b"all", true);
        assert_eq!(wire.goodbye(), Some(0));
    });
    let mut driver = Driver::new(vec![config(0, Scheme::H2c, peer.address)]);
    let key = driver.get(0, "/");
    driver.until("a head", |driver| driver.sink.outcomes[&key].status.is_some());
    driver.upstreams.apply(vec![]);
    assert_eq!(driver.finish(key).body, b"all");
    driver.until("the session to end", |driver| driver.upstreams.stats[Stat::SessionsOpen] == 0);
    assert_eq!(driver.upstreams.describe(0), "[]");
    peer.join();
}

#[test]
fn a_backend_that_dies_fails_what_it_had_and_the_next_request_connects_anew() {
    let peer = Peer::serve_h2(2, |number, wire| {
        let (stream, _) = wire.request();
        if number == 1 {
            wire.answer(stream, b"ok");
            wire.drain();
        }
    });
    let mut driver = Driver::new(vec![config(0, Scheme::H2c, peer.address)]);
    let fault = driver.fetch(0, "/").fault.unwrap();
    assert_eq!((fault.reason, fault.is_unsent), (Reason::BackendClosed, false));
    assert_eq!(driver.fetch(0, "/").body, b"ok");
    drop(driver);
    peer.join();
}

#[test]
fn a_body_goes_where_the_session_has_credit_and_what_has_none_where_there_is_room() {
    let peer = Peer::serve(2, |number, stream| {
        std::thread::spawn(move || {
            let mut wire = Wire::new(stream);
            wire.greet(&[]);
            // The first upload gets no credit; every complete request is answered.
            while let Some(frame) = wire.read() {
                if matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0 {
                    wire.answer(frame.stream, number.to_string().as_bytes());
                }
            }
        });
    });
    let mut driver = Driver::new(vec![config(0, Scheme::H2c, peer.address)]);
    let stuck = driver.request(0, "POST", "/", &[], Some(vec![7; 100_000]));
    driver.until("the session's window to be used up", |driver| {
        driver.streams.get(&stuck).is_some_and(|s| driver.upstreams.body_room(*s) == 0)
    });
    assert_eq!(driver.fetch(0, "/").body, b"0", "a request without a body needs no credit");
    let second = driver.request(0, "POST", "/", &[], Some(vec![7; 10]));
    assert_eq!(driver.finish(second).body, b"1");
    let third = driver.request(0, "POST", "/", &[], Some(vec![7; 10]));
    assert_eq!(driver.finish(third).body, b"1");
    drop(driver);
    peer.join();
}

#[test]
fn a_body_takes_what_room_there_is_where_no_session_can_be_added() {
    let peer = Peer::serve_h2(1, |_, wire| {
        let (first, _) = wire.request();
        let (second, _) = wire.request();
        wire.write(WINDOW_UPDATE, 0, 0, &100_000u32.to_be_bytes());
        wire.answer(second, b"second");
        wire.answer(first, b"first");
        wire.drain();
    });
    let mut backend = config(0, Scheme::H2c, peer.address);
    backend.limits.max_sessions = 1;
    let mut driver = Driver::new(vec![backend]);
    let stuck = driver.request(0, "POST", "/", &[], Some(vec![7; 100_000]));
    driver.until("the session's window to be used up", |driver| {
        driver.streams.get(&stuck).is_some_and(|s| driver.upstreams.body_room(*s) == 0)
    });
    let second = driver.request(0, "POST", "/", &[], Some(vec![7; 10]));
    assert_eq!((driver.finish(second).body, driver.finish(stuck).body), (b"second".to_vec(), b"first".to_vec()));
    assert_eq!(driver.upstreams.stats[Stat::ConnectsSucceeded], 1);
    drop(driver);
    peer.join();
}
