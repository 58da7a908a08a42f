//! Parsers fed with arbitrary input: they accept or refuse it, never panic, and counts stay
//! balanced.

use proptest::collection::vec;
use proptest::prelude::*;

use super::driver::{Recorder, config};
use super::peer::frame;
use crate::base::chunk::Block;
use crate::http::fields::Fields;
use crate::upstream::client::Permit;
use crate::upstream::h1::H1;
use crate::upstream::h2::H2;
use crate::upstream::io::{Io, Work};
use crate::upstream::outbox::Outbox;
use crate::upstream::{Scheme, Stat, Stats};

struct Bench {
    out: Outbox,
    work: Work,
    stats: Stats,
    released: Vec<Permit>,
    sink: Recorder,
}

impl Bench {
    fn new() -> Bench {
        let mut sink = Recorder::default();
        (1..=3).for_each(|key| drop(sink.outcomes.insert(key, Default::default())));
        Bench { out: Outbox::default(), work: Work::default(), stats: Stats::default(), released: Vec::new(), sink }
    }

    fn io(&mut self) -> (Io<'_>, &mut Recorder) {
        let io = Io { out: &mut self.out, work: &mut self.work, stats: &mut self.stats, released: &mut self.released, now: 1 };
        (io, &mut self.sink)
    }
}

fn request(method: &[u8]) -> Fields {
    let mut head = Fields::new();
    for (name, value) in [(&b":method"[..], method), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/")] {
        head.push(name, value);
    }
    head
}

/// Feeds bytes in pieces, as reads would.
fn feed(bytes: &[u8], piece: usize, mut receive: impl FnMut(&Block, usize) -> Option<usize>) {
    let mut block = Block::new(bytes.len() + 1);
    let mut at = 0;
    for part in bytes.chunks(piece) {
        block.spare()[..part.len()].copy_from_slice(part);
        block.advance(part.len());
        match receive(&block, at) {
            Some(next) => {
                assert!(next >= at && next <= block.filled());
                at = next;
            }
            None => return,
        }
    }
}

fn feed_h2(bytes: &[u8], piece: usize) {
    let address = "127.0.0.1:1".parse().unwrap();
    let mut h2 = H2::new(&config(0, Scheme::H2c, address).limits, std::rc::Rc::new(std::cell::Cell::new(100)));
    let mut bench = Bench::new();
    h2.begin(&mut bench.out);
    for key in 1..=3 {
        let (mut io, _) = bench.io();
        h2.start(&mut io, (key, Permit::default()), &request(if key == 2 { b"HEAD" } else { b"POST" }), key == 3).unwrap();
    }
    let begun = [&frame(4, 0, 0, &[])[..], bytes].concat();
    feed(&begun, piece, |block, at| {
        let (mut io, sink) = bench.io();
        h2.receive(&mut io, sink, block, at).ok()
    });
    let (mut io, sink) = bench.io();
    h2.fail_all(&mut io, sink, crate::base::reason::Reason::BackendClosed, 0);
    assert_eq!((h2.open_streams(), bench.stats[Stat::StreamsOpen], bench.released.len()), (0, 0, 3));
    let is_told = |key: u64| {
        let outcome = &bench.sink.outcomes[&key];
        outcome.is_over()
    };
    assert!((1..=3).all(is_told), "every exchange hears of its end");
}

fn feed_h1(bytes: &[u8], piece: usize, method: &[u8]) {
    let address = "127.0.0.1:1".parse().unwrap();
    let mut h1 = H1::new(&config(0, Scheme::Http, address).limits);
    let mut bench = Bench::new();
    let (mut io, _) = bench.io();
    h1.start(&mut io, (1, Permit::default()), &request(method), false).unwrap();
    feed(bytes, piece, |block, at| {
        let (mut io, sink) = bench.io();
        h1.receive(&mut io, sink, block, at).ok()
    });
    let (mut io, sink) = bench.io();
    h1.on_end(&mut io, sink, true);
    h1.fail(&mut io, sink, crate::base::reason::Reason::BackendClosed);
    assert_eq!((h1.open_streams(), bench.stats[Stat::StreamsOpen], bench.released.len()), (0, 0, 1));
    assert!(bench.sink.outcomes[&1].is_over());
}

/// Frames that are almost right: known types and streams, any flags, any payload.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let stream = prop_oneof![4 => (0u32..4).prop_map(|n| n * 2 + 1), 1 => 0u32..9];
    let payload = prop_oneof![
        vec(any::<u8>(), 0..40),
        Just(vec![0x88]),
        Just(vec![0x88, 0x0f, 0x0d, 0x01, b'5']),
        Just(vec![0, 0, 0, 8]),
        Just(vec![0, 0, 0, 0, 0, 0, 0, 1])
    ];
    vec((0u8..11, any::<u8>(), stream, payload), 0..30)
        .prop_map(|list| list.into_iter().flat_map(|(kind, flags, stream, payload)| frame(kind, flags, stream, &payload)).collect())
}

/// Text that is almost HTTP/1.1.
fn responses() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("HTTP/1.1 200 OK\r\n"),
        Just("HTTP/1.1 103 Hint\r\n"),
        Just("HTTP/1.0 404 No\r\n"),
        Just("content-length: 3\r\n"),
        Just("transfer-encoding: chunked\r\n"),
        Just("connection: close\r\n"),
        Just("x: y\r\n"),
        Just("\r\n"),
        Just("3\r\nabc\r\n"),
        Just("0\r\n"),
        Just("abc"),
        Just("\n")
    ];
    vec(piece, 0..12).prop_map(|list| list.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_pass_the_frame_parser_without_a_panic(bytes in vec(any::<u8>(), 0..200), piece in 1usize..50) {
        feed_h2(&bytes, piece);
    }

    #[test]
    fn any_frames_leave_no_exchange_without_an_end(bytes in frames(), piece in 1usize..200) {
        feed_h2(&bytes, piece);
    }

    #[test]
    fn any_bytes_pass_the_response_parser_without_a_panic(bytes in vec(any::<u8>(), 0..200), piece in 1usize..50) {
        feed_h1(&bytes, piece, b"GET");
    }

    #[test]
    fn any_response_leaves_no_exchange_without_an_end(bytes in responses(), piece in 1usize..60, is_head in any::<bool>()) {
        feed_h1(&bytes, piece, if is_head { b"HEAD" } else { b"GET" });
    }
}
