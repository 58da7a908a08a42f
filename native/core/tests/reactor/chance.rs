//! Whatever a lane decides, at whatever time, and whatever clients and backends do meanwhile: each
//! exchange ends once and nothing is left behind.

use crate::support::lane::{Lane, Verdict, forward};
use crate::support::{Bed, Kind, Request, Setup};
use lychgate_core::base::reason::Reason;
use lychgate_core::plan::{Edits, Plan};
use lychgate_core::record::inward::Forward;
use lychgate_core::record::layout::{FORWARD_HEDGE, FORWARD_HOLD, FORWARD_TELL_FAILURES};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Numbers that look random and are the same each time.
#[derive(Clone)]
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

const PATHS: [&str; 12] = [
    "/",
    "/late",
    "/late",
    "/flaky/503",
    "/late-flaky/503",
    "/flaky/404",
    "/reset/2",
    "/refuse",
    "/grpc/14",
    "/grpc-only/14",
    "/bytes/300000",
    "/interim",
];

fn any_forward(chance: &mut Chance) -> Forward {
    Forward {
        plan: 0,
        backend: chance.below(4) as u32,
        flags: FORWARD_TELL_FAILURES | if chance.below(2) == 0 { FORWARD_HOLD } else { 0 },
        connect_timeout_ms: 60,
        exchange_timeout_ms: 400,
        attempt_timeout_ms: [0, 5, 50][chance.below(3) as usize],
        hedge_delay_ms: [0, 1, 10][chance.below(3) as usize],
        replay_bytes: [0, 1_000, 1 << 20][chance.below(3) as usize],
        ..forward()
    }
}

fn any_verdict(chance: &mut Chance) -> Verdict {
    match chance.below(12) {
        0 => Verdict::Wait(chance.below(30) as u32, Reason::QueueTimeout.number()),
        1 => Verdict::Respond(503, Reason::Overloaded.number(), "no"),
        2 => Verdict::Reset(0x107, Reason::Overloaded.number()),
        3 | 4 => Verdict::Commit(0),
        // Not a decision about anything that waits for one.
        5 => Verdict::Forward(Forward { flags: FORWARD_TELL_FAILURES | FORWARD_HEDGE, ..any_forward(chance) }),
        _ => Verdict::Forward(any_forward(chance)),
    }
}

/// A lane that decides by chance. What it leaves undecided is for its successor.
fn at_random(lane: &mut Lane, seed: u64) {
    let (mut heads, mut failures, mut lates) = (Chance(seed), Chance(seed + 1), Chance(seed + 2));
    lane.on_head = Box::new(move |_| any_verdict(&mut heads));
    lane.on_failure = Box::new(move |failure| match failure.attempts {
        ..=3 => any_verdict(&mut failures),
        _ => Verdict::Respond(502, failure.reason, "enough"),
    });
    lane.on_late = Box::new(move |_| match lates.below(4) {
        0 => Verdict::Nothing,
        1 => any_verdict(&mut lates),
        _ => Verdict::Forward(Forward {
            flags: FORWARD_TELL_FAILURES | FORWARD_HEDGE | FORWARD_HOLD,
            hedge_delay_ms: 0,
            ..any_forward(&mut lates)
        }),
    });
}

#[test]
fn every_exchange_ends_once_and_nothing_is_left_behind() {
    for seed in 1..=6 {
        let plan = Plan::new(Edits::default(), Edits::default(), &[503, 404], &[14]).unwrap();
        let mut bed = Bed::with(Setup { plans: vec![plan], has_others: true, ..Setup::default() });
        at_random(&mut bed.shard().lane, seed);
        let mut chance = Chance(seed << 8);
        let clients = [0; 6].map(|_| bed.connect(Kind::Http3));
        let (mut open, mut asked, mut told) = (Vec::new(), 0, Vec::new());
        for round in 0..60 {
            for _ in 0..5 {
                let path = PATHS[chance.below(PATHS.len() as u64) as usize];
                let body = vec![5; [0, 0, 500, 40_000][chance.below(4) as usize]];
                let method = if body.is_empty() { "GET" } else { "POST" };
                let client = clients[chance.below(6) as usize];
                if let Some(stream) = bed.clients[client].try_request(Request { method, path, body, ..Request::default() }) {
                    open.push((client, stream));
                }
                asked += 1;
            }
            if !open.is_empty() && chance.below(2) == 0 {
                let (client, stream) = open[chance.below(open.len() as u64) as usize];
                if !bed.clients[client].streams[&stream].is_over() {
                    let _ = bed.clients[client].quic.stream_shutdown(stream, quiche::Shutdown::Read, 0x10c);
                    let _ = bed.clients[client].quic.stream_shutdown(stream, quiche::Shutdown::Write, 0x10c);
                    bed.clients[client].streams.get_mut(&stream).unwrap().reset = Some(0x10c);
                }
            }
            for origin in [&bed.origin, bed.other()] {
                origin.notes.failures.store(chance.below(4) as u32, Relaxed);
                origin.notes.failure_bytes.store(chance.below(100_000) as usize, Relaxed);
                origin.notes.refusals.store(chance.below(3) as u32, Relaxed);
                origin.notes.is_released.store(chance.below(3) == 0, Relaxed);
                origin.notes.is_cutting.store(chance.below(8) == 0, Relaxed);
                origin.notes.is_going_away.store(chance.below(8) == 0, Relaxed);
            }
            bed.rest(Duration::from_millis(chance.below(12)));
            if round % 20 == 19 {
                told.append(&mut bed.shard().lane.completions);
                bed.take_over();
                at_random(&mut bed.shard().lane, seed + round);
            }
        }
        bed.origin.notes.is_released.store(true, Relaxed);
        bed.other().notes.is_released.store(true, Relaxed);
        told.append(&mut bed.shard().lane.completions);
        bed.take_over();
        bed.shard().lane.on_head = Box::new(|_| Verdict::Respond(503, Reason::Overloaded.number(), "over"));
        bed.until("every exchange's end", |bed| bed.shard().reactor.relay.exchanges.is_empty());
        let mut waited = 0;
        bed.until("every completion", |bed| {
            waited += 1;
            told.append(&mut bed.shard().lane.completions);
            waited > 100
        });
        told.sort_by_key(|end| end.exchange.pack());
        let count = told.len();
        told.dedup_by_key(|end| end.exchange);
        assert_eq!(told.len(), count, "told twice, seed {seed}");
        assert!(count <= asked, "{count} of {asked}");
        assert_eq!(bed.in_flight(), 0, "seed {seed}");
        // What the bed looks for at its end is in `told`.
        bed.shard().lane.heads.clear();
    }
}
