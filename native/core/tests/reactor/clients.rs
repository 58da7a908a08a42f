//! The limit of connections by client address: who counts, where, and until when.

use crate::packets::socket_towards;
use crate::support::client::{Client, Request};
use crate::support::{Bed, Kind, Setup};
use lychgate_core::base::counters::{Closed, Dropped, Handshake, Id, Refused};
use lychgate_core::base::panics::{Owner, plant};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::atomic::Ordering::Relaxed;

/// CONNECTION_REFUSED (RFC 9000 §20.1).
const CONNECTION_REFUSED: u64 = 0x2;

fn host(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
}

/// A socket of another client on this machine.
fn socket_of(last: u8) -> UdpSocket {
    let socket = UdpSocket::bind((host(last), 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// A connection of a client on this machine that the edge has counted: its own end of the handshake
/// comes earlier.
fn connect(bed: &mut Bed, last: u8, kind: Kind) -> usize {
    let before = bed.by_client.get(host(last));
    let client = bed.connect_from(kind, socket_of(last), 1 << 20);
    bed.until("the connection to count", |bed| bed.by_client.get(host(last)) > before);
    client
}

fn refused(bed: &mut Bed) -> u64 {
    bed.shard().count_of(Id::ConnectionsRefused, Refused::ClientLimit as usize)
}

#[test]
fn a_client_s_fourth_connection_of_three_is_refused_others_go_on_and_one_that_closes_makes_room() {
    let mut bed = Bed::with(Setup { max_per_client: 3, ..Setup::default() });
    let mine: Vec<usize> = (0..3).map(|_| connect(&mut bed, 2, Kind::Http3)).collect();
    let fourth = bed.approach(socket_of(2));
    assert_eq!(bed.refusal(fourth), CONNECTION_REFUSED);
    assert!(refused(&mut bed) > 0);
    assert_eq!(bed.shard().count(Id::ConnectionsOpened), 3, "refused before there was a handshake");
    let other = connect(&mut bed, 3, Kind::Http3);
    assert_eq!(bed.get(other, "/").body, b"hello");
    bed.clients[mine[1]].quic.close(true, 0x100, b"").unwrap();
    bed.until("its place to be free", |bed| bed.by_client.get(host(2)) == 2);
    let again = connect(&mut bed, 2, Kind::Http3);
    for client in [mine[0], mine[2], again] {
        assert_eq!(bed.get(client, "/").body, b"hello");
    }
    let fifth = bed.approach(socket_of(2));
    assert_eq!(bed.refusal(fifth), CONNECTION_REFUSED);
}

/// While handshakes are under way nobody counts: each finds out at its end, and what came with it
/// is not looked at.
#[test]
fn of_handshakes_that_end_together_only_as_many_have_a_connection_as_there_are_places() {
    let mut bed = Bed::with(Setup { max_per_client: 3, ..Setup::default() });
    for _ in 0..8 {
        let mut client = Client::new(Kind::Http3, bed.address, socket_of(2), 1 << 20);
        client.drive();
        bed.clients.push(client);
    }
    let mut has_asked = [false; 8];
    bed.until("all to have an answer or a refusal", |bed| {
        for (client, has_asked) in bed.clients.iter_mut().zip(&mut has_asked) {
            if client.is_ready() && !*has_asked {
                *has_asked = client.try_request(Request { path: "/", ..Request::default() }).is_some();
            }
        }
        bed.clients.iter().all(|client| client.quic.peer_error().is_some() || client.streams.values().any(|stream| stream.is_finished))
    });
    let codes: Vec<_> =
        bed.clients.iter().filter_map(|client| client.quic.peer_error()).map(|error| (error.is_app, error.error_code)).collect();
    assert_eq!(codes, [(false, CONNECTION_REFUSED); 5]);
    assert_eq!(bed.origin.notes.requests.load(Relaxed), 3);
    assert_eq!((bed.by_client.get(host(2)), refused(&mut bed)), (3, 5));
    let shard = bed.shard();
    assert_eq!(shard.count_of(Id::Handshakes, Handshake::Completed as usize), 8);
    assert_eq!(shard.count_of(Id::Handshakes, Handshake::Failed as usize), 0);
    assert_eq!(shard.count_of(Id::ConnectionsClosed, Closed::Refused as usize), 5);
    bed.until("the refused to be forgotten", |bed| bed.shard().reactor.relay.connections.len() == 3);
    assert_eq!(bed.shard().count_of(Id::ConnectionsClosed, Closed::Protocol as usize), 0, "counted once");
}

#[test]
fn who_is_exempt_may_have_more() {
    let mut bed = Bed::with(Setup { max_per_client: 1, exempt: &["127.0.0.8/30"], ..Setup::default() });
    for _ in 0..4 {
        let client = bed.connect_from(Kind::Http3, socket_of(9), 1 << 20);
        assert_eq!(bed.get(client, "/").body, b"hello");
    }
    assert_eq!(bed.by_client.clients(), 0);
    connect(&mut bed, 12, Kind::Http3);
    let second = bed.approach(socket_of(12));
    assert_eq!(bed.refusal(second), CONNECTION_REFUSED);
}

#[test]
fn a_client_s_limit_is_that_of_all_shards_together() {
    let mut bed = Bed::with(Setup { shards: 2, max_per_client: 2, ..Setup::default() });
    let sockets = [0, 1, 1].map(|shard| socket_towards(&mut bed, shard));
    let [here, there, third] = sockets;
    for (socket, count) in [(here, 1), (there, 2)] {
        bed.connect_from(Kind::Http3, socket, 1 << 20);
        bed.until("it to count", |bed| bed.by_client.get(host(1)) == count);
    }
    let third = bed.approach(third);
    assert_eq!(bed.refusal(third), CONNECTION_REFUSED);
    assert_eq!((bed.shards[0].count(Id::ConnectionsOpened), bed.shards[1].count(Id::ConnectionsOpened)), (1, 1));
}

/// Whoever puts another's address on first datagrams never gets the answer, and so never finishes a
/// handshake.
#[test]
fn forged_first_datagrams_use_up_none_of_a_client_s_places() {
    let mut bed = Bed::with(Setup { max_per_client: 1, ..Setup::default() });
    for _ in 0..40 {
        let mut forged = Client::new(Kind::Bare, bed.address, socket_of(2), 1 << 20);
        forged.drive();
    }
    bed.until("all to be under way", |bed| bed.shard().reactor.relay.connections.len() == 40);
    assert_eq!(bed.by_client.clients(), 0);
    let client = connect(&mut bed, 2, Kind::Http3);
    assert_eq!(bed.get(client, "/").body, b"hello");
    assert_eq!((bed.by_client.get(host(2)), refused(&mut bed)), (1, 0));
}

/// Until the handshake is through everything goes to where the first datagram came from, and only
/// who reads it there can finish.
#[test]
fn a_handshake_begun_with_a_forged_address_cannot_be_finished_from_another() {
    let mut bed = Bed::with(Setup { max_per_client: 1, handshake_timeout_ms: 6_000, ..Setup::default() });
    let forger = bed.approach(socket_of(2));
    bed.clients[forger].rebind(socket_of(3));
    bed.until("a connection", |bed| bed.connections.get() == 1);
    // The client asks again from its own address meanwhile, more than once.
    bed.until("the handshake to be given up", |bed| {
        assert_eq!(bed.by_client.clients(), 0);
        bed.connections.get() == 0
    });
    assert!(bed.shard().count(Id::DatagramsReceived) > 2 && bed.clients[forger].longest == 0);
    assert!(!bed.clients[forger].is_ready());
}

#[test]
fn a_connection_that_moves_goes_on_counting_where_it_was_opened() {
    let mut bed = Bed::with(Setup { max_per_client: 1, ..Setup::default() });
    let client = connect(&mut bed, 2, Kind::Http3);
    let resident = connect(&mut bed, 3, Kind::Http3);
    bed.clients[client].rebind(socket_of(3));
    bed.clients[client].quic.send_ack_eliciting().unwrap();
    bed.until("it to have moved", |bed| bed.shard().count(Id::Migrations) == 1);
    // Where it came to all places are taken, and yet it works on.
    for client in [client, resident] {
        assert_eq!(bed.get(client, "/").body, b"hello");
    }
    let second = bed.approach(socket_of(2));
    assert_eq!(bed.refusal(second), CONNECTION_REFUSED);
    bed.clients[client].quic.close(true, 0x100, b"").unwrap();
    bed.until("its place to be free", |bed| bed.by_client.get(host(2)) == 0);
    assert_eq!(bed.by_client.get(host(3)), 1);
}

/// Who asks may have put a victim's address on the datagram: beyond the rate of such answers there
/// is silence.
#[test]
fn refusals_of_a_client_are_within_the_rate_of_answers_that_make_no_connection() {
    let mut bed = Bed::with(Setup { max_per_client: 1, stateless_replies: 10, ..Setup::default() });
    connect(&mut bed, 2, Kind::Http3);
    for _ in 0..40 {
        Client::new(Kind::Bare, bed.address, socket_of(2), 1 << 20).drive();
    }
    let dropped = |bed: &mut Bed| bed.shard().count_of(Id::Drops, Dropped::ClientLimit as usize);
    bed.until("all to be seen to", |bed| refused(bed) + dropped(bed) >= 40);
    let (refused, dropped) = (refused(&mut bed), dropped(&mut bed));
    assert!(refused >= 2 && dropped >= 20, "{refused} refused, {dropped} dropped");
}

/// Every way in which a connection ends.
#[test]
fn a_thousand_connections_leave_no_place_behind_whatever_ended_them() {
    const HOSTS: [u8; 10] = [10, 11, 12, 13, 14, 15, 16, 17, 18, 19];
    let mut bed = Bed::with(Setup { max_per_client: 2, idle_timeout_ms: 8_000, handshake_timeout_ms: 8_000, ..Setup::default() });
    for round in 0..50 {
        bed.clients.clear();
        let clients: Vec<usize> = [HOSTS, HOSTS].concat().into_iter().map(|last| connect(&mut bed, last, Kind::Bare)).collect();
        assert!(HOSTS.iter().all(|last| bed.by_client.get(host(*last)) == 2) && bed.by_client.clients() == HOSTS.len());
        // One too many, and one that never gets further than its first flight.
        let excess = bed.approach(socket_of(10));
        assert_eq!(bed.refusal(excess), CONNECTION_REFUSED);
        let stuck = bed.approach(socket_of(30));
        bed.clients[stuck].is_silent = true;
        match round % 10 {
            // Nothing is heard of them any more. Once, since that takes its time.
            0 if round == 0 => bed.clients.iter_mut().for_each(|client| client.is_silent = true),
            // What belongs to the connection panics; it may strike who comes next to the place.
            1..4 => {
                let place = ["receive", "process", "send"][round % 3];
                while bed.by_client.clients() > 0 {
                    let before = bed.shard().count_of(Id::Panics, Owner::Connection as usize);
                    plant::arm(place);
                    bed.until("the panic", |bed| {
                        bed.clients.iter_mut().for_each(|client| client.quic.send_ack_eliciting().unwrap_or_default());
                        bed.shard().count_of(Id::Panics, Owner::Connection as usize) > before
                    });
                }
            }
            // The shard begins anew.
            4 | 5 => bed.shard().reactor.start_over(),
            // They break the protocol: a control stream that begins with DATA.
            6 | 7 => clients.iter().for_each(|client| bed.clients[*client].write(2, &[0, 0, 0], false)),
            // They close.
            _ => clients.iter().for_each(|client| bed.clients[*client].quic.close(true, 0x100, b"").unwrap()),
        }
        bed.until("an empty table", |bed| bed.by_client.clients() == 0);
    }
    assert_eq!(bed.shard().count_of(Id::Handshakes, Handshake::Completed as usize), 1_000);
    bed.until("no connection", |bed| bed.connections.get() == 0);
}
