//! What is given up because nothing happens.

use crate::support::client::{Client, socket};
use crate::support::lane::{Verdict, forward};
use crate::support::{Bed, Kind, Request, Setup};
use lychgate_core::base::counters::{Closed, Handshake, Id};
use lychgate_core::base::reason::Reason;
use lychgate_core::http::error::h2;
use lychgate_core::record::inward::Forward;
use lychgate_core::record::layout::{
    COMPLETED_FROM_EDGE, FAILED_HELD, FAILED_OTHER_RUNS, FAILED_UNSENT, FAILED_WAITED, FORWARD_TELL_DEADLINE, FORWARD_TELL_FAILURES,
};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

#[test]
fn a_silent_connection_is_closed_after_the_idle_timeout_and_counted() {
    let mut bed = Bed::with(Setup { idle_timeout_ms: 300, ..Setup::default() });
    let client = bed.connect(Kind::Http3);
    bed.get(client, "/");
    bed.clients[client].is_silent = true;
    bed.until("the connection's end", |bed| bed.shard().reactor.relay.connections.is_empty());
    assert_eq!(bed.shard().count_of(Id::ConnectionsClosed, Closed::Idle as usize), 1);
    assert_eq!(bed.shard().count(Id::ConnectionsOpen), 0);
}

#[test]
fn a_handshake_that_stalls_is_given_up_and_counted() {
    let mut bed = Bed::with(Setup { handshake_timeout_ms: 200, ..Setup::default() });
    let mut client = Client::new(Kind::Bare, bed.address, socket(), 1 << 20);
    client.drive();
    bed.until("the connection", |bed| bed.shard().reactor.relay.connections.len() == 1);
    bed.until("its end", |bed| bed.shard().reactor.relay.connections.is_empty());
    assert_eq!(bed.shard().count_of(Id::Handshakes, Handshake::TimedOut as usize), 1);
    assert_eq!(bed.shard().count_of(Id::Handshakes, Handshake::Completed as usize), 0);
}

#[test]
fn a_head_that_never_becomes_whole_is_answered_with_408() {
    let mut bed = Bed::with(Setup { handshake_timeout_ms: 200, ..Setup::default() });
    let client = bed.connect(Kind::Raw);
    let stream = bed.clients[client].open(&[1, 40, 0, 0], false);
    let answer = bed.finish(client, stream);
    assert_eq!(answer.status, 408);
    assert_eq!(bed.send(client, &crate::support::wire::headers(&crate::support::wire::GET)).status, 200);
}

fn ends_with(change: fn(&mut Forward), path: &str, reason: Reason, setup: Setup) {
    let mut bed = Bed::with(setup);
    bed.shard().lane.on_head = Box::new(move |_| {
        let mut forward = forward();
        forward.flags = 0;
        change(&mut forward);
        Verdict::Forward(forward)
    });
    let client = bed.connect(Kind::Http3);
    let answer = bed.fetch(client, Request { path, ..Request::default() });
    assert_eq!(answer.status, reason.status(), "{reason:?}");
    bed.until("the completion", |bed| !bed.shard().lane.completions.is_empty());
    assert_eq!(bed.shard().lane.completions[0].reason, reason.number());
}

#[test]
fn a_backend_that_does_not_answer_in_time_is_given_up_with_504() {
    ends_with(|forward| forward.head_timeout_ms = 150, "/hold", Reason::HeadTimeout, Setup::default());
}

#[test]
fn an_exchange_that_lasts_too_long_is_answered_with_504() {
    ends_with(|forward| forward.exchange_timeout_ms = 150, "/hold", Reason::ExchangeTimeout, Setup::default());
}

#[test]
fn a_backend_that_refuses_connections_is_answered_for_with_502() {
    ends_with(|_| {}, "/", Reason::ConnectFailed, Setup { has_dead_backend: true, ..Setup::default() });
}

#[test]
fn a_response_that_falls_silent_is_reset() {
    let mut bed = Bed::new();
    bed.shard().lane.on_head = Box::new(|_| Verdict::Forward(Forward { idle_timeout_ms: 1_000, ..forward() }));
    let client = bed.connect(Kind::Http3);
    let stream = bed.clients[client].get("/drip");
    bed.until("the beginning", |bed| bed.clients[client].streams[&stream].body.len() == 5);
    bed.rest(Duration::from_millis(500));
    assert!(!bed.clients[client].streams[&stream].is_over());
    assert_eq!(bed.finish(client, stream).reset, Some(0x102));
    bed.until("the completion", |bed| !bed.shard().lane.completions.is_empty());
    assert_eq!(bed.shard().lane.completions[0].reason, Reason::IdleTimeout.number());
}

#[test]
fn an_idle_timeout_below_a_second_is_what_it_says() {
    // The machine may be busy with something else: one of many is in time, and has its beginning.
    let is_in_time = (0..20).any(|_| {
        let mut bed = Bed::new();
        bed.shard().lane.on_head = Box::new(|_| Verdict::Forward(Forward { idle_timeout_ms: 150, ..forward() }));
        let client = bed.connect(Kind::Http3);
        let began = Instant::now();
        let stream = bed.clients[client].get("/drip");
        bed.finish(client, stream).reset == Some(0x102) && began.elapsed() < Duration::from_millis(900)
    });
    assert!(is_in_time, "none of twenty ended within a second");
}

/// The milliseconds after which an attempt of a request to `/hold` was given up, and why.
fn given_up(change: fn(&mut Forward)) -> (u32, u32) {
    let mut bed = Bed::with(Setup { has_others: true, ..Setup::default() });
    bed.shard().lane.on_head = Box::new(move |_| {
        let mut forward = forward();
        change(&mut forward);
        Verdict::Forward(forward)
    });
    let client = bed.connect(Kind::Http3);
    bed.get(client, "/hold");
    let failure = bed.shard().lane.failures[0];
    (failure.took_us / 1_000, failure.reason)
}

#[test]
fn short_timeouts_strike_in_time() {
    type Case = (fn(&mut Forward), u32, Reason);
    let cases: [Case; 6] = [
        (|forward| forward.attempt_timeout_ms = 3, 3, Reason::AttemptTimeout),
        (|forward| forward.attempt_timeout_ms = 33, 33, Reason::AttemptTimeout),
        (|forward| forward.head_timeout_ms = 7, 7, Reason::HeadTimeout),
        (|forward| (forward.head_timeout_ms, forward.attempt_timeout_ms) = (90, 50), 50, Reason::AttemptTimeout),
        (|forward| (forward.backend, forward.connect_timeout_ms) = (3, 25), 25, Reason::ConnectTimeout),
        (|forward| (forward.backend, forward.attempt_timeout_ms) = (3, 25), 25, Reason::AttemptTimeout),
    ];
    for (change, expected_ms, reason) in cases {
        // The machine may be busy with something else: the best of a few.
        let best = (0..5).map(|_| given_up(change)).min_by_key(|given_up| given_up.0).unwrap();
        assert_eq!(best.1, reason.number());
        assert!((expected_ms..=expected_ms + 3).contains(&best.0), "{best:?} instead of {expected_ms}");
    }
}

/// A bed whose only place is taken by a request to `/hold`.
fn full() -> (Bed, usize, u64) {
    let mut bed = Bed::with(Setup { max_sessions: 1, max_streams: 1, ..Setup::default() });
    let client = bed.connect(Kind::Http3);
    let stream = bed.clients[client].get("/hold");
    bed.until("the origin to have it", |bed| bed.origin.notes.open.load(Relaxed) == 1);
    (bed, client, stream)
}

#[test]
fn an_attempt_waits_for_a_place_as_long_as_places_are_waited_for_however_short_the_connect_timeout() {
    for (attempt_timeout_ms, place_timeout_ms) in [(0, 80), (80, 10_000)] {
        let (mut bed, client, held) = full();
        bed.shard().lane.on_head =
            Box::new(move |_| Verdict::Forward(Forward { connect_timeout_ms: 5, place_timeout_ms, attempt_timeout_ms, ..forward() }));
        assert_eq!(bed.get(client, "/").status, 502);
        let failure = bed.shard().lane.failures[0];
        assert_eq!((failure.reason, failure.flags & FAILED_UNSENT), (Reason::SessionsExhausted.number(), FAILED_UNSENT));
        assert!(failure.took_us >= 80_000, "{}", failure.took_us);
        bed.clients[client].stop(held, 0x10c);
    }
    let (mut bed, client, held) = full();
    bed.shard().lane.on_head = Box::new(|_| Verdict::Forward(Forward { connect_timeout_ms: 5, place_timeout_ms: 10_000, ..forward() }));
    let stream = bed.clients[client].get("/");
    bed.rest(Duration::from_millis(100));
    bed.clients[client].stop(held, 0x10c);
    assert_eq!(bed.finish(client, stream).body, b"hello");
}

#[test]
fn who_waited_in_vain_is_told_to_come_back_by_the_reactor_too() {
    let (mut bed, client, held) = full();
    bed.shard().lane.on_head = Box::new(|_| Verdict::Forward(Forward { flags: 0, place_timeout_ms: 20, ..forward() }));
    let answer = bed.get(client, "/");
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    bed.clients[client].stop(held, 0x10c);
}

#[test]
fn while_a_session_is_on_its_way_the_place_timeout_does_not_run() {
    let (took_ms, reason) = given_up(|forward| (forward.backend, forward.place_timeout_ms, forward.connect_timeout_ms) = (3, 5, 80));
    assert_eq!(reason, Reason::ConnectTimeout.number());
    assert!(took_ms >= 80, "{took_ms}");
}

#[test]
fn an_upload_without_an_answer_is_given_up_when_the_attempt_has_taken_too_long() {
    let mut bed = Bed::new();
    bed.shard().lane.on_head = Box::new(|_| Verdict::Forward(Forward { attempt_timeout_ms: 60, ..forward() }));
    let client = bed.connect(Kind::Http3);
    let request = Request { method: "POST", path: "/hold", body: vec![7; 100_000], is_unfinished: true, ..Request::default() };
    assert_eq!(bed.fetch(client, request).status, 502);
    let failure = bed.shard().lane.failures[0];
    assert_eq!((failure.reason, failure.flags), (Reason::AttemptTimeout.number(), 0), "sent, not idempotent, not whole any more");
}

#[test]
fn a_client_that_only_listens_is_kept_while_its_request_is_open_and_no_longer() {
    let mut bed = Bed::with(Setup { idle_timeout_ms: 1_500, keep_alive_ms: 200, ..Setup::default() });
    let client = bed.connect(Kind::Http3);
    let stream = bed.clients[client].get("/late");
    bed.rest(Duration::from_millis(3_500));
    bed.origin.notes.is_released.store(true, Relaxed);
    assert_eq!(bed.finish(client, stream).status, 200);
    bed.until("the connection's end", |bed| bed.shard().reactor.relay.connections.is_empty());
    assert_eq!(bed.shard().count_of(Id::ConnectionsClosed, Closed::Idle as usize), 1);
}

#[test]
fn a_client_that_only_listens_is_lost_where_nothing_keeps_it() {
    let mut bed = Bed::with(Setup { idle_timeout_ms: 400, keep_alive_ms: 0, ..Setup::default() });
    let client = bed.connect(Kind::Http3);
    bed.clients[client].get("/hold");
    bed.until("the completion", |bed| !bed.shard().lane.completions.is_empty());
    assert_eq!(bed.shard().lane.completions[0].reason, Reason::ClientGone.number());
    assert_eq!(bed.shard().count_of(Id::ConnectionsClosed, Closed::Idle as usize), 1);
}

#[test]
fn the_keep_alive_fits_the_idle_timeout_of_either_side() {
    let mut bed = Bed::with(Setup { idle_timeout_ms: 2_000, keep_alive_ms: 10_000, ..Setup::default() });
    let client = bed.connect(Kind::Http3);
    let stream = bed.clients[client].get("/late");
    bed.rest(Duration::from_millis(4_000));
    bed.origin.notes.is_released.store(true, Relaxed);
    assert_eq!(bed.finish(client, stream).status, 200);

    let mut bed = Bed::new();
    let client = Client::with_idle_timeout(Kind::Http3, bed.address, socket(), 2_000);
    let client = bed.adopt(client);
    let stream = bed.clients[client].get("/late");
    bed.rest(Duration::from_millis(3_500));
    bed.origin.notes.is_released.store(true, Relaxed);
    assert_eq!(bed.finish(client, stream).status, 200);
}

#[test]
fn a_client_that_is_gone_is_given_up_though_it_is_asked_for_a_sign_of_life() {
    let mut bed = Bed::with(Setup { idle_timeout_ms: 400, keep_alive_ms: 100, ..Setup::default() });
    let client = bed.connect(Kind::Http3);
    bed.clients[client].get("/hold");
    bed.until("the request", |bed| bed.origin.notes.requests.load(Relaxed) == 1);
    bed.clients[client].is_silent = true;
    bed.until("the connection's end", |bed| bed.shard().reactor.relay.connections.is_empty());
    assert_eq!(bed.shard().count_of(Id::ConnectionsClosed, Closed::Idle as usize), 1);
}

/// A bed whose lane has an answer for the end of an exchange's time, and says so with every
/// forward.
fn asking(change: fn(&mut Forward)) -> Bed {
    let mut bed = Bed::new();
    bed.shard().lane.on_head = Box::new(move |_| {
        let mut forward = Forward { flags: FORWARD_TELL_FAILURES | FORWARD_TELL_DEADLINE, ..forward() };
        change(&mut forward);
        Verdict::Forward(forward)
    });
    bed.shard().lane.on_failure = Box::new(|failure| Verdict::Respond(203, failure.reason, "instead"));
    bed
}

#[test]
fn at_the_end_of_its_time_the_lane_is_asked_for_another_answer_where_it_has_one() {
    for reason in [Reason::ExchangeTimeout, Reason::IdleTimeout] {
        let mut bed = match reason {
            Reason::ExchangeTimeout => asking(|forward| forward.exchange_timeout_ms = 150),
            _ => asking(|forward| forward.idle_timeout_ms = 150),
        };
        let client = bed.connect(Kind::Http3);
        let answer = bed.get(client, "/hold");
        assert_eq!((answer.status, &answer.body[..]), (203, &b"instead"[..]), "{reason:?}");
        bed.until("the attempt to be taken back", |bed| *bed.origin.notes.resets.lock().unwrap() == [h2::CANCEL]);
        bed.until("the completion", |bed| !bed.shard().lane.completions.is_empty());
        let lane = &bed.shard().lane;
        assert_eq!((lane.failures.len(), lane.failures[0].reason), (1, reason.number()));
        assert_eq!((lane.completions[0].status, lane.completions[0].flags & COMPLETED_FROM_EDGE), (203, COMPLETED_FROM_EDGE));
        assert_eq!(bed.in_flight(), 0);
    }
}

#[test]
fn a_further_attempt_that_is_waited_for_ends_with_the_exchange_and_the_lane_is_asked_then_too() {
    let mut bed = asking(|forward| forward.exchange_timeout_ms = 200);
    bed.shard().lane.on_failure = Box::new(|failure| match failure.flags & FAILED_WAITED {
        0 => Verdict::Wait(60_000, failure.reason),
        _ => Verdict::Respond(203, failure.reason, "instead"),
    });
    let client = bed.connect(Kind::Http3);
    let answer = bed.get(client, "/reset/2");
    assert_eq!((answer.status, &answer.body[..]), (203, &b"instead"[..]));
    let failures = &bed.shard().lane.failures;
    let told: Vec<_> = failures.iter().map(|failure| (failure.reason, failure.flags & (FAILED_WAITED | FAILED_HELD))).collect();
    assert_eq!(told, [(Reason::BackendReset.number(), 0), (Reason::ExchangeTimeout.number(), FAILED_WAITED)]);
}

#[test]
fn of_a_failure_that_comes_with_the_end_of_its_exchange_the_lane_learns_and_decides_nothing() {
    let mut bed = asking(|forward| (forward.exchange_timeout_ms, forward.flags) = (600, FORWARD_TELL_FAILURES));
    bed.shard().lane.on_failure = Box::new(|failure| panic!("asked about {failure:?}"));
    bed.origin.notes.refusals.store(1, Relaxed);
    let client = bed.connect(Kind::Http3);
    let stream = bed.clients[client].get("/late-reset/2");
    bed.until("the attempt", |bed| bed.origin.notes.requests.load(Relaxed) == 1);
    // The reset is there, and the time over, when the next turn begins.
    bed.origin.notes.is_released.store(true, Relaxed);
    while bed.origin.notes.refusals.load(Relaxed) > 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(bed.finish(client, stream).status, 504);
    bed.until("the completion", |bed| !bed.shard().lane.completions.is_empty());
    let lane = &bed.shard().lane;
    let told: Vec<_> = lane.failures.iter().map(|failure| (failure.reason, failure.flags & FAILED_OTHER_RUNS)).collect();
    assert_eq!(told, [(Reason::BackendReset.number(), FAILED_OTHER_RUNS)]);
    assert_eq!(lane.completions[0].reason, Reason::ExchangeTimeout.number());
}

#[test]
fn of_a_response_that_has_begun_nobody_is_asked_when_its_time_is_over() {
    let mut bed = asking(|forward| forward.exchange_timeout_ms = 300);
    let client = bed.connect(Kind::Http3);
    let stream = bed.clients[client].get("/drip");
    assert_eq!(bed.finish(client, stream).reset, Some(0x102));
    bed.until("the completion", |bed| !bed.shard().lane.completions.is_empty());
    assert_eq!(bed.shard().lane.completions[0].reason, Reason::ExchangeTimeout.number());
    assert!(bed.shard().lane.failures.is_empty());
}

#[test]
fn an_answer_in_the_place_of_what_came_too_late_has_a_time_of_its_own() {
    let mut bed = asking(|forward| forward.exchange_timeout_ms = 100);
    let body: &'static str = Box::leak("x".repeat(12_000).into_boxed_str());
    bed.shard().lane.on_failure = Box::new(move |failure| Verdict::Respond(203, failure.reason, body));
    let client = bed.connect_from(Kind::Http3, socket(), 1_000);
    bed.clients[client].is_reading = false;
    let stream = bed.clients[client].get("/hold");
    bed.until("the question", |bed| bed.shard().lane.failures.len() == 1);
    bed.rest(Duration::from_millis(400));
    bed.clients[client].is_reading = true;
    let answer = bed.finish(client, stream);
    assert_eq!((answer.status, answer.reset, answer.body.len()), (203, None, 12_000));
}
