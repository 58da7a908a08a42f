//! Certificates that are swapped while clients come and go.

use crate::support::client::{Client, config_with_groups, socket};
use crate::support::{Bed, Kind, Setup, certificate};
use lychgate_core::base::counters::{Handshake, Id, ServerName};
use lychgate_core::tls::certificate::Certificate;

fn der(certificate: &Certificate) -> Vec<u8> {
    certificate.chain[0].clone()
}

/// One series of a counter, of all shards.
fn sum(bed: &Bed, id: Id, series: usize) -> u64 {
    bed.shards.iter().map(|shard| shard.count_of(id, series)).sum()
}

#[test]
fn a_hundred_swaps_under_handshakes_leave_open_connections_alone_and_each_next_handshake_has_the_new_certificate() {
    let mut bed = Bed::with(Setup { shards: 2, ..Setup::default() });
    let patient = bed.connect_from(Kind::Http3, socket(), 1 << 20);
    bed.clients[patient].is_reading = false;
    let long = bed.clients[patient].get("/bytes/3000000");
    let first = bed.clients[patient].quic.peer_cert().unwrap().to_vec();
    for round in 0..100 {
        let next = certificate::localhost(0);
        let expected = der(&next);
        // A handshake that is half done keeps what it began with, or takes the new one; it ends
        // well in either case.
        let hasty = bed.approach(socket());
        bed.turn();
        bed.certificates.replace(vec![next], certificate::policy()).unwrap();
        let client = bed.connect(Kind::Http3);
        assert_eq!(bed.clients[client].quic.peer_cert(), Some(&expected[..]), "round {round}");
        bed.until("the handshake that was under way", |bed| bed.clients[hasty].is_ready());
        // Before the edge has confirmed the handshake quiche's client would say its farewell
        // without end.
        let wanted = 2 * round + 3;
        bed.until("both to be counted", |bed| sum(bed, Id::Handshakes, Handshake::Completed as usize) == wanted);
        for done in [client, hasty] {
            bed.clients[done].quic.close(true, 0x100, b"").unwrap();
        }
    }
    bed.clients[patient].is_reading = true;
    assert_eq!(bed.finish(patient, long).body.len(), 3_000_000);
    assert_eq!(bed.get(patient, "/").body, b"hello");
    assert_eq!(bed.clients[patient].quic.peer_cert(), Some(&first[..]));
    assert_eq!(sum(&bed, Id::ServerNames, ServerName::Exact as usize), 201);
    assert_eq!(sum(&bed, Id::Handshakes, Handshake::Failed as usize), 0);
}

#[test]
fn a_swap_that_fails_leaves_the_certificate_that_is_there() {
    let mut bed = Bed::new();
    let first = bed.connect(Kind::Http3);
    let before = bed.clients[first].quic.peer_cert().unwrap().to_vec();
    bed.certificates.replace(vec![], certificate::policy()).unwrap_err();
    let second = bed.connect(Kind::Http3);
    assert_eq!(bed.clients[second].quic.peer_cert(), Some(&before[..]));
}

#[test]
fn a_session_resumes_whichever_kind_of_key_signed_and_whichever_group_was_agreed_on() {
    for certificate in [certificate::localhost(0), certificate::localhost_rsa()] {
        let mut bed = Bed::new();
        bed.certificates.replace(vec![certificate], certificate::policy()).unwrap();
        for groups in ["X25519", "X25519MLKEM768", "P-256"] {
            let mut config = config_with_groups(1 << 20, groups);
            let mut session: Option<Vec<u8>> = None;
            for round in 0..3u8 {
                let mut client = Client::with_config(Kind::Http3, bed.address, socket(), &mut config, &[round; 16]);
                if let Some(session) = &session {
                    client.quic.set_session(session).unwrap();
                }
                let client = bed.adopt(client);
                assert_eq!(bed.get(client, "/").body, b"hello");
                assert_eq!(bed.clients[client].quic.is_resumed(), round > 0, "{groups}, round {round}");
                bed.until("a ticket", |bed| bed.clients[client].quic.session().is_some());
                session = bed.clients[client].quic.session().map(<[u8]>::to_vec);
                bed.clients[client].quic.close(true, 0x100, b"").unwrap();
            }
        }
    }
}
