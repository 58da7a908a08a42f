//! First packets that make no connection, and those that reach the wrong shard.

use crate::support::client::{Client, socket};
use crate::support::{Bed, Kind, Setup};
use lychgate_core::base::counters::{Dropped, Id, Refused};
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
fn a_first_datagram_whose_connection_id_is_too_short_is_dropped_and_counted() {
    let mut bed = Bed::new();
    let mut bytes = [0; 1_200];
    // Version 1, IDs of seven and of no bytes, no token.
    bytes[..6].copy_from_slice(&[0xc0, 0, 0, 0, 1, 7]);
    socket().send_to(&bytes, bed.address).unwrap();
    bed.until("the drop", |bed| bed.shard().count_of(Id::Drops, Dropped::Malformed as usize) == 1);
    assert_eq!(bed.shard().count(Id::ConnectionsOpened), 0);
}

/// RFC 8999 §5.1: what another version puts behind the connection IDs is its own affair. These
/// bytes are no token of version 1.
#[test]
fn version_negotiation_answers_whatever_stands_behind_the_connection_ids() {
    let mut bed = Bed::new();
    for kind in [0x80, 0x90, 0xa0, 0xb0, 0xc0, 0xd0, 0xe0, 0xff] {
        let mut bytes = [0xff; 1_200];
        bytes[..7].copy_from_slice(&[kind, 0x1a, 0x2a, 0x3a, 0x4a, 1, 7]);
        bytes[7] = 0;
        socket().send_to(&bytes, bed.address).unwrap();
    }
    bed.until("eight answers", |bed| bed.shard().count(Id::VersionNegotiations) == 8);
    // IDs that would reach beyond the datagram, and an answer that must not be answered.
    let mut bytes = [0xff; 1_200];
    bytes[1..5].copy_from_slice(&[0; 4]);
    socket().send_to(&bytes, bed.address).unwrap();
    bytes[1] = 1;
    bytes[6 + 255] = 255;
    socket().send_to(&bytes[..300], bed.address).unwrap();
    bed.until("two drops", |bed| bed.shard().count_of(Id::Drops, Dropped::Malformed as usize) == 2);
    assert_eq!(bed.shard().count(Id::VersionNegotiations), 8);
}

#[test]
fn a_connection_beyond_the_limit_is_refused_at_once_and_counted() {
    let mut bed = Bed::with(Setup { max_connections: 1, ..Setup::default() });
    let first = bed.connect(Kind::Http3);
    let stranger = bed.approach(socket());
    assert_eq!(bed.refusal(stranger), 0x2);
    assert!(bed.shard().count_of(Id::ConnectionsRefused, Refused::ConnectionLimit as usize) > 0);
    assert_eq!(bed.shard().reactor.relay.connections.len(), 1);
    assert_eq!(bed.get(first, "/").body, b"hello");
    bed.clients[first].quic.close(true, 0x100, b"").unwrap();
    bed.until("the place to be free", |bed| bed.shard().reactor.relay.connections.is_empty());
    bed.connect(Kind::Http3);
}

#[test]
fn the_limit_of_connections_is_that_of_all_shards_together() {
    let mut bed = Bed::with(Setup { shards: 2, max_connections: 1, ..Setup::default() });
    let (here, there) = (socket_towards(&mut bed, 0), socket_towards(&mut bed, 1));
    bed.connect_from(Kind::Http3, here, 1 << 20);
    let stranger = bed.approach(there);
    assert_eq!(bed.refusal(stranger), 0x2);
    assert_eq!((bed.shards[0].count(Id::ConnectionsOpened), bed.shards[1].count(Id::ConnectionsOpened)), (1, 0));
    assert!(bed.shards[1].count_of(Id::ConnectionsRefused, Refused::ConnectionLimit as usize) > 0);
}

/// Who asks may have put a victim's address on the datagram: it gets one datagram, smaller than
/// what was sent, and not at any rate.
#[test]
fn a_refusal_is_one_small_datagram_and_beyond_the_rate_there_is_silence() {
    let mut bed = Bed::with(Setup { stateless_replies: 10, ..Setup::default() });
    bed.shard().reactor.drain();
    let (bytes, _, _) = first_datagram(&bed);
    let peer = socket();
    for _ in 0..40 {
        peer.send_to(&bytes, bed.address).unwrap();
    }
    let counts = |bed: &mut Bed| {
        let shard = bed.shard();
        (shard.count_of(Id::ConnectionsRefused, Refused::Draining as usize), shard.count_of(Id::Drops, Dropped::Draining as usize))
    };
    bed.until("all to be seen to", |bed| {
        let (refused, dropped) = counts(bed);
        refused + dropped == 40
    });
    let (refused, dropped) = counts(&mut bed);
    assert!(refused >= 2 && dropped >= 20, "{refused} refused, {dropped} dropped");
    let (mut answers, mut answer) = (0, [0; 1_500]);
    bed.until("the answers", |_| {
        while let Ok(length) = peer.recv(&mut answer) {
            assert!(length < 100, "{length} bytes");
            answers += 1;
        }
        answers == refused
    });
    // Too small for a first datagram: no answer at all.
    peer.send_to(&bytes[..1_199], bed.address).unwrap();
    bed.until("the drop", |bed| bed.shard().count_of(Id::Drops, Dropped::SmallInitial as usize) == 1);
    assert_eq!(counts(&mut bed).0, refused);
}

/// RFC 9000 §8.1: who the client is has not been shown, so a victim must not get more than three
/// times what somebody sent in its name: not of a certificate that is longer than that, and not of
/// what is sent again, where each little packet that is not acknowledged is padded to 1,200 bytes.
#[test]
fn an_address_that_is_not_validated_gets_at_most_three_times_what_it_sent() {
    // A flight that fits is sent again after one, two and five seconds; one that does not takes all
    // there is at once.
    for (certificate_names, handshake_timeout_ms) in [(0, 6_000), (400, 2_000)] {
        let mut bed = Bed::with(Setup { certificate_names, handshake_timeout_ms, ..Setup::default() });
        let (mut sent, mut received) = (0, 0);
        let peer = socket();
        let mut client = Client::new(Kind::Bare, bed.address, socket(), 1 << 20);
        let mut bytes = [0; 1_500];
        // A whole greeting, which may take more than one datagram.
        while let Ok((length, _)) = client.quic.send(&mut bytes) {
            peer.send_to(&bytes[..length], bed.address).unwrap();
            sent += length;
        }
        bed.until("the connection to be forgotten", |bed| {
            while let Ok(length) = peer.recv(&mut bytes) {
                received += length;
            }
            bed.shard().count(Id::ConnectionsOpened) == 1 && bed.shard().reactor.relay.connections.is_empty()
        });
        assert!(received > 2 * sent && received <= 3 * sent, "{received} bytes for {sent}");
    }
}

/// Sockets that the kernel hashes to one shard or the other: noise from them is counted where it
/// arrives.
pub fn socket_towards(bed: &mut Bed, shard: usize) -> UdpSocket {
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
