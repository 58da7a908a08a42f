//! Shards that share the connections to an `http://` backend.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::*};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::driver::{Driver, Shared, config, table};
use crate::base::reason::Reason;
use crate::upstream::{BackendConfig, Key, Scheme};

#[derive(Default)]
struct Notes {
    open: AtomicUsize,
    most: AtomicUsize,
    /// Requests to `/hold` that may be answered.
    permits: AtomicUsize,
    paths: Mutex<Vec<String>>,
}

/// An HTTP/1.1 server, a thread a connection, for as long as the test runs.
struct Server {
    address: SocketAddr,
    notes: Arc<Notes>,
}

impl Server {
    fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, notes) = (listener.local_addr().unwrap(), Arc::new(Notes::default()));
        let shared = notes.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let notes = shared.clone();
                std::thread::spawn(move || serve(stream.unwrap(), &notes));
            }
        });
        Server { address, notes }
    }

    fn config(&self, limit: u32) -> BackendConfig {
        BackendConfig { max_sessions: limit, ..config(0, Scheme::Http, self.address) }
    }
}

fn serve(mut stream: TcpStream, notes: &Notes) {
    notes.most.fetch_max(notes.open.fetch_add(1, SeqCst) + 1, SeqCst);
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count) = stream.read(&mut buffer)
        && count > 0
    {
        bytes.extend_from_slice(&buffer[..count]);
        if !bytes.ends_with(b"\r\n\r\n") {
            continue;
        }
        let path = String::from_utf8_lossy(&bytes).split(' ').nth(1).unwrap().to_owned();
        bytes.clear();
        notes.paths.lock().unwrap().push(path.clone());
        while path.starts_with("/hold") && notes.permits.fetch_update(SeqCst, SeqCst, |count| count.checked_sub(1)).is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    }
    notes.open.fetch_sub(1, SeqCst);
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

    fn get(&mut self, shard: usize, path: &str) -> Key {
        self.drivers[shard].get(0, path)
    }

    fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Shards) -> bool) {
        let started = Instant::now();
        while !is_so(self) {
            assert!(started.elapsed() < Duration::from_secs(10), "{what} did not happen: {:?}", self.words());
            for shard in 0..self.drivers.len() {
                self.drivers[shard].turn(1);
                if self.drivers[shard].upstreams.wants_others_places() {
                    let others = self.drivers.iter_mut().enumerate().filter(|(other, _)| *other != shard);
                    others.for_each(|(_, driver)| driver.upstreams.yield_places(driver.now()));
                }
            }
        }
    }

    fn finish(&mut self, shard: usize, key: Key) {
        self.until("the end of an exchange", |shards| shards.drivers[shard].sink.told[&key].is_over());
        assert_eq!(self.drivers[shard].sink.told[&key].body, b"ok", "{:?}", self.drivers[shard].sink.told[&key].fault);
    }

    /// Connections, attempts that wait and shards that use the backend, as all see them.
    fn words(&self) -> [u32; 3] {
        [(3, 0), (3, 32), (4, 0)].map(|(place, shift)| (self.table[place].load(SeqCst) >> shift) as u32)
    }
}

#[test]
fn all_shards_together_have_as_many_connections_as_the_backend_may_have() {
    let server = Server::start();
    let mut shards = Shards::start(3, &server.config(4));
    let keys: Vec<(usize, Key)> = (0..18).map(|n| (n % 3, shards.get(n % 3, "/hold"))).collect();
    shards.until("every connection to be busy", |_| server.notes.paths.lock().unwrap().len() == 4);
    shards.until("the wishes to be known", |shards| shards.words() == [4, 14, 3]);
    server.notes.permits.store(usize::MAX >> 1, SeqCst);
    keys.into_iter().for_each(|(shard, key)| shards.finish(shard, key));
    assert!(server.notes.most.load(SeqCst) <= 4, "{}", server.notes.most.load(SeqCst));
    shards.drivers.clear();
    assert_eq!(shards.words(), [0, 0, 0]);
}

#[test]
fn connections_that_are_idle_on_one_shard_are_closed_for_attempts_that_wait_on_another() {
    let server = Server::start();
    let mut shards = Shards::start(2, &server.config(4));
    let keys: Vec<Key> = (0..4).map(|_| shards.get(0, "/hold")).collect();
    shards.until("every connection to be busy", |_| server.notes.paths.lock().unwrap().len() == 4);
    server.notes.permits.store(4, SeqCst);
    keys.into_iter().for_each(|key| shards.finish(0, key));
    assert_eq!(shards.words(), [4, 0, 1]);
    let key = shards.get(1, "/");
    shards.finish(1, key);
    assert_eq!(shards.words(), [4, 0, 2], "one was closed, for the one that was needed");
    let keys: Vec<Key> = (0..4).map(|_| shards.get(1, "/hold")).collect();
    shards.until("every connection to be busy there", |shards| shards.drivers[1].streams.len() == 5);
    server.notes.permits.store(4, SeqCst);
    keys.into_iter().for_each(|key| shards.finish(1, key));
    assert_eq!(server.notes.paths.lock().unwrap().len(), 9);
}

#[test]
fn a_shard_whose_own_attempts_wait_gives_others_their_part_as_its_exchanges_end() {
    let server = Server::start();
    let mut shards = Shards::start(2, &server.config(4));
    let own: Vec<Key> = (0..40).map(|_| shards.get(0, "/hold")).collect();
    shards.until("every connection to be busy", |_| server.notes.paths.lock().unwrap().len() == 4);
    let others: Vec<Key> = (0..3).map(|_| shards.get(1, "/hold/other")).collect();
    shards.until("the wishes to be known", |shards| shards.words() == [4, 39, 2]);
    for served in 1..=3 {
        server.notes.permits.fetch_add(1, SeqCst);
        shards.until("the next request", |_| server.notes.paths.lock().unwrap().len() == 4 + served);
    }
    let paths = server.notes.paths.lock().unwrap()[4..].to_vec();
    // Two connections are the other's part; then each serves its own with what it has.
    assert_eq!(paths[..2], ["/hold/other", "/hold/other"]);
    server.notes.permits.store(usize::MAX >> 1, SeqCst);
    others.into_iter().for_each(|key| shards.finish(1, key));
    own.into_iter().for_each(|key| shards.finish(0, key));
    assert!(server.notes.most.load(SeqCst) <= 4);
}

#[test]
fn who_waits_for_connections_that_others_have_waits_for_a_place_and_fails_when_there_is_nobody_to_connect_to() {
    let server = Server::start();
    let mut shards = Shards::start(2, &server.config(1));
    let first = shards.get(0, "/hold");
    shards.until("the connection to be busy", |_| server.notes.paths.lock().unwrap().len() == 1);
    let second = shards.get(1, "/hold");
    let full = shards.drivers[1].upstreams.full_time(0, shards.drivers[1].now());
    assert!(full.is_full && shards.drivers[1].upstreams.stats.sessions_connecting == 0);
    let mut gone = server.config(1);
    gone.addresses = vec![TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()];
    shards.drivers[1].upstreams.apply(vec![gone]);
    server.notes.permits.store(1, SeqCst);
    shards.finish(0, first);
    shards.until("the failure", |shards| shards.drivers[1].sink.told[&second].is_over());
    assert_eq!(shards.drivers[1].sink.told[&second].fault.unwrap().reason, Reason::ConnectFailed);
    assert_eq!(shards.words()[1], 0);
}
