//! Two attempts at once: the lane hears that one is late and may send another beside it.

use crate::support::lane::{Completion, Late, TAG, Verdict, forward};
use crate::support::{Bed, Kind, Request, Setup};
use lychgate_core::base::reason::Reason;
use lychgate_core::http::error::h2;
use lychgate_core::plan::{Edit, Edits, Plan};
use lychgate_core::record::inward::{Forward, Tag};
use lychgate_core::record::layout::{
    COMPLETED_BY_CLIENT, COMPLETED_HEDGE_WON, COMPLETED_HEDGED, FAILED_HEDGE, FAILED_HELD, FAILED_OTHER_RUNS, FAILED_UNSENT, FORWARD_HEDGE,
    FORWARD_HOLD, FORWARD_TELL_DEADLINE, FORWARD_TELL_FAILURES,
};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const NONE: u32 = u32::MAX;
const DELAY_MS: u32 = 20;
/// One within which even a busy machine answers.
const LONG_DELAY_MS: u32 = 300;
const HEDGE_TAG: Tag = Tag { route: 21, memo: [22, 23, 24] };
/// Backends of the bed.
const FIRST: u32 = 0;
const OTHER: u32 = 1;
const SILENT: u32 = 2;
const DEAF: u32 = 3;

fn to(backend: u32) -> Forward {
    Forward { backend, plan: 0, hedge_delay_ms: DELAY_MS, flags: FORWARD_TELL_FAILURES | FORWARD_HOLD, ..forward() }
}

fn hedge_to(backend: u32) -> Box<dyn FnMut(&Late) -> Verdict> {
    Box::new(move |_| {
        Verdict::Forward(Forward {
            backend,
            plan: 1,
            tag: HEDGE_TAG,
            flags: FORWARD_TELL_FAILURES | FORWARD_HOLD | FORWARD_HEDGE,
            hedge_delay_ms: 0,
            ..forward()
        })
    })
}

/// Two origins, plans that say which of them answered, and a lane that hedges from one to the
/// other.
fn bed_with(first: u32, second: u32) -> (Bed, usize) {
    let marked = |name: &str| {
        let mark = |direction: &str| Edits::new(vec![Edit::compile("set", &format!("x-{direction}"), name, "").unwrap()]);
        Plan::new(mark("sent"), mark("answered"), &[503], &[]).unwrap()
    };
    let mut bed = Bed::with(Setup { plans: vec![marked("first"), marked("hedge")], has_others: true, ..Setup::default() });
    let lane = &mut bed.shard().lane;
    lane.on_head = Box::new(move |_| Verdict::Forward(to(first)));
    lane.on_late = hedge_to(second);
    let client = bed.connect(Kind::Http3);
    (bed, client)
}

fn completion(bed: &mut Bed) -> Completion {
    bed.until("the completion", |bed| !bed.shard().lane.completions.is_empty());
    bed.shard().lane.completions[0].clone()
}

fn both_are_asked(bed: &mut Bed) {
    bed.until("both to be asked", |bed| bed.origin.notes.requests.load(Relaxed) == 1 && bed.other().notes.requests.load(Relaxed) == 1);
}

#[test]
fn a_hedge_that_answers_first_wins_and_the_first_attempt_is_cancelled_at_its_backend() {
    let (mut bed, client) = bed_with(FIRST, OTHER);
    bed.other().notes.is_released.store(true, Relaxed);
    let answer = bed.get(client, "/late");
    assert_eq!((answer.status, &answer.body[..], answer.field("x-answered")), (200, &b"hello"[..], Some("hedge")));
    bed.until("RST_STREAM", |bed| *bed.origin.notes.resets.lock().unwrap() == [h2::CANCEL]);
    let end = completion(&mut bed);
    assert_eq!((end.attempts, end.backend, end.loser, end.tag), (2, OTHER, FIRST, HEDGE_TAG));
    assert_eq!(end.flags & (COMPLETED_HEDGED | COMPLETED_HEDGE_WON), COMPLETED_HEDGED | COMPLETED_HEDGE_WON);
    assert!(end.lost_us >= DELAY_MS * 1_000);
    let late = bed.shard().lane.lates[0];
    assert_eq!((late.attempts, late.backend, late.tag), (1, FIRST, TAG));
    assert!((DELAY_MS * 1_000..DELAY_MS * 1_000 + 2_000_000).contains(&late.took_us), "{} µs", late.took_us);
    let sent = bed.other().notes.heads.lock().unwrap()[0].clone();
    assert!(sent.contains(&("x-sent".to_owned(), "hedge".to_owned())), "the hedge has its own plan");
}

#[test]
fn a_first_attempt_that_answers_after_all_wins_and_the_hedge_is_cancelled() {
    let (mut bed, client) = bed_with(FIRST, OTHER);
    let stream = bed.clients[client].get("/late");
    both_are_asked(&mut bed);
    bed.origin.notes.is_released.store(true, Relaxed);
    let answer = bed.finish(client, stream);
    assert_eq!((&answer.body[..], answer.field("x-answered")), (&b"hello"[..], Some("first")));
    bed.until("RST_STREAM", |bed| *bed.other().notes.resets.lock().unwrap() == [h2::CANCEL]);
    let end = completion(&mut bed);
    assert_eq!(
        (end.attempts, end.backend, end.loser, end.flags & (COMPLETED_HEDGED | COMPLETED_HEDGE_WON)),
        (2, FIRST, OTHER, COMPLETED_HEDGED)
    );
    assert!(bed.shard().lane.failures.is_empty(), "an attempt that lost has not failed");
}

#[test]
fn of_two_answers_in_the_same_read_the_first_counts_and_nothing_of_the_other_is_seen() {
    for round in 0..20 {
        let (mut bed, client) = bed_with(FIRST, FIRST);
        let stream = bed.clients[client].get("/late");
        bed.until("both to be asked", |bed| bed.origin.notes.requests.load(Relaxed) == 2);
        bed.origin.notes.is_released.store(true, Relaxed);
        if round % 2 == 0 {
            // Both answers are in the socket before anybody reads.
            std::thread::sleep(Duration::from_millis(10));
        }
        let answer = bed.finish(client, stream);
        assert!(answer.is_finished && answer.body == b"hello" && answer.status == 200);
        let end = completion(&mut bed);
        assert_eq!((end.backend, end.loser, end.bytes_out), (FIRST, FIRST, 5.0));
        assert_eq!(bed.get(client, "/").body, b"hello");
    }
}

#[test]
fn hints_of_both_attempts_reach_the_client_before_the_response_that_wins() {
    for is_hedge_first in [true, false] {
        let (mut bed, client) = bed_with(FIRST, OTHER);
        let stream = bed.clients[client].get("/hint");
        bed.until("both hints", |bed| bed.clients[client].streams.get(&stream).is_some_and(|answer| answer.interim == [103, 103]));
        let answer = &bed.clients[client].streams[&stream];
        // On a busy machine the hedge's may come first.
        let mut attempts = answer.hinted("x-answered");
        attempts.sort_unstable();
        assert_eq!(attempts, ["first", "hedge"], "each edited by its own plan");
        assert_eq!(answer.hinted("link"), ["</style.css>"; 2]);
        let winner = if is_hedge_first { bed.other() } else { &bed.origin };
        winner.notes.is_released.store(true, Relaxed);
        let answer = bed.finish(client, stream);
        assert_eq!((answer.status, &answer.body[..], answer.interim.len()), (200, &b"hello"[..], 2));
        assert_eq!(answer.field("x-answered"), Some(if is_hedge_first { "hedge" } else { "first" }));
    }
}

#[test]
fn a_hint_of_the_attempt_that_lost_never_follows_the_response() {
    let (mut bed, client) = bed_with(FIRST, FIRST);
    let stream = bed.clients[client].get("/late-interim");
    bed.until("both to be asked", |bed| bed.origin.notes.requests.load(Relaxed) == 2);
    bed.origin.notes.is_released.store(true, Relaxed);
    // Hints and answers of both are in the socket before anybody reads.
    std::thread::sleep(Duration::from_millis(20));
    let answer = bed.finish(client, stream);
    assert_eq!((&answer.interim[..], answer.status, answer.is_finished), (&[103][..], 200, true));
    assert!(answer.trailers.is_empty());
}

#[test]
fn an_attempt_that_is_not_late_or_has_a_body_is_not_spoken_of() {
    let (mut bed, client) = bed_with(FIRST, OTHER);
    bed.shard().lane.on_head = Box::new(|_| Verdict::Forward(Forward { hedge_delay_ms: LONG_DELAY_MS, ..to(FIRST) }));
    assert_eq!(bed.get(client, "/").status, 200);
    let stream = bed.clients[client].get("/drip");
    bed.until("the head", |bed| bed.clients[client].streams[&stream].status == 200);
    let upload = bed.clients[client].request(Request { method: "POST", path: "/hold", body: b"body".to_vec(), ..Request::default() });
    let open = bed.clients[client].request(Request { method: "POST", path: "/hold", is_unfinished: true, ..Request::default() });
    bed.rest(Duration::from_millis(2 * LONG_DELAY_MS as u64));
    assert!(bed.shard().lane.lates.is_empty());
    for stream in [stream, upload, open] {
        bed.clients[client].stop(stream, 0x10c);
    }
    bed.until("the completions", |bed| bed.shard().lane.completions.len() == 4);
}

#[test]
fn a_lane_that_says_nothing_to_a_late_attempt_is_not_told_again() {
    let (mut bed, client) = bed_with(FIRST, OTHER);
    bed.shard().lane.on_late = Box::new(|_| Verdict::Nothing);
    let stream = bed.clients[client].get("/late");
    bed.rest(Duration::from_millis(4 * DELAY_MS as u64));
    assert_eq!(bed.shard().lane.lates.len(), 1);
    bed.origin.notes.is_released.store(true, Relaxed);
    assert_eq!(bed.finish(client, stream).body, b"hello");
    let end = completion(&mut bed);
    assert_eq!((end.attempts, end.loser, end.flags & COMPLETED_HEDGED), (1, NONE, 0));
}

#[test]
fn a_black_hole_loses_against_the_hedge() {
    for hole in [SILENT, DEAF] {
        let (mut bed, client) = bed_with(hole, OTHER);
        assert_eq!(bed.get(client, "/").field("x-answered"), Some("hedge"));
        let end = completion(&mut bed);
        assert_eq!((end.backend, end.loser), (OTHER, hole));
    }
}

#[test]
fn a_hedge_may_wait_for_its_connection_and_its_wait_is_cancelled_when_it_loses() {
    let (mut bed, client) = bed_with(FIRST, DEAF);
    let stream = bed.clients[client].get("/late");
    bed.until("the hedge", |bed| bed.in_flight() == 2);
    bed.origin.notes.is_released.store(true, Relaxed);
    assert_eq!(bed.finish(client, stream).field("x-answered"), Some("first"));
    let end = completion(&mut bed);
    assert_eq!((end.backend, end.loser), (FIRST, DEAF));
}

#[test]
fn a_hedge_that_finds_no_connection_in_time_fails_beside_the_first() {
    let (mut bed, client) = bed_with(FIRST, DEAF);
    bed.shard().lane.on_late = Box::new(|_| {
        Verdict::Forward(Forward {
            backend: DEAF,
            flags: FORWARD_TELL_FAILURES | FORWARD_HEDGE,
            connect_timeout_ms: 30,
            hedge_delay_ms: 0,
            ..forward()
        })
    });
    let stream = bed.clients[client].get("/late");
    bed.until("the failure", |bed| bed.shard().lane.failures.len() == 1);
    let failure = bed.shard().lane.failures[0];
    assert_eq!((failure.backend, failure.reason), (DEAF, Reason::ConnectTimeout.number()));
    assert_eq!(failure.flags & (FAILED_UNSENT | FAILED_OTHER_RUNS | FAILED_HEDGE), FAILED_UNSENT | FAILED_OTHER_RUNS | FAILED_HEDGE);
    assert!((30_000..4_000_000).contains(&failure.took_us), "{} µs", failure.took_us);
    bed.origin.notes.is_released.store(true, Relaxed);
    assert_eq!(bed.finish(client, stream).field("x-answered"), Some("first"));
}

#[test]
fn values_belong_to_the_attempt_that_brought_them() {
    for is_hedge_first in [true, false] {
        let value =
            |name: &str| Edits::new(vec![Edit::compile("set", "x-values", &format!("{name} ${{value_0}} ${{value_1}}"), "").unwrap()]);
        let plan = |name: &str| Plan::new(Edits::default(), value(name), &[], &[]).unwrap();
        let mut bed = Bed::with(Setup { plans: vec![plan("first"), plan("hedge")], has_others: true, ..Setup::default() });
        bed.shard().lane.on_head = Box::new(|_| Verdict::ForwardWith(to(FIRST), vec![Some("a"), Some("b")]));
        bed.shard().lane.on_late = Box::new(|late| match hedge_to(OTHER)(late) {
            Verdict::Forward(forward) => Verdict::ForwardWith(forward, vec![None, Some("c")]),
            other => other,
        });
        let client = bed.connect(Kind::Http3);
        let stream = bed.clients[client].get("/late");
        both_are_asked(&mut bed);
        let first = if is_hedge_first { bed.other() } else { &bed.origin };
        first.notes.is_released.store(true, Relaxed);
        let expected = if is_hedge_first { "hedge a c" } else { "first a b" };
        assert_eq!(bed.finish(client, stream).field("x-values"), Some(expected));
    }
}

// ---- failures

#[test]
fn a_first_attempt_that_fails_leaves_the_exchange_to_the_hedge() {
    let (mut bed, client) = bed_with(FIRST, OTHER);
    let stream = bed.clients[client].get("/late");
    both_are_asked(&mut bed);
    bed.origin.notes.is_cutting.store(true, Relaxed);
    bed.until("the failure", |bed| bed.shard().lane.failures.len() == 1);
    let failure = bed.shard().lane.failures[0];
    assert_eq!((failure.backend, failure.reason, failure.attempts), (FIRST, Reason::BackendClosed.number(), 2));
    assert_eq!(failure.flags & (FAILED_OTHER_RUNS | FAILED_HEDGE), FAILED_OTHER_RUNS);
    bed.other().notes.is_released.store(true, Relaxed);
    assert_eq!(bed.finish(client, stream).field("x-answered"), Some("hedge"));
    let end = completion(&mut bed);
    assert_eq!(
        (end.backend, end.loser, end.flags & (COMPLETED_HEDGED | COMPLETED_HEDGE_WON)),
        (OTHER, NONE, COMPLETED_HEDGED | COMPLETED_HEDGE_WON)
    );
}

#[test]
fn a_hedge_that_fails_leaves_the_exchange_to_the_first_attempt_which_may_fail_too() {
    let (mut bed, client) = bed_with(FIRST, OTHER);
    bed.shard().lane.on_failure = Box::new(|failure| Verdict::Respond(502, failure.reason, "both"));
    let stream = bed.clients[client].get("/late");
    both_are_asked(&mut bed);
    bed.other().notes.is_cutting.store(true, Relaxed);
    bed.until("the failure", |bed| bed.shard().lane.failures.len() == 1);
    let failure = bed.shard().lane.failures[0];
    assert_eq!((failure.backend, failure.flags & (FAILED_OTHER_RUNS | FAILED_HEDGE)), (OTHER, FAILED_OTHER_RUNS | FAILED_HEDGE));
    bed.origin.notes.is_cutting.store(true, Relaxed);
    assert_eq!(bed.finish(client, stream).body, b"both");
    let failure = bed.shard().lane.failures[1];
    assert_eq!((failure.backend, failure.flags & (FAILED_OTHER_RUNS | FAILED_HEDGE)), (FIRST, 0));
    assert_eq!((completion(&mut bed).attempts, bed.shard().lane.failures.len()), (2, 2));
}

#[test]
fn when_both_have_failed_a_third_attempt_may_be_made() {
    let (mut bed, client) = bed_with(FIRST, OTHER);
    bed.shard().lane.on_failure = Box::new(|_| Verdict::Forward(to(FIRST)));
    let stream = bed.clients[client].get("/late");
    both_are_asked(&mut bed);
    bed.origin.notes.is_cutting.store(true, Relaxed);
    bed.until("the failure", |bed| bed.shard().lane.failures.len() == 1);
    bed.origin.notes.is_released.store(true, Relaxed);
    bed.other().notes.is_cutting.store(true, Relaxed);
    let answer = bed.finish(client, stream);
    assert_eq!((&answer.body[..], answer.field("x-answered")), (&b"hello"[..], Some("first")));
    let failures = &bed.shard().lane.failures;
    assert_eq!((failures[1].backend, failures[1].flags & (FAILED_OTHER_RUNS | FAILED_HEDGE)), (OTHER, FAILED_HEDGE));
    let end = completion(&mut bed);
    assert_eq!((end.attempts, end.backend, end.flags & (COMPLETED_HEDGED | COMPLETED_HEDGE_WON)), (3, FIRST, COMPLETED_HEDGED));
}

#[test]
fn a_held_status_loses_while_another_attempt_runs() {
    let (mut bed, client) = bed_with(FIRST, OTHER);
    bed.shard().lane.on_failure = Box::new(|failure| Verdict::Respond(502, failure.reason, "unexpected"));
    bed.other().notes.failures.store(1, Relaxed);
    bed.other().notes.failure_bytes.store(2_000_000, Relaxed);
    let stream = bed.clients[client].get("/late-flaky/503");
    bed.until("the failure", |bed| bed.shard().lane.failures.len() == 1);
    let failure = bed.shard().lane.failures[0];
    assert_eq!((failure.backend, failure.status, failure.retry_after_s), (OTHER, 503, 7));
    assert_eq!(failure.flags & (FAILED_OTHER_RUNS | FAILED_HEDGE | FAILED_HELD), FAILED_OTHER_RUNS | FAILED_HEDGE);
    bed.until("RST_STREAM", |bed| *bed.other().notes.resets.lock().unwrap() == [h2::CANCEL]);
    bed.origin.notes.is_released.store(true, Relaxed);
    let answer = bed.finish(client, stream);
    assert_eq!((answer.status, answer.field("x-answered")), (200, Some("first")));
}

#[test]
fn the_last_of_two_may_be_held_and_committed() {
    let (mut bed, client) = bed_with(FIRST, OTHER);
    bed.shard().lane.on_failure = Box::new(|_| Verdict::Commit(0));
    bed.other().notes.failures.store(1, Relaxed);
    let stream = bed.clients[client].get("/late-flaky/503");
    bed.until("the failure", |bed| bed.shard().lane.failures.len() == 1);
    bed.origin.notes.failures.store(1, Relaxed);
    bed.origin.notes.failure_bytes.store(9, Relaxed);
    let answer = bed.finish(client, stream);
    assert_eq!((answer.status, answer.body.len(), answer.field("x-answered")), (503, 9, Some("first")));
    assert_eq!(completion(&mut bed).flags & (COMPLETED_HEDGED | COMPLETED_HEDGE_WON), COMPLETED_HEDGED);
}

#[test]
fn attempts_time_out_one_by_one() {
    let (mut bed, client) = bed_with(FIRST, OTHER);
    bed.shard().lane.on_head = Box::new(|_| Verdict::Forward(Forward { attempt_timeout_ms: 80, ..to(FIRST) }));
    bed.shard().lane.on_late = Box::new(|_| {
        let flags = FORWARD_TELL_FAILURES | FORWARD_HEDGE;
        Verdict::Forward(Forward { backend: OTHER, plan: 1, flags, attempt_timeout_ms: 100, hedge_delay_ms: 0, ..forward() })
    });
    let answer = bed.get(client, "/hold");
    assert_eq!((answer.status, &answer.body[..]), (502, &b"failed"[..]));
    let failures: Vec<_> =
        bed.shard().lane.failures.iter().map(|failure| (failure.backend, failure.reason, failure.flags & FAILED_OTHER_RUNS)).collect();
    let reason = Reason::AttemptTimeout.number();
    assert_eq!(failures, [(FIRST, reason, FAILED_OTHER_RUNS), (OTHER, reason, 0)]);
    bed.until("the resets", |bed| {
        *bed.origin.notes.resets.lock().unwrap() == [h2::CANCEL] && *bed.other().notes.resets.lock().unwrap() == [h2::CANCEL]
    });
}

#[test]
fn a_hedge_whose_time_is_over_with_that_of_the_exchange_takes_no_answer_from_the_lane() {
    let (mut bed, client) = bed_with(FIRST, OTHER);
    let flags = FORWARD_TELL_FAILURES | FORWARD_TELL_DEADLINE;
    bed.shard().lane.on_head = Box::new(move |_| Verdict::Forward(Forward { exchange_timeout_ms: 800, flags, ..to(FIRST) }));
    bed.shard().lane.on_late = Box::new(|_| {
        let flags = FORWARD_TELL_FAILURES | FORWARD_HEDGE;
        Verdict::Forward(Forward { backend: OTHER, plan: 1, flags, attempt_timeout_ms: 700, hedge_delay_ms: 0, ..forward() })
    });
    bed.shard().lane.on_failure = Box::new(|failure| Verdict::Respond(203, failure.reason, "instead"));
    let stream = bed.clients[client].get("/hold");
    both_are_asked(&mut bed);
    // Both times are over when the next turn begins.
    std::thread::sleep(Duration::from_millis(900));
    let answer = bed.finish(client, stream);
    assert_eq!((answer.status, &answer.body[..]), (203, &b"instead"[..]));
    let end = both_are_cancelled(&mut bed);
    assert_eq!((end.status, end.reason), (203, Reason::ExchangeTimeout.number()));
    assert_eq!(bed.shard().lane.failures.len(), 1);
}

// ---- nasty orders

fn both_are_cancelled(bed: &mut Bed) -> Completion {
    bed.until("the resets", |bed| {
        *bed.origin.notes.resets.lock().unwrap() == [h2::CANCEL] && *bed.other().notes.resets.lock().unwrap() == [h2::CANCEL]
    });
    assert_eq!(bed.in_flight(), 0);
    completion(bed)
}

#[test]
fn a_client_that_leaves_cancels_both() {
    let (mut bed, client) = bed_with(FIRST, OTHER);
    let stream = bed.clients[client].get("/late");
    both_are_asked(&mut bed);
    bed.clients[client].stop(stream, 0x10c);
    let end = both_are_cancelled(&mut bed);
    assert_eq!((end.reason, end.backend, end.loser), (Reason::ClientReset.number(), FIRST, OTHER));
    assert_eq!(end.flags & (COMPLETED_HEDGED | COMPLETED_HEDGE_WON | COMPLETED_BY_CLIENT), COMPLETED_HEDGED | COMPLETED_BY_CLIENT);
}

#[test]
fn the_time_of_the_exchange_ends_both() {
    let (mut bed, client) = bed_with(FIRST, OTHER);
    bed.shard().lane.on_head = Box::new(|_| Verdict::Forward(Forward { exchange_timeout_ms: 100, ..to(FIRST) }));
    assert_eq!(bed.get(client, "/hold").status, 504);
    assert_eq!(both_are_cancelled(&mut bed).reason, Reason::ExchangeTimeout.number());
    assert!(bed.shard().lane.failures.is_empty());
}

#[test]
fn a_race_is_run_to_its_end_without_a_lane_and_its_successor_hears_how_it_ended() {
    let (mut bed, client) = bed_with(FIRST, OTHER);
    let stream = bed.clients[client].get("/late");
    both_are_asked(&mut bed);
    bed.shard().lane.is_broken = true;
    bed.origin.notes.is_cutting.store(true, Relaxed);
    bed.until("one to be left", |bed| bed.in_flight() == 1);
    bed.take_over();
    bed.until("the failure", |bed| bed.shard().lane.failures.len() == 1);
    assert_eq!(bed.shard().lane.failures[0].flags & FAILED_OTHER_RUNS, FAILED_OTHER_RUNS);
    bed.other().notes.is_released.store(true, Relaxed);
    assert_eq!(bed.finish(client, stream).field("x-answered"), Some("hedge"));
    assert_eq!(completion(&mut bed).flags & COMPLETED_HEDGE_WON, COMPLETED_HEDGE_WON);
}

#[test]
fn a_goaway_during_a_race_takes_away_what_it_names() {
    let (mut bed, client) = bed_with(FIRST, OTHER);
    let stream = bed.clients[client].get("/late");
    both_are_asked(&mut bed);
    bed.origin.notes.is_going_away.store(true, Relaxed);
    bed.until("the failure", |bed| bed.shard().lane.failures.len() == 1);
    let failure = bed.shard().lane.failures[0];
    assert_eq!((failure.backend, failure.reason), (FIRST, Reason::BackendGoaway.number()));
    assert_eq!(failure.flags & (FAILED_UNSENT | FAILED_OTHER_RUNS), FAILED_UNSENT | FAILED_OTHER_RUNS);
    bed.other().notes.is_released.store(true, Relaxed);
    assert_eq!(bed.finish(client, stream).status, 200);
}

#[test]
fn a_hedge_that_comes_too_late_is_passed_over() {
    let (mut bed, client) = bed_with(FIRST, OTHER);
    bed.shard().lane.on_late = Box::new(|_| Verdict::Nothing);
    let stream = bed.clients[client].get("/late");
    bed.until("the late record", |bed| bed.shard().lane.lates.len() == 1);
    let exchange = bed.shard().lane.lates[0].exchange;
    bed.origin.notes.is_released.store(true, Relaxed);
    assert_eq!(bed.finish(client, stream).status, 200);
    let shard = bed.shard();
    let verdict = hedge_to(OTHER)(&shard.lane.lates[0].clone());
    shard.lane.decide(exchange, verdict);
    shard.reactor.kick();
    assert_eq!(completion(&mut bed).attempts, 1);
    assert_eq!(bed.other().notes.requests.load(Relaxed), 0);
}

#[test]
fn many_races_leave_nothing_behind() {
    let (mut bed, client) = bed_with(FIRST, OTHER);
    bed.other().notes.is_released.store(true, Relaxed);
    let streams: Vec<u64> = (0..90).map(|_| bed.clients[client].get("/late")).collect();
    for stream in streams {
        assert_eq!(bed.finish(client, stream).body, b"hello");
    }
    bed.until("the completions", |bed| bed.shard().lane.completions.len() == 90);
    assert!(bed.shard().lane.completions.iter().all(|end| end.flags & COMPLETED_HEDGE_WON != 0 && end.loser == FIRST));
}
