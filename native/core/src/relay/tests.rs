//! Exchanges whose client does not speak HTTP/3: they use every function of the client's side, with
//! a client in memory and a backend that speaks HTTP/2.

use super::{ListenerLimits, Relay, Rules, decide, settle, streams};
use crate::base::budget::{Account, Budget};
use crate::base::counters::Counters;
use crate::base::poll::Poll;
use crate::base::slab::Key;
use crate::base::table::BackendTable;
use crate::base::timers::NEVER;
use crate::downstream::cause::Cause;
use crate::downstream::connection::{Accepted, Connection};
use crate::downstream::memory::{Line, Memory, Response};
use crate::downstream::protocol::Protocol;
use crate::downstream::terms::Left;
use crate::exchange::State;
use crate::http::error::h2;
use crate::http::fields::Fields;
use crate::http::section::FieldLimits;
use crate::lane::{self, Decisions};
use crate::quic::count::ConnectionCount;
use crate::record::inward::{Decision, Forward, GivenValues, NO_PLAN, SAME_CLIENT, Tag};
use crate::record::layout::FORWARD_TELL_FAILURES;
use crate::upstream::tests::driver::{self, Shared};
use crate::upstream::tests::peer::{DATA, END_STREAM, Peer, RST_STREAM, WINDOW_UPDATE, Wire};
use crate::upstream::{Scheme, Upstreams};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};

struct Bed {
    relay: Relay,
    upstreams: Upstreams,
    poll: Poll,
    connection: Key,
    _decisions: Decisions,
    // Dropped last: the others write to it.
    _table: Shared,
}

impl Bed {
    fn new(backend: &Peer) -> Bed {
        let table = driver::table();
        // SAFETY: the bed keeps the table, and drops it last.
        let slots = unsafe { BackendTable::new(table.as_ptr().cast(), size_of_val(&*table)) };
        let poll = Poll::new().unwrap();
        let mut upstreams = Upstreams::new(poll.fd(), 3 << 60, slots);
        upstreams.apply(vec![driver::config(0, Scheme::H2c, backend.address)]);
        let (lane, decisions) = lane::lane();
        let mut rules = Rules::new(100);
        let fields = FieldLimits { max_size: 2_000, max_count: 100, max_crumbs: 100 };
        rules.set_limits(0, ListenerLimits { fields, normal: None, decode_timeout: NEVER, floor: None });
        let account = Account::new(Arc::new(Budget::new(1 << 30)));
        let mut relay = Relay::new(0, slots, rules, lane, account, Arc::new(Counters::default()));
        relay.begin_turn();
        let place = ConnectionCount::default().take(1).unwrap();
        let peer = "127.0.0.1:4433".parse().unwrap();
        let accepted = Accepted { number: 7, listener: 0, socket: 0, peer, at: relay.turn.now, place };
        let mut connection = Connection::new(Protocol::Memory(Memory::default()), accepted);
        connection.open(2_000, 0);
        let connection = relay.connections.insert(connection);
        Bed { relay, upstreams, poll, connection, _decisions: decisions, _table: table }
    }

    fn connection(&mut self) -> &mut Connection {
        self.relay.connections.get_mut(self.connection).unwrap()
    }

    fn memory(&mut self) -> &mut Memory {
        match &mut self.connection().protocol {
            Protocol::Memory(memory) => memory,
            Protocol::Http3(_) => panic!("nobody speaks it here"),
        }
    }

    fn line(&mut self, id: u64) -> &mut Line {
        self.memory().lines.entry(id).or_default()
    }

    fn response(&mut self, id: u64) -> Response {
        Response::read(&self.line(id).output)
    }

    /// Begins a request of a client that takes the response as fast as it comes.
    fn ask(&mut self, id: u64, method: &str, body: &[u8]) {
        *self.line(id) = Line { head: Some(head(method)), room: usize::MAX, ..Line::default() };
        self.line(id).body.extend(body);
    }

    fn key(&mut self, id: u64) -> Option<Key> {
        self.connection().exchanges.get(&id).copied()
    }

    /// Handles what has arrived, and serves sessions once.
    fn turn(&mut self) {
        let Bed { relay, upstreams, poll, connection, .. } = self;
        relay.begin_turn();
        let count = poll.wait(2);
        for place in 0..count {
            let (token, readiness) = poll.event(place);
            upstreams.on_ready(token, readiness, relay.turn.now, relay);
            settle::settle(relay, upstreams);
        }
        streams::process(relay, upstreams, *connection);
        settle::settle(relay, upstreams);
        while upstreams.is_dirty() {
            upstreams.flush(relay.turn.now, relay);
            settle::settle(relay, upstreams);
        }
    }

    fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Bed) -> bool) {
        let began = Instant::now();
        while !is_so(self) {
            assert!(began.elapsed() < Duration::from_secs(30), "{what} did not happen");
            self.turn();
        }
    }

    /// Forwards a request to the backend, as the lane would.
    fn forward(&mut self, id: u64, replay_bytes: u32) {
        self.until("an offer", |bed| bed.is(id, |state| state.decide().is_some()));
        let forward = Forward {
            plan: NO_PLAN,
            backend: 0,
            tag: Tag::NONE,
            flags: FORWARD_TELL_FAILURES,
            connect_timeout_ms: 30_000,
            place_timeout_ms: 30_000,
            head_timeout_ms: 30_000,
            idle_timeout_ms: 30_000,
            exchange_timeout_ms: 0,
            attempt_timeout_ms: 0,
            hedge_delay_ms: 0,
            max_body_bytes: None,
            replay_bytes,
            client: SAME_CLIENT,
        };
        let key = self.key(id).unwrap();
        decide::decide(&mut self.relay, &mut self.upstreams, key, Decision::Forward(forward, GivenValues::default()));
        settle::settle(&mut self.relay, &mut self.upstreams);
    }

    fn is(&mut self, id: u64, is_so: impl Fn(&State) -> bool) -> bool {
        self.key(id).and_then(|key| self.relay.exchanges.get(key)).is_some_and(|exchange| is_so(exchange.state()))
    }

    /// Waits until no table has an exchange left.
    fn until_over(&mut self) {
        self.until("the end", |bed| bed.relay.exchanges.is_empty());
        assert!(self.connection().exchanges.is_empty());
        let books = &self.connection().books;
        assert_eq!((books.promised, books.kept, books.blocked), (0, 0, 0), "the books are in order");
    }
}

fn head(method: &str) -> Fields {
    let mut head = Fields::new();
    for (name, value) in [(":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", "/")] {
        head.push(name.as_bytes(), value.as_bytes());
    }
    head
}

fn fields(list: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::new();
    list.iter().for_each(|(name, value)| fields.push(name.as_bytes(), value.as_bytes()));
    fields
}

/// Reads a request's body to its end; stops if the stream is reset.
fn body(wire: &mut Wire) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(frame) = wire.read() {
        if frame.kind == DATA {
            body.extend_from_slice(&frame.payload);
        }
        if frame.flags & END_STREAM != 0 && frame.kind <= 1 {
            break;
        }
    }
    body
}

#[test]
fn body_and_trailers_pass_both_ways_and_interim_heads_before_the_head() {
    let peer = Peer::serve_h2(1, |_, wire| {
        let (stream, request) = wire.request();
        assert!(request.contains(&(":method".into(), "POST".into())) && request.contains(&(":authority".into(), "localhost".into())));
        let data = wire.next(DATA).unwrap();
        assert_eq!(data.payload, b"question");
        let (_, trailers) = wire.request();
        assert_eq!(trailers, [("x-sum".to_owned(), "8".to_owned())]);
        wire.headers(stream, &[(":status", "103"), ("link", "</a.css>")], false);
        wire.headers(stream, &[(":status", "200"), ("x-kind", "answer")], false);
        wire.data(stream, b"answer", false);
        wire.headers(stream, &[("x-sum", "6")], true);
        wire.drain();
    });
    let mut bed = Bed::new(&peer);
    bed.ask(0, "POST", b"question");
    bed.line(0).trailers = Some(fields(&[("x-sum", "8")]));
    bed.line(0).is_ended = true;
    bed.forward(0, 0);
    bed.until("the response", |bed| bed.line(0).is_complete);
    bed.until_over();
    let response = bed.response(0);
    assert_eq!((&response.statuses[..], &*response.body), (&["103".to_owned(), "200".to_owned()][..], "answer"));
    assert!(response.fields.contains(&("x-kind".into(), "answer".into())) && response.fields.iter().any(|(name, _)| name == "date"));
    assert_eq!(response.trailers, [("x-sum".to_owned(), "6".to_owned())]);
    drop(bed);
    peer.join();
}

#[test]
fn a_body_is_read_as_far_as_its_backend_has_room_and_goes_on_when_that_has_more() {
    let (go, gone) = mpsc::channel();
    let peer = Peer::serve_h2(1, move |_, wire| {
        let (stream, _) = wire.request();
        gone.recv().unwrap();
        for stream in [0, stream] {
            wire.write(WINDOW_UPDATE, 0, stream, &(1u32 << 20).to_be_bytes());
        }
        assert_eq!(body(wire).len(), 200_000);
        wire.answer(stream, b"");
        wire.drain();
    });
    let mut bed = Bed::new(&peer);
    bed.ask(0, "POST", &[b'x'; 200_000]);
    bed.line(0).is_ended = true;
    bed.forward(0, 0);
    // HTTP/2 begins with a window of 65,535 bytes.
    bed.until("the first bytes", |bed| bed.line(0).body.len() < 200_000 - 60_000);
    for _ in 0..20 {
        bed.turn();
    }
    assert!(bed.line(0).body.len() > 50_000, "the client keeps what nobody has room for");
    go.send(()).unwrap();
    bed.until("the response", |bed| bed.line(0).is_complete);
    bed.until_over();
    drop(bed);
    peer.join();
}

#[test]
fn a_response_waits_for_room_and_nothing_of_it_is_lost() {
    // Less than HTTP/2's initial window, so the backend never has to wait.
    let text: String = (0..10_000).map(|number| format!("{number} ")).collect();
    let sent = text.clone();
    let peer = Peer::serve_h2(1, move |_, wire| {
        let (stream, _) = wire.request();
        wire.headers(stream, &[(":status", "200")], false);
        sent.as_bytes().chunks(10_000).for_each(|piece| wire.data(stream, piece, false));
        wire.headers(stream, &[("x-end", "1")], true);
        wire.drain();
    });
    let mut bed = Bed::new(&peer);
    bed.ask(0, "GET", b"");
    (bed.line(0).is_ended, bed.line(0).room) = (true, 0);
    bed.forward(0, 0);
    bed.until("a response that waits", |bed| bed.connection().books.blocked == 1);
    assert!(bed.line(0).output.is_empty());
    while !bed.line(0).is_complete {
        bed.line(0).room += 3_000;
        bed.turn();
    }
    bed.until_over();
    let response = bed.response(0);
    assert!(response.body == text, "{} of {} bytes", response.body.len(), text.len());
    assert_eq!(response.trailers, [("x-end".to_owned(), "1".to_owned())]);
    drop(bed);
    peer.join();
}

/// How far an exchange has come when the event happens.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum Moment {
    Head,
    Decision,
    Upload,
    Wait,
    Response,
}

const MOMENTS: [Moment; 5] = [Moment::Head, Moment::Decision, Moment::Upload, Moment::Wait, Moment::Response];

/// A backend that reports the error code of the reset it gets.
fn told(tell: Sender<u32>) -> Peer {
    Peer::serve_h2(1, move |_, wire| {
        let Some((stream, request)) = wire.try_request() else { return };
        if request.iter().any(|(_, value)| value == "/response") {
            wire.headers(stream, &[(":status", "200")], false);
            wire.data(stream, b"part", false);
        }
        if let Some((_, code)) = wire.reset() {
            tell.send(code).unwrap();
        }
        wire.drain();
    })
}

/// Brings an exchange to that moment.
fn at(bed: &mut Bed, moment: Moment) {
    let mut line = Line { room: usize::MAX, ..Line::default() };
    if moment != Moment::Head {
        let mut head = head(if moment == Moment::Upload { "POST" } else { "GET" });
        if moment == Moment::Response {
            head = fields(&[(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/response")]);
        }
        line.head = Some(head);
        line.is_ended = moment != Moment::Upload;
    }
    *bed.line(0) = line;
    match moment {
        Moment::Head => bed.until("an exchange", |bed| bed.key(0).is_some()),
        Moment::Decision => bed.until("an offer", |bed| bed.is(0, |state| state.decide().is_some())),
        Moment::Upload | Moment::Wait | Moment::Response => bed.forward(0, 0),
    }
    match moment {
        Moment::Upload | Moment::Wait => bed.until("a request", |bed| bed.is(0, State::is_relayed)),
        Moment::Response => bed.until("a response", |bed| bed.response(0).body == "part"),
        _ => {}
    }
    for _ in 0..3 {
        bed.turn();
    }
}

#[test]
fn a_client_that_resets_ends_its_exchange_at_any_moment_and_its_backend_learns_why() {
    for (cause, code) in [(Cause::Cancelled, h2::CANCEL), (Cause::Load, h2::ENHANCE_YOUR_CALM), (Cause::Malformed, h2::PROTOCOL_ERROR)] {
        for moment in MOMENTS {
            let (tell, told_of) = mpsc::channel();
            let peer = told(tell);
            let mut bed = Bed::new(&peer);
            at(&mut bed, moment);
            bed.line(0).left = Some(Left::Reset(cause));
            if bed.line(0).is_ended {
                // The whole request was sent, so the client can only stop the response.
                bed.line(0).stopped = Some(cause);
            }
            bed.until_over();
            assert_eq!(bed.line(0).reset, Some(Cause::Cancelled), "{moment:?}: our direction ends too");
            if moment >= Moment::Upload {
                bed.until("the backend's reset", |_| told_of.try_recv().is_ok_and(|told| told == code));
            }
            drop(bed);
            if moment >= Moment::Upload {
                peer.join();
            }
        }
    }
}

#[test]
fn a_client_that_is_gone_takes_its_exchange_with_it_at_any_moment_and_is_told_nothing() {
    for moment in MOMENTS {
        let (tell, told_of) = mpsc::channel();
        let peer = told(tell);
        let mut bed = Bed::new(&peer);
        at(&mut bed, moment);
        bed.line(0).left = Some(Left::Gone);
        let key = bed.key(0).unwrap();
        super::end::client_left(&mut bed.relay, &mut bed.upstreams, key, Left::Gone);
        bed.until_over();
        assert_eq!(bed.line(0).reset, None, "{moment:?}");
        if moment >= Moment::Upload {
            bed.until("the backend's reset", |_| told_of.try_recv() == Ok(h2::CANCEL));
        }
        drop(bed);
        if moment >= Moment::Upload {
            peer.join();
        }
    }
}

#[test]
fn a_backend_that_breaks_a_response_off_says_why_in_the_clients_terms() {
    for (code, cause) in [
        (h2::INTERNAL_ERROR, Cause::Internal),
        (h2::NO_ERROR, Cause::Internal),
        (h2::CANCEL, Cause::Cancelled),
        (h2::ENHANCE_YOUR_CALM, Cause::Load),
        (h2::CONNECT_ERROR, Cause::Tunnel),
        (h2::SETTINGS_TIMEOUT, Cause::Protocol),
    ] {
        let peer = Peer::serve_h2(1, move |_, wire| {
            let (stream, _) = wire.request();
            wire.headers(stream, &[(":status", "200")], false);
            wire.data(stream, b"part", false);
            wire.write(RST_STREAM, 0, stream, &code.to_be_bytes());
            wire.drain();
        });
        let mut bed = Bed::new(&peer);
        bed.ask(0, "GET", b"");
        bed.line(0).is_ended = true;
        bed.forward(0, 0);
        bed.until_over();
        assert_eq!((bed.line(0).reset, bed.line(0).is_complete), (Some(cause), false), "{code}");
        drop(bed);
        peer.join();
    }
}

#[test]
fn a_request_whose_attempt_failed_is_sent_again_whole_with_its_trailers() {
    let peer = Peer::serve_h2(1, |_, wire| {
        for round in 0..2 {
            let (stream, _) = wire.request();
            assert_eq!(wire.next(DATA).unwrap().payload, b"question");
            assert_eq!(wire.request().1, [("x-sum".to_owned(), "8".to_owned())]);
            if round == 0 {
                wire.write(RST_STREAM, 0, stream, &h2::REFUSED_STREAM.to_be_bytes());
            } else {
                wire.answer(stream, b"answer");
            }
        }
        wire.drain();
    });
    let mut bed = Bed::new(&peer);
    bed.ask(0, "POST", b"question");
    bed.line(0).trailers = Some(fields(&[("x-sum", "8")]));
    bed.line(0).is_ended = true;
    bed.forward(0, 1_000);
    bed.until("a request", |bed| bed.is(0, State::is_relayed));
    bed.forward(0, 1_000);
    bed.until("the response", |bed| bed.line(0).is_complete);
    bed.until_over();
    assert_eq!(bed.response(0).body, "answer");
    drop(bed);
    peer.join();
}

#[test]
fn heads_that_end_early_are_too_large_or_ask_for_a_tunnel_are_refused_in_the_edges_own_name() {
    let peer = Peer::serve_h2(0, |_, _| {});
    let mut bed = Bed::new(&peer);
    *bed.line(0) = Line { is_ended: true, ..Line::default() };
    bed.until("an end", |bed| bed.line(0).reset == Some(Cause::Incomplete));
    let mut large = head("GET");
    large.push(b"x-large", &[b'x'; 4_000]);
    *bed.line(1) = Line { head: Some(large), is_ended: true, room: usize::MAX, ..Line::default() };
    *bed.line(2) = Line { head: Some(fields(&[(":method", "CONNECT"), (":authority", "a:1")])), room: usize::MAX, ..Line::default() };
    bed.until_over();
    for (id, status) in [(1, "431"), (2, "501")] {
        bed.until("an answer", |bed| bed.line(id).is_complete);
        let response = bed.response(id);
        assert_eq!(response.statuses, [status.to_owned()]);
        assert!(response.body.starts_with("{\"error\":"), "{response:?}");
    }
    assert!(bed.line(2).is_unwanted, "nobody reads on");
}

#[test]
fn a_drain_serves_what_has_begun_rejects_what_comes_later_and_is_done_when_nothing_is_left() {
    let (go, gone) = mpsc::channel::<()>();
    let peer = Peer::serve_h2(1, move |_, wire| {
        let streams = [wire.request().0, wire.request().0];
        gone.recv().unwrap();
        streams.into_iter().for_each(|stream| wire.answer(stream, b"served"));
        wire.drain();
    });
    let mut bed = Bed::new(&peer);
    let clock = bed.relay.turn.clock;
    bed.ask(0, "GET", b"");
    bed.line(0).is_ended = true;
    bed.forward(0, 0);
    let now = bed.relay.turn.now;
    bed.connection().notify_drain(now);
    assert_eq!(bed.memory().goaways, [None]);
    // The request was on its way when GOAWAY was sent.
    bed.ask(1, "GET", b"");
    bed.line(1).is_ended = true;
    bed.forward(1, 0);
    let later = now + 2_000_000_000;
    bed.connection().advance(later, &clock, NEVER / 4);
    assert_eq!(bed.memory().goaways, [None, Some(2)]);
    bed.ask(2, "GET", b"");
    bed.until("a rejection", |bed| bed.line(2).reset == Some(Cause::Rejected));
    bed.connection().advance(later + 2_000_000_000, &clock, NEVER / 4);
    assert!(!bed.connection().is_drained(), "two are under way");
    go.send(()).unwrap();
    bed.until("both responses", |bed| bed.line(0).is_complete && bed.line(1).is_complete);
    bed.until_over();
    assert!(bed.connection().is_drained());
    assert_eq!((bed.response(0).body, bed.response(1).body), ("served".to_owned(), "served".to_owned()));
    drop(bed);
    peer.join();
}

#[test]
fn a_process_that_ends_rejects_requests_that_no_backend_has_seen_and_breaks_off_the_others() {
    for (moment, cause) in [(Moment::Decision, Cause::Rejected), (Moment::Wait, Cause::Internal), (Moment::Response, Cause::Internal)] {
        let peer = told(mpsc::channel().0);
        let mut bed = Bed::new(&peer);
        at(&mut bed, moment);
        let key = bed.key(0).unwrap();
        super::end::cut(&mut bed.relay, &mut bed.upstreams, key);
        bed.until_over();
        assert_eq!(bed.line(0).reset, Some(cause), "{moment:?}");
    }
}
