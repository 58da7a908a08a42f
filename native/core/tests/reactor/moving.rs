//! Clients whose address changes (RFC 9000 §9).

use crate::support::client::{Client, Request, socket};
use crate::support::origin::patterned;
use crate::support::{Bed, Kind, Setup};
use lychgate_core::base::counters::Id;
use lychgate_core::reactor::listener::settings::Congestion;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const LENGTH: usize = 8 << 20;

/// Whoever answers for the path to a client.
const CONTROLS: [Congestion; 2] = [Congestion::Bbr, Congestion::Cubic];

fn bed_with(congestion: Congestion) -> Bed {
    Bed::with(Setup { congestion, ..Setup::default() })
}

/// Moves a client to another port in the middle of a download, as an address translator does that
/// has forgotten it. While it moves everything sent has arrived, or what is under way is lost.
fn is_followed(mut bed: Bed, client: usize, is_lossy: bool) {
    let stream = bed.clients[client].get(&format!("/bytes/{LENGTH}"));
    bed.until("the beginning", |bed| bed.clients[client].streams[&stream].body.len() > 100_000);
    if !is_lossy {
        bed.clients[client].is_reading = false;
        bed.rest(Duration::from_millis(200));
    }
    let port = rebind(&mut bed, client);
    bed.clients[client].is_reading = true;
    let answer = bed.finish(client, stream);
    assert!(answer.is_finished && answer.body == patterned(LENGTH));
    is_at(&mut bed, port);
}

fn rebind(bed: &mut Bed, client: usize) -> u16 {
    let moved = socket();
    let port = moved.local_addr().unwrap().port();
    bed.clients[client].rebind(moved);
    // Whoever only receives must say something for the server to learn of it; browsers send a PING.
    bed.clients[client].quic.send_ack_eliciting().unwrap();
    port
}

/// The one connection has moved once.
fn is_at(bed: &mut Bed, port: u16) {
    let shard = bed.shard();
    assert_eq!((shard.count(Id::ConnectionsOpened), shard.count(Id::Migrations)), (1, 1));
    assert!(shard.reactor.relay.connections.iter().all(|(_, connection)| connection.peer.port() == port));
}

#[test]
fn a_client_behind_a_new_port_keeps_its_connection_and_its_download() {
    for congestion in CONTROLS {
        let mut bed = bed_with(congestion);
        let client = bed.connect(Kind::Http3);
        is_followed(bed, client, false);
    }
}

#[test]
fn a_client_without_a_connection_id_is_followed_too() {
    for congestion in CONTROLS {
        let mut bed = bed_with(congestion);
        let nameless = Client::with_id(Kind::Http3, bed.address, socket(), 1 << 20, &[]);
        let client = bed.adopt(nameless);
        is_followed(bed, client, false);
    }
}

#[test]
fn what_was_under_way_to_the_old_port_is_sent_again() {
    for congestion in CONTROLS {
        let mut bed = bed_with(congestion);
        let client = bed.connect(Kind::Http3);
        is_followed(bed, client, true);
    }
}

#[test]
fn an_upload_goes_on_from_a_new_port_though_what_was_under_way_is_lost() {
    for congestion in CONTROLS {
        let mut bed = bed_with(congestion);
        let client = bed.connect(Kind::Http3);
        let stream = bed.clients[client].request(Request { method: "POST", path: "/echo", body: patterned(LENGTH), ..Request::default() });
        bed.until("a part of the upload", |bed| bed.origin.notes.taken.load(Relaxed) > 100_000);
        let port = rebind(&mut bed, client);
        let answer = bed.finish(client, stream);
        assert!(answer.is_finished && answer.body == patterned(LENGTH));
        is_at(&mut bed, port);
    }
}

#[test]
fn a_client_that_moves_to_a_path_that_carries_less_keeps_its_download() {
    for congestion in CONTROLS {
        let mut bed = bed_with(congestion);
        let client = bed.connect(Kind::Http3);
        let stream = bed.clients[client].get(&format!("/bytes/{LENGTH}"));
        bed.until("long datagrams", |bed| bed.clients[client].longest == 1_452);
        bed.clients[client].carried = 1_272;
        let port = rebind(&mut bed, client);
        let answer = bed.finish(client, stream);
        assert!(answer.is_finished && answer.body == patterned(LENGTH));
        is_at(&mut bed, port);
    }
}

#[test]
fn a_client_that_moves_knowingly_keeps_its_download_on_the_new_path() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    let stream = bed.clients[client].get(&format!("/bytes/{LENGTH}"));
    for _ in 0..2 {
        let had = bed.clients[client].streams[&stream].body.len();
        bed.until("some more", |bed| bed.clients[client].streams[&stream].body.len() > had + 100_000);
        bed.until("a spare connection ID", |bed| bed.clients[client].quic.available_dcids() > 0);
        bed.clients[client].migrate();
    }
    let answer = bed.finish(client, stream);
    assert!(answer.is_finished && answer.body == patterned(LENGTH));
    assert_eq!(bed.shard().count(Id::ConnectionsOpened), 1);
    assert!(bed.shard().count(Id::Migrations) >= 1);
}
