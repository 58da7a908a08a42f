//! Stands in for the reactor: an epoll loop around a pool, and a sink that records events.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use crate::base::poll::Poll;
use crate::base::table::BackendTable;
use crate::base::timers::{Clock, NEVER, Nanos};
use crate::http::check::ResponseFacts;
use crate::http::fields::Fields;
use crate::upstream::{
    AttemptId, BackendConfig, BodyPart, Client, Fault, Opened, Scheme, SessionLimits, SessionRef, Sink, StreamRef, TlsConfig, Upstreams,
};

/// The outcome of an exchange so far.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub informational: Vec<u16>,
    pub status: Option<u16>,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: Option<Vec<(String, String)>>,
    pub is_ended: bool,
    pub fault: Option<Fault>,
    pub windows: u32,
    pub is_upload_stopped: bool,
    pub held: usize,
}

impl Outcome {
    pub fn is_over(&self) -> bool {
        self.is_ended || self.fault.is_some()
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Default)]
pub struct Recorder {
    pub outcomes: HashMap<AttemptId, Outcome>,
    pub opened: Vec<(AttemptId, SessionRef)>,
    /// Bodies are held until the test credits them.
    pub is_slow: bool,
}

impl Recorder {
    fn of(&mut self, key: AttemptId) -> &mut Outcome {
        let outcome = self.outcomes.entry(key).or_default();
        assert!(outcome.fault.is_none(), "an event after a failure");
        outcome
    }
}

fn list(fields: &Fields) -> Vec<(String, String)> {
    fields.iter().map(|f| (String::from_utf8_lossy(f.name).into_owned(), String::from_utf8_lossy(f.value).into_owned())).collect()
}

impl Sink for Recorder {
    fn on_informational(&mut self, key: AttemptId, status: u16, _: &Fields) {
        self.of(key).informational.push(status);
    }

    fn on_head(&mut self, key: AttemptId, status: u16, fields: &Fields, facts: ResponseFacts, end: bool) {
        let outcome = self.of(key);
        assert!(outcome.status.is_none() && facts.status == status);
        outcome.status = Some(status);
        outcome.fields = list(fields);
        outcome.is_ended = end;
    }

    fn on_data(&mut self, key: AttemptId, data: BodyPart<'_>, end: bool) -> usize {
        let is_slow = self.is_slow;
        let outcome = self.of(key);
        assert!(outcome.status.is_some() && !outcome.is_ended, "a body after its end");
        assert_eq!(data.into_chunk().as_ref(), data.bytes());
        outcome.body.extend_from_slice(data.bytes());
        outcome.is_ended = end;
        if is_slow {
            outcome.held += data.len();
            return 0;
        }
        data.len()
    }

    fn on_trailers(&mut self, key: AttemptId, fields: &Fields) {
        let outcome = self.of(key);
        assert!(!outcome.is_ended);
        outcome.trailers = Some(list(fields));
        outcome.is_ended = true;
    }

    fn on_failed(&mut self, key: AttemptId, fault: Fault) {
        let outcome = self.of(key);
        assert!(!outcome.is_ended, "a failure after the end");
        outcome.fault = Some(fault);
    }

    fn on_window(&mut self, key: AttemptId) {
        self.of(key).windows += 1;
    }

    fn on_opened(&mut self, key: AttemptId, session: SessionRef) {
        self.opened.push((key, session));
    }

    fn on_upload_stopped(&mut self, key: AttemptId) {
        self.of(key).is_upload_stopped = true;
    }
}

/// A request to be made.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub head: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
}

pub struct Driver {
    pub upstreams: Upstreams,
    pub sink: Recorder,
    pub streams: HashMap<AttemptId, StreamRef>,
    poll: Poll,
    clock: Clock,
    wanted: HashMap<AttemptId, Wanted>,
    uploads: HashMap<AttemptId, (Vec<u8>, usize)>,
    next_key: AttemptId,
    /// On whose behalf requests are made.
    pub client: Client,
    /// Added to the clock, so that tests need not wait.
    pub skew: Nanos,
    _table: Shared,
}

pub fn config(slot: u32, scheme: Scheme, address: SocketAddr) -> BackendConfig {
    BackendConfig {
        slot,
        scheme,
        authority: format!("localhost:{}", address.port()),
        addresses: vec![address],
        tls: TlsConfig::default(),
        limits: SessionLimits {
            max_sessions: 4,
            max_streams: 1000,
            idle_timeout_ms: 60_000,
            max_age_ms: 0,
            ping_interval_ms: 0,
            ping_timeout_ms: 0,
            max_bound: 4,
            bound_idle_ms: 1_000,
            stream_window_bytes: 65_535,
            session_window_bytes: 1 << 20,
            max_head_bytes: 16_384,
            max_fields: 100,
        },
    }
}

/// What shards share.
pub type Shared = Rc<[AtomicU64; 64]>;

/// A table of unused backends.
pub fn table() -> Shared {
    Rc::new(std::array::from_fn(|_| AtomicU64::new(0)))
}

impl Driver {
    pub fn new(backends: Vec<BackendConfig>) -> Driver {
        Driver::beside(&table(), backends)
    }

    /// One of several that share a table.
    pub fn beside(table: &Shared, backends: Vec<BackendConfig>) -> Driver {
        let poll = Poll::new().unwrap();
        let mut upstreams = Upstreams::new(
            poll.fd(),
            3 << 60,
            // SAFETY: the driver keeps the table, and drops it after the pool.
            unsafe { BackendTable::new(table.as_ptr().cast(), size_of_val(&**table)) },
        );
        upstreams.apply(backends);
        Driver {
            upstreams,
            sink: Recorder::default(),
            streams: HashMap::new(),
            poll,
            clock: Clock::default(),
            wanted: HashMap::new(),
            uploads: HashMap::new(),
            next_key: 0,
            client: Client::default(),
            skew: 0,
            _table: table.clone(),
        }
    }

    pub fn now(&self) -> Nanos {
        self.clock.now() + self.skew
    }

    pub fn get(&mut self, slot: u32, path: &str) -> AttemptId {
        self.request(slot, "GET", path, &[], None)
    }

    pub fn request(&mut self, slot: u32, method: &str, path: &str, fields: &[(&str, &str)], body: Option<Vec<u8>>) -> AttemptId {
        let mut head = vec![(":method", method), (":scheme", "http"), (":authority", "localhost"), (":path", path)];
        head.extend_from_slice(fields);
        let head = head.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        self.next_key += 1;
        let key = self.next_key;
        self.sink.outcomes.insert(key, Outcome::default());
        let has_body = body.is_some();
        self.wanted.insert(key, Wanted { head, body });
        match self.upstreams.open(slot, key, self.client, has_body, self.now()) {
            Opened::Now(session) => self.start(key, session),
            Opened::Waiting => {}
            Opened::Failed(fault) => self.sink.on_failed(key, fault),
        }
        key
    }

    fn start(&mut self, key: AttemptId, session: SessionRef) {
        let wanted = self.wanted.remove(&key).unwrap();
        let mut head = Fields::new();
        for (name, value) in &wanted.head {
            head.push(name.as_bytes(), value.as_bytes());
        }
        match self.upstreams.start(session, key, &head, wanted.body.is_some(), self.now()) {
            Ok(stream) => {
                self.streams.insert(key, stream);
                if let Some(body) = wanted.body {
                    self.uploads.insert(key, (body, 0));
                    self.upload(key);
                }
            }
            Err(fault) => self.sink.on_failed(key, fault),
        }
    }

    /// Writes as much of a body as there is room for.
    fn upload(&mut self, key: AttemptId) {
        let stream = self.streams[&key];
        let Some((body, at)) = self.uploads.get_mut(&key) else { return };
        loop {
            let room = self.upstreams.body_room(stream);
            if room == 0 && *at < body.len() {
                return;
            }
            let mut is_end = false;
            let written = self.upstreams.write_body(stream, |room| {
                let count = room.len().min(body.len() - *at);
                room[..count].copy_from_slice(&body[*at..*at + count]);
                *at += count;
                is_end = *at == body.len();
                (count, is_end)
            });
            if is_end || written == 0 {
                break;
            }
        }
        if *at == body.len() {
            self.uploads.remove(&key);
        }
    }

    /// One turn, waiting at most `wait_ms` for something to happen.
    pub fn turn(&mut self, wait_ms: i32) {
        self.flush();
        let count = self.poll.wait(wait_ms);
        let now = self.now();
        for index in 0..count {
            let (token, readiness) = self.poll.event(index);
            self.upstreams.on_ready(token, readiness, now, &mut self.sink);
        }
        if self.upstreams.next_timer() != NEVER && self.upstreams.next_timer() <= now {
            self.upstreams.on_timer(now, &mut self.sink);
        }
        self.flush();
    }

    pub fn flush(&mut self) {
        loop {
            for (key, session) in std::mem::take(&mut self.sink.opened) {
                if self.wanted.contains_key(&key) {
                    self.start(key, session);
                } else {
                    self.upstreams.release(session, key);
                }
            }
            let ready: Vec<AttemptId> = self.uploads.keys().copied().filter(|key| self.sink.outcomes[key].windows > 0).collect();
            for key in ready {
                self.sink.outcomes.get_mut(&key).unwrap().windows = 0;
                self.upload(key);
            }
            if !self.upstreams.is_dirty() && self.sink.opened.is_empty() {
                let (held, taken) = self.upstreams.held();
                assert_eq!(held, taken, "the books of places are in order");
                return;
            }
            let now = self.now();
            self.upstreams.flush(now, &mut self.sink);
        }
    }

    /// Gives up waiting for a session.
    pub fn cancel(&mut self, slot: u32, key: AttemptId) {
        self.wanted.remove(&key);
        self.upstreams.cancel_wait(slot, key);
    }

    /// Turns until a condition is true; fails after ten seconds.
    pub fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Driver) -> bool) {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(10) {
            if is_so(self) {
                return;
            }
            self.turn(10);
        }
        panic!("{what} did not happen; {:?} {}", self.upstreams.stats, self.upstreams.describe(self.now()));
    }

    /// Turns until an exchange is over.
    pub fn finish(&mut self, key: AttemptId) -> Outcome {
        self.until("the end of an exchange", |driver| driver.sink.outcomes[&key].is_over());
        self.sink.outcomes[&key].clone()
    }

    /// Makes a request and waits for its outcome.
    pub fn fetch(&mut self, slot: u32, path: &str) -> Outcome {
        let key = self.get(slot, path);
        self.finish(key)
    }

    /// The request made last.
    pub fn last(&self) -> AttemptId {
        self.next_key
    }

    /// Turns for a while.
    pub fn idle(&mut self, turns: u32) {
        for _ in 0..turns {
            self.turn(5);
        }
    }
}
