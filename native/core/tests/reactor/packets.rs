//! First packets that make no connection, and those that reach the wrong shard.

use crate::support::client::{Client, socket};
use crate::support::{Bed, Kind, Setup};
use lychgate_core::base::counters::{Dropped, Id};
use std::net::UdpSocket;
use std::time::Duration;

/// A client's first datagram, and its connection IDs: destination, source.
fn first_datagram(bed: &Bed) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let mut client = Client::new(Kind::Bare, bed.address, socket(), 1 << 20);
    let mut bytes = vec![0; 1_350];
    let (length, _) = client.quic.send(&mut bytes).unwrap();
    bytes.truncate(length);
    let header = quiche::Header::from_slice(&mut bytes, 16).unwrap();
    let (destination, source) = (header.dcid.to_vec(), header.scid.to_vec());
    (bytes, destination, source)
}

#[test]
fn an_unknown_version_is_answered_with_the_versions_we_speak() {
    let mut bed = Bed::new();
    let (mut bytes, destination, source) = first_datagram(&bed);
    bytes[1..5].copy_from_slice(&[0x1a, 0x2a, 0x3a, 0x4a]);
    let peer = socket();
    peer.send_to(&bytes, bed.address).unwrap();
    let mut answer = Vec::new();
    bed.until("version negotiation", |_| {
        let mut bytes = [0; 1_500];
        answer.extend_from_slice(peer.recv(&mut bytes).map_or(&[], |length| &bytes[..length]));
        !answer.is_empty()
    });
    assert!(answer[0] & 0x80 != 0);
    assert_eq!(answer[1..5], [0; 4]);
    let mut expected = vec![source.len() as u8];
    expected.extend_from_slice(&source);
    expected.push(destination.len() as u8);
    expected.extend_from_slice(&destination);
    assert_eq!(answer[5..5 + expected.len()], expected, "IDs change places (RFC 8999 §6)");
    let versions = &answer[5 + expected.len()..];
    assert!(versions.chunks_exact(4).any(|version| version == [0, 0, 0, 1]) && versions.len().is_multiple_of(4));
    assert_eq!(bed.shard().count(Id::VersionNegotiations), 1);
    assert_eq!(bed.shard().count(Id::ConnectionsOpened), 0);
}

#[test]
fn a_short_datagram_of_unknown_version_is_not_answered() {
    let mut bed = Bed::new();
    let (mut bytes, _, _) = first_datagram(&bed);
    bytes[1..5].copy_from_slice(&[0x1a, 0x2a, 0x3a, 0x4a]);
    socket().send_to(&bytes[..1_199], bed.address).unwrap();
    bed.until("the drop", |bed| bed.shard().count_of(Id::Drops, Dropped::Malformed as usize) == 1);
    assert_eq!(bed.shard().count(Id::VersionNegotiations), 0);
}

#[test]
fn a_first_datagram_below_1200_bytes_is_dropped_and_counted() {
    let mut bed = Bed::new();
    let (bytes, _, _) = first_datagram(&bed);
    socket().send_to(&bytes[..1_199], bed.address).unwrap();
    bed.until("the drop", |bed| bed.shard().count_of(Id::Drops, Dropped::SmallInitial as usize) == 1);
    assert_eq!(bed.shard().count(Id::ConnectionsOpened), 0);
}

#[test]
fn noise_is_dropped_by_its_kind() {
    let mut bed = Bed::new();
    let peer = socket();
    peer.send_to(&[0x40; 10], bed.address).unwrap();
    peer.send_to(&[0x40; 60], bed.address).unwrap();
    peer.send_to(&[0xff; 60], bed.address).unwrap();
    bed.until("three drops", |bed| {
        let drops = [Dropped::Short, Dropped::UnknownConnection, Dropped::Malformed];
        drops.into_iter().all(|reason| bed.shard().count_of(Id::Drops, reason as usize) == 1)
    });
    assert_eq!(bed.shard().reactor.relay.connections.len(), 0);
}

#[test]
fn a_connection_beyond_the_limit_is_dropped_and_counted() {
    let mut bed = Bed::with(Setup { max_connections: 1, ..Setup::default() });
    bed.connect(Kind::Http3);
    let (bytes, _, _) = first_datagram(&bed);
    socket().send_to(&bytes, bed.address).unwrap();
    bed.until("the drop", |bed| bed.shard().count_of(Id::Drops, Dropped::ConnectionLimit as usize) == 1);
    assert_eq!(bed.shard().reactor.relay.connections.len(), 1);
}

/// RFC 9000 §8.1: who the client is has not been shown, so a victim must not get more than three times what somebody sent in its name.
#[test]
fn an_address_that_is_not_validated_gets_at_most_three_times_what_it_sent() {
    let mut bed = Bed::with(Setup { handshake_timeout_ms: 4_000, ..Setup::default() });
    let (bytes, _, _) = first_datagram(&bed);
    let peer = socket();
    peer.send_to(&bytes, bed.address).unwrap();
    let mut received = 0;
    bed.until("the connection to be forgotten", |bed| {
        let mut datagram = [0; 1_500];
        while let Ok(length) = peer.recv(&mut datagram) {
            received += length;
        }
        bed.shard().count(Id::ConnectionsOpened) == 1 && bed.shard().reactor.relay.connections.is_empty()
    });
    assert!(received > 0 && received <= 3 * bytes.len(), "{received} bytes for {}", bytes.len());
}

/// Sockets that the kernel hashes to one shard or the other: noise from them is counted where it arrives.
fn socket_towards(bed: &mut Bed, shard: usize) -> UdpSocket {
    for _ in 0..64 {
        let candidate = socket();
        let before = bed.shards[shard].count_of(Id::Drops, Dropped::Short as usize);
        candidate.send_to(b"where", bed.address).unwrap();
        bed.rest(Duration::from_millis(10));
        if bed.shards[shard].count_of(Id::Drops, Dropped::Short as usize) > before {
            return candidate;
        }
    }
    panic!("no socket leads to shard {shard}");
}

#[test]
fn packets_that_reach_the_wrong_shard_are_handed_to_the_right_one() {
    let mut bed = Bed::with(Setup { shards: 2, ..Setup::default() });
    let (here, there) = (socket_towards(&mut bed, 0), socket_towards(&mut bed, 1));
    let client = bed.connect_from(Kind::Http3, here, 1 << 20);
    assert_eq!(bed.shards[0].reactor.relay.connections.len(), 1);
    assert_eq!(bed.get(client, "/").body, b"hello");
    bed.clients[client].rebind(there);
    for _ in 0..3 {
        assert_eq!(bed.get(client, "/").body, b"hello");
    }
    let (out, into) = (bed.shards[1].count_of(Id::HandedOver, 0), bed.shards[0].count_of(Id::HandedOver, 1));
    assert!(out > 3 && out == into, "{out} out, {into} in");
    assert_eq!(bed.shards[0].lane.heads.len(), 4);
    assert_eq!(bed.shards[1].reactor.relay.connections.len(), 0);
}
