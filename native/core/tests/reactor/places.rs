//! Places at a backend are shared fairly among those who wait.

use crate::support::lane::{Head, Verdict, forward};
use crate::support::{Bed, Kind, Setup};
use lychgate_core::record::inward::{Forward, SAME_CLIENT};
use std::sync::atomic::Ordering::Relaxed;

const PLACES: usize = 4;

/// A bed with few places, all of them taken by requests to `/hold` of its first client; their
/// streams.
fn full(on_head: impl FnMut(&Head) -> Verdict + 'static) -> (Bed, usize, Vec<u64>) {
    let mut bed = Bed::with(Setup { max_sessions: 1, max_streams: PLACES as u32, has_others: true, ..Setup::default() });
    bed.shard().lane.on_head = Box::new(on_head);
    let client = bed.connect(Kind::Http3);
    let held = (0..PLACES).map(|_| bed.clients[client].get("/hold")).collect();
    bed.until("every place to be taken", |bed| bed.origin.notes.open.load(Relaxed) == PLACES);
    (bed, client, held)
}

/// Lets a place become free, again and again; the paths for which they were used.
fn order(bed: &mut Bed, client: usize, held: Vec<u64>, count: usize) -> Vec<String> {
    for stream in held.into_iter().take(count) {
        let requests = bed.origin.notes.requests.load(Relaxed);
        bed.clients[client].stop(stream, 0x10c);
        bed.until("the next request", |bed| bed.origin.notes.requests.load(Relaxed) > requests);
    }
    let heads = bed.origin.notes.heads.lock().unwrap();
    let path = |head: &Vec<(String, String)>| head.iter().find(|field| field.0 == ":path").unwrap().1.clone();
    heads.iter().skip(PLACES).map(path).collect()
}

fn wait(bed: &mut Bed, client: usize, path: &str) -> u64 {
    let known = bed.shard().lane.heads.len();
    let stream = bed.clients[client].get(path);
    bed.until("the decision", |bed| bed.shard().lane.heads.len() > known);
    stream
}

#[test]
fn a_connection_that_has_a_quarter_of_the_places_comes_after_another_that_asks_later() {
    let (mut bed, greedy, held) = full(|_| Verdict::Forward(forward()));
    let own: Vec<u64> = (0..3).map(|_| wait(&mut bed, greedy, "/hold/own")).collect();
    let other = bed.connect(Kind::Http3);
    let stream = wait(&mut bed, other, "/hold/other");
    assert_eq!(order(&mut bed, greedy, held.clone(), 3), ["/hold/other", "/hold/own", "/hold/own"]);
    held.into_iter().skip(3).chain(own).for_each(|stream| bed.clients[greedy].stop(stream, 0x10c));
    bed.clients[other].stop(stream, 0x10c);
}

#[test]
fn behind_a_proxy_the_client_it_names_counts_and_later_attempts_are_his_too() {
    const DEAF: u32 = 3;
    let (mut bed, proxy, held) = full(|head| {
        let client = if head.path.ends_with("other") { 0xffff_0000_0002 } else { 0xffff_0000_0001 };
        let backend = if head.path.ends_with("again") { DEAF } else { 0 };
        Verdict::Forward(Forward { client, backend, connect_timeout_ms: 20, ..forward() })
    });
    bed.shard().lane.on_failure = Box::new(|_| Verdict::Forward(Forward { client: SAME_CLIENT, ..forward() }));
    let mut streams = vec![wait(&mut bed, proxy, "/hold/again")];
    bed.until("the second attempt", |bed| bed.shard().lane.failures.len() == 1);
    streams.extend(["/hold/own", "/hold/other"].map(|path| wait(&mut bed, proxy, path)));
    assert_eq!(order(&mut bed, proxy, held.clone(), 3), ["/hold/other", "/hold/again", "/hold/own"]);
    held.into_iter().skip(3).chain(streams).for_each(|stream| bed.clients[proxy].stop(stream, 0x10c));
}
