//! Drain by GOAWAY (RFC 9114 §5.2): a notice, the final ID, the last response, the end.

use crate::support::client::socket;
use crate::support::lane::{TAG, Verdict, WAIT_TAG};
use crate::support::origin::patterned;
use crate::support::wire::{GET, head, headers};
use crate::support::{Bed, Kind, Setup};
use lychgate_core::base::counters::{Closed, Dropped, Id, Refused};
use lychgate_core::base::reason::Reason;
use lychgate_core::downstream::connection::Drain;
use lychgate_core::http::error::h3;
use std::sync::atomic::Ordering::Relaxed;

const NOTICE: u64 = (1 << 62) - 4;

#[test]
fn what_runs_is_finished_what_comes_later_is_rejected_and_then_the_connection_closes() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Raw);
    let running = bed.clients[client].open(&headers(&head("GET", "/late", &[])), true);
    bed.until("the origin to have it", |bed| bed.origin.notes.requests.load(Relaxed) == 1);
    bed.shard().reactor.drain();
    bed.until("the notice", |bed| bed.clients[client].goaways() == [NOTICE]);
    let crossing = bed.clients[client].open(&headers(&GET), true);
    assert_eq!(bed.finish(client, crossing).status, 200, "a request that crossed the notice is served");
    bed.until("the final ID", |bed| bed.clients[client].goaways() == [NOTICE, 8]);
    let late = bed.clients[client].open(&headers(&GET), true);
    assert_eq!(bed.finish(client, late).reset, Some(h3::REQUEST_REJECTED));
    assert_eq!(bed.clients[client].closed_with(), None);
    bed.origin.notes.is_released.store(true, Relaxed);
    assert_eq!(bed.finish(client, running).body, b"hello");
    assert_eq!(bed.close_code(client), h3::NO_ERROR);
    bed.until("the connection to be forgotten", |bed| bed.shard().reactor.relay.connections.is_empty());
    assert_eq!(bed.shard().count_of(Id::ConnectionsClosed, Closed::Local as usize), 1);
    assert_eq!(bed.shard().lane.heads.len(), 2);
}

#[test]
fn the_oldest_exchange_is_told_while_it_is_open() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Raw);
    assert_eq!(bed.shard().reactor.oldest_exchange_ms(), None);
    let running = bed.clients[client].open(&headers(&head("GET", "/late", &[])), true);
    bed.until("the origin to have it", |bed| bed.origin.notes.requests.load(Relaxed) == 1);
    bed.rest(std::time::Duration::from_millis(20));
    let younger = bed.clients[client].open(&headers(&GET), true);
    assert_eq!(bed.finish(client, younger).status, 200);
    assert!(bed.shard().reactor.oldest_exchange_ms().is_some_and(|age| age >= 20.0));
    bed.origin.notes.is_released.store(true, Relaxed);
    assert_eq!(bed.finish(client, running).status, 200);
    bed.until("the end", |bed| bed.shard().reactor.oldest_exchange_ms().is_none());
}

#[test]
fn a_connection_without_requests_closes_soon_and_a_new_one_is_refused_at_once() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Raw);
    bed.shard().reactor.drain();
    assert_eq!(bed.close_code(client), h3::NO_ERROR);
    assert_eq!(bed.clients[client].goaways(), [NOTICE, 0]);
    let stranger = bed.approach(socket());
    assert_eq!(bed.refusal(stranger), 0x2);
    // An X25519MLKEM768 key share makes the first flight two datagrams; each is answered.
    assert!(bed.shard().count_of(Id::ConnectionsRefused, Refused::Draining as usize) > 0);
    assert_eq!(bed.shard().count_of(Id::Drops, Dropped::Draining as usize), 0);
    assert_eq!(bed.shard().count(Id::ConnectionsOpened), 1);
}

#[test]
fn a_slow_download_is_whole_before_the_connection_closes() {
    let mut bed = Bed::new();
    let client = bed.connect_from(Kind::Raw, socket(), 40_000);
    let stream = bed.clients[client].open(&headers(&head("GET", "/bytes/300000", &[])), true);
    bed.clients[client].is_reading = false;
    bed.until("the beginning", |bed| bed.origin.notes.sent.load(Relaxed) > 60_000);
    bed.shard().reactor.drain();
    bed.rest(std::time::Duration::from_millis(150));
    bed.clients[client].is_reading = true;
    assert!(bed.finish(client, stream).body == patterned(300_000));
    assert_eq!(bed.close_code(client), h3::NO_ERROR);
}

#[test]
fn bytes_the_client_has_not_acknowledged_are_not_cut_off_by_a_drain() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Raw);
    let stream = bed.clients[client].open(&headers(&head("GET", "/bytes/9000", &[])), true);
    bed.clients[client].drive();
    // The client falls silent before the response leaves, so the exchange ends while its bytes are
    // on their way.
    bed.clients[client].is_silent = true;
    bed.until("the exchange's end", |bed| bed.shard().lane.completions.len() == 1);
    while bed.clients[client].lose() {}
    bed.shard().reactor.drain();
    bed.rest(std::time::Duration::from_millis(300));
    while bed.clients[client].lose() {}
    bed.clients[client].is_silent = false;
    assert!(bed.finish(client, stream).body == patterned(9_000));
    assert_eq!(bed.close_code(client), h3::NO_ERROR);
}

#[test]
fn what_is_left_at_the_end_is_cut_and_told_of() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    let held = bed.clients[client].get("/hold");
    bed.until("the origin to have it", |bed| bed.origin.notes.open.load(Relaxed) == 1);
    bed.shard().lane.on_head = Box::new(|_| Verdict::Wait(60_000, Reason::QueueTimeout.number()));
    let waits = bed.clients[client].get("/");
    bed.until("the wait", |bed| bed.shard().lane.heads.len() == 2);
    let shard = bed.shard();
    shard.reactor.close();
    shard.lane.call();
    let mut ends: Vec<_> = shard.lane.completions.iter().map(|end| (end.reason, end.status, end.tag)).collect();
    ends.sort_by_key(|end| end.2.route);
    assert_eq!(ends, [(Reason::Shutdown.number(), 0, TAG), (Reason::Shutdown.number(), 0, WAIT_TAG)]);
    bed.until("the resets", |bed| [held, waits].iter().all(|stream| bed.clients[client].streams[stream].is_over()));
    let reset = |bed: &Bed, stream| bed.clients[client].streams[stream].reset;
    assert_eq!((reset(&bed, &held), reset(&bed, &waits)), (Some(0x102), Some(0x10b)));
}

/// Connections that were told of the drain.
fn told(bed: &mut Bed) -> usize {
    bed.shard().reactor.relay.connections.iter().filter(|(_, connection)| connection.end.drain != Drain::No).count()
}

#[test]
fn of_many_connections_a_turn_tells_a_few_and_in_the_end_all_have_closed() {
    const CONNECTIONS: usize = 100;
    let mut bed = Bed::new();
    let clients: Vec<usize> = (0..CONNECTIONS).map(|_| bed.connect(Kind::Raw)).collect();
    bed.until("the edge to know that the last one is open", |bed| {
        bed.shard().reactor.relay.connections.iter().all(|(_, connection)| connection.is_open)
    });
    bed.shard().reactor.drain();
    let mut before = told(&mut bed);
    assert!((1..=32).contains(&before), "{before} at once");
    while before < CONNECTIONS {
        bed.shard().reactor.turn(|| unreachable!("there is nothing for the lane"));
        let now = told(&mut bed);
        assert!(now - before <= 32, "{} in one turn", now - before);
        before = now;
    }
    for client in clients {
        assert_eq!(bed.close_code(client), h3::NO_ERROR);
        assert_eq!(bed.clients[client].goaways(), [NOTICE, 0]);
    }
}

#[test]
fn of_many_connections_that_come_due_at_once_a_turn_takes_a_few() {
    const CONNECTIONS: usize = 150;
    let mut bed = Bed::with(Setup { idle_timeout_ms: 600_000, max_connections: CONNECTIONS, ..Setup::default() });
    for _ in 0..CONNECTIONS {
        let client = bed.connect(Kind::Http3);
        assert_eq!(bed.get(client, "/").body, b"hello");
        // The edge hears nothing of its client any more.
        bed.clients.clear();
    }
    bed.shard().reactor.drain();
    bed.until("all to be told", |bed| told(bed) == CONNECTIONS);
    let past_notice = |bed: &mut Bed| {
        let connections = &bed.shard().reactor.relay.connections;
        CONNECTIONS - connections.iter().filter(|(_, connection)| matches!(connection.end.drain, Drain::Noticed { .. })).count()
    };
    let mut before = past_notice(&mut bed);
    // No notice is waited upon for longer than a second.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    while before < CONNECTIONS {
        bed.turn();
        let now = past_notice(&mut bed);
        assert!(now - before <= 64, "{} in one turn", now - before);
        before = now;
    }
}
