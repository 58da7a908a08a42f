//! The stage on which a case is played: the edge, a client that writes what the case says, and an
//! origin that answers what the case says, all in one thread. Each move is followed by rest: so
//! what happens does not hang on time.

use crate::support::bed::backend;
use crate::support::client::{Client, config, socket};
use crate::support::lane::{Verdict, forward};
use crate::support::{Bed, Kind, Setup, wire};
use lychgate_core::http::fields::Fields;
use lychgate_core::http::hpack::{Decoder, Encoder};
use lychgate_core::http::section::FieldLimits;
use lychgate_core::reactor::Snapshot;
use lychgate_core::record::layout::*;
use lychgate_core::upstream::Scheme;
use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The request stream of a client.
const STREAM: u64 = 0;
/// Turns in a row in which nobody has anything to do.
const QUIET_TURNS: usize = 2;
/// Patience of every rest.
const PATIENCE: Duration = Duration::from_secs(60);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the lane decides about a case.
#[derive(Clone, Copy, Debug)]
pub enum Decision {
    /// To the HTTP/2 origin; what fails is answered.
    Http2,
    /// To the HTTP/1.1 origin.
    Http1,
    /// To the HTTP/2 origin, and once more when that fails.
    Twice,
    /// An answer of the edge's own.
    Own,
    /// The stream is reset.
    Reset,
}

/// A step of a case.
#[derive(Clone, Debug)]
pub enum Move {
    /// The client writes on its request stream.
    Write(Vec<u8>, bool),
    /// The client writes on another stream.
    Aside(u64, Vec<u8>, bool),
    /// The client resets its request stream.
    Cancel(u64),
    /// The client stops the response.
    Stop(u64),
    /// The origin answers with a head of HTTP/2.
    Head(Vec<(String, String)>, bool),
    /// The origin sends body bytes.
    Body(Vec<u8>, bool),
    /// The origin resets the stream.
    Refuse(u32),
    /// The origin sends a frame: kind, flags, whether it is the request's stream, payload.
    Frame(u8, u8, bool, Vec<u8>),
    /// The origin sends bytes as they are.
    Bytes(Vec<u8>),
    /// The origin closes its session.
    Close,
}

/// One exchange, whole.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub decision: Decision,
    pub moves: Vec<Move>,
}

/// A session of the origin's.
struct Session {
    socket: TcpStream,
    is_http2: bool,
    is_greeted: bool,
    input: Vec<u8>,
    stream: u32,
    encoder: Encoder,
    decoder: Decoder,
}

/// An origin without a will of its own.
struct Script {
    listeners: [TcpListener; 2],
    sessions: Vec<Session>,
    /// Place of the session that has the case's request.
    current: Option<usize>,
    /// What came, in words.
    notes: String,
}

impl Script {
    fn new() -> Script {
        let listeners = [(); 2].map(|()| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            listener
        });
        Script { listeners, sessions: Vec::new(), current: None, notes: String::new() }
    }

    fn addresses(&self) -> [SocketAddr; 2] {
        [0, 1].map(|place| self.listeners[place].local_addr().unwrap())
    }

    fn fds(&self) -> impl Iterator<Item = RawFd> {
        self.listeners.iter().map(AsRawFd::as_raw_fd).chain(self.sessions.iter().map(|session| session.socket.as_raw_fd()))
    }

    /// Takes what there is.
    fn turn(&mut self) {
        for (place, listener) in self.listeners.iter().enumerate() {
            while let Ok((socket, _)) = listener.accept() {
                socket.set_nonblocking(true).unwrap();
                socket.set_nodelay(true).unwrap();
                self.sessions.push(Session::new(socket, place == 0));
            }
        }
        let mut place = 0;
        while place < self.sessions.len() {
            let is_open = self.sessions[place].receive();
            if self.sessions[place].take(&mut self.notes) {
                self.current = Some(place);
            }
            if is_open {
                place += 1;
            } else {
                self.remove(place);
            }
        }
    }

    fn remove(&mut self, place: usize) {
        if self.current == Some(place) {
            self.notes.push_str("the session ends\n");
        }
        self.sessions.remove(place);
        self.current = self.current.filter(|current| *current != place).map(|current| current - usize::from(current > place));
    }

    /// Says something to whoever asked last; nothing when nobody did.
    fn say(&mut self, step: &Move) {
        let Some(place) = self.current else { return };
        let session = &mut self.sessions[place];
        let stream = session.stream;
        match step {
            Move::Head(fields, is_end) => {
                let mut list = Fields::new();
                fields.iter().for_each(|(name, value)| list.push(name.as_bytes(), value.as_bytes()));
                let mut block = Vec::new();
                session.encoder.encode(&list, &mut block);
                session.frame(HEADERS, END_HEADERS | if *is_end { END_STREAM } else { 0 }, stream, &block);
            }
            Move::Body(bytes, is_end) => session.frame(DATA, if *is_end { END_STREAM } else { 0 }, stream, bytes),
            Move::Refuse(code) => session.frame(RST_STREAM, 0, stream, &code.to_be_bytes()),
            Move::Frame(kind, flags, is_ours, payload) => session.frame(*kind, *flags, if *is_ours { stream } else { 0 }, payload),
            Move::Bytes(bytes) => session.write(bytes),
            Move::Close => {
                self.sessions.remove(place);
                self.current = None;
            }
            Move::Write(..) | Move::Aside(..) | Move::Cancel(_) | Move::Stop(_) => {}
        }
    }
}

impl Session {
    fn new(socket: TcpStream, is_http2: bool) -> Session {
        let mut session = Session {
            socket,
            is_http2,
            is_greeted: !is_http2,
            input: Vec::new(),
            stream: 0,
            encoder: Encoder::new(4096),
            decoder: Decoder::new(4096),
        };
        if is_http2 {
            session.frame(SETTINGS, 0, 0, &[&4u16.to_be_bytes()[..], &(1u32 << 24).to_be_bytes()].concat());
            session.frame(WINDOW_UPDATE, 0, 0, &(1u32 << 30).to_be_bytes());
        }
        session
    }

    fn write(&mut self, bytes: &[u8]) {
        // Cases are shorter than what the kernel takes; where the edge is gone nobody needs it.
        let _ = self.socket.write_all(bytes);
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = (payload.len() as u32).to_be_bytes();
        self.write(&[&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat());
    }

    /// False when the edge has closed.
    fn receive(&mut self) -> bool {
        let mut bytes = [0; 16 * 1024];
        loop {
            match self.socket.read(&mut bytes) {
                Ok(0) => return false,
                Ok(count) => self.input.extend_from_slice(&bytes[..count]),
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }

    /// Notes what came; true when it belongs to a request.
    fn take(&mut self, notes: &mut String) -> bool {
        if !self.is_http2 {
            let bytes = std::mem::take(&mut self.input);
            if !bytes.is_empty() {
                let _ = writeln!(notes, "bytes {}", bytes.escape_ascii());
            }
            return !bytes.is_empty();
        }
        if !self.is_greeted && self.input.len() >= PREFACE.len() {
            self.is_greeted = true;
            assert!(self.input.starts_with(PREFACE));
            self.input.drain(..PREFACE.len());
        }
        let mut has_asked = false;
        while self.is_greeted {
            let Some(head) = self.input.first_chunk::<9>().copied() else { break };
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            if self.input.len() < 9 + length {
                break;
            }
            let payload: Vec<u8> = self.input.drain(..9 + length).skip(9).collect();
            let (kind, flags, stream) = (head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]));
            let end = if flags & END_STREAM != 0 { ", the end" } else { "" };
            match kind {
                HEADERS => {
                    let mut fields = Fields::new();
                    self.decoder
                        .decode(&payload, &mut fields, FieldLimits { max_size: 1 << 20, max_count: 1_000, max_crumbs: 1_000 })
                        .unwrap();
                    for field in fields.iter() {
                        let _ = writeln!(notes, "  {}: {}", field.name.escape_ascii(), field.value.escape_ascii());
                    }
                    let _ = writeln!(notes, "head{end}");
                    (self.stream, has_asked) = (stream, true);
                }
                DATA => {
                    let _ = writeln!(notes, "body {}{end}", payload.escape_ascii());
                }
                RST_STREAM => {
                    let _ = writeln!(notes, "reset {}", payload.escape_ascii());
                }
                GOAWAY => {
                    let _ = writeln!(notes, "goaway {}", payload[4..8].escape_ascii());
                }
                SETTINGS if flags & 1 == 0 => self.frame(SETTINGS, 1, 0, &[]),
                PING if flags & 1 == 0 => self.frame(PING, 1, 0, &payload),
                _ => {}
            }
        }
        has_asked
    }
}

/// The edge with its origin.
pub struct Stage {
    bed: Bed,
    script: Script,
    decision: Rc<RefCell<Decision>>,
    played: u64,
}

impl Stage {
    pub fn new() -> Stage {
        let setup = Setup { is_paced: false, ..Setup::default() };
        let mut bed = Bed::with(setup.clone());
        let script = Script::new();
        let [http2, http1] = script.addresses();
        let mut plain = backend(1, http1, &setup);
        plain.scheme = Scheme::Http;
        bed.shard().reactor.apply(Snapshot {
            backends: vec![backend(0, http2, &setup), plain],
            reserved: Default::default(),
            telling: Default::default(),
        });
        let decision = Rc::new(RefCell::new(Decision::Http2));
        let (first, again) = (decision.clone(), decision.clone());
        let lane = &mut bed.shard().lane;
        lane.on_head = Box::new(move |_| match *first.borrow() {
            Decision::Http2 | Decision::Twice => Verdict::Forward(forward()),
            Decision::Http1 => {
                let mut plain = forward();
                plain.backend = 1;
                Verdict::Forward(plain)
            }
            Decision::Own => Verdict::Respond(403, 0, "not here"),
            Decision::Reset => Verdict::Reset(0x107, 0),
        });
        lane.on_failure = Box::new(move |failure| match *again.borrow() {
            Decision::Twice if failure.attempts == 1 => Verdict::Forward(forward()),
            _ => Verdict::Respond(502, failure.reason, "failed"),
        });
        Stage { bed, script, decision, played: 0 }
    }

    /// Plays a case; what came of it, in words.
    pub fn play(&mut self, case: &Case) -> String {
        *self.decision.borrow_mut() = case.decision;
        self.played += 1;
        let mut id = [0x72; 16];
        id[..8].copy_from_slice(&self.played.to_be_bytes());
        self.bed.clients.push(Client::with_config(Kind::Raw, self.bed.address, socket(), &mut config(1 << 20), &id));
        self.until(|stage| stage.bed.clients[0].is_ready());
        self.rest();
        let mut spoken = String::new();
        for step in &case.moves {
            let client = &mut self.bed.clients[0];
            // Once the edge has closed the connection there is nothing to write on.
            let is_open = client.quic.peer_error().is_none() && !client.quic.is_closed();
            match step {
                Move::Write(bytes, is_fin) if is_open => client.write(STREAM, bytes, *is_fin),
                Move::Aside(stream, bytes, is_fin) if is_open => client.write(*stream, bytes, *is_fin),
                Move::Cancel(code) if is_open => {
                    let _ = client.quic.stream_shutdown(STREAM, quiche::Shutdown::Write, *code);
                }
                Move::Stop(code) if is_open => {
                    let _ = client.quic.stream_shutdown(STREAM, quiche::Shutdown::Read, *code);
                }
                Move::Write(..) | Move::Aside(..) | Move::Cancel(_) | Move::Stop(_) => {}
                step => self.script.say(step),
            }
            self.rest();
        }
        self.describe_client(&mut spoken);
        let _ = self.bed.clients[0].quic.close(true, 0x100, b"");
        self.until(|stage| stage.bed.connections.get() == 0 && stage.bed.shards[0].reactor.relay.exchanges.is_empty());
        self.rest();
        // What the lane is to be told of ends may wait for its next call.
        self.bed.shard().lane.call();
        self.bed.clients.clear();
        spoken.push_str(&self.describe_edge());
        without_ids(&spoken)
    }

    fn describe_client(&self, out: &mut String) {
        let client = &self.bed.clients[0];
        let bytes = client.raw.get(&STREAM).map_or(&[][..], |bytes| bytes);
        for (kind, payload) in wire::frames(bytes) {
            if kind == wire::HEADERS {
                for (name, value) in wire::fields(&payload) {
                    let value = if name == "date" { "(a date)" } else { &value };
                    let _ = writeln!(out, "  {name}: {}", value.escape_debug());
                }
                out.push_str("head\n");
            } else {
                let _ = writeln!(out, "frame {kind} {}", payload.escape_ascii());
            }
        }
        if let Some(received) = client.streams.get(&STREAM) {
            let _ = writeln!(out, "finished {}, reset {:?}", received.is_finished, received.reset);
        }
        if let Some(error) = client.quic.peer_error() {
            let _ = writeln!(out, "closed {} {:#x}", error.is_app, error.error_code);
        }
    }

    /// What the origin saw and the lane was told.
    fn describe_edge(&mut self) -> String {
        let mut out = format!("-- origin\n{}-- lane\n", std::mem::take(&mut self.script.notes));
        self.script.current = None;
        let lane = &mut self.bed.shard().lane;
        for head in lane.heads.drain(..) {
            let flags = as_recorded(head.flags);
            let _ = writeln!(out, "asked {flags:#x} {} {} {} {}", head.content_length, head.method, head.authority, head.path);
            for (name, value) in head.fields {
                let _ = writeln!(out, "  {name}: {}", value.escape_debug());
            }
        }
        for failure in lane.failures.drain(..) {
            let _ = writeln!(
                out,
                "failed {} at {}, reason {}, flags {:#x}, status {}, grpc {}, again in {}",
                failure.attempts,
                failure.backend,
                failure.reason,
                failure.flags,
                failure.status,
                failure.grpc_status,
                failure.retry_after_s
            );
        }
        for end in lane.completions.drain(..) {
            let _ = writeln!(
                out,
                "ended {} at {}, attempts {}, reason {}, flags {:#x}, in {}, out {}, backend {}, grpc {}",
                end.status,
                end.backend,
                end.attempts,
                end.reason,
                end.flags,
                end.bytes_in,
                end.bytes_out,
                end.backend_status,
                end.grpc_status
            );
        }
        let [http2, http1] = self.script.addresses();
        for (address, name) in [(self.bed.address, "EDGE"), (http2, "HTTP2"), (http1, "HTTP1")] {
            out = out.replace(&address.to_string(), name);
        }
        out
    }

    // ---- time

    fn until(&mut self, mut holds: impl FnMut(&mut Stage) -> bool) {
        let began = Instant::now();
        while !holds(self) {
            assert!(began.elapsed() < PATIENCE, "waited too long");
            self.step(1);
        }
    }

    /// Lets everybody act until nobody has anything to do.
    fn rest(&mut self) {
        let began = Instant::now();
        let mut quiet = 0;
        while quiet < QUIET_TURNS {
            assert!(began.elapsed() < PATIENCE, "no rest");
            quiet = if self.step(i32::from(quiet > 0)) { 0 } else { quiet + 1 };
        }
    }

    /// One turn of everybody who has something to do; false when nobody has.
    fn step(&mut self, wait_ms: i32) -> bool {
        let edge = self.bed.shards[0].reactor.fd();
        let fds = [edge].into_iter().chain(self.bed.clients.iter().flat_map(Client::fds)).chain(self.script.fds());
        let mut polls: Vec<_> = fds.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 }).collect();
        // SAFETY: the list is valid for its length.
        let ready = unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, wait_ms) };
        if polls[0].revents != 0 {
            let shard = &mut self.bed.shards[0];
            shard.reactor.turn(|| shard.lane.call());
        }
        self.script.turn();
        self.bed.clients.iter_mut().for_each(Client::drive);
        ready > 0
    }
}

/// Replaces what differs from run to run: the number of a request, 32 hexadecimal digits.
fn without_ids(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|character: char| character.is_ascii_hexdigit()) {
        let (before, from) = rest.split_at(start);
        let length = from.find(|character: char| !character.is_ascii_hexdigit()).unwrap_or(from.len());
        out.extend([before, if length == 32 { "(an id)" } else { &from[..length] }]);
        rest = &from[length..];
    }
    out.push_str(rest);
    out
}

/// Flags of a `Head` by the numbers that they had when the exchanges were recorded. One that was
/// always set, 0x20, is no more.
fn as_recorded(flags: u32) -> u32 {
    let then = [
        (HEAD_HAS_BODY, 0x1),
        (HEAD_LENGTH_KNOWN, 0x2),
        (HEAD_IDEMPOTENT, 0x10),
        (HEAD_WAITED, 0x40),
        (HEAD_UNDERSCORE, 0x80),
        (HEAD_LAST_HOP, 0x100),
        (HEAD_CERTIFICATE, 0x200),
        (HEAD_CERTIFICATE_VERIFIED, 0x400),
    ];
    then.iter().filter(|(flag, _)| flags & flag != 0).fold(0x20, |all, (_, number)| all | number)
}
