//! Connection-based authentication: a backend that trusts a connection, as with NTLM and Negotiate,
//! and two clients that must never be taken for each other.

use super::driver::{Driver, Outcome, config};
use super::origin::Origin;
use super::peer::Peer;
use crate::upstream::Client;
use crate::upstream::{AttemptId, Scheme, Stat};

const ALICE: Client = Client { network: 1, connection: 10 };
const BOB: Client = Client { network: 1, connection: 20 };

/// A server that authenticates connections: after `authorization: NTLM name` every request on one
/// is that client's.
fn asking(challenge: &'static str) -> Origin {
    Origin::start(move || {
        let mut identity = None;
        move |request| {
            let given = request.lines().find_map(|line| line.strip_prefix("authorization: "));
            if let Some((_, name)) = given.and_then(|given| given.split_once(' ')) {
                identity = Some(name.to_owned());
            }
            match &identity {
                Some(name) => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()),
                None => format!("HTTP/1.1 401 Who\r\n{challenge}\r\nContent-Length: 0\r\n\r\n"),
            }
        }
    })
}

fn ask(driver: &mut Driver, client: Client, path: &str, credentials: &str) -> AttemptId {
    driver.client = client;
    let fields = [("authorization", credentials)];
    driver.request(0, "GET", path, if credentials.is_empty() { &[] } else { &fields }, None)
}

fn said(driver: &mut Driver, client: Client, credentials: &str) -> Outcome {
    let key = ask(driver, client, "/", credentials);
    driver.finish(key)
}

/// The name that a client is taken for.
fn taken_for(driver: &mut Driver, client: Client, credentials: &str) -> String {
    let outcome = said(driver, client, credentials);
    assert_eq!(outcome.fault, None);
    String::from_utf8(outcome.body).unwrap()
}

#[test]
fn a_session_on_which_ntlm_or_negotiate_was_asked_for_is_its_clients_alone_and_ends_with_it() {
    for challenge in
        ["WWW-Authenticate: NTLM", "Proxy-Authenticate: Basic realm=\"a, b\", negotiate", "www-authenticate: Negotiate oYG2, NTLM"]
    {
        let origin = asking(challenge);
        let mut driver = Driver::new(vec![origin.config(4)]);
        assert_eq!(said(&mut driver, ALICE, "").status, Some(401));
        assert_eq!(driver.upstreams.stats[Stat::SessionsBound], 1);
        assert_eq!(said(&mut driver, BOB, "").status, Some(401));
        assert_eq!(origin.accepted(), 2, "{challenge}: one each");
        for _ in 0..3 {
            assert_eq!(taken_for(&mut driver, ALICE, "NTLM alice"), "alice");
            assert_eq!(taken_for(&mut driver, BOB, "NTLM bob"), "bob");
            assert_eq!(taken_for(&mut driver, ALICE, ""), "alice", "the connection is believed");
            assert_eq!(taken_for(&mut driver, BOB, ""), "bob");
        }
        assert_eq!((origin.accepted(), driver.upstreams.stats[Stat::Bound]), (2, 2));
        driver.upstreams.client_gone(ALICE.connection);
        driver.until("Alice's session to end", |driver| driver.upstreams.stats[Stat::SessionsBound] == 1);
        driver.until("the backend to see it", |_| origin.open() == 1);
        assert_eq!(taken_for(&mut driver, BOB, ""), "bob", "his goes on");
        assert_eq!(said(&mut driver, ALICE, "").status, Some(401), "she is asked anew");
        driver.upstreams.client_gone(ALICE.connection);
        driver.upstreams.client_gone(BOB.connection);
        driver.until("all sessions to end", |driver| driver.upstreams.stats[Stat::SessionsOpen] == 0);
        assert_eq!((driver.upstreams.stats[Stat::SessionsBound], driver.upstreams.stats[Stat::StreamsOpen]), (0, 0));
    }
}

#[test]
fn credentials_for_a_connection_bind_it_though_nobody_asked() {
    let origin = asking("WWW-Authenticate: Negotiate");
    let mut driver = Driver::new(vec![origin.config(4)]);
    assert_eq!(taken_for(&mut driver, ALICE, "Negotiate alice"), "alice");
    assert_eq!(said(&mut driver, BOB, "").status, Some(401));
    assert_eq!((origin.accepted(), driver.upstreams.stats[Stat::Bound]), (2, 2));
}

#[test]
fn other_authentication_leaves_sessions_to_all() {
    let origin = asking("WWW-Authenticate: Basic realm=\"NTLM\"");
    let mut driver = Driver::new(vec![origin.config(4)]);
    assert_eq!(said(&mut driver, ALICE, "").status, Some(401));
    assert_eq!(taken_for(&mut driver, BOB, "Basic bob"), "bob");
    assert_eq!((origin.accepted(), driver.upstreams.stats[Stat::Bound], driver.upstreams.stats[Stat::SessionsBound]), (1, 0, 0));
}

#[test]
fn one_who_waits_gets_no_session_that_is_anothers_but_its_place_after_a_second() {
    let origin = asking("WWW-Authenticate: NTLM");
    let mut driver = Driver::new(vec![origin.config(1)]);
    assert_eq!(taken_for(&mut driver, ALICE, "NTLM alice"), "alice");
    let bob = ask(&mut driver, BOB, "/", "");
    driver.idle(4);
    assert!(!driver.sink.outcomes[&bob].is_over() && driver.upstreams.stats[Stat::Waiting] == 1);
    assert_eq!(taken_for(&mut driver, ALICE, ""), "alice", "she passes nobody by: it is hers alone");
    driver.skew += 1_100_000_000;
    assert_eq!(driver.finish(bob).status, Some(401), "on a session of his own");
    let stats = driver.upstreams.stats;
    assert_eq!((origin.accepted(), stats[Stat::BoundGivenUp], stats[Stat::SessionsBound], stats[Stat::Waiting]), (2, 1, 1, 0));
}

#[test]
fn ones_own_session_serves_those_of_ones_own_who_wait() {
    let origin = asking("WWW-Authenticate: NTLM");
    let mut driver = Driver::new(vec![origin.config(1)]);
    assert_eq!(taken_for(&mut driver, ALICE, "NTLM alice"), "alice");
    let held = ask(&mut driver, ALICE, "/hold", "");
    let bob = ask(&mut driver, BOB, "/", "");
    let own = ask(&mut driver, ALICE, "/", "");
    driver.idle(4);
    assert_eq!(driver.upstreams.stats[Stat::Waiting], 2);
    origin.permit_all();
    assert_eq!(driver.finish(held).body, b"alice");
    assert_eq!(driver.finish(own).body, b"alice");
    assert_eq!((driver.sink.outcomes[&bob].is_over(), origin.accepted()), (false, 1));
    driver.cancel(0, bob);
}

#[test]
fn how_many_sessions_a_client_has_and_for_how_long_is_as_configured() {
    let origin = asking("WWW-Authenticate: NTLM");
    let mut few = origin.config(16);
    few.limits.max_bound = 2;
    let mut driver = Driver::new(vec![few]);
    let held: Vec<AttemptId> = (0..5).map(|_| ask(&mut driver, ALICE, "/hold", "")).collect();
    driver.until("five connections", |_| origin.accepted() == 5);
    origin.permit_all();
    for key in held {
        assert_eq!(driver.finish(key).status, Some(401));
    }
    driver.until("those too many to end", |driver| driver.upstreams.stats[Stat::SessionsOpen] == 2);
    assert_eq!((driver.upstreams.stats[Stat::BoundInExcess], driver.upstreams.stats[Stat::SessionsBound]), (3, 2));

    let origin = asking("WWW-Authenticate: NTLM");
    let mut long = origin.config(1);
    long.limits.bound_idle_ms = 30_000;
    let mut driver = Driver::new(vec![long]);
    assert_eq!(taken_for(&mut driver, ALICE, "NTLM alice"), "alice");
    let bob = ask(&mut driver, BOB, "/", "");
    driver.skew += 29_000_000_000;
    driver.idle(4);
    assert!(!driver.sink.outcomes[&bob].is_over(), "it is left to her for half a minute");
    driver.skew += 1_100_000_000;
    assert_eq!(driver.finish(bob).status, Some(401));
}

#[test]
fn a_client_has_few_sessions_of_its_own() {
    let origin = asking("WWW-Authenticate: NTLM");
    let mut driver = Driver::new(vec![origin.config(16)]);
    let held: Vec<AttemptId> = (0..10).map(|_| ask(&mut driver, ALICE, "/hold", "")).collect();
    driver.until("ten connections", |_| origin.accepted() == 10);
    origin.permit_all();
    for key in held {
        assert_eq!(driver.finish(key).status, Some(401), "nothing is lost");
    }
    driver.until("those too many to end", |driver| driver.upstreams.stats[Stat::SessionsOpen] == 4);
    let stats = driver.upstreams.stats;
    assert_eq!((stats[Stat::Bound], stats[Stat::BoundInExcess], stats[Stat::SessionsBound]), (10, 6, 4));
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
    let outcome = driver.fetch(0, "/");
    assert_eq!(outcome.fields.iter().skip(1).map(|(_, value)| &value[..]).collect::<Vec<_>>(), ["Basic realm=\"x\""]);
    assert_eq!(driver.fetch(0, "/").field("www-authenticate"), Some("Negotiate"), "no challenge with another status");
    assert_eq!((driver.upstreams.stats[Stat::ChallengesRemoved], driver.upstreams.stats[Stat::Bound]), (1, 0));
    drop(driver);
    peer.join();
}
