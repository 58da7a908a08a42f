//! Exchange states, tested without QUIC, backends or a lane.

use super::attempt::NOT_FORWARDED;
use super::*;
use crate::base::slab;
use crate::record::inward::{Forward, GivenValues, SAME_TIMEOUT};
use crate::record::layout::{self, FORWARD_KEEP_REQUEST_ID};
use crate::record::outward::FailureFacts;
use crate::upstream::{FullTime, SessionRef, StreamRef};
use proptest::prelude::*;

const MS: Nanos = 1_000_000;
const KEY: Key = Key { index: 7, generation: 3 };

const FORWARD: Forward = Forward {
    backend: 5,
    exchange_timeout_ms: SAME_TIMEOUT,
    connect_timeout_ms: 100,
    place_timeout_ms: 200,
    head_timeout_ms: 300,
    idle_timeout_ms: 1_000,
    replay_bytes: 64,
    ..NOT_FORWARDED
};

fn client() -> ClientFacts {
    ClientFacts { peer: SocketAddr::from(([192, 0, 2, 1], 443)), told: None, network: 0, number: 11 }
}

fn begin(exchange: &mut Exchange) {
    let id = RequestId::new(b"one").expect("a fit id");
    exchange.begin(KEY, Key { index: 1, generation: 1 }, 4, client(), id, Times::begin(1_000 * MS, 5.0));
}

/// An exchange with its head decoded and no body.
fn begun() -> Exchange {
    let mut exchange = Exchange::idle();
    begin(&mut exchange);
    exchange
}

fn offered() -> Exchange {
    let mut exchange = begun();
    exchange.times.head = 1_000 * MS;
    exchange.incoming.is_done = true;
    exchange.enter(State::Decide(Decide::about(Offer::Head, false)));
    exchange
}

fn opened() -> Exchange {
    let mut exchange = offered();
    exchange.begin_attempt(FORWARD, None, GivenValues::default(), 1_000 * MS).expect("an attempt");
    exchange
}

fn started() -> Exchange {
    let mut exchange = opened();
    start(&mut exchange, KEY.pack());
    exchange
}

fn start(exchange: &mut Exchange, name: u64) {
    let session = SessionRef(slab::Key { index: name as u32, generation: 0 });
    exchange.start_attempt(name, StreamRef { session, slot: 0, id: 1 }, 1_010 * MS);
}

fn failed(exchange: &Exchange, status: u16) -> FailureFacts {
    let status = BackendStatus { status, ..BackendStatus::default() };
    exchange.failure(&exchange.attempt, Reason::ResponseStatus, 0, status, 1_020 * MS)
}

fn held() -> Exchange {
    let mut exchange = started();
    let facts = failed(&exchange, 503);
    exchange.enter(State::Decide(Decide::about(Offer::Held(facts, Hold::default()), false)));
    exchange
}

fn waiting(failure: Option<FailureFacts>) -> State {
    State::Wait(Wait { until: 1_500 * MS, failure, reason: Reason::ConcurrencyLimited })
}

fn never_full(_: u32) -> FullTime {
    FullTime::default()
}

#[test]
fn each_state_leads_where_the_table_says_and_nowhere_else() {
    let facts = failed(&started(), 503);
    let other = FailureFacts { status: 502, ..facts };
    let decide = |offer, has_waited| State::Decide(Decide::about(offer, has_waited));
    let kept = Offer::Held(facts, Hold::default());
    let states = || {
        [
            ("decode", State::Decode),
            ("head", decide(Offer::Head, false)),
            ("head after a wait", decide(Offer::Head, true)),
            ("failure", decide(Offer::Failure(facts), false)),
            ("failure after a wait", decide(Offer::Failure(facts), true)),
            ("held", decide(kept, false)),
            ("wait", waiting(None)),
            ("wait after a failure", waiting(Some(facts))),
            ("wait after another failure", waiting(Some(other))),
            ("open", State::Open(Pending::default())),
            ("request", State::Request(Pending::default())),
            ("response", State::Response),
            ("answer", State::Answer),
        ]
    };
    for (name, state) in states() {
        let leads_to: &[_] = match name {
            "decode" => &["head", "answer"],
            // The lane changed and is asked again.
            "head" => &["head", "wait", "open", "answer"],
            "head after a wait" => &["head after a wait", "wait", "open", "answer"],
            "failure" => &["failure", "wait after a failure", "open", "answer"],
            "failure after a wait" => &["failure after a wait", "wait after a failure", "open", "answer"],
            "held" => &["held", "wait after a failure", "open", "response", "answer"],
            "wait" => &["head after a wait", "answer"],
            "wait after a failure" | "wait after another failure" => &["failure after a wait", "answer"],
            "open" => &["failure", "held", "open", "request", "answer"],
            "request" => &["failure", "held", "open", "request", "response", "answer"],
            _ => &[],
        };
        let found: Vec<_> = states().iter().filter(|(_, next)| state.leads_to(next)).map(|(next, _)| *next).collect();
        assert_eq!(found, leads_to, "{name}");
    }
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "leads to no")]
fn a_response_that_the_client_has_is_not_answered_again() {
    let mut exchange = started();
    exchange.enter(State::Response);
    exchange.enter(State::Answer);
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "loses a hedge")]
fn no_state_is_left_with_a_hedge_that_runs() {
    let mut exchange = started();
    exchange.begin_hedge(FORWARD, None, GivenValues::default(), 1_050 * MS).expect("a hedge");
    exchange.enter(State::Answer);
}

#[test]
fn each_state_has_the_deadline_of_what_it_waits_for() {
    let of = |exchange: &Exchange| {
        let (at, reason) = deadline::of(exchange, 50 * MS, never_full, 1_020 * MS);
        (if at == NEVER { NEVER } else { at / MS }, reason)
    };
    let limited = |mut exchange: Exchange, timeout_ms| {
        exchange.times.timeout_ms = timeout_ms;
        exchange
    };
    assert_eq!(of(&begun()), (1_050, Reason::ClientSlow), "the head");
    assert_eq!(of(&offered()), (NEVER, Reason::None), "the lane");
    assert_eq!(of(&limited(offered(), 400)), (1_400, Reason::ExchangeTimeout));

    let mut exchange = offered();
    exchange.enter(waiting(None));
    assert_eq!(of(&exchange), (NEVER, Reason::ConcurrencyLimited), "a wait ends by an alarm");
    assert_eq!(exchange.state().alarm_at(), Some(1_500 * MS));
    assert_eq!(of(&limited(exchange, 400)), (1_400, Reason::ConcurrencyLimited));

    assert_eq!(of(&opened()), (1_100, Reason::ConnectTimeout));
    let full = |_| FullTime { is_full: true, total: 0 };
    assert_eq!(deadline::of(&opened(), 0, full, 1_000 * MS), (1_200 * MS, Reason::SessionsExhausted));
    assert_eq!(of(&limited(opened(), 60)), (1_060, Reason::ExchangeTimeout));

    assert_eq!(of(&started()), (1_310, Reason::HeadTimeout));
    let mut upload = started();
    upload.incoming.is_done = false;
    assert_eq!(of(&upload), (2_010, Reason::ClientSlow), "its body is missing");
    upload.incoming.is_blocked = true;
    assert_eq!(of(&upload), (2_010, Reason::IdleTimeout), "the backend does not take it");

    let mut response = started();
    response.enter(State::Response);
    assert_eq!(of(&response), (2_010, Reason::IdleTimeout));
    response.outgoing.add_framed(b"frame");
    assert_eq!(of(&response), (2_010, Reason::ClientSlow), "it does not take what waits");

    let mut answer = limited(offered(), 1);
    answer.enter(State::Answer);
    assert_eq!(of(&answer), (31_000, Reason::ClientSlow), "an answer has a time of its own");
}

#[test]
fn a_hedge_may_run_where_one_attempt_without_a_response_has_a_request_without_a_body() {
    assert!(![begun(), offered(), held()].iter().any(Exchange::may_hedge));
    assert!([opened(), started()].iter().all(Exchange::may_hedge));
    let mut exchange = started();
    exchange.incoming.body_bytes = 1;
    assert!(!exchange.may_hedge(), "with a body");
    exchange.incoming.body_bytes = 0;
    exchange.begin_hedge(FORWARD, None, GivenValues::default(), 1_050 * MS).expect("a hedge");
    assert!(exchange.begin_hedge(FORWARD, None, GivenValues::default(), 1_060 * MS).is_none(), "a third attempt");
    let mut exchange = started();
    exchange.enter(State::Response);
    assert!(!exchange.may_hedge(), "with a response");
}

#[test]
fn who_is_taken_out_of_two_attempts_leaves_the_other_with_its_name_and_its_state() {
    for (is_started, is_first_out) in [(false, true), (true, true), (false, false), (true, false)] {
        let mut exchange = started();
        let (first, second) = (exchange.name(), exchange.hedge_name());
        let hedge = Forward { backend: 6, ..FORWARD };
        exchange.begin_hedge(hedge, None, GivenValues::default(), 1_050 * MS).expect("a hedge");
        assert!(exchange.is_opening(second) && !exchange.is_opening(first));
        if is_started {
            start(&mut exchange, second);
        }
        let (out, left) = if is_first_out { (first, second) } else { (second, first) };
        let taken = exchange.take_out(out).expect("one of two");
        assert_eq!(taken.forward.backend, if is_first_out { 5 } else { 6 });
        assert_eq!(exchange.name(), left);
        assert!(exchange.attempt_named(out).is_none(), "its name stands for nobody");
        assert_eq!(exchange.attempt_named(left).map(|attempt| attempt.forward.backend), Some(if is_first_out { 6 } else { 5 }));
        let has_stream = is_started || !is_first_out;
        assert_eq!(matches!(exchange.state(), State::Request(_)), has_stream);
        assert_eq!(matches!(exchange.state(), State::Open(_)), !has_stream);
        assert!(exchange.take_out(left).is_none(), "the last is not taken out");
        assert!(exchange.may_hedge());
        assert_eq!(exchange.attempts.made, 2);
    }
}

#[test]
fn a_request_is_tried_again_while_all_of_its_body_is_here_and_ends_with_what_the_failure_was_worth() {
    let again = |mut exchange: Exchange| {
        let facts = failed(&exchange, 0);
        assert_eq!(facts.flags & layout::FAILED_REPLAYABLE != 0, exchange.is_replayable());
        exchange.outcome = Outcome { reason: Reason::BackendReset, ..exchange.outcome };
        exchange.outcome.backend.status = 503;
        exchange.enter(State::Decide(Decide::about(Offer::Failure(facts), false)));
        let result = exchange.begin_attempt(FORWARD, None, GivenValues::default(), 1_030 * MS);
        (result, exchange.attempts.made, exchange.outcome.backend.status)
    };
    assert_eq!(again(started()), (Ok(()), 2, 0), "the status of the first is forgotten");
    let mut kept = started();
    kept.incoming.early.extend_from_slice(&[0; 64]);
    (kept.incoming.early_used, kept.incoming.body_bytes) = (64, 62);
    assert_eq!(again(kept), (Ok(()), 2, 0));
    let mut read = started();
    (read.incoming.body_bytes, read.incoming.is_direct) = (100, true);
    assert_eq!(again(read), (Err(Reason::BackendReset), 1, 503));
}

#[test]
fn what_a_forward_says_of_the_exchange_stays_where_the_next_says_nothing() {
    let mut exchange = offered();
    exchange.request.head.push(b"x-request-id", b"mine");
    let forward = Forward { client: 9, exchange_timeout_ms: 700, hedge_delay_ms: 20, flags: FORWARD_KEEP_REQUEST_ID, ..FORWARD };
    exchange.begin_attempt(forward, None, GivenValues::default(), 1_000 * MS).expect("an attempt");
    assert_eq!(exchange.request.id.as_bytes(), b"mine");
    assert_eq!(exchange.state().alarm_at(), Some(1_020 * MS));
    assert_eq!((exchange.client.claimant(exchange.connection).network, exchange.times.end_at()), (9, 1_700 * MS));
    exchange.attempts.is_told_late = true;
    exchange.enter(State::Decide(Decide::about(Offer::Failure(failed(&exchange, 0)), false)));
    let forward = Forward { hedge_delay_ms: 20, ..FORWARD };
    exchange.begin_attempt(forward, None, GivenValues::default(), 1_100 * MS).expect("another");
    assert_eq!((exchange.client.claimant(exchange.connection).network, exchange.times.end_at()), (9, 1_700 * MS));
    assert_eq!(exchange.state().alarm_at(), None, "the lane is told once");
    let mut exchange = offered();
    exchange.request.facts.content_length = Some(11);
    let forward = Forward { max_body_bytes: Some(10), ..FORWARD };
    let result = exchange.begin_attempt(forward, None, GivenValues::default(), 1_000 * MS);
    assert_eq!((result, exchange.attempts.made), (Err(Reason::RequestBodyTooLarge), 0));
}

#[test]
fn a_held_response_that_is_let_go_is_a_failure_and_its_bytes_are_gone() {
    let mut exchange = held();
    exchange.outgoing.held_head.extend_from_slice(b"head");
    exchange.hold_mut().expect("a hold").is_upload_stopped = true;
    assert!(exchange.state().is_held() && exchange.drop_hold());
    assert_eq!((exchange.outgoing.bytes(), exchange.drop_hold()), (0, false));
    let failure = exchange.state().decide().expect("a decision").offer;
    assert!(matches!(failure, Offer::Failure(facts) if facts.status == 503), "{failure:?}");
    exchange.enter(waiting(failure.failure()));
    let State::Wait(wait) = exchange.state() else { panic!("no wait") };
    assert_eq!(wait.offer(), failure);
}

/// Takes a step that the state allows, if there is one.
fn step(exchange: &mut Exchange, choice: u8, now: Nanos) {
    let key = exchange.key.pack();
    let facts = failed(exchange, 500 + u16::from(choice));
    let forward = Forward { hedge_delay_ms: u32::from(choice % 3), client: u64::from(choice), flags: FORWARD_KEEP_REQUEST_ID, ..FORWARD };
    match (exchange.state(), choice % 8) {
        (State::Decode, 0) => exchange.enter(State::Answer),
        (State::Decode, _) => {
            exchange.request.head.push(b"x-request-id", b"mine");
            exchange.request.kept_path.push(b'/');
            exchange.request.are_slashes_merged = true;
            exchange.incoming.is_done = choice.is_multiple_of(2);
            exchange.enter(State::Decide(Decide::about(Offer::Head, false)));
        }
        (State::Decide(decide), 0) => {
            let again = Decide { written_at: None, ..*decide };
            exchange.enter(State::Decide(again));
        }
        (State::Decide(decide), 1) => exchange.enter(waiting(decide.offer.failure())),
        (State::Decide(_), 2) if exchange.state().is_held() => exchange.enter(State::Response),
        (State::Decide(_), 3) => exchange.enter(State::Answer),
        (State::Decide(_), _) => drop(exchange.begin_attempt(forward, None, GivenValues::default(), now)),
        (State::Wait(_), 0) => exchange.enter(State::Answer),
        (State::Wait(wait), _) => exchange.enter(State::Decide(Decide::about(wait.offer(), true))),
        (State::Open(_) | State::Request(_), 0) => drop(exchange.begin_hedge(forward, None, GivenValues::default(), now).is_some()),
        (State::Open(_) | State::Request(_), 1) => start(exchange, exchange.name()),
        (State::Open(_) | State::Request(_), 2) => start(exchange, exchange.hedge_name()),
        (State::Open(_) | State::Request(_), 3) => drop(exchange.take_out(exchange.name())),
        (State::Open(_) | State::Request(_), end) => {
            if let Some(loser) = exchange.take_out(exchange.hedge_name()) {
                exchange.attempts.note_loser(&loser, now);
            }
            exchange.outcome.reason = Reason::BackendReset;
            match end {
                4 => exchange.enter(State::Decide(Decide::about(Offer::Failure(facts), false))),
                5 => exchange.enter(State::Decide(Decide::about(Offer::Held(facts, Hold::default()), false))),
                6 if matches!(exchange.state(), State::Request(_)) => exchange.enter(State::Response),
                _ => exchange.enter(State::Answer),
            }
        }
        (State::Response | State::Answer, _) => {
            exchange.outgoing.add_framed(&[choice]);
            exchange.outgoing.tail.push(choice);
            exchange.outgoing.body_bytes += 1;
            exchange.outcome.status = 200;
            exchange.watch.is_event_stream = true;
            exchange.end_response();
        }
    }
    exchange.incoming.wire.http3().section.push(choice);
    exchange.incoming.body_bytes += u64::from(choice % 2);
    assert_eq!(exchange.key.pack(), key);
    assert!(exchange.name() != exchange.hedge_name() && exchange.attempt_named(exchange.name()).is_some());
    assert_eq!(exchange.attempt_named(exchange.hedge_name()).is_some(), exchange.state().hedge().is_some());
}

proptest! {
    #[test]
    fn whatever_an_exchange_went_through_it_leaves_nothing_to_the_next(choices in proptest::collection::vec(any::<u8>(), 0..40)) {
        let mut exchange = begun();
        for (at, choice) in choices.into_iter().enumerate() {
            step(&mut exchange, choice, (1_000 + at as Nanos) * MS);
        }
        if let Some(pending) = exchange.pending_mut() {
            pending.hedge = None;
        }
        exchange.release();
        begin(&mut exchange);
        prop_assert_eq!(format!("{exchange:?}"), format!("{:?}", begun()));
    }
}
