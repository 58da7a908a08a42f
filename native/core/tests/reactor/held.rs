//! Responses that are held for the lane: passed on, or let go for another attempt.

use crate::support::client::socket;
use crate::support::lane::{COMMIT_TAG, Failure, Verdict, forward};
use crate::support::origin::patterned;
use crate::support::{Bed, Kind, Request, Setup};
use lychgate_core::base::reason::Reason;
use lychgate_core::http::error::h2;
use lychgate_core::plan::{Edit, Edits, Plan};
use lychgate_core::record::inward::Forward;
use lychgate_core::record::layout::{
    COMPLETED_COMMITTED, COMPLETED_FROM_EDGE, COMPLETED_SESSION_REUSED, FAILED_HELD, FAILED_IDEMPOTENT, FAILED_REPLAYABLE, FAILED_WAITED,
    FORWARD_HOLD, FORWARD_TELL_FAILURES,
};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const NONE: u32 = u32::MAX;

fn holding() -> Forward {
    Forward { plan: 0, flags: FORWARD_TELL_FAILURES | FORWARD_HOLD, ..forward() }
}

/// A bed whose plan holds 503 and gRPC's 14, and marks every response; `/flaky` fails `failures`
/// times.
fn bed_with(failures: u32, failure_bytes: usize, setup: Setup) -> (Bed, usize) {
    let mark = Edit::compile("set", "x-marked", "${value_0}yes", "").unwrap();
    let plan = Plan::new(Edits::default(), Edits::new(vec![mark]), &[503], &[14]).unwrap();
    let mut bed = Bed::with(Setup { plans: vec![plan], ..setup });
    bed.origin.notes.failures.store(failures, Relaxed);
    bed.origin.notes.failure_bytes.store(failure_bytes, Relaxed);
    bed.shard().lane.on_head = Box::new(|_| Verdict::Forward(holding()));
    let client = bed.connect(Kind::Http3);
    (bed, client)
}

fn again(failure: &Failure) -> Verdict {
    assert_eq!(failure.reason, Reason::ResponseStatus.number());
    Verdict::Forward(holding())
}

fn commit(_: &Failure) -> Verdict {
    Verdict::Commit(Reason::ResponseStatus.number())
}

fn completion(bed: &mut Bed) -> crate::support::lane::Completion {
    bed.until("the completion", |bed| bed.shard().lane.completions.len() == 1);
    bed.shard().lane.completions[0].clone()
}

#[test]
fn a_listed_status_is_tried_again_and_the_client_sees_nothing_of_it() {
    let (mut bed, client) = bed_with(2, 6, Setup::default());
    bed.shard().lane.on_failure = Box::new(again);
    let answer = bed.get(client, "/flaky/503");
    assert_eq!((answer.status, &answer.body[..], answer.field("retry-after")), (200, &b"hello"[..], None));
    let end = completion(&mut bed);
    assert_eq!(
        (end.attempts, end.status, end.backend_status, end.reason, end.flags),
        (3, 200, 200, 0, COMPLETED_COMMITTED | COMPLETED_SESSION_REUSED)
    );
    assert_eq!((end.grpc_status, end.retry_after_s), (NONE, NONE));
    let failure = bed.shard().lane.failures[0];
    assert_eq!((failure.status, failure.grpc_status, failure.retry_after_s), (503, NONE, 7));
    assert_eq!(failure.flags, FAILED_IDEMPOTENT | FAILED_REPLAYABLE | FAILED_HELD);
}

#[test]
fn statuses_that_are_not_listed_and_forwards_that_do_not_ask_pass_at_once() {
    let (mut bed, client) = bed_with(1, 6, Setup::default());
    assert_eq!(bed.get(client, "/flaky/500").status, 500);
    bed.shard().lane.on_head = Box::new(|_| Verdict::Forward(Forward { flags: FORWARD_TELL_FAILURES, ..holding() }));
    bed.origin.notes.failures.store(1, Relaxed);
    assert_eq!(bed.get(client, "/flaky/503").status, 503);
    assert!(bed.shard().lane.failures.is_empty());
}

#[test]
fn a_committed_response_is_the_one_that_was_held_with_its_body() {
    for length in [0, 6, 5_000, 60_000, 400_000] {
        let (mut bed, client) = bed_with(1, length, Setup::default());
        bed.shard().lane.on_failure = Box::new(commit);
        let answer = bed.get(client, "/flaky/503");
        assert_eq!((answer.status, answer.field("retry-after"), answer.field("x-marked")), (503, Some("7"), Some("yes")));
        assert!(answer.is_finished && answer.body == patterned(length), "{length}");
        let end = completion(&mut bed);
        assert_eq!((end.status, end.backend_status, end.reason, end.tag), (503, 503, Reason::ResponseStatus.number(), COMMIT_TAG));
        assert_eq!((end.flags & (COMPLETED_COMMITTED | COMPLETED_FROM_EDGE), end.retry_after_s), (COMPLETED_COMMITTED, 7));
        assert_eq!(end.bytes_out, length as f64);
    }
}

#[test]
fn the_lane_may_answer_instead() {
    let (mut bed, client) = bed_with(1, 300_000, Setup::default());
    bed.shard().lane.on_failure = Box::new(|_| Verdict::Respond(503, Reason::FallbackResponse.number(), "sorry"));
    let answer = bed.get(client, "/flaky/503");
    assert_eq!((answer.status, &answer.body[..], answer.field("retry-after")), (503, &b"sorry"[..], None));
    bed.until("the reset", |bed| *bed.origin.notes.resets.lock().unwrap() == [h2::CANCEL]);
    assert_eq!(completion(&mut bed).flags & COMPLETED_FROM_EDGE, COMPLETED_FROM_EDGE);
    assert_eq!(bed.get(client, "/").status, 200);
}

#[test]
fn a_response_that_is_not_over_is_cancelled_when_it_is_let_go() {
    let (mut bed, client) = bed_with(1, 10_000_000, Setup::default());
    bed.shard().lane.on_failure = Box::new(again);
    assert_eq!(bed.get(client, "/flaky/503").body, b"hello");
    bed.until("the reset", |bed| *bed.origin.notes.resets.lock().unwrap() == [h2::CANCEL]);
    let sent = bed.origin.notes.sent.load(Relaxed);
    assert!(sent <= 64 * 1024 + 16 * 1024 + 5, "{sent} bytes left the origin");
}

#[test]
fn a_body_that_is_held_stays_within_the_streams_window_until_the_client_takes_it() {
    let (mut bed, client) = bed_with(1, 3_000_000, Setup::default());
    bed.shard().lane.on_failure = Box::new(|_| Verdict::Nothing);
    let stream = bed.clients[client].get("/flaky/503");
    bed.until("the window to fill", |bed| bed.origin.notes.sent.load(Relaxed) == 64 * 1024);
    bed.rest(Duration::from_millis(200));
    assert_eq!((bed.origin.notes.sent.load(Relaxed), bed.clients[client].streams[&stream].status), (64 * 1024, 0));
    // Another exchange of the same session goes on meanwhile.
    assert_eq!(bed.get(client, "/bytes/500000").body.len(), 500_000);
    let shard = bed.shard();
    let exchange = shard.lane.failures[0].exchange;
    shard.lane.decide(exchange, Verdict::Commit(0));
    shard.reactor.kick();
    let answer = bed.finish(client, stream);
    assert!(answer.is_finished && answer.body == patterned(3_000_000));
}

#[test]
fn a_slow_client_of_a_committed_response_stops_the_backend_as_ever() {
    let (mut bed, _) = bed_with(1, 3_000_000, Setup::default());
    bed.shard().lane.on_failure = Box::new(commit);
    let client = bed.connect_from(Kind::Http3, socket(), 50_000);
    bed.clients[client].is_reading = false;
    let stream = bed.clients[client].get("/flaky/503");
    bed.until("the windows to fill", |bed| bed.origin.notes.sent.load(Relaxed) > 64 * 1024);
    bed.rest(Duration::from_millis(200));
    assert!(bed.origin.notes.sent.load(Relaxed) <= 50_000 + 64 * 1024);
    bed.clients[client].is_reading = true;
    assert!(bed.finish(client, stream).body == patterned(3_000_000));
}

#[test]
fn a_wait_lets_the_response_go_and_the_failure_comes_back_without_it() {
    let (mut bed, client) = bed_with(1, 6, Setup::default());
    bed.shard().lane.on_failure = Box::new(|failure| match failure.flags & FAILED_WAITED {
        0 => Verdict::Wait(20, failure.reason),
        _ => again(failure),
    });
    assert_eq!(bed.get(client, "/flaky/503").body, b"hello");
    let failures = &bed.shard().lane.failures;
    assert_eq!(failures.iter().map(|failure| failure.flags & FAILED_HELD).collect::<Vec<_>>(), [FAILED_HELD, 0]);
    assert!(failures.iter().all(|failure| failure.status == 503 && failure.retry_after_s == 7));
}

#[test]
fn a_commit_of_nothing_is_the_lanes_failure() {
    let (mut bed, client) = bed_with(0, 0, Setup::default());
    bed.shard().lane.on_failure = Box::new(commit);
    assert_eq!(bed.get(client, "/reset/2").status, 500);
    assert_eq!(completion(&mut bed).reason, Reason::LaneFailed.number());
}

#[test]
fn grpc_that_failed_without_trailers_is_held_and_other_statuses_are_told() {
    let (mut bed, client) = bed_with(0, 0, Setup::default());
    bed.shard().lane.on_failure = Box::new(commit);
    let answer = bed.get(client, "/grpc-only/14");
    assert_eq!((answer.status, answer.field("grpc-status")), (200, Some("14")));
    let failure = bed.shard().lane.failures[0];
    assert_eq!((failure.status, failure.grpc_status, failure.flags & FAILED_HELD), (200, 14, FAILED_HELD));
    assert_eq!(completion(&mut bed).grpc_status, 14);
    for (place, (path, status)) in
        [("/grpc-only/5", 5), ("/grpc/14", 14), ("/grpc/0", 0), ("/grpc/x", NONE), ("/", NONE)].into_iter().enumerate()
    {
        assert_eq!(bed.get(client, path).status, 200);
        bed.until("the completion", |bed| bed.shard().lane.completions.len() == place + 2);
        assert_eq!(bed.shard().lane.completions[place + 1].grpc_status, status, "{path}");
    }
    assert_eq!(bed.shard().lane.failures.len(), 1, "trailers come too late to be held");
}

// ---- uploads

#[test]
fn an_early_failure_of_an_upload_is_tried_again_while_what_was_taken_is_kept() {
    let body = patterned(30_000);
    for (replay_bytes, is_replayable) in [(64 * 1024, true), (4_000, false), (0, false)] {
        let (mut bed, client) = bed_with(1, 6, Setup::default());
        bed.shard().lane.on_head = Box::new(move |_| Verdict::Forward(Forward { replay_bytes, ..holding() }));
        bed.shard().lane.on_failure = Box::new(|failure| match failure.flags & FAILED_REPLAYABLE {
            0 => Verdict::Commit(0),
            _ => again(failure),
        });
        let request = Request { method: "POST", path: "/flaky/503", body: body.clone(), ..Request::default() };
        assert_eq!(bed.fetch(client, request).status, if is_replayable { 200 } else { 503 }, "{replay_bytes}");
    }
}

#[test]
fn an_upload_goes_on_after_its_early_response_was_committed() {
    let (mut bed, client) = bed_with(1, 6, Setup::default());
    bed.shard().lane.on_failure = Box::new(commit);
    let body = patterned(2_000_000);
    let answer = bed.fetch(client, Request { method: "POST", path: "/flaky/503", body, ..Request::default() });
    assert_eq!((answer.status, answer.body.len()), (503, 6));
    let end = completion(&mut bed);
    assert_eq!((end.status, end.reason), (503, Reason::ResponseStatus.number()));
}

// ---- nasty orders

#[test]
fn a_backend_that_breaks_a_held_response_off_is_answered_for() {
    let (mut bed, client) = bed_with(1, 3_000_000, Setup::default());
    bed.shard().lane.on_failure = Box::new(|_| Verdict::Nothing);
    let stream = bed.clients[client].get("/flaky/503");
    bed.until("the failure", |bed| bed.shard().lane.failures.len() == 1);
    bed.origin.notes.is_cutting.store(true, Relaxed);
    bed.until("the session's end", |bed| bed.in_flight() == 0);
    let shard = bed.shard();
    let exchange = shard.lane.failures[0].exchange;
    shard.lane.decide(exchange, Verdict::Commit(0));
    shard.reactor.kick();
    assert_eq!(bed.finish(client, stream).status, 502);
    assert_eq!(completion(&mut bed).reason, Reason::BackendClosed.number());
    assert_eq!(bed.get(client, "/").status, 200);
}

#[test]
fn a_client_that_leaves_cancels_what_is_held() {
    let (mut bed, client) = bed_with(1, 3_000_000, Setup::default());
    bed.shard().lane.on_failure = Box::new(|_| Verdict::Nothing);
    let stream = bed.clients[client].get("/flaky/503");
    bed.until("the failure", |bed| bed.shard().lane.failures.len() == 1);
    bed.clients[client].stop(stream, 0x10c);
    bed.until("the reset", |bed| *bed.origin.notes.resets.lock().unwrap() == [h2::CANCEL]);
    let end = completion(&mut bed);
    assert_eq!((end.reason, end.status, end.backend_status), (Reason::ClientReset.number(), 0, 503));
}

#[test]
fn the_time_of_the_exchange_runs_while_its_response_is_held() {
    let (mut bed, client) = bed_with(1, 3_000_000, Setup::default());
    bed.shard().lane.on_head = Box::new(|_| Verdict::Forward(Forward { exchange_timeout_ms: 100, ..holding() }));
    bed.shard().lane.on_failure = Box::new(|_| Verdict::Nothing);
    let answer = bed.get(client, "/flaky/503");
    assert!(answer.status == 504 && answer.body.starts_with(b"{\"error\":\"exchange_timeout\""));
    bed.until("the reset", |bed| *bed.origin.notes.resets.lock().unwrap() == [h2::CANCEL]);
}

#[test]
fn a_successor_may_commit_what_was_held_before_its_time() {
    let (mut bed, client) = bed_with(1, 300_000, Setup::default());
    bed.shard().lane.on_failure = Box::new(|_| Verdict::Nothing);
    let stream = bed.clients[client].get("/flaky/503");
    bed.until("the failure", |bed| bed.shard().lane.failures.len() == 1);
    bed.take_over();
    let shard = bed.shard();
    shard.lane.on_failure = Box::new(commit);
    shard.reactor.turn(|| shard.lane.call());
    assert!(bed.finish(client, stream).body == patterned(300_000));
}
