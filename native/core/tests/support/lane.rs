//! A lane in Rust. It reads and writes the shared region by its documented layout (`docs/design/records.md`), as a worker does, not through the reactor's own types.

use std::sync::atomic::{AtomicU32, Ordering::*};

use lychgate_core::base::slab::Key;
use lychgate_core::reactor::LaneCall;
use lychgate_core::record::compose;
use lychgate_core::record::inward::{Forward, NO_PLAN, SAME_CLIENT, Tag};
use lychgate_core::record::layout::{FAILED_OTHER_RUNS, FORWARD_TELL_FAILURES};

const CONTROL_BYTES: usize = 4096;
const LANE_BYTES: usize = 1 << 20;
const REACTOR_BYTES: usize = 1 << 18;
const LANE_TAIL: usize = 0;
const LANE_HEAD: usize = 16;
const REACTOR_TAIL: usize = 32;
const REACTOR_HEAD: usize = 48;
const WAITING: usize = 64;

/// A request head as it was offered.
#[derive(Clone, Debug)]
pub struct Head {
    pub exchange: Key,
    pub flags: u32,
    pub tag: Tag,
    pub age_us: u32,
    pub content_length: f64,
    pub method: String,
    pub authority: String,
    pub path: String,
    pub fields: Vec<(String, String)>,
}

/// A failed attempt.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    pub exchange: Key,
    pub tag: Tag,
    pub attempts: u32,
    pub backend: u32,
    pub reason: u32,
    pub flags: u32,
    pub took_us: u32,
    pub status: u32,
    pub grpc_status: u32,
    pub retry_after_s: u32,
    pub age_us: u32,
}

/// An attempt that is late.
#[derive(Clone, Copy, Debug)]
pub struct Late {
    pub exchange: Key,
    pub tag: Tag,
    pub attempts: u32,
    pub backend: u32,
    pub took_us: u32,
}

/// How an exchange ended.
#[derive(Clone, Debug)]
pub struct Completion {
    pub exchange: Key,
    pub tag: Tag,
    pub backend: u32,
    pub attempts: u32,
    pub status: u32,
    pub reason: u32,
    pub flags: u32,
    pub bytes_in: f64,
    pub bytes_out: f64,
    pub backend_status: u32,
    pub grpc_status: u32,
    pub retry_after_s: u32,
    pub loser: u32,
    pub lost_us: u32,
    pub path: String,
}

/// What a policy says.
pub enum Verdict {
    Forward(Forward),
    /// With values for the plan's edits.
    ForwardWith(Forward, Vec<Option<&'static str>>),
    Respond(u32, u32, &'static str),
    Reset(u32, u32),
    /// Milliseconds, and the reason for the time being up meanwhile.
    Wait(u32, u32),
    Commit(u32),
    /// Nothing, as to a late attempt or to one beside which another runs.
    Nothing,
}

/// What tests give with their decisions.
pub const TAG: Tag = Tag { route: 7, memo: [8, 9, 10] };
pub const WAIT_TAG: Tag = Tag { route: 11, memo: [12, 13, 14] };
pub const COMMIT_TAG: Tag = Tag { route: 15, memo: [16, 17, 18] };

/// The forward every test begins with: backend 0, generous times, no limit.
pub fn forward() -> Forward {
    Forward {
        plan: NO_PLAN,
        backend: 0,
        tag: TAG,
        flags: FORWARD_TELL_FAILURES,
        connect_timeout_ms: 5_000,
        place_timeout_ms: 5_000,
        head_timeout_ms: 10_000,
        idle_timeout_ms: 10_000,
        exchange_timeout_ms: 0,
        attempt_timeout_ms: 0,
        hedge_delay_ms: 0,
        max_body_bytes: None,
        replay_bytes: 16 * 1024,
        client: SAME_CLIENT,
    }
}

pub struct Lane {
    base: *mut u8,
    /// Decides about heads.
    pub on_head: Box<dyn FnMut(&Head) -> Verdict>,
    /// Decides about failed attempts, unless another still runs.
    pub on_failure: Box<dyn FnMut(&Failure) -> Verdict>,
    /// Decides about late attempts.
    pub on_late: Box<dyn FnMut(&Late) -> Verdict>,
    /// While set, the lane fails before it reads anything.
    pub is_broken: bool,
    pub heads: Vec<Head>,
    pub failures: Vec<Failure>,
    pub lates: Vec<Late>,
    /// Calls so far.
    pub calls: usize,
    pub completions: Vec<Completion>,
}

impl Lane {
    /// A lane over a reactor's region, which must outlive it. It forwards everything and answers failures with their reason.
    pub fn new(base: *mut u8) -> Lane {
        Lane {
            base,
            on_head: Box::new(|_| Verdict::Forward(forward())),
            on_failure: Box::new(|failure| Verdict::Respond(502, failure.reason, "failed")),
            on_late: Box::new(|_| Verdict::Nothing),
            is_broken: false,
            heads: Vec::new(),
            failures: Vec::new(),
            lates: Vec::new(),
            calls: 0,
            completions: Vec::new(),
        }
    }

    fn cursor(&self, word: usize) -> &AtomicU32 {
        // SAFETY: the region outlives the lane, and its control block is aligned.
        unsafe { &*self.base.cast::<AtomicU32>().add(word) }
    }

    /// One call, as the reactor makes it.
    pub fn call(&mut self) -> LaneCall {
        if self.is_broken {
            return LaneCall::Failed;
        }
        self.calls += 1;
        while let Some(record) = self.next() {
            let record = Record(record);
            match record.word(1) {
                1 => {
                    let head = record.head();
                    let verdict = (self.on_head)(&head);
                    self.decide(head.exchange, verdict);
                    self.heads.push(head);
                }
                2 => {
                    let failure = record.failure();
                    if failure.flags & FAILED_OTHER_RUNS == 0 {
                        let verdict = (self.on_failure)(&failure);
                        self.decide(failure.exchange, verdict);
                    }
                    self.failures.push(failure);
                }
                4 => {
                    let late = record.late();
                    let verdict = (self.on_late)(&late);
                    self.decide(late.exchange, verdict);
                    self.lates.push(late);
                }
                3 => self.completions.push(record.completion()),
                kind => panic!("a record of kind {kind}"),
            }
        }
        LaneCall::Done
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let (tail, head) = (self.cursor(LANE_TAIL).load(Acquire), self.cursor(LANE_HEAD).load(Relaxed));
            if tail == head {
                return None;
            }
            let place = head as usize & (LANE_BYTES - 1);
            // SAFETY: the reactor does not write while the lane runs; sizes are checked below.
            let rest = unsafe { std::slice::from_raw_parts(self.base.add(CONTROL_BYTES + place), LANE_BYTES - place) };
            let size = u32::from_le_bytes(rest[0..4].try_into().unwrap()) as usize;
            assert!(size >= 8 && size.is_multiple_of(8) && size <= tail.wrapping_sub(head) as usize);
            let record = rest[..size].to_vec();
            self.cursor(LANE_HEAD).store(head.wrapping_add(size as u32), Release);
            if record[4..8] != [0; 4] {
                return Some(record);
            }
        }
    }

    /// Writes a decision, at whatever time.
    pub fn decide(&mut self, exchange: Key, verdict: Verdict) {
        match verdict {
            Verdict::Forward(forward) => self.write(&compose::forward(exchange, &forward, &[])),
            Verdict::ForwardWith(forward, values) => {
                let values: Vec<Option<&[u8]>> = values.iter().map(|value| value.map(str::as_bytes)).collect();
                self.write(&compose::forward(exchange, &forward, &values));
            }
            Verdict::Respond(status, reason, body) => {
                self.write(&compose::respond(exchange, status, reason, &[(b"x-own", b"yes")], body.as_bytes()));
            }
            Verdict::Reset(code, reason) => {
                self.write(&compose::reset(exchange, code, reason));
            }
            Verdict::Wait(wait_ms, reason) => self.write(&compose::wait(exchange, WAIT_TAG, wait_ms, reason)),
            Verdict::Commit(reason) => self.write(&compose::commit(exchange, COMMIT_TAG, reason)),
            Verdict::Nothing => {}
        }
    }

    /// Wakes an exchange that waits.
    pub fn wake(&mut self, exchange: Key) {
        self.write(&compose::wake(exchange));
    }

    /// Says how many exchanges wait for a place.
    pub fn set_waiting(&mut self, count: u32) {
        self.cursor(WAITING).store(count, Release);
    }

    fn write(&mut self, record: &[u8]) {
        let tail = self.cursor(REACTOR_TAIL).load(Relaxed);
        let head = self.cursor(REACTOR_HEAD).load(Acquire);
        let mut place = tail as usize & (REACTOR_BYTES - 1);
        let filler = if record.len() > REACTOR_BYTES - place { REACTOR_BYTES - place } else { 0 };
        assert!(tail.wrapping_sub(head) as usize + filler + record.len() <= REACTOR_BYTES, "a test's decisions fit the ring");
        // SAFETY: inside the region, see above.
        unsafe {
            let ring = self.base.add(CONTROL_BYTES + LANE_BYTES);
            if filler > 0 {
                ring.add(place).cast::<[u32; 2]>().write([filler as u32, 0]);
                place = 0;
            }
            std::ptr::copy_nonoverlapping(record.as_ptr(), ring.add(place), record.len());
        }
        self.cursor(REACTOR_TAIL).store(tail.wrapping_add((filler + record.len()) as u32), Release);
    }
}

struct Record(Vec<u8>);

impl Record {
    fn word(&self, place: usize) -> u32 {
        u32::from_le_bytes(self.0[place * 4..place * 4 + 4].try_into().unwrap())
    }

    fn float(&self, place: usize) -> f64 {
        f64::from_le_bytes(self.0[place * 4..place * 4 + 8].try_into().unwrap())
    }

    fn pair(&self, place: usize) -> (usize, usize) {
        (self.word(place) as usize & 0xffff, self.word(place) as usize >> 16)
    }

    fn exchange(&self) -> Key {
        Key { index: self.word(2), generation: self.word(3) }
    }

    fn tag(&self, route: usize, memo: usize) -> Tag {
        Tag { route: self.word(route), memo: [self.word(memo), self.word(memo + 1), self.word(memo + 2)] }
    }

    /// Texts of the given lengths, one after the other from a byte on.
    fn texts(&self, mut at: usize, lengths: impl IntoIterator<Item = usize>) -> Vec<String> {
        let mut next = |length| {
            at += length;
            String::from_utf8_lossy(&self.0[at - length..at]).into_owned()
        };
        lengths.into_iter().map(&mut next).collect()
    }

    fn head(&self) -> Head {
        let count = self.word(18) as usize;
        let ((method, scheme), (authority, path)) = (self.pair(16), self.pair(17));
        let mut lengths = vec![self.word(19) as usize, method, scheme, authority, path];
        lengths.extend((0..count).flat_map(|place| <[usize; 2]>::from(self.pair(26 + place))));
        let mut texts = self.texts((26 + count) * 4, lengths).into_iter();
        let mut text = || texts.next().unwrap();
        let (_id, method, _scheme, authority, path) = (text(), text(), text(), text(), text());
        let fields = (0..count).map(|_| (text(), text())).collect();
        Head {
            exchange: self.exchange(),
            flags: self.word(5),
            tag: self.tag(20, 21),
            age_us: self.word(24),
            content_length: self.float(14),
            method,
            authority,
            path,
            fields,
        }
    }

    fn failure(&self) -> Failure {
        Failure {
            exchange: self.exchange(),
            tag: self.tag(6, 14),
            attempts: self.word(4),
            backend: self.word(5),
            reason: self.word(7),
            flags: self.word(8),
            took_us: self.word(9),
            status: self.word(17),
            grpc_status: self.word(18),
            retry_after_s: self.word(19),
            age_us: self.word(20),
        }
    }

    fn late(&self) -> Late {
        let (attempts, backend) = (self.word(4), self.word(5));
        Late { exchange: self.exchange(), tag: self.tag(6, 7), attempts, backend, took_us: self.word(10) }
    }

    fn completion(&self) -> Completion {
        let ((id, method), (authority, path)) = (self.pair(30), self.pair(31));
        let path = self.texts(42 * 4, [id, method, authority, path]).remove(3);
        Completion {
            exchange: self.exchange(),
            tag: self.tag(4, 34),
            backend: self.word(5),
            attempts: self.word(6),
            status: self.word(7),
            reason: self.word(8),
            flags: self.word(9),
            bytes_in: self.float(22),
            bytes_out: self.float(24),
            backend_status: self.word(33),
            grpc_status: self.word(37),
            retry_after_s: self.word(38),
            loser: self.word(39),
            lost_us: self.word(40),
            path,
        }
    }
}
