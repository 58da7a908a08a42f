//! An HTTP/2 origin on a thread: what it does follows from the path it is asked for, and it writes
//! down what happened to its streams.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::*};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use lychgate_core::http::fields::Fields;
use lychgate_core::http::hpack::{Decoder, Encoder};
use lychgate_core::http::section::FieldLimits;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const PREFACE_BYTES: usize = 24;
const FRAME_BYTES: usize = 16_384;
/// Frames made ahead of the socket.
const AHEAD_BYTES: usize = 64 * 1024;
/// Upload bytes a stream may send ahead of WINDOW_UPDATE.
const UPLOAD_WINDOW: u32 = 256 * 1024;

/// What everybody may look at.
#[derive(Default)]
pub struct Notes {
    /// Sessions accepted.
    pub sessions: AtomicUsize,
    /// Request heads taken.
    pub requests: AtomicUsize,
    /// The heads, field by field.
    pub heads: Mutex<Vec<Vec<(String, String)>>>,
    /// Streams neither side has ended.
    pub open: AtomicUsize,
    /// Body bytes sent.
    pub sent: AtomicUsize,
    /// Codes of RST_STREAM that came.
    pub resets: Mutex<Vec<u32>>,
    /// Body bytes taken.
    pub taken: AtomicUsize,
    /// Lets `/late`, `/half` and `/paused` go on.
    pub is_released: AtomicBool,
    /// Streams that `/refuse` still refuses.
    pub refusals: AtomicU32,
    /// Requests that `/flaky` still answers with the status of its path.
    pub failures: AtomicU32,
    /// Bytes of such an answer's body.
    pub failure_bytes: AtomicUsize,
    /// Ends every session, once.
    pub is_cutting: AtomicBool,
    /// Says goodbye to every session, once, as if none of its streams had been seen.
    pub is_going_away: AtomicBool,
    /// While set, `/sink` gives no credit for uploads.
    pub is_full: AtomicBool,
    is_stopped: AtomicBool,
}

pub struct Origin {
    pub address: SocketAddr,
    pub notes: Arc<Notes>,
    thread: Option<JoinHandle<()>>,
}

impl Origin {
    pub fn start() -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let notes = Arc::new(Notes::default());
        let shared = notes.clone();
        let thread = std::thread::spawn(move || serve(&listener, &shared));
        Origin { address, notes, thread: Some(thread) }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.notes.is_stopped.store(true, Relaxed);
        let result = self.thread.take().unwrap().join();
        assert!(result.is_ok() || std::thread::panicking(), "the origin panicked");
    }
}

fn serve(listener: &TcpListener, notes: &Notes) {
    let mut sessions: Vec<Session> = Vec::new();
    while !notes.is_stopped.load(Relaxed) {
        let mut polls = vec![libc::pollfd { fd: listener.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
        for session in &sessions {
            let events = if session.out.is_empty() { libc::POLLIN } else { libc::POLLIN | libc::POLLOUT };
            polls.push(libc::pollfd { fd: session.socket.as_raw_fd(), events, revents: 0 });
        }
        // SAFETY: the list is valid for its length.
        unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, 2) };
        if let Ok((socket, _)) = listener.accept() {
            notes.sessions.fetch_add(1, Relaxed);
            sessions.push(Session::new(socket));
        }
        if notes.is_cutting.swap(false, Relaxed) {
            sessions.clear();
        }
        if notes.is_going_away.swap(false, Relaxed) {
            sessions.iter_mut().for_each(Session::say_goodbye);
        }
        sessions.retain_mut(|session| session.turn(notes));
        notes.open.store(sessions.iter().map(|session| session.streams.len()).sum(), Relaxed);
    }
}

/// One request.
#[derive(Default)]
struct Stream {
    path: String,
    method: String,
    is_ended: bool,
    is_answered: bool,
    upload: Vec<u8>,
    trailer: Option<String>,
    grpc_trailer: Option<String>,
    body: usize,
    sent: usize,
    window: i64,
    back: Vec<u8>,
    has_trailers: bool,
    is_unending: bool,
    is_paused: bool,
}

struct Session {
    socket: TcpStream,
    input: Vec<u8>,
    out: Vec<u8>,
    is_greeted: bool,
    window: i64,
    initial_window: i64,
    streams: BTreeMap<u32, Stream>,
    encoder: Encoder,
    decoder: Decoder,
}

impl Session {
    fn new(socket: TcpStream) -> Session {
        socket.set_nonblocking(true).unwrap();
        socket.set_nodelay(true).unwrap();
        let mut session = Session {
            socket,
            input: Vec::new(),
            out: Vec::new(),
            is_greeted: false,
            window: 65_535,
            initial_window: 65_535,
            streams: BTreeMap::new(),
            encoder: Encoder::new(4096),
            decoder: Decoder::new(4096),
        };
        let settings = [&4u16.to_be_bytes()[..], &UPLOAD_WINDOW.to_be_bytes()].concat();
        session.frame(SETTINGS, 0, 0, &settings);
        session.frame(WINDOW_UPDATE, 0, 0, &(1u32 << 30).to_be_bytes());
        session
    }

    /// False when the session is over.
    fn turn(&mut self, notes: &Notes) -> bool {
        let mut bytes = [0; 64 * 1024];
        loop {
            match self.socket.read(&mut bytes) {
                Ok(0) => return false,
                Ok(count) => self.input.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return false,
            }
        }
        if !self.is_greeted && self.input.len() >= PREFACE_BYTES {
            self.is_greeted = true;
            self.input.drain(..PREFACE_BYTES);
        }
        while self.is_greeted && self.take_frame(notes) {}
        self.answer(notes);
        self.send_bodies(notes);
        match self.socket.write(&self.out) {
            Ok(count) => drop(self.out.drain(..count)),
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
        true
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
        self.out.extend([kind, flags]);
        self.out.extend(stream.to_be_bytes());
        self.out.extend_from_slice(payload);
    }

    fn headers(&mut self, stream: u32, fields: &[(&str, &str)], is_end: bool) {
        let mut list = Fields::new();
        fields.iter().for_each(|(name, value)| list.push(name.as_bytes(), value.as_bytes()));
        let mut block = Vec::new();
        self.encoder.encode(&list, &mut block);
        self.frame(HEADERS, END_HEADERS | if is_end { END_STREAM } else { 0 }, stream, &block);
    }

    fn say_goodbye(&mut self) {
        self.frame(GOAWAY, 0, 0, &[0; 8]);
        self.streams.clear();
    }

    fn reset(&mut self, stream: u32, code: u32) {
        self.frame(RST_STREAM, 0, stream, &code.to_be_bytes());
        self.streams.remove(&stream);
    }

    fn take_frame(&mut self, notes: &Notes) -> bool {
        let Some(head) = self.input.first_chunk::<9>().copied() else { return false };
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        if self.input.len() < 9 + length {
            return false;
        }
        let payload: Vec<u8> = self.input.drain(..9 + length).skip(9).collect();
        let (kind, flags, stream) = (head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]));
        let is_end = flags & END_STREAM != 0;
        match kind {
            HEADERS => self.take_headers(notes, stream, &payload, is_end),
            DATA => {
                notes.taken.fetch_add(payload.len(), Relaxed);
                let Some(state) = self.streams.get_mut(&stream) else { return true };
                state.is_ended |= is_end;
                if state.path == "/echo" {
                    state.upload.extend_from_slice(&payload);
                }
                let is_held = state.path == "/sink" && notes.is_full.load(Relaxed);
                if !payload.is_empty() && !is_end && !is_held {
                    self.frame(WINDOW_UPDATE, 0, stream, &(payload.len() as u32).to_be_bytes());
                }
            }
            SETTINGS if flags & 1 == 0 => {
                for pair in payload.chunks_exact(6).filter(|pair| pair[..2] == [0, 4]) {
                    self.initial_window = u32::from_be_bytes(pair[2..].try_into().unwrap()) as i64;
                }
                self.frame(SETTINGS, 1, 0, &[]);
            }
            PING if flags & 1 == 0 => self.frame(PING, 1, 0, &payload),
            RST_STREAM => {
                notes.resets.lock().unwrap().push(u32::from_be_bytes(payload[..4].try_into().unwrap()));
                self.streams.remove(&stream);
            }
            WINDOW_UPDATE => {
                let by = u32::from_be_bytes(payload[..4].try_into().unwrap()) as i64;
                match self.streams.get_mut(&stream) {
                    Some(state) => state.window += by,
                    None if stream == 0 => self.window += by,
                    None => {}
                }
            }
            _ => {}
        }
        true
    }

    fn take_headers(&mut self, notes: &Notes, stream: u32, block: &[u8], is_end: bool) {
        let mut fields = Fields::new();
        self.decoder.decode(block, &mut fields, FieldLimits { max_size: 65_536, max_count: 200, max_crumbs: 200 }).unwrap();
        let text = |name: &[u8]| fields.get(name).map(|value| String::from_utf8_lossy(value).into_owned());
        if let Some(state) = self.streams.get_mut(&stream) {
            (state.trailer, state.is_ended) = (text(b"x-trailer"), true);
            return;
        }
        notes.requests.fetch_add(1, Relaxed);
        let owned = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        notes.heads.lock().unwrap().push(fields.iter().map(|field| (owned(field.name), owned(field.value))).collect());
        let (path, method) = (text(b":path").unwrap(), text(b":method").unwrap());
        self.streams.insert(stream, Stream { path, method, is_ended: is_end, window: self.initial_window, ..Stream::default() });
    }

    /// Does what the paths say, as far as their time has come.
    fn answer(&mut self, notes: &Notes) {
        let waiting: Vec<u32> = self.streams.iter().filter(|stream| !stream.1.is_answered).map(|stream| *stream.0).collect();
        for stream in waiting {
            let state = self.streams.get_mut(&stream).unwrap();
            let path = state.path.clone();
            let (name, argument) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
            let is_released = notes.is_released.load(Relaxed);
            let number = argument.parse().unwrap_or(0);
            match name {
                "hold" => {}
                "reset" => self.reset(stream, number as u32),
                "refuse" if notes.refusals.load(Relaxed) > 0 => {
                    notes.refusals.fetch_sub(1, Relaxed);
                    self.reset(stream, 7);
                }
                "late" if !is_released => {}
                // A reset once released, told by one refusal less.
                "late-reset" if !is_released => {}
                "late-reset" => {
                    self.reset(stream, number as u32);
                    notes.refusals.fetch_sub(1, Relaxed);
                }
                // Head and a little body, then, once released, a reset.
                "half" if state.sent > 0 => {
                    if is_released {
                        self.reset(stream, number as u32);
                    }
                }
                "half" => {
                    state.sent = 1;
                    self.headers(stream, &[(":status", "200")], false);
                    self.frame(DATA, 0, stream, b"half a body");
                }
                "echo" | "sink" if !state.is_ended => {}
                "echo" => {
                    let trailer = state.trailer.clone();
                    state.back = std::mem::take(&mut state.upload);
                    state.body = state.back.len();
                    state.has_trailers = trailer.is_some();
                    let (method, length) = (state.method.clone(), state.body.to_string());
                    self.begin(stream, &[(":status", "200"), ("x-method", &method), ("x-length", &length)], notes);
                }
                "interim" => {
                    self.headers(stream, &[(":status", "103"), ("link", "</style.css>")], false);
                    self.begin(stream, &[(":status", "200")], notes);
                }
                // A hint at once, the response once released.
                "hint" if state.sent == 0 => {
                    state.sent = 1;
                    self.headers(stream, &[(":status", "103"), ("link", "</style.css>")], false);
                }
                "hint" if !is_released => {}
                // Both once released.
                "late-interim" if !is_released => {}
                "late-interim" => {
                    self.headers(stream, &[(":status", "103"), ("link", "</style.css>")], false);
                    self.begin(stream, &[(":status", "200")], notes);
                }
                // A response that has the field which the path names.
                "field" => self.begin(stream, &[(":status", "200"), (argument, "value")], notes),
                "bytes" => {
                    state.body = number;
                    self.begin(stream, &[(":status", "200"), ("content-length", argument)], notes);
                }
                // Events without an end, as many bytes of them as the path says.
                "events" => {
                    (state.body, state.is_unending) = (number, true);
                    self.begin(stream, &[(":status", "200"), ("content-type", "text/event-stream; charset=utf-8")], notes);
                }
                // As many failures as are asked for, early where the request has a body.
                "flaky" if notes.failures.load(Relaxed) > 0 => {
                    notes.failures.fetch_sub(1, Relaxed);
                    state.body = notes.failure_bytes.load(Relaxed);
                    self.begin(stream, &[(":status", argument), ("retry-after", "7")], notes);
                }
                "late-flaky" if notes.failures.load(Relaxed) > 0 => {
                    notes.failures.fetch_sub(1, Relaxed);
                    state.body = notes.failure_bytes.load(Relaxed);
                    self.begin(stream, &[(":status", argument), ("retry-after", "7")], notes);
                }
                "late-flaky" if !is_released => {}
                "flaky" if !state.is_ended => {}
                // gRPC: a message and trailers, or nothing but a head.
                "grpc" => {
                    (state.body, state.back, state.has_trailers) = (5, b"hello".to_vec(), true);
                    state.grpc_trailer = Some(argument.to_owned());
                    self.begin(stream, &[(":status", "200")], notes);
                }
                "grpc-only" => {
                    self.headers(stream, &[(":status", "200"), ("grpc-status", argument)], true);
                    self.streams.remove(&stream);
                }
                // A head and a body whose end comes by itself, once released.
                "paused" => {
                    (state.body, state.is_paused) = (5, true);
                    self.begin(stream, &[(":status", "200")], notes);
                }
                // A head and a body that never ends.
                "drip" => {
                    (state.body, state.is_unending) = (5, true);
                    self.begin(stream, &[(":status", "200")], notes);
                }
                _ => {
                    (state.body, state.back) = (5, b"hello".to_vec());
                    self.begin(stream, &[(":status", "200"), ("content-length", "5")], notes);
                }
            }
        }
    }

    fn begin(&mut self, stream: u32, fields: &[(&str, &str)], _notes: &Notes) {
        self.headers(stream, fields, false);
        if let Some(state) = self.streams.get_mut(&stream) {
            (state.is_answered, state.sent) = (true, 0);
        }
    }

    fn send_bodies(&mut self, notes: &Notes) {
        let answered: Vec<u32> = self.streams.iter().filter(|stream| stream.1.is_answered).map(|stream| *stream.0).collect();
        for stream in answered {
            while self.out.len() < AHEAD_BYTES {
                let Some(state) = self.streams.get_mut(&stream) else { break };
                let left = state.body - state.sent;
                let count = (left as i64).min(state.window).min(self.window).clamp(0, FRAME_BYTES as i64) as usize;
                let is_paused = state.is_paused && (count > 0 || !notes.is_released.load(Relaxed));
                let is_last = count == left && !state.is_unending && !is_paused;
                if count == 0 && !is_last {
                    break;
                }
                let range = state.sent..state.sent + count;
                let bytes: Vec<u8> = match state.back.is_empty() {
                    true => range.map(pattern).collect(),
                    false => state.back[range].to_vec(),
                };
                state.sent += count;
                state.window -= count as i64;
                self.window -= count as i64;
                notes.sent.fetch_add(count, Relaxed);
                let trailer = match &state.grpc_trailer {
                    Some(status) => Some(("grpc-status", status.clone())),
                    None => state.trailer.clone().filter(|_| state.has_trailers).map(|text| ("x-trailer-back", text)),
                };
                let is_ended = state.is_ended;
                self.frame(DATA, if is_last && trailer.is_none() { END_STREAM } else { 0 }, stream, &bytes);
                if !is_last {
                    continue;
                }
                if let Some((name, text)) = trailer {
                    self.headers(stream, &[(name, &text)], true);
                }
                if is_ended {
                    self.streams.remove(&stream);
                } else if let Some(state) = self.streams.get_mut(&stream) {
                    // Answered early: the rest of the upload is still taken.
                    (state.is_unending, state.body, state.sent) = (true, 0, 0);
                }
                break;
            }
            if self.streams.get(&stream).is_some_and(|state| state.is_unending && state.body == 0 && state.is_ended) {
                self.streams.remove(&stream);
            }
        }
    }
}

/// Byte of a patterned body at a place.
pub fn pattern(place: usize) -> u8 {
    (place * 31 % 251) as u8
}

/// A patterned body.
pub fn patterned(length: usize) -> Vec<u8> {
    (0..length).map(pattern).collect()
}
