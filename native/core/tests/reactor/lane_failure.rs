//! A lane that fails leaves its heads to its successor; connections and bodies live on.

use crate::support::lane::Lane;
use crate::support::origin::patterned;
use crate::support::{Bed, Kind, Request};
use lychgate_core::base::counters::Id;
use std::time::Duration;

#[test]
fn heads_that_were_not_decided_are_offered_to_the_successor() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    let download = bed.clients[client].get("/bytes/20000000");
    bed.until("the download to begin", |bed| bed.clients[client].streams[&download].body.len() > 100_000);
    bed.shard().lane.is_broken = true;
    let streams: Vec<u64> = (0..3).map(|_| bed.clients[client].get("/")).collect();
    let upload = Request { method: "POST", path: "/echo", body: patterned(200_000), ..Request::default() };
    let upload = bed.clients[client].request(upload);
    bed.until("the failure", |bed| bed.shard().count(Id::LaneFailures) > 0);
    let had = bed.clients[client].streams[&download].body.len();
    bed.until("the download to go on without a lane", |bed| bed.clients[client].streams[&download].body.len() > had + 100_000);
    bed.rest(Duration::from_millis(50));
    assert!(streams.iter().all(|stream| bed.clients[client].streams[stream].status == 0));

    let shard = bed.shard();
    shard.lane = Lane::new(shard.reactor.region());
    shard.reactor.take_over();
    shard.reactor.turn(|| shard.lane.call());
    for stream in streams {
        assert_eq!(bed.finish(client, stream).body, b"hello");
    }
    assert!(bed.finish(client, upload).body == patterned(200_000));
    assert!(bed.finish(client, download).body == patterned(20_000_000));
    let heads = &bed.shard().lane.heads;
    assert_eq!(heads.len(), 4);
}

#[test]
fn a_client_that_leaves_before_the_successor_comes_is_not_offered() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    bed.shard().lane.is_broken = true;
    let stream = bed.clients[client].get("/");
    let stays = bed.clients[client].get("/");
    bed.until("the failure", |bed| bed.shard().count(Id::LaneFailures) > 0);
    bed.clients[client].stop(stream, 0x10c);
    bed.rest(Duration::from_millis(50));
    let shard = bed.shard();
    shard.lane = Lane::new(shard.reactor.region());
    shard.reactor.take_over();
    shard.reactor.turn(|| shard.lane.call());
    assert_eq!(bed.finish(client, stays).status, 200);
}

#[test]
fn a_client_that_leaves_before_the_successor_has_read_the_offer_is_not_decided_about() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    bed.shard().lane.is_broken = true;
    let streams = ["/1", "/2", "/3"].map(|path| bed.clients[client].get(path));
    bed.until("the failure", |bed| bed.shard().count(Id::LaneFailures) > 0);
    bed.rest(Duration::from_millis(20));
    bed.clients[client].stop(streams[1], 0x10c);
    bed.clients[client].drive();
    bed.take_over();
    bed.until("the completions", |bed| bed.shard().lane.completions.len() == 3);
    let mut heads: Vec<_> = bed.shard().lane.heads.iter().map(|head| head.path.clone()).collect();
    heads.sort();
    assert_eq!(heads, ["/1", "/3"]);
}

#[test]
fn a_lane_that_decides_nonsense_does_no_harm_and_its_exchanges_wait() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Http3);
    assert_eq!(bed.get(client, "/").status, 200);
    let shard = bed.shard();
    let exchange = shard.lane.heads[0].exchange;
    shard.lane.on_head = Box::new(move |_| crate::support::lane::Verdict::Respond(200, 0, "never seen by anybody"));
    // A decision about an exchange that has ended.
    shard.lane.decide(exchange, crate::support::lane::Verdict::Respond(200, 0, "stale"));
    let answer = bed.get(client, "/");
    assert_eq!(answer.body, b"never seen by anybody");
}
