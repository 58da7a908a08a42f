//! The Rust road by itself: requests from quiche's HTTP/3 through one reactor, whose lane is a
//! function, to an HTTP/2 origin. For counting instructions, which no noise of the machine moves:
//!
//!     cargo build --release -p lychgate-core --example road
//!     valgrind --tool=callgrind --toggle-collect='*shard_turn*' target/release/examples/road COUNT [PATH [CONGESTION]]
//!
//! counts what the reactor and its lane execute; the clients and the origin stay out. Packets are
//! not paced: under valgrind time runs slowly, and the path would look as if it had a queue. Prints
//! the requests that were answered.

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/support/mod.rs"]
mod support;

use lychgate_core::reactor::listener::settings::Congestion;
use support::bed::Shard;
use support::client::Client;
use support::{Bed, Kind, Request, Setup};

const CLIENTS: usize = 4;
const STREAMS: usize = 32;

#[inline(never)]
fn shard_turn(shard: &mut Shard) {
    shard.reactor.turn(|| shard.lane.call());
}

fn step(bed: &mut Bed) {
    let mut poll = libc::pollfd { fd: bed.shards[0].reactor.fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one valid entry.
    if unsafe { libc::poll(&mut poll, 1, 1) } > 0 {
        shard_turn(&mut bed.shards[0]);
    }
    bed.clients.iter_mut().for_each(Client::drive);
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments.next().and_then(|text| text.parse().ok()).expect("usage: road COUNT [PATH [CONGESTION]]");
    let path = arguments.next().unwrap_or_else(|| "/bytes/1024".to_owned());
    let congestion = match arguments.next().as_deref() {
        None | Some("bbr") => Congestion::Bbr,
        Some("cubic") => Congestion::Cubic,
        Some(name) => panic!("{name} is no congestion control"),
    };
    let mut bed = Bed::with(Setup { response_window: 2 << 20, request_window: 2 << 20, is_paced: false, congestion, ..Setup::default() });
    let clients: Vec<usize> = (0..CLIENTS).map(|_| bed.connect(Kind::Http3)).collect();
    let mut answered = 0;
    while answered < count {
        let streams: Vec<(usize, u64)> = clients
            .iter()
            .flat_map(|client| (0..STREAMS).map(move |_| *client))
            .map(|client| (client, bed.clients[client].request(Request { path: &path, ..Request::default() })))
            .collect();
        bed.clients.iter_mut().for_each(Client::drive);
        while !streams.iter().all(|(client, stream)| bed.clients[*client].streams[stream].is_over()) {
            step(&mut bed);
        }
        for (client, stream) in &streams {
            let received = bed.clients[*client].streams.remove(stream).expect("a stream of ours");
            assert_eq!(received.status, 200);
        }
        answered += streams.len();
        let shard = bed.shard();
        shard.lane.heads.clear();
        shard.lane.completions.clear();
        bed.origin.notes.heads.lock().unwrap().clear();
    }
    println!("{answered}");
}
