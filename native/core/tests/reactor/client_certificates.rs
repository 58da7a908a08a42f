//! Clients that show a certificate, and what becomes of their connections when it does not pass any
//! more.

use crate::support::client::{Client, config_with_certificate, socket};
use crate::support::{Bed, Kind, Setup, certificate};
use boring::pkey::{PKey, Private};
use boring::x509::X509;
use lychgate_core::base::counters::{ClientCertificate, Id};
use lychgate_core::http::error::h3;
use lychgate_core::tls::client_auth::{Mode, Rules};
use lychgate_core::tls::store::Policy;
use std::time::{Duration, Instant};

/// A certificate and its key.
type Pair = (X509, PKey<Private>);

/// What is wanted of clients: a certificate of one of these.
fn wanting(authorities: &[&Pair]) -> Policy {
    let ca_pem = authorities.iter().map(|(ca, _)| String::from_utf8(ca.to_pem().unwrap()).unwrap()).collect();
    let rules = Rules { mode: Mode::Required, ca_pem, max_depth: 1, max_bytes: 16_384, ..Rules::off() };
    Policy { clients: vec![rules], ..certificate::policy() }
}

fn want(bed: &Bed, authorities: &[&Pair]) {
    bed.certificates.replace(vec![certificate::localhost(0)], wanting(authorities)).unwrap();
}

/// A client that shows a certificate.
fn connect(bed: &mut Bed, (own, key): &Pair) -> usize {
    let socket = socket();
    let id = [&socket.local_addr().unwrap().port().to_be_bytes()[..], &[7; 14]].concat();
    let mut config = config_with_certificate(1 << 20, own, key);
    let client = Client::with_config(Kind::Http3, bed.address, socket, &mut config, &id);
    bed.adopt(client)
}

fn ended(bed: &Bed) -> u64 {
    bed.certificates.ended().1.iter().map(|(_, count)| count).sum()
}

#[test]
fn a_change_ends_the_connections_that_do_not_pass_any_more_and_lets_what_is_under_way_come_to_its_end() {
    let (old, new) = (certificate::authority("ca"), certificate::authority("ca"));
    let mut bed = Bed::with(Setup { shards: 2, ..Setup::default() });
    let before = bed.connect(Kind::Http3);
    want(&bed, &[&old, &new]);
    assert_eq!(bed.close_code(before), h3::NO_ERROR, "who was not asked is asked now");
    let kept = certificate::issued("kept", &new);
    let kept = connect(&mut bed, &kept);
    let pair = certificate::issued("leaving", &old);
    let many: Vec<usize> = (0..40).map(|_| connect(&mut bed, &pair)).collect();
    for client in &many {
        assert_eq!(bed.get(*client, "/").body, b"hello");
    }
    let long = many[0];
    bed.clients[long].is_reading = false;
    let stream = bed.clients[long].get("/bytes/3000000");
    bed.until("the response to begin", |bed| bed.clients[long].quic.stats().recv_bytes > 100_000);
    want(&bed, &[&new]);
    bed.until("all to be told", |bed| ended(bed) == 41);
    let late = bed.clients[long].get("/");
    bed.clients[long].is_reading = true;
    let late = bed.finish(long, late);
    assert_eq!((late.status, late.reset), (0, Some(h3::REQUEST_REJECTED)));
    assert_eq!(bed.finish(long, stream).body.len(), 3_000_000);
    for client in many {
        assert_eq!(bed.close_code(client), h3::NO_ERROR);
    }
    assert_eq!(bed.get(kept, "/").body, b"hello");
    let verified = bed.shards.iter().map(|shard| shard.count_of(Id::ClientCertificates, ClientCertificate::Verified as usize));
    assert_eq!(verified.sum::<u64>(), 41);
}

/// What was wanted of a handshake that began before a change is not what is wanted at its end.
#[test]
fn a_handshake_that_a_change_overtakes_is_held_against_what_is_wanted_at_its_end() {
    let ca = certificate::authority("ca");
    let mut bed = Bed::new();
    for round in 0..20 {
        bed.certificates.replace(vec![certificate::localhost(0)], certificate::policy()).unwrap();
        let hasty = bed.approach(socket());
        for _ in 0..round % 4 {
            bed.turn();
        }
        want(&bed, &[&ca]);
        bed.until("the end of it", |bed| bed.clients[hasty].quic.peer_error().is_some());
    }
}

/// CPU time of this thread so far.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a time to be filled.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// How long the look at the connections takes, and how long its turns are: on the clock, and of the
/// thread's CPU time, which others on the machine do not lengthen.
#[test]
#[ignore = "prints a measurement"]
fn what_ten_thousand_connections_with_certificates_cost_when_their_authorities_change() {
    const CONNECTIONS: usize = 10_000;
    let (old, new) = (certificate::authority("old"), certificate::authority("new"));
    let pair = certificate::issued("client", &old);
    let mut bed = Bed::with(Setup { idle_timeout_ms: 3_600_000, max_connections: 20_000, ..Setup::default() });
    want(&bed, &[&old]);
    for _ in 0..CONNECTIONS {
        connect(&mut bed, &pair);
        // The edge goes on believing in it.
        bed.clients.clear();
    }
    let mut measure = |what: &str, begin: &mut dyn FnMut(&mut Bed), holds: &mut dyn FnMut(&mut Bed, Duration) -> bool| {
        let (began, cpu) = (Instant::now(), cpu_time());
        begin(&mut bed);
        let prepared = cpu_time() - cpu;
        let mut turns: Vec<(Duration, Duration)> = Vec::new();
        while !holds(&mut bed, began.elapsed()) {
            let (clock, cpu) = (Instant::now(), cpu_time());
            let shard = bed.shard();
            if shard.reactor.turn(|| shard.lane.call()) {
                turns.push((cpu_time() - cpu, clock.elapsed()));
            } else {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        let above = |limit: u64| {
            let limit = Duration::from_millis(limit);
            (turns.iter().filter(|(cpu, _)| *cpu > limit).count(), turns.iter().filter(|(_, clock)| *clock > limit).count())
        };
        let longest = turns.iter().copied().fold((Duration::ZERO, Duration::ZERO), |most, turn| (most.0.max(turn.0), most.1.max(turn.1)));
        println!(
            "{what}: begun in {prepared:?} CPU, done after {:?}, {} turns; longest {:?} CPU, {:?} on the clock; above 5, 10, 20 ms (CPU, clock): {:?} {:?} {:?}",
            began.elapsed(),
            turns.len(),
            longest.0,
            longest.1,
            above(5),
            above(10),
            above(20)
        );
    };
    let certificates = |bed: &Bed, authorities: &[&Pair]| want(bed, authorities);
    measure("kept", &mut |bed| certificates(bed, &[&old, &new]), &mut |_, passed| passed > Duration::from_secs(5));
    measure("ended", &mut |bed| certificates(bed, &[&new]), &mut |bed, _| ended(bed) == CONNECTIONS as u64);
    measure("until their close", &mut |_| {}, &mut |bed, _| bed.shard().reactor.relay.connections.is_empty());
}
