//! Panics end what they happened in: a connection, a session to a backend, all of a shard, and
//! never more. They are planted: see `base::panics::plant`.

use crate::support::client::{Client, socket};
use crate::support::{Bed, Kind, Setup};
use lychgate_core::base::counters::{Closed, Handshake, Id};
use lychgate_core::base::panics::{self, Owner, plant};
use lychgate_core::base::reason::Reason;
use std::io::Write;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// INTERNAL_ERROR of the transport (RFC 9000 §20.1).
const INTERNAL_ERROR: u64 = 0x1;

/// A client with a request that the origin holds back, and nothing else on its way.
fn patient(bed: &mut Bed) -> (usize, u64) {
    let client = bed.connect(Kind::Http3);
    let stream = bed.clients[client].get("/late");
    bed.until("the origin to have it", |bed| bed.origin.notes.requests.load(Relaxed) == 1);
    bed.rest(Duration::from_millis(100));
    (client, stream)
}

/// Lets the held request go on, and sees it end as if nothing had happened.
fn assert_unharmed(bed: &mut Bed, (client, stream): (usize, u64)) {
    bed.origin.notes.is_released.store(true, Relaxed);
    assert_eq!(bed.finish(client, stream).body, b"hello");
    assert_eq!(bed.get(client, "/").body, b"hello");
}

fn panics_of(bed: &mut Bed, owner: Owner) -> u64 {
    bed.shard().count_of(Id::Panics, owner as usize)
}

fn assert_one_connection_ends(place: &str) {
    let mut bed = Bed::new();
    let other = patient(&mut bed);
    let victim = bed.connect(Kind::Http3);
    assert_eq!(bed.get(victim, "/").body, b"hello");
    bed.rest(Duration::from_millis(100));
    assert!(plant::arm(place));
    bed.clients[victim].get("/");
    assert_eq!(bed.refusal(victim), INTERNAL_ERROR, "{place}");
    assert_eq!(panics_of(&mut bed, Owner::Connection), 1);
    assert_eq!(bed.shard().count_of(Id::ConnectionsClosed, Closed::Panic as usize), 1);
    assert_eq!(bed.shard().reactor.relay.connections.len(), 1);
    assert_unharmed(&mut bed, other);
    bed.connect(Kind::Http3);
    assert_eq!((panics_of(&mut bed, Owner::Session), panics_of(&mut bed, Owner::Shard)), (0, 0));
}

#[test]
fn a_panic_while_a_connection_receives_ends_that_connection_and_leaves_the_rest() {
    assert_one_connection_ends("receive");
}

#[test]
fn a_panic_while_a_connection_is_processed_ends_that_connection_and_leaves_the_rest() {
    assert_one_connection_ends("process");
}

#[test]
fn a_panic_while_a_connection_sends_ends_that_connection_and_leaves_the_rest() {
    assert_one_connection_ends("send");
}

#[test]
fn a_panic_over_a_backend_s_response_ends_the_connection_it_is_for_and_not_the_session_it_came_on() {
    assert_one_connection_ends("response");
}

#[test]
fn the_exchanges_of_a_connection_that_panicked_are_told_of_once() {
    let mut bed = Bed::new();
    let (victim, _) = patient(&mut bed);
    bed.clients[victim].get("/late");
    bed.until("both to be there", |bed| bed.origin.notes.requests.load(Relaxed) == 2);
    plant::arm("receive");
    bed.clients[victim].get("/");
    assert_eq!(bed.refusal(victim), INTERNAL_ERROR);
    bed.until("both ends", |bed| bed.shard().lane.completions.len() == 2);
    assert!(bed.shard().lane.completions.iter().all(|end| end.reason == Reason::InternalError.number()));
}

#[test]
fn a_panic_as_a_connection_is_accepted_costs_one_datagram() {
    let mut bed = Bed::new();
    let other = patient(&mut bed);
    plant::arm("accept");
    // The handshake goes on with what the client sends again.
    bed.connect(Kind::Http3);
    assert_eq!(panics_of(&mut bed, Owner::Connection), 1);
    assert_unharmed(&mut bed, other);
}

#[test]
fn a_panic_in_a_callback_of_the_handshake_does_not_pass_through_boringssl() {
    let mut bed = Bed::new();
    let other = patient(&mut bed);
    plant::arm("certificate");
    let victim = bed.approach(socket());
    // The alert internal_error.
    assert_eq!(bed.refusal(victim), 0x150);
    assert_eq!(panics_of(&mut bed, Owner::Connection), 1);
    assert_eq!(bed.shard().count_of(Id::Handshakes, Handshake::Failed as usize), 1);
    assert_unharmed(&mut bed, other);
    bed.connect(Kind::Http3);
}

/// The patch of quiche: BoringSSL hands a secret to the key log, which panics.
#[test]
fn a_panic_in_a_callback_of_quiche_s_goes_on_behind_boringssl() {
    struct Panicking;
    impl Write for Panicking {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            panic!("planted in the key log");
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut bed = Bed::with(Setup { handshake_timeout_ms: 500, ..Setup::default() });
    let mut client = Client::with_key_log(Kind::Bare, bed.address, socket());
    client.quic.set_keylog(Box::new(Panicking));
    client.drive();
    let mut panicked = false;
    bed.until("the panic", |_| {
        panicked = panicked || panics::guard(|| client.drive()).is_err();
        panicked
    });
    bed.until("the server to give it up", |bed| bed.shard().reactor.relay.connections.is_empty());
}

#[test]
fn a_panic_over_what_a_backend_sends_ends_its_session_alone_and_the_next_request_gets_another() {
    let mut bed = Bed::new();
    let (other, held) = patient(&mut bed);
    let client = bed.connect(Kind::Http3);
    plant::arm("session");
    // The lane of these tests answers failures with 502. The held request was on the same session.
    assert_eq!((bed.get(client, "/").status, bed.finish(other, held).status), (502, 502));
    assert!(bed.shard().lane.failures.iter().map(|failure| failure.reason).eq([Reason::InternalError.number(); 2]));
    assert_eq!(panics_of(&mut bed, Owner::Session), 1);
    bed.origin.notes.is_released.store(true, Relaxed);
    for client in [client, other] {
        assert_eq!(bed.get(client, "/").body, b"hello");
    }
    assert_eq!((bed.shard().count(Id::SessionsOpen), bed.shard().count(Id::StreamsOpen)), (1, 0));
    assert_eq!((panics_of(&mut bed, Owner::Connection), panics_of(&mut bed, Owner::Shard)), (0, 0));
}

/// Everybody is told, everything is told of, and the same socket serves whoever comes next.
fn assert_the_shard_starts_over(place: &str) {
    let mut bed = Bed::new();
    let (other, _) = patient(&mut bed);
    let client = bed.connect(Kind::Http3);
    assert_eq!(bed.get(client, "/").body, b"hello");
    assert!(plant::arm(place));
    bed.clients[client].get("/");
    assert_eq!((bed.refusal(client), bed.refusal(other)), (INTERNAL_ERROR, INTERNAL_ERROR), "{place}");
    assert_eq!(panics_of(&mut bed, Owner::Shard), 1);
    assert_eq!(bed.shard().count_of(Id::ConnectionsClosed, Closed::Panic as usize), 2);
    bed.until("the held exchange's end", |bed| {
        bed.shard().lane.completions.iter().any(|end| end.path == "/late" && end.reason == Reason::InternalError.number())
    });
    assert_eq!(bed.in_flight(), 0);
    let sent = bed.shard().count(Id::DatagramsSent);
    let next = bed.connect(Kind::Http3);
    assert_eq!(bed.get(next, "/").body, b"hello");
    assert!(bed.shard().count(Id::DatagramsSent) > sent, "counters go on");
    assert_eq!((bed.shard().count(Id::ConnectionsOpen), bed.shard().count(Id::SessionsOpen)), (1, 1));
    assert_eq!((panics_of(&mut bed, Owner::Connection), panics_of(&mut bed, Owner::Session)), (0, 0));
    assert_eq!(bed.connections.get(), 1);
    bed.origin.notes.is_released.store(true, Relaxed);
}

#[test]
fn a_panic_of_a_turn_ends_all_connections_of_the_shard_and_it_starts_over_on_the_same_socket() {
    assert_the_shard_starts_over("turn");
}

#[test]
fn a_panic_in_the_books_of_all_sessions_is_the_shard_s_whomever_they_were_opened_for() {
    assert_the_shard_starts_over("pool");
}
