//! Paths that carry less than Ethernet does: datagrams that are too long vanish without a word.

use crate::support::client::{Client, config, socket};
use crate::support::origin::patterned;
use crate::support::{Bed, Kind, Setup};
use lychgate_core::reactor::listener::settings::Congestion;

const LENGTH: usize = 8 << 20;

/// What a link of 1,300 bytes leaves to a datagram over IPv4.
const NARROW: usize = 1_300 - 28;

const CONTROLS: [Congestion; 2] = [Congestion::Bbr, Congestion::Cubic];

fn bed_with(congestion: Congestion) -> Bed {
    Bed::with(Setup { congestion, ..Setup::default() })
}

fn client_behind(bed: &mut Bed, carried: usize) -> usize {
    let mut client = Client::new(Kind::Http3, bed.address, socket(), 1 << 20);
    client.carried = carried;
    bed.adopt(client)
}

fn fetches(bed: &mut Bed, client: usize, length: usize) {
    let answer = bed.get(client, &format!("/bytes/{length}"));
    assert!(answer.is_finished && answer.body == patterned(length));
}

#[test]
fn a_path_that_carries_whole_frames_gets_them() {
    for congestion in CONTROLS {
        let mut bed = bed_with(congestion);
        let client = bed.connect(Kind::Http3);
        fetches(&mut bed, client, LENGTH);
        assert_eq!(bed.clients[client].longest, 1_452);
    }
}

#[test]
fn a_path_of_1300_bytes_is_found_out_and_used_in_full() {
    for congestion in CONTROLS {
        let mut bed = bed_with(congestion);
        let client = client_behind(&mut bed, NARROW);
        fetches(&mut bed, client, 2_000_000);
        bed.until("datagrams that fill the path", |bed| {
            fetches(bed, client, 100_000);
            bed.clients[client].longest == NARROW
        });
    }
}

#[test]
fn a_path_that_carries_less_from_the_middle_of_a_download_on_is_found_out() {
    for congestion in CONTROLS {
        let mut bed = bed_with(congestion);
        let client = bed.connect(Kind::Http3);
        let stream = bed.clients[client].get(&format!("/bytes/{LENGTH}"));
        bed.until("long datagrams", |bed| bed.clients[client].longest == 1_452);
        bed.clients[client].carried = NARROW;
        let answer = bed.finish(client, stream);
        assert!(answer.is_finished && answer.body == patterned(LENGTH));
    }
}

#[test]
fn a_path_that_carries_less_while_its_size_is_still_searched_is_found_out() {
    let mut bed = Bed::new();
    let client = client_behind(&mut bed, 1_400);
    let stream = bed.clients[client].get(&format!("/bytes/{LENGTH}"));
    // 1,326 lies halfway between what must pass and what did not.
    bed.until("the first size that passes", |bed| bed.clients[client].longest > 1_200);
    bed.clients[client].carried = 1_210;
    let answer = bed.finish(client, stream);
    assert!(answer.is_finished && answer.body == patterned(LENGTH), "{:?} {} {}", answer.reset, answer.is_finished, answer.body.len());
}

#[test]
fn nothing_longer_than_a_client_takes_is_sent_to_it_not_even_to_try() {
    let mut bed = Bed::new();
    let mut settings = config(1 << 20);
    settings.set_max_recv_udp_payload_size(1_300);
    let modest = Client::with_config(Kind::Http3, bed.address, socket(), &mut settings, b"modest");
    let client = bed.adopt(modest);
    fetches(&mut bed, client, LENGTH);
    assert_eq!(bed.clients[client].longest, 1_300);
}
