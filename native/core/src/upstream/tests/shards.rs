//! Shards that share the connections to an `http://` backend.

use std::net::TcpListener;
use std::sync::atomic::Ordering::*;
use std::time::{Duration, Instant};

use super::driver::{Driver, Shared, table};
use super::origin::Origin;
use crate::base::reason::Reason;
use crate::upstream::{AttemptId, BackendConfig, Stat};

fn server() -> Origin {
    Origin::start(|| |_| "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_owned())
}

/// Shards as their reactors drive them.
struct Shards {
    drivers: Vec<Driver>,
    table: Shared,
}

impl Shards {
    fn start(count: usize, config: &BackendConfig) -> Shards {
        let table = table();
        let drivers = (0..count).map(|_| Driver::beside(&table, vec![config.clone()])).collect();
        Shards { drivers, table }
    }

    fn get(&mut self, shard: usize, path: &str) -> AttemptId {
        self.drivers[shard].get(0, path)
    }

    fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Shards) -> bool) {
        let started = Instant::now();
        while !is_so(self) {
            assert!(started.elapsed() < Duration::from_secs(10), "{what} did not happen: {:?}", self.words());
            for shard in 0..self.drivers.len() {
                self.drivers[shard].turn(1);
                if self.drivers[shard].upstreams.wants_others_connections() {
                    let others = self.drivers.iter_mut().enumerate().filter(|(other, _)| *other != shard);
                    others.for_each(|(_, driver)| driver.upstreams.yield_connections(driver.now()));
                }
            }
        }
    }

    fn finish(&mut self, shard: usize, key: AttemptId) {
        self.until("the end of an exchange", |shards| shards.drivers[shard].sink.outcomes[&key].is_over());
        assert_eq!(self.drivers[shard].sink.outcomes[&key].body, b"ok", "{:?}", self.drivers[shard].sink.outcomes[&key].fault);
    }

    /// Connections, attempts that wait and shards that use the backend, as all see them.
    fn words(&self) -> [u32; 3] {
        [(3, 0), (3, 32), (4, 0)].map(|(index, shift)| (self.table[index].load(SeqCst) >> shift) as u32)
    }
}

#[test]
fn all_shards_together_have_as_many_connections_as_the_backend_may_have() {
    let server = server();
    let mut shards = Shards::start(3, &server.config(4));
    let keys: Vec<(usize, AttemptId)> = (0..18).map(|n| (n % 3, shards.get(n % 3, "/hold"))).collect();
    shards.until("every connection to be busy", |_| server.paths().len() == 4);
    shards.until("the wishes to be known", |shards| shards.words() == [4, 14, 3]);
    server.permit_all();
    keys.into_iter().for_each(|(shard, key)| shards.finish(shard, key));
    assert!(server.most_open() <= 4, "{}", server.most_open());
    shards.drivers.clear();
    assert_eq!(shards.words(), [0, 0, 0]);
}

#[test]
fn connections_that_are_idle_on_one_shard_are_closed_for_attempts_that_wait_on_another() {
    let server = server();
    let mut shards = Shards::start(2, &server.config(4));
    let keys: Vec<AttemptId> = (0..4).map(|_| shards.get(0, "/hold")).collect();
    shards.until("every connection to be busy", |_| server.paths().len() == 4);
    server.permit(4);
    keys.into_iter().for_each(|key| shards.finish(0, key));
    assert_eq!(shards.words(), [4, 0, 1]);
    let key = shards.get(1, "/");
    shards.finish(1, key);
    assert_eq!(shards.words(), [4, 0, 2], "one was closed, for the one that was needed");
    let keys: Vec<AttemptId> = (0..4).map(|_| shards.get(1, "/hold")).collect();
    shards.until("every connection to be busy there", |shards| shards.drivers[1].streams.len() == 5);
    server.permit(4);
    keys.into_iter().for_each(|key| shards.finish(1, key));
    assert_eq!(server.paths().len(), 9);
}

#[test]
fn a_shard_whose_own_attempts_wait_gives_others_their_part_as_its_exchanges_end() {
    let server = server();
    let mut shards = Shards::start(2, &server.config(4));
    let own: Vec<AttemptId> = (0..40).map(|_| shards.get(0, "/hold")).collect();
    shards.until("every connection to be busy", |_| server.paths().len() == 4);
    let others: Vec<AttemptId> = (0..3).map(|_| shards.get(1, "/hold/other")).collect();
    shards.until("the wishes to be known", |shards| shards.words() == [4, 39, 2]);
    for served in 1..=3 {
        server.permit(1);
        shards.until("the next request", |_| server.paths().len() == 4 + served);
    }
    let paths = server.paths()[4..].to_vec();
    // Two connections are the other's part; then each serves its own with what it has.
    assert_eq!(paths[..2], ["/hold/other", "/hold/other"]);
    server.permit_all();
    others.into_iter().for_each(|key| shards.finish(1, key));
    own.into_iter().for_each(|key| shards.finish(0, key));
    assert!(server.most_open() <= 4);
}

#[test]
fn who_waits_for_connections_that_others_have_waits_for_a_place_and_fails_when_there_is_nobody_to_connect_to() {
    let server = server();
    let mut shards = Shards::start(2, &server.config(1));
    let first = shards.get(0, "/hold");
    shards.until("the connection to be busy", |_| server.paths().len() == 1);
    let second = shards.get(1, "/hold");
    let full = shards.drivers[1].upstreams.full_time(0, shards.drivers[1].now());
    assert!(full.is_full && shards.drivers[1].upstreams.stats[Stat::SessionsConnecting] == 0);
    let mut gone = server.config(1);
    gone.addresses = vec![TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()];
    shards.drivers[1].upstreams.apply(vec![gone]);
    server.permit(1);
    shards.finish(0, first);
    shards.until("the failure", |shards| shards.drivers[1].sink.outcomes[&second].is_over());
    assert_eq!(shards.drivers[1].sink.outcomes[&second].fault.unwrap().reason, Reason::ConnectFailed);
    assert_eq!(shards.words()[1], 0);
}
