//! The lane has exchanges wait, and is asked again when their time has come or somebody wakes them.

use crate::support::lane::{Head, TAG, Verdict, WAIT_TAG, forward};
use crate::support::origin::patterned;
use crate::support::{Bed, Kind, Request};
use lychgate_core::base::counters::Id;
use lychgate_core::base::reason::Reason;

use lychgate_core::record::inward::{Forward, SAME_TIMEOUT, Tag};
use lychgate_core::record::layout::{
    COMPLETED_BY_CLIENT, COMPLETED_WAITING, FAILED_OTHER_RUNS, FAILED_REPLAYABLE, FAILED_WAITED, HEAD_WAITED,
};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

const LONG_MS: u32 = 60_000;

/// A lane that has every head wait once.
fn once(wait_ms: u32) -> Box<dyn FnMut(&Head) -> Verdict> {
    Box::new(move |head| match head.flags & HEAD_WAITED {
        0 => Verdict::Wait(wait_ms, Reason::QueueTimeout.number()),
        _ => Verdict::Forward(forward()),
    })
}

fn is_waiting(bed: &mut Bed) -> bool {
    bed.shard().reactor.relay.exchanges.iter().any(|(_, exchange)| exchange.state().is_waiting())
}

/// A GET that waits; its stream.
fn waiting(bed: &mut Bed, client: usize, wait_ms: u32) -> u64 {
    bed.shard().lane.on_head = once(wait_ms);
    let stream = bed.clients[client].get("/");
    bed.until("the wait", is_waiting);
    stream
}

#[test]
fn a_head_that_waits_is_offered_again_when_its_time_has_come() {
    for wait_ms in [0, 5, 60] {
        let mut bed = Bed::new();
        let client = bed.connect(Kind::Http3);
        let began = Instant::now();
        let stream = waiting(&mut bed, client, wait_ms);
        assert_eq!(bed.finish(client, stream).body, b"hello");
        let whole_ms = began.elapsed().as_millis() as u32;
        let heads = bed.shard().lane.heads.clone();
        assert_eq!((heads.len(), heads[0].tag, heads[1].tag), (2, Tag::NONE, WAIT_TAG));
        assert_eq!((heads[0].flags & HEAD_WAITED, heads[1].flags & HEAD_WAITED), (0, HEAD_WAITED));
        let age_ms = heads[1].age_us / 1_000;
        // A busy machine may be late, by no more than the whole exchange took.
        assert!((wait_ms..=whole_ms).contains(&age_ms), "{age_ms} instead of {wait_ms} of {whole_ms} ms");
        bed.until("the completion", |bed| bed.shard().lane.completions.len() == 1);
        let end = bed.shard().lane.completions[0].clone();
        assert_eq!((end.tag, end.attempts, end.flags & COMPLETED_WAITING), (TAG, 1, 0));
    }
}

#[test]
fn waits_end_in_the_order_of_their_times_not_of_their_beginnings() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    bed.shard().lane.on_head = Box::new(|head| match head.flags & HEAD_WAITED {
        0 => Verdict::Wait(head.path[1..].parse().unwrap(), 0),
        _ => Verdict::Forward(forward()),
    });
    let streams = ["/90", "/30", "/60"].map(|path| bed.clients[client].get(path));
    streams.into_iter().for_each(|stream| drop(bed.finish(client, stream)));
    let again: Vec<String> =
        bed.shard().lane.heads.iter().filter(|head| head.flags & HEAD_WAITED != 0).map(|head| head.path.clone()).collect();
    assert_eq!(again, ["/30", "/60", "/90"]);
}

#[test]
fn a_failure_that_waits_is_offered_again_as_a_failure_and_the_body_is_still_there() {
    let mut bed = Bed::new();
    bed.origin.notes.refusals.store(1, Relaxed);
    bed.shard().lane.on_failure = Box::new(|failure| match failure.flags & FAILED_WAITED {
        0 => Verdict::Wait(30, failure.reason),
        _ => Verdict::Forward(forward()),
    });
    let client = bed.connect(Kind::Http3);
    let request = Request { method: "POST", path: "/refuse", body: patterned(9_000), ..Request::default() };
    assert_eq!(bed.fetch(client, request).status, 200);
    let failures = &bed.shard().lane.failures;
    assert_eq!((failures.len(), failures[0].tag, failures[1].tag), (2, TAG, WAIT_TAG));
    assert!(failures.iter().all(|failure| failure.reason == Reason::BackendRefused.number() && failure.flags & FAILED_REPLAYABLE != 0));
    assert!(failures[1].age_us >= failures[0].age_us + 29_000, "{} then {}", failures[0].age_us, failures[1].age_us);
    assert_eq!(failures[1].took_us, failures[0].took_us, "the attempt took as long as it took");
}

#[test]
fn of_a_body_that_waits_nothing_is_taken() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    bed.shard().lane.on_head = once(300);
    let total = 1 << 20;
    let stream = bed.clients[client].request(Request { method: "POST", path: "/echo", body: patterned(total), ..Request::default() });
    bed.until("the wait", is_waiting);
    bed.rest(Duration::from_millis(150));
    let left = total - bed.clients[client].waiting(stream);
    assert!(left <= 64 * 1024 + 16 * 1024, "{left} bytes left the client");
    assert!(bed.finish(client, stream).body == patterned(total));
}

#[test]
fn a_wake_offers_in_the_same_turn_and_a_kick_at_once() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    let stream = waiting(&mut bed, client, LONG_MS);
    let shard = bed.shard();
    let exchange = shard.lane.heads[0].exchange;
    shard.lane.wake(exchange);
    shard.reactor.kick();
    let began = Instant::now();
    assert_eq!(bed.finish(client, stream).body, b"hello");
    assert!(began.elapsed() < Duration::from_millis(u64::from(LONG_MS) / 2));

    // Woken out of a decision about another.
    let stream = waiting(&mut bed, client, LONG_MS);
    let exchange = bed.shard().lane.heads.last().unwrap().exchange;
    bed.shard().lane.wake(exchange);
    bed.shard().lane.on_head = Box::new(|_| Verdict::Forward(forward()));
    let turns = bed.shard().count(Id::Turns);
    assert_eq!(bed.get(client, "/").status, 200);
    assert_eq!(bed.finish(client, stream).status, 200);
    assert!(bed.shard().count(Id::Turns) > turns);
}

#[test]
fn a_wake_for_one_that_does_not_wait_is_passed_over() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    let stream = bed.clients[client].get("/hold");
    bed.until("the origin to have it", |bed| bed.origin.notes.requests.load(Relaxed) == 1);
    let shard = bed.shard();
    let exchange = shard.lane.heads[0].exchange;
    shard.lane.wake(exchange);
    shard.reactor.kick();
    bed.rest(Duration::from_millis(50));
    assert_eq!(bed.shard().lane.heads.len(), 1);
    bed.clients[client].stop(stream, 0x10c);
    bed.until("the completion", |bed| bed.shard().lane.completions.len() == 1);
    let shard = bed.shard();
    shard.lane.wake(exchange);
    shard.reactor.kick();
}

#[test]
fn a_kick_takes_any_decision_that_was_left_open() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    bed.shard().lane.on_head = Box::new(|_| Verdict::Nothing);
    let stream = bed.clients[client].get("/");
    bed.until("the offer", |bed| bed.shard().lane.heads.len() == 1);
    bed.rest(Duration::from_millis(50));
    let shard = bed.shard();
    let exchange = shard.lane.heads[0].exchange;
    shard.lane.decide(exchange, Verdict::Respond(418, Reason::FixedResponse.number(), "later"));
    shard.reactor.kick();
    assert_eq!((bed.finish(client, stream).status, bed.shard().lane.heads.len()), (418, 1));
}

#[test]
fn the_time_of_the_exchange_runs_while_it_waits_and_the_answer_has_the_reason_of_the_wait() {
    let mut bed = Bed::new();
    bed.shard().lane.on_head = Box::new(|_| Verdict::Forward(Forward { exchange_timeout_ms: 150, ..forward() }));
    bed.shard().lane.on_failure = Box::new(|_| Verdict::Wait(LONG_MS, Reason::HeadTimeout.number()));
    let client = bed.connect(Kind::Http3);
    let began = Instant::now();
    let answer = bed.get(client, "/reset/2");
    assert!((140..u128::from(LONG_MS) / 2).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    assert_eq!(answer.status, 504);
    bed.until("the completion", |bed| bed.shard().lane.completions.len() == 1);
    let end = bed.shard().lane.completions[0].clone();
    assert_eq!((end.reason, end.flags & COMPLETED_WAITING, end.tag), (Reason::HeadTimeout.number(), COMPLETED_WAITING, WAIT_TAG));
}

#[test]
fn a_later_forward_may_leave_the_time_of_the_exchange_as_it_is() {
    let mut bed = Bed::new();
    bed.origin.notes.refusals.store(1, Relaxed);
    bed.shard().lane.on_head = Box::new(|_| Verdict::Forward(Forward { exchange_timeout_ms: 200, ..forward() }));
    bed.shard().lane.on_failure = Box::new(|failure| match failure.attempts {
        1 => Verdict::Forward(Forward { exchange_timeout_ms: SAME_TIMEOUT, ..forward() }),
        _ => Verdict::Respond(502, failure.reason, "failed"),
    });
    let client = bed.connect(Kind::Http3);
    let stream = bed.clients[client].get("/refuse");
    assert_eq!(bed.finish(client, stream).status, 200);
    assert_eq!(bed.get(client, "/hold").status, 504);
}

fn is_ended_by_client(bed: &mut Bed, reason: Reason) {
    bed.until("the completion", |bed| bed.shard().lane.completions.len() == 1);
    let end = bed.shard().lane.completions[0].clone();
    assert_eq!((end.reason, end.flags), (reason.number(), COMPLETED_BY_CLIENT | COMPLETED_WAITING));
    assert_eq!(end.tag, WAIT_TAG, "what the lane must give back comes with it");
}

#[test]
fn a_client_that_leaves_while_it_waits_is_not_offered_again() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    let stream = waiting(&mut bed, client, 100);
    bed.clients[client].stop(stream, 0x10c);
    is_ended_by_client(&mut bed, Reason::ClientReset);
    bed.rest(Duration::from_millis(150));
    assert_eq!(bed.shard().lane.heads.len(), 1);

    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    bed.shard().lane.on_head = once(LONG_MS);
    let stream = bed.clients[client].request(Request { method: "POST", path: "/echo", is_unfinished: true, ..Request::default() });
    bed.until("the wait", is_waiting);
    bed.clients[client].reset(stream, 0x10c);
    is_ended_by_client(&mut bed, Reason::ClientReset);

    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    waiting(&mut bed, client, LONG_MS);
    bed.clients[client].quic.close(true, 0x100, b"").unwrap();
    is_ended_by_client(&mut bed, Reason::ClientGone);
}

#[test]
fn an_offer_that_was_not_read_is_taken_back_when_its_exchange_ends_in_the_same_turn() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    let stream = waiting(&mut bed, client, 30);
    // The reset and the end of the wait are both there when the next turn begins.
    bed.clients[client].stop(stream, 0x10c);
    bed.clients[client].drive();
    std::thread::sleep(Duration::from_millis(40));
    bed.until("the completion", |bed| bed.shard().lane.completions.len() == 1);
    assert_eq!((bed.shard().lane.heads.len(), bed.shard().lane.completions[0].tag), (1, WAIT_TAG));
    assert_eq!(bed.get(client, "/").status, 200, "the ring is in order");
}

#[test]
fn of_a_failure_whose_exchange_ends_in_the_same_turn_the_lane_learns_and_decides_nothing() {
    let mut bed = Bed::new();
    bed.origin.notes.refusals.store(1, Relaxed);
    bed.shard().lane.on_failure = Box::new(|_| Verdict::Wait(30, Reason::BackendRefused.number()));
    let client = bed.connect(Kind::Http3);
    let stream = bed.clients[client].get("/refuse");
    bed.until("the wait", is_waiting);
    bed.shard().lane.on_failure = Box::new(|failure| panic!("asked about {failure:?}"));
    bed.clients[client].stop(stream, 0x10c);
    bed.clients[client].drive();
    std::thread::sleep(Duration::from_millis(40));
    bed.until("the completion", |bed| bed.shard().lane.completions.len() == 1);
    let failures = bed.shard().lane.failures.clone();
    assert_eq!((failures.len(), failures[1].flags & (FAILED_WAITED | FAILED_OTHER_RUNS)), (2, FAILED_WAITED | FAILED_OTHER_RUNS));
}

#[test]
fn a_drain_lets_those_that_wait_come_to_their_end() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Raw);
    bed.shard().lane.on_head = once(300);
    let stream = bed.clients[client].open(&crate::support::wire::headers(&crate::support::wire::GET), true);
    bed.until("the wait", is_waiting);
    bed.shard().reactor.drain();
    assert_eq!(bed.finish(client, stream).body, b"hello");
    assert_eq!(bed.close_code(client), 0x100);
}

#[test]
fn a_successor_is_offered_what_waits_when_its_time_has_come() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    let stream = waiting(&mut bed, client, 200);
    bed.shard().lane.set_waiting(1);
    bed.take_over();
    assert!(!bed.shard().reactor.relay.lane.is_waited_for(), "who waits is not known to it");
    bed.rest(Duration::from_millis(100));
    assert_eq!(bed.shard().lane.heads.len(), 0);
    assert_eq!(bed.finish(client, stream).body, b"hello");
    let heads = &bed.shard().lane.heads;
    assert_eq!((heads.len(), heads[0].tag, heads[0].flags & HEAD_WAITED), (1, WAIT_TAG, HEAD_WAITED));
}

#[test]
fn one_that_comes_due_without_a_lane_is_offered_to_the_successor() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    let stream = waiting(&mut bed, client, 50);
    bed.shard().lane.is_broken = true;
    bed.until("the failure", |bed| bed.shard().count(Id::LaneFailures) > 0);
    bed.take_over();
    let shard = bed.shard();
    shard.reactor.turn(|| shard.lane.call());
    assert_eq!(bed.finish(client, stream).body, b"hello");
    assert_eq!(bed.shard().lane.heads[0].flags & HEAD_WAITED, HEAD_WAITED);
}

#[test]
fn while_exchanges_wait_for_a_place_the_lane_hears_of_an_end_at_once() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    bed.shard().lane.set_waiting(1);
    for _ in 0..10 {
        assert!(turns_until_told(&mut bed, client) <= 1);
    }
    // Otherwise completions wait for company; a busy machine may let that time pass in between.
    bed.shard().lane.set_waiting(0);
    assert!((0..10).any(|_| turns_until_told(&mut bed, client) > 1));
}

/// Turns between the end of an exchange and the lane's hearing of it.
fn turns_until_told(bed: &mut Bed, client: usize) -> usize {
    let done = bed.shard().lane.completions.len();
    let stream = bed.clients[client].get("/");
    bed.until("the exchange's end", |bed| bed.shard().count(Id::ExchangesOpen) == 0 && bed.clients[client].streams[&stream].is_over());
    let mut turns = 0;
    bed.until("the completion", |bed| {
        turns += 1;
        bed.shard().lane.completions.len() > done
    });
    turns - 1
}
