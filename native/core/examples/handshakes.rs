//! What a handshake costs the edge: connections one after the other, each with one GET, full or
//! resumed, with a key of either kind.
//!
//!     cargo build --release -p lychgate-core --example handshakes
//!     target/release/examples/handshakes COUNT full|resumed p256|rsa2048 [GROUPS]
//!
//! prints the handshakes by outcome and the CPU time of the reactor's turns, in microseconds a
//! connection: the least and the median of ten parts, of the handshake until the client has its
//! ticket, and of all from the first packet to the forgotten connection. Under callgrind, with
//! `--toggle-collect='*shard_turn*'`, it counts what the reactor executes; the client stays out.

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/support/mod.rs"]
mod support;

use lychgate_core::base::counters::{Handshake, Id};
use support::bed::Shard;
use support::client::{Client, config_with_groups, socket};
use support::{Bed, Kind, Request, Setup, certificate};

const PARTS: usize = 10;

#[inline(never)]
fn shard_turn(shard: &mut Shard) {
    shard.reactor.turn(|| shard.lane.call());
}

/// Turns until something holds; adds their CPU time, in nanoseconds.
fn drive(bed: &mut Bed, spent: &mut u64, mut holds: impl FnMut(&mut Bed) -> bool) {
    while !holds(bed) {
        let mut poll = libc::pollfd { fd: bed.shards[0].reactor.fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid entry.
        if unsafe { libc::poll(&mut poll, 1, 1) } > 0 {
            let before = cpu_ns();
            shard_turn(&mut bed.shards[0]);
            *spent += cpu_ns() - before;
        }
        bed.clients.iter_mut().for_each(Client::drive);
    }
}

fn cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a time to be filled.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// CPU time of connections, in nanoseconds.
#[derive(Clone, Copy, Default)]
struct Spent {
    handshake: u64,
    rest: u64,
}

/// One connection with one GET; its session is what the next may resume.
fn connect(bed: &mut Bed, config: &mut quiche::Config, session: Option<&[u8]>, number: usize, spent: &mut Spent) -> Vec<u8> {
    let mut id = [0x68; 16];
    id[..8].copy_from_slice(&(number as u64).to_be_bytes());
    let mut client = Client::with_config(Kind::Http3, bed.address, socket(), config, &id);
    if let Some(session) = session {
        client.quic.set_session(session).expect("a session");
    }
    bed.clients.push(client);
    drive(bed, &mut spent.handshake, |bed| bed.clients[0].quic.session().is_some());
    let stream = bed.clients[0].request(Request { path: "/", ..Request::default() });
    drive(bed, &mut spent.rest, |bed| bed.clients[0].streams[&stream].is_over());
    assert_eq!(bed.clients[0].quic.is_resumed(), session.is_some());
    let session = bed.clients[0].quic.session().expect("a session").to_vec();
    bed.clients[0].quic.close(true, 0x100, b"").expect("an open connection");
    bed.clients[0].drive();
    drive(bed, &mut spent.rest, |bed| bed.connections.get() == 0);
    bed.clients.clear();
    let shard = bed.shard();
    shard.lane.heads.clear();
    shard.lane.completions.clear();
    bed.origin.notes.heads.lock().unwrap().clear();
    session
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let (count, how, key, groups) = match &arguments[1..] {
        [count, how, key] => (count, how, key, "X25519"),
        [count, how, key, groups] => (count, how, key, &groups[..]),
        _ => {
            eprintln!("usage: handshakes COUNT full|resumed p256|rsa2048 [GROUPS]");
            std::process::exit(2);
        }
    };
    let mut config = config_with_groups(1 << 20, groups);
    let count: usize = count.parse().expect("a number of connections");
    let mut bed = Bed::with(Setup { is_paced: false, ..Setup::default() });
    if key == "rsa2048" {
        bed.certificates.replace(vec![certificate::localhost_rsa()], certificate::policy()).expect("a certificate");
    }
    let mut session = connect(&mut bed, &mut config, None, 0, &mut Spent::default());
    let mut parts: Vec<Spent> = Vec::new();
    let each = count.div_ceil(PARTS);
    for part in 0..PARTS {
        let mut spent = Spent::default();
        for number in 0..each {
            let resumed = (how == "resumed").then_some(&session[..]);
            session = connect(&mut bed, &mut config, resumed, 1 + part * each + number, &mut spent);
        }
        parts.push(spent);
    }
    let outcome = |of: Handshake| bed.shards[0].count_of(Id::Handshakes, of as usize);
    println!("{key} {how}: {} full, {} resumed", outcome(Handshake::Completed), outcome(Handshake::Resumed));
    let figures = |title: &str, of: fn(&Spent) -> u64| {
        let mut times: Vec<f64> = parts.iter().map(|spent| of(spent) as f64 / each as f64 / 1_000.0).collect();
        times.sort_unstable_by(f64::total_cmp);
        println!("  {title}: {:.1} µs least, {:.1} µs median", times[0], times[PARTS / 2]);
    };
    figures("handshake", |spent| spent.handshake);
    figures("with a GET and the end", |spent| spent.handshake + spent.rest);
}
