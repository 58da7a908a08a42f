//! Cost of an exchange without sockets: `cargo test --release cost -- --ignored --nocapture`.

use std::time::Instant;

use super::driver::config;
use super::peer::frame;
use crate::base::chunk::Block;
use crate::http::check::ResponseFacts;
use crate::http::fields::Fields;
use crate::http::hpack::Encoder;
use crate::upstream::client::Permit;
use crate::upstream::h2::H2;
use crate::upstream::io::{Io, Work};
use crate::upstream::outbox::Outbox;
use crate::upstream::{AttemptId, BodyPart, Fault, Scheme, SessionRef, Sink, Stats};

#[derive(Default)]
struct Counter {
    ended: u64,
    bytes: usize,
}

impl Sink for Counter {
    fn on_informational(&mut self, _: AttemptId, _: u16, _: &Fields) {}
    fn on_head(&mut self, _: AttemptId, _: u16, _: &Fields, _: ResponseFacts, _: bool) {}
    fn on_data(&mut self, _: AttemptId, data: BodyPart<'_>, end: bool) -> usize {
        self.bytes += data.len();
        self.ended += u64::from(end);
        data.len()
    }
    fn on_trailers(&mut self, _: AttemptId, _: &Fields) {}
    fn on_failed(&mut self, _: AttemptId, fault: Fault) {
        panic!("{fault:?}");
    }
    fn on_window(&mut self, _: AttemptId) {}
    fn on_opened(&mut self, _: AttemptId, _: SessionRef) {}
}

fn fields(list: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::new();
    list.iter().for_each(|(name, value)| fields.push(name.as_bytes(), value.as_bytes()));
    fields
}

#[test]
#[ignore = "a measurement"]
fn cost_of_a_get_of_one_kibibyte() {
    const BATCH: u32 = 32;
    const ROUNDS: u32 = 20_000;
    let mut h2 = H2::new(&config(0, Scheme::H2c, "127.0.0.1:1".parse().unwrap()).limits, std::rc::Rc::new(std::cell::Cell::new(100)));
    let (mut out, mut work, mut stats, mut sink) = (Outbox::default(), Work::default(), Stats::default(), Counter::default());
    h2.begin(&mut out);
    let mut encoder = Encoder::new(4096);
    let request = fields(&[
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "localhost:8443"),
        (":path", "/index.html"),
        ("user-agent", "some client 1.0"),
        ("accept", "*/*"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-request-id", "0123456789abcdef0123456789abcdef"),
    ]);
    let response = fields(&[
        (":status", "200"),
        ("server", "nghttpd nghttp2/1.52.0"),
        ("content-length", "1024"),
        ("cache-control", "max-age=3600"),
        ("date", "Sun, 22 Nov 2026 03:00:00 GMT"),
        ("last-modified", "Sun, 22 Nov 2026 02:00:00 GMT"),
    ]);
    let mut block = Block::new(256 * 1024);
    block.spare()[..9].copy_from_slice(&frame(4, 0, 0, &[]));
    block.advance(9);
    let (mut sending, mut receiving) = (0, 0);
    let mut released = Vec::new();
    for round in 0..ROUNDS {
        let mut id = round * BATCH * 2 + 1;
        let started = Instant::now();
        for key in 0..BATCH {
            let mut io = Io { out: &mut out, work: &mut work, stats: &mut stats, released: &mut released, now: 1 };
            h2.start(&mut io, (u64::from(key), Permit::default()), &request, false).unwrap();
        }
        sending += started.elapsed().as_nanos();
        out.consume(out.len());
        for _ in 0..BATCH {
            let mut section = Vec::new();
            encoder.encode(&response, &mut section);
            let bytes = [frame(1, 4, id, &section), frame(0, 1, id, &[7; 1024])].concat();
            block.spare()[..bytes.len()].copy_from_slice(&bytes);
            block.advance(bytes.len());
            id += 2;
        }
        let started = Instant::now();
        let mut io = Io { out: &mut out, work: &mut work, stats: &mut stats, released: &mut released, now: 1 };
        h2.receive(&mut io, &mut sink, &block, 0).unwrap();
        receiving += started.elapsed().as_nanos();
        block.reset();
        released.clear();
        out.consume(out.len());
    }
    let count = u128::from(BATCH * ROUNDS);
    assert_eq!(u128::from(sink.ended), count);
    println!("a GET: {} ns to send, {} ns to receive", sending / count, receiving / count);
}
