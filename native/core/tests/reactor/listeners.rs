//! Listeners come, move, change and go while connections are open.

use crate::support::client::socket;
use crate::support::wire::{GET, head, headers};
use crate::support::{Bed, Kind, Request, Setup};
use lychgate_core::base::counters::{Closed, Dropped, Id, Refused};
use lychgate_core::http::error::h3;
use lychgate_core::quic::socket as udp;
use lychgate_core::reactor::listener::ListenerSocket;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

const NOTICE: u64 = (1 << 62) - 4;
/// A key-exchange group (RFC 8446 §4.2.7).
const P_384: u16 = 24;
/// Time that no test has.
const LONG: u64 = 60_000_000_000;

/// Numbers of the listeners that connections came to.
fn numbers(bed: &mut Bed) -> Vec<u32> {
    let mut numbers: Vec<u32> = bed.shard().reactor.relay.connections.iter().map(|(_, connection)| connection.accepted.listener).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn a_listener_that_comes_is_served_at_once_and_nobody_notices() {
    let mut bed = Bed::with(Setup { shards: 2, ..Setup::default() });
    let first = bed.connect(Kind::Raw);
    let running = bed.clients[first].open(&headers(&head("GET", "/late", &[])), true);
    bed.until("the origin to have it", |bed| bed.origin.notes.requests.load(Relaxed) == 1);
    let addresses = bed.listen(&[(0, 0), (1, 1)], LONG);
    assert_eq!(bed.open_sockets(), 4);
    let second = bed.connect_to(Kind::Http3, addresses[1]);
    assert_eq!(bed.get(second, "/").status, 200);
    bed.origin.notes.is_released.store(true, Relaxed);
    assert_eq!(bed.finish(first, running).status, 200);
    assert!(bed.clients[first].goaways().is_empty());
}

#[test]
fn a_listener_that_goes_ends_what_runs_lets_nobody_in_and_its_sockets_are_closed_after_the_last_connection() {
    let mut bed = Bed::new();
    let stays = bed.connect(Kind::Http3);
    let addresses = bed.listen(&[(0, 0), (1, 1)], LONG);
    let (running, idle) = (bed.connect_to(Kind::Raw, addresses[1]), bed.connect_to(Kind::Raw, addresses[1]));
    let stream = bed.clients[running].open(&headers(&head("GET", "/late", &[])), true);
    bed.until("the origin to have it", |bed| bed.origin.notes.requests.load(Relaxed) == 1);

    bed.listen(&[(0, 0)], LONG);
    bed.until("the final ID", |bed| bed.clients[running].goaways() == [NOTICE, 4]);
    assert_eq!(bed.close_code(idle), h3::NO_ERROR, "who has no request is let go at once");
    let late = bed.clients[running].open(&headers(&GET), true);
    assert_eq!(bed.finish(running, late).reset, Some(h3::REQUEST_REJECTED));
    let stranger = bed.approach_at(addresses[1], socket());
    bed.refusal(stranger);
    assert!(bed.shard().count_of(Id::ConnectionsRefused, Refused::Draining as usize) > 0);
    assert_eq!(bed.open_sockets(), 2);

    bed.origin.notes.is_released.store(true, Relaxed);
    assert_eq!(bed.finish(running, stream).body, b"hello");
    assert_eq!(bed.close_code(running), h3::NO_ERROR);
    bed.until("the socket to be closed", |bed| bed.open_sockets() == 1);
    assert_eq!(bed.get(stays, "/").status, 200);
    assert!(bed.clients[stays].goaways().is_empty(), "the others are not told");
}

#[test]
fn what_is_left_of_a_listener_that_went_is_cut_when_its_time_is_over() {
    let mut bed = Bed::new();
    let addresses = bed.listen(&[(0, 0), (1, 1)], LONG);
    let client = bed.connect_to(Kind::Raw, addresses[1]);
    let stream = bed.clients[client].open(&headers(&head("GET", "/late", &[])), true);
    bed.until("the origin to have it", |bed| bed.origin.notes.requests.load(Relaxed) == 1);
    bed.listen(&[(0, 0)], 100_000_000);
    assert_eq!(bed.finish(client, stream).reset, Some(h3::INTERNAL_ERROR));
    assert_eq!(bed.close_code(client), h3::NO_ERROR);
    bed.until("the socket to be closed", |bed| bed.open_sockets() == 1);
    assert_eq!(bed.shard().count_of(Id::ConnectionsClosed, Closed::Local as usize), 1);
}

#[test]
fn a_handshake_that_is_under_way_when_its_listener_goes_is_ended() {
    let mut bed = Bed::new();
    let addresses = bed.listen(&[(0, 0), (1, 1)], LONG);
    let client = bed.approach_at(addresses[1], socket());
    bed.clients[client].is_silent = true;
    bed.until("the first flight", |bed| bed.shard().reactor.relay.connections.len() == 1);
    bed.listen(&[(0, 0)], 50_000_000);
    bed.until("the connection to be forgotten", |bed| bed.shard().reactor.relay.connections.is_empty());
    bed.until("the socket to be closed", |bed| bed.open_sockets() == 1);
}

#[test]
fn a_listener_that_moves_serves_at_its_new_address_and_ends_what_runs_at_the_old_one() {
    let mut bed = Bed::new();
    let before = bed.connect(Kind::Raw);
    let stream = bed.clients[before].open(&headers(&head("GET", "/late", &[])), true);
    bed.until("the origin to have it", |bed| bed.origin.notes.requests.load(Relaxed) == 1);
    let addresses = bed.listen(&[(1, 0)], LONG);
    let after = bed.connect_to(Kind::Http3, addresses[0]);
    assert_eq!(bed.get(after, "/").status, 200);
    assert_eq!(numbers(&mut bed), [0, 0]);
    assert_eq!(bed.connections.get(), 2, "they are counted together");
    bed.until("the final ID", |bed| bed.clients[before].goaways() == [NOTICE, 4]);
    bed.origin.notes.is_released.store(true, Relaxed);
    assert_eq!(bed.finish(before, stream).status, 200);
    assert_eq!(bed.close_code(before), h3::NO_ERROR);
    bed.until("the socket to be closed", |bed| bed.open_sockets() == 1);
    assert!(bed.clients[after].goaways().is_empty());
}

#[test]
fn a_socket_that_another_listener_gets_stays_open_and_connections_of_the_one_before_end() {
    let mut bed = Bed::new();
    let before = bed.connect(Kind::Raw);
    let stream = bed.clients[before].open(&headers(&head("GET", "/late", &[])), true);
    bed.until("the origin to have it", |bed| bed.origin.notes.requests.load(Relaxed) == 1);
    bed.listen(&[(0, 7)], LONG);
    let after = bed.connect(Kind::Raw);
    assert_eq!(numbers(&mut bed), [0, 7]);
    bed.until("the final ID", |bed| bed.clients[before].goaways() == [NOTICE, 4]);
    bed.origin.notes.is_released.store(true, Relaxed);
    assert_eq!(bed.finish(before, stream).status, 200);
    assert_eq!(bed.close_code(before), h3::NO_ERROR);
    bed.until("the connection to be forgotten", |bed| numbers(bed) == [7]);
    assert_eq!(bed.open_sockets(), 1);
    assert!(bed.clients[after].goaways().is_empty());
}

#[test]
fn a_listener_that_comes_back_while_its_connections_end_lets_clients_in_by_the_same_socket() {
    let mut bed = Bed::new();
    let addresses = bed.listen(&[(0, 0), (1, 1)], LONG);
    let client = bed.connect_to(Kind::Raw, addresses[1]);
    let stream = bed.clients[client].open(&headers(&head("GET", "/late", &[])), true);
    bed.until("the origin to have it", |bed| bed.origin.notes.requests.load(Relaxed) == 1);
    bed.listen(&[(0, 0)], LONG);
    bed.listen(&[(0, 0), (1, 1)], LONG);
    let again = bed.connect_to(Kind::Http3, addresses[1]);
    assert_eq!(bed.get(again, "/").status, 200);
    bed.origin.notes.is_released.store(true, Relaxed);
    assert_eq!(bed.finish(client, stream).status, 200);
    assert_eq!(bed.close_code(client), h3::NO_ERROR, "who was told goes");
    bed.until("the connection to be forgotten", |bed| bed.connections.get() == 1);
    assert_eq!(bed.open_sockets(), 2);
}

#[test]
fn listeners_that_come_and_go_leave_no_socket_and_no_count_of_what_was_sent_goes_back() {
    let mut bed = Bed::with(Setup { shards: 2, ..Setup::default() });
    let kept = bed.connect(Kind::Http3);
    let mut sent = 0;
    for round in 1..=20 {
        let addresses = bed.listen(&[(0, 0), (round, round)], LONG);
        let client = bed.connect_to(Kind::Http3, addresses[1]);
        assert_eq!(bed.get(client, "/").status, 200);
        bed.listen(&[(0, 0)], LONG);
        assert_eq!(bed.close_code(client), h3::NO_ERROR);
        bed.until("the sockets to be closed", |bed| bed.open_sockets() == 2);
        assert_eq!(bed.get(kept, "/").status, 200);
        let now: u64 = bed.shards.iter().map(|shard| shard.count(Id::DatagramsSent)).sum();
        assert!(now > sent, "{now} after {sent}");
        sent = now;
    }
    bed.until("the connections to be forgotten", |bed| bed.connections.get() == 1);
}

#[test]
fn a_listener_obeys_other_settings_from_then_on_and_who_is_connected_stays() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    let long = "x".repeat(2_000);
    let fetch = |bed: &mut Bed, client| bed.fetch(client, Request { path: "/", fields: &[("x-long", &long)], ..Request::default() });
    assert_eq!(fetch(&mut bed, client).status, 200);
    bed.resettle(Setup { max_head_bytes: 1_024, max_connections: 1, idle_timeout_ms: 7_000, ..Setup::default() }, &[(0, 0)]);
    assert_eq!(fetch(&mut bed, client).status, 431, "limits of heads hold at once");
    let stranger = bed.approach(socket());
    bed.refusal(stranger);
    assert!(bed.shard().count_of(Id::ConnectionsRefused, Refused::ConnectionLimit as usize) > 0);
    bed.resettle(Setup { idle_timeout_ms: 7_000, groups: "P-384", ..Setup::default() }, &[(0, 0)]);
    assert_eq!(fetch(&mut bed, client).status, 200);
    let next = bed.connect(Kind::Http3);
    let told = |bed: &Bed, client: usize| bed.clients[client].quic.peer_transport_params().map(|params| params.max_idle_timeout);
    assert_eq!((told(&bed, client), told(&bed, next)), (Some(30_000), Some(7_000)), "what is agreed in the handshake holds for new ones");
    assert_eq!(fetch(&mut bed, next).status, 200);
    let groups: Vec<u16> = bed.shard().reactor.relay.connections.iter().map(|(_, connection)| connection.tls.group).collect();
    assert_eq!(groups.iter().filter(|group| **group == P_384).count(), 1, "{groups:?}");
}

#[test]
fn what_cannot_be_listened_on_changes_nothing_and_the_sockets_stay_the_caller_s() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    let (addresses, count) = (bed.address, Arc::default());
    let open = || ListenerSocket::new(udp::open("127.0.0.1:0".parse().unwrap(), 1 << 16, 1 << 16).unwrap(), &count);
    let mut options = vec![bed.option(1, 1, Some(open())), bed.option(2, 2, None)];
    assert!(bed.shard().reactor.listen(&mut options, LONG).is_err());
    assert_eq!((options.len(), Arc::strong_count(&count)), (2, 2));
    assert_eq!(bed.get(client, "/").status, 200);
    let stranger = bed.connect_to(Kind::Http3, addresses);
    assert_eq!(bed.get(stranger, "/").status, 200, "it listens where it did");
    assert!(bed.clients[client].goaways().is_empty());
}

#[test]
fn a_packet_that_another_shard_took_from_a_socket_which_is_closed_here_is_dropped() {
    let mut bed = Bed::with(Setup { shards: 2, ..Setup::default() });
    let addresses = bed.listen(&[(0, 0), (1, 1)], LONG);
    // Only the first shard hears of the change: the other still takes from its socket.
    let mut options = vec![bed.option(0, 0, None)];
    bed.shards[0].reactor.listen(&mut options, LONG).unwrap();
    assert_eq!(bed.open_sockets(), 3);
    let sender = socket();
    // A handshake packet with an ID that names the first shard.
    let id = lychgate_core::quic::cid::CidKey::new(&[0x6b; 32]).mint(0, 0).to_be_bytes();
    let mut packet = vec![0xe0, 0, 0, 0, 1, 8];
    packet.extend_from_slice(&id);
    packet.extend_from_slice(&[0; 40]);
    sender.send_to(&packet, addresses[1]).unwrap();
    bed.until("the packet to be dropped", |bed| bed.shards[0].count_of(Id::Drops, Dropped::NotInitial as usize) == 1);
    let survivor = bed.connect_to(Kind::Http3, addresses[1]);
    assert_eq!(bed.get(survivor, "/").status, 200, "the other shard serves");
}
