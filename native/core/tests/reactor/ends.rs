//! How connections end: counted when they do, though they are kept a little longer for what is on
//! its way (RFC 9000 §10.2).

use crate::support::client::{Client, socket};
use crate::support::{Bed, Kind, Setup};
use lychgate_core::base::counters::{Closed, Handshake, Id};
use lychgate_core::http::error::h3;
use std::net::SocketAddr;

#[test]
fn a_connection_that_its_client_closes_is_counted_at_once_with_its_requests() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    bed.clients[client].get("/hold");
    bed.until("the request", |bed| bed.shard().lane.heads.len() == 1);
    bed.clients[client].quic.close(true, h3::NO_ERROR, b"").unwrap();
    bed.until("its count", |bed| bed.shard().count_of(Id::ConnectionsClosed, Closed::Peer as usize) == 1);
    assert_eq!(bed.shard().reactor.relay.connections.len(), 1, "packets on their way still find it");
    assert_eq!(bed.shard().reactor.relay.exchanges.len(), 0);
    bed.until("the connection to be let go", |bed| bed.shard().reactor.relay.connections.is_empty());
    assert_eq!(bed.shard().count_of(Id::ConnectionsClosed, Closed::Peer as usize), 1);
}

#[test]
fn a_handshake_that_fails_is_counted_at_once() {
    let mut bed = Bed::new();
    let mut client = Client::new(Kind::Bare, bed.address, socket(), 1 << 20);
    client.quic = stranger(client.local(), bed.address);
    client.drive();
    bed.until("its count", |bed| bed.shard().count_of(Id::Handshakes, Handshake::Failed as usize) == 1);
    assert_eq!(bed.shard().reactor.relay.connections.len(), 1, "packets on their way still find it");
    bed.until("the connection to be let go", |bed| bed.shard().reactor.relay.connections.is_empty());
    assert_eq!(bed.shard().count_of(Id::Handshakes, Handshake::Failed as usize), 1);
    assert_eq!(bed.shard().count_of(Id::Handshakes, Handshake::TimedOut as usize), 0);
}

/// A connection of a client that speaks something else than HTTP/3.
fn stranger(local: SocketAddr, server: SocketAddr) -> quiche::Connection {
    let mut config = quiche::Config::new(quiche::PROTOCOL_VERSION).unwrap();
    config.set_application_protos(&[b"something-else"]).unwrap();
    config.verify_peer(false);
    quiche::connect(Some("localhost"), &quiche::ConnectionId::from_ref(&[7; 16]), local, server, &mut config).unwrap()
}

#[test]
fn a_handshake_that_was_given_up_costs_no_turns_until_it_is_let_go() {
    let mut bed = Bed::with(Setup { handshake_timeout_ms: 200, ..Setup::default() });
    let mut client = Client::new(Kind::Bare, bed.address, socket(), 1 << 20);
    client.drive();
    bed.until("the connection", |bed| bed.shard().reactor.relay.connections.len() == 1);
    let before = bed.shard().count(Id::Turns);
    bed.until("the connection to be let go", |bed| bed.shard().reactor.relay.connections.is_empty());
    let turns = bed.shard().count(Id::Turns) - before;
    assert!(turns < 20, "{turns} turns");
    assert_eq!(bed.shard().count_of(Id::Handshakes, Handshake::TimedOut as usize), 1);
}
