//! Authentication that is a connection's: a backend that believes a connection, as NTLM and
//! Negotiate have it, and two clients who must never be taken for each other.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::*};
use std::sync::{Arc, Condvar, Mutex};

use super::driver::{Driver, Told, config};
use super::peer::Peer;
use crate::upstream::pool::Client;
use crate::upstream::{BackendConfig, Key, Scheme};

const ALICE: Client = Client { network: 1, connection: 10 };
const BOB: Client = Client { network: 1, connection: 20 };

#[derive(Default)]
struct Notes {
    accepted: AtomicUsize,
    open: AtomicUsize,
    /// Whether requests to `/hold` are answered.
    is_free: Mutex<bool>,
    freed: Condvar,
}

/// An HTTP/1.1 server that asks who is there once a connection: after `authorization: NTLM name`
/// every request on it is that one's.
struct Origin {
    address: SocketAddr,
    notes: Arc<Notes>,
}

impl Origin {
    fn start(challenge: &'static str) -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, notes) = (listener.local_addr().unwrap(), Arc::new(Notes::default()));
        let shared = notes.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let notes = shared.clone();
                std::thread::spawn(move || {
                    notes.accepted.fetch_add(1, SeqCst);
                    notes.open.fetch_add(1, SeqCst);
                    serve(stream.unwrap(), challenge, &notes);
                    notes.open.fetch_sub(1, SeqCst);
                });
            }
        });
        Origin { address, notes }
    }

    fn driver(&self, most: u32) -> Driver {
        Driver::new(vec![BackendConfig { max_sessions: most, ..config(0, Scheme::Http, self.address) }])
    }

    fn accepted(&self) -> usize {
        self.notes.accepted.load(SeqCst)
    }

    fn free(&self) {
        *self.notes.is_free.lock().unwrap() = true;
        self.notes.freed.notify_all();
    }
}

fn serve(mut stream: TcpStream, challenge: &str, notes: &Notes) {
    let mut identity = None;
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count) = stream.read(&mut buffer)
        && count > 0
    {
        bytes.extend_from_slice(&buffer[..count]);
        if !bytes.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8(std::mem::take(&mut bytes)).unwrap();
        let given = text.lines().find_map(|line| line.strip_prefix("authorization: "));
        identity = given.and_then(|given| given.split_once(' ')).map(|(_, name)| name.to_owned()).or(identity);
        if text.starts_with("GET /hold") {
            drop(notes.freed.wait_while(notes.is_free.lock().unwrap(), |is_free| !*is_free));
        }
        let answer = match &identity {
            Some(name) => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()),
            None => format!("HTTP/1.1 401 Who\r\n{challenge}\r\nContent-Length: 0\r\n\r\n"),
        };
        let _ = stream.write_all(answer.as_bytes());
    }
}

fn ask(driver: &mut Driver, client: Client, path: &str, credentials: &str) -> Key {
    driver.client = client;
    let fields = [("authorization", credentials)];
    driver.request(0, "GET", path, if credentials.is_empty() { &[] } else { &fields }, None)
}

fn said(driver: &mut Driver, client: Client, credentials: &str) -> Told {
    let key = ask(driver, client, "/", credentials);
    driver.finish(key)
}

/// What a client is taken for: a name, or nobody.
fn taken_for(driver: &mut Driver, client: Client, credentials: &str) -> String {
    let told = said(driver, client, credentials);
    assert_eq!(told.fault, None);
    String::from_utf8(told.body).unwrap()
}

#[test]
fn a_session_on_which_ntlm_or_negotiate_was_asked_for_is_its_clients_alone_and_ends_with_it() {
    for challenge in
        ["WWW-Authenticate: NTLM", "Proxy-Authenticate: Basic realm=\"a, b\", negotiate", "www-authenticate: Negotiate oYG2, NTLM"]
    {
        let origin = Origin::start(challenge);
        let mut driver = origin.driver(4);
        assert_eq!(said(&mut driver, ALICE, "").status, Some(401));
        assert_eq!(driver.upstreams.stats.sessions_bound, 1);
        assert_eq!(said(&mut driver, BOB, "").status, Some(401));
        assert_eq!(origin.accepted(), 2, "{challenge}: one each");
        for _ in 0..3 {
            assert_eq!(taken_for(&mut driver, ALICE, "NTLM alice"), "alice");
            assert_eq!(taken_for(&mut driver, BOB, "NTLM bob"), "bob");
            assert_eq!(taken_for(&mut driver, ALICE, ""), "alice", "the connection is believed");
            assert_eq!(taken_for(&mut driver, BOB, ""), "bob");
        }
        assert_eq!((origin.accepted(), driver.upstreams.stats.bound), (2, 2));
        driver.upstreams.client_gone(ALICE.connection);
        driver.until("Alice's session to end", |driver| driver.upstreams.stats.sessions_bound == 1);
        driver.until("the backend to see it", |_| origin.notes.open.load(SeqCst) == 1);
        assert_eq!(taken_for(&mut driver, BOB, ""), "bob", "his goes on");
        assert_eq!(said(&mut driver, ALICE, "").status, Some(401), "she is asked anew");
        driver.upstreams.client_gone(ALICE.connection);
        driver.upstreams.client_gone(BOB.connection);
        driver.until("all sessions to end", |driver| driver.upstreams.stats.sessions_open == 0);
        assert_eq!((driver.upstreams.stats.sessions_bound, driver.upstreams.stats.streams_open), (0, 0));
    }
}

#[test]
fn credentials_for_a_connection_bind_it_though_nobody_asked() {
    let origin = Origin::start("WWW-Authenticate: Negotiate");
    let mut driver = origin.driver(4);
    assert_eq!(taken_for(&mut driver, ALICE, "Negotiate alice"), "alice");
    assert_eq!(said(&mut driver, BOB, "").status, Some(401));
    assert_eq!((origin.accepted(), driver.upstreams.stats.bound), (2, 2));
}

#[test]
fn other_authentication_leaves_sessions_to_all() {
    let origin = Origin::start("WWW-Authenticate: Basic realm=\"NTLM\"");
    let mut driver = origin.driver(4);
    assert_eq!(said(&mut driver, ALICE, "").status, Some(401));
    assert_eq!(taken_for(&mut driver, BOB, "Basic bob"), "bob");
    assert_eq!((origin.accepted(), driver.upstreams.stats.bound, driver.upstreams.stats.sessions_bound), (1, 0, 0));
}

#[test]
fn one_who_waits_gets_no_session_that_is_anothers_but_its_place_after_a_second() {
    let origin = Origin::start("WWW-Authenticate: NTLM");
    let mut driver = origin.driver(1);
    assert_eq!(taken_for(&mut driver, ALICE, "NTLM alice"), "alice");
    let bob = ask(&mut driver, BOB, "/", "");
    driver.idle(4);
    assert!(!driver.sink.told[&bob].is_over() && driver.upstreams.stats.waiting == 1);
    assert_eq!(taken_for(&mut driver, ALICE, ""), "alice", "she passes nobody by: it is hers alone");
    driver.skew += 1_100_000_000;
    assert_eq!(driver.finish(bob).status, Some(401), "on a session of his own");
    let stats = driver.upstreams.stats;
    assert_eq!((origin.accepted(), stats.bound_given_up, stats.sessions_bound, stats.waiting), (2, 1, 1, 0));
}

#[test]
fn ones_own_session_serves_those_of_ones_own_who_wait() {
    let origin = Origin::start("WWW-Authenticate: NTLM");
    let mut driver = origin.driver(1);
    assert_eq!(taken_for(&mut driver, ALICE, "NTLM alice"), "alice");
    let held = ask(&mut driver, ALICE, "/hold", "");
    let bob = ask(&mut driver, BOB, "/", "");
    let own = ask(&mut driver, ALICE, "/", "");
    driver.idle(4);
    assert_eq!(driver.upstreams.stats.waiting, 2);
    origin.free();
    assert_eq!(driver.finish(held).body, b"alice");
    assert_eq!(driver.finish(own).body, b"alice");
    assert_eq!((driver.sink.told[&bob].is_over(), origin.accepted()), (false, 1));
    driver.cancel(0, bob);
}

#[test]
fn how_many_sessions_a_client_has_and_for_how_long_is_as_configured() {
    let origin = Origin::start("WWW-Authenticate: NTLM");
    let few = BackendConfig { max_sessions: 16, max_bound: 2, ..config(0, Scheme::Http, origin.address) };
    let mut driver = Driver::new(vec![few]);
    let held: Vec<Key> = (0..5).map(|_| ask(&mut driver, ALICE, "/hold", "")).collect();
    driver.until("five connections", |_| origin.accepted() == 5);
    origin.free();
    for key in held {
        assert_eq!(driver.finish(key).status, Some(401));
    }
    driver.until("those too many to end", |driver| driver.upstreams.stats.sessions_open == 2);
    assert_eq!((driver.upstreams.stats.bound_in_excess, driver.upstreams.stats.sessions_bound), (3, 2));

    let origin = Origin::start("WWW-Authenticate: NTLM");
    let long = BackendConfig { max_sessions: 1, bound_idle_ms: 30_000, ..config(0, Scheme::Http, origin.address) };
    let mut driver = Driver::new(vec![long]);
    assert_eq!(taken_for(&mut driver, ALICE, "NTLM alice"), "alice");
    let bob = ask(&mut driver, BOB, "/", "");
    driver.skew += 29_000_000_000;
    driver.idle(4);
    assert!(!driver.sink.told[&bob].is_over(), "it is left to her for half a minute");
    driver.skew += 1_100_000_000;
    assert_eq!(driver.finish(bob).status, Some(401));
}

#[test]
fn a_client_has_few_sessions_of_its_own() {
    let origin = Origin::start("WWW-Authenticate: NTLM");
    let mut driver = origin.driver(16);
    let held: Vec<Key> = (0..10).map(|_| ask(&mut driver, ALICE, "/hold", "")).collect();
    driver.until("ten connections", |_| origin.accepted() == 10);
    origin.free();
    for key in held {
        assert_eq!(driver.finish(key).status, Some(401), "nothing is lost");
    }
    driver.until("those too many to end", |driver| driver.upstreams.stats.sessions_open == 4);
    let stats = driver.upstreams.stats;
    assert_eq!((stats.bound, stats.bound_in_excess, stats.sessions_bound), (10, 6, 4));
}

#[test]
fn challenges_for_a_connection_are_removed_where_clients_share_it() {
    let peer = Peer::serve_h2(1, |_, wire| {
        let (stream, _) = wire.request();
        let challenges =
            [("www-authenticate", "Negotiate"), ("www-authenticate", "NTLM, Basic realm=\"x\""), ("proxy-authenticate", "Negotiate")];
        wire.headers(stream, &[&[(":status", "401")][..], &challenges].concat(), true);
        let (stream, _) = wire.request();
        wire.headers(stream, &[&[(":status", "200")][..], &challenges[..1]].concat(), true);
        wire.drain();
    });
    let mut driver = Driver::new(vec![config(0, Scheme::H2c, peer.address)]);
    let told = driver.fetch(0, "/");
    assert_eq!(told.fields.iter().skip(1).map(|(_, value)| &value[..]).collect::<Vec<_>>(), ["Basic realm=\"x\""]);
    assert_eq!(driver.fetch(0, "/").field("www-authenticate"), Some("Negotiate"), "no challenge with another status");
    assert_eq!((driver.upstreams.stats.challenges_removed, driver.upstreams.stats.bound), (1, 0));
    drop(driver);
    peer.join();
}
