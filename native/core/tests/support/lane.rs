//! A lane in Rust. It reads and writes the shared region by the table of records
//! (`docs/design/records.md`), as a worker does, not through the reactor's own rings and types.

use std::sync::atomic::{AtomicU32, Ordering::*};

use lychgate_core::base::slab::Key;
use lychgate_core::reactor::LaneCall;
use lychgate_core::record::compose;
use lychgate_core::record::inward::{Forward, NO_PLAN, SAME_CLIENT, Tag};
use lychgate_core::record::layout::*;
use lychgate_core::record::words::{AttemptFailedWords, CompletionWords, HeadWords, LateWords, kind_of};

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
    /// A lane over a reactor's region, which must outlive it. It forwards everything and answers
    /// failures with their reason.
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
            match kind_of(&record).unwrap() {
                KIND_HEAD => {
                    let head = Head::read(&record);
                    let verdict = (self.on_head)(&head);
                    self.decide(head.exchange, verdict);
                    self.heads.push(head);
                }
                KIND_ATTEMPT_FAILED => {
                    let failure = Failure::read(&record);
                    if failure.flags & FAILED_OTHER_RUNS == 0 {
                        let verdict = (self.on_failure)(&failure);
                        self.decide(failure.exchange, verdict);
                    }
                    self.failures.push(failure);
                }
                KIND_LATE => {
                    let late = Late::read(&record);
                    let verdict = (self.on_late)(&late);
                    self.decide(late.exchange, verdict);
                    self.lates.push(late);
                }
                KIND_COMPLETION => self.completions.push(Completion::read(&record)),
                kind => panic!("a record of kind {kind}"),
            }
        }
        LaneCall::Done
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let (tail, head) = (self.cursor(LANE_TAIL_WORD).load(Acquire), self.cursor(LANE_HEAD_WORD).load(Relaxed));
            if tail == head {
                return None;
            }
            let place = head as usize & (LANE_RING_BYTES - 1);
            // SAFETY: the reactor does not write while the lane runs; sizes are checked below.
            let rest = unsafe { std::slice::from_raw_parts(self.base.add(LANE_RING_BYTE + place), LANE_RING_BYTES - place) };
            let size = u32::from_le_bytes(rest[0..4].try_into().unwrap()) as usize;
            assert!(size >= 8 && size.is_multiple_of(8) && size <= tail.wrapping_sub(head) as usize);
            let record = rest[..size].to_vec();
            self.cursor(LANE_HEAD_WORD).store(head.wrapping_add(size as u32), Release);
            if kind_of(&record) != Some(KIND_WRAP) {
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
        self.cursor(WAITING_WORD).store(count, Release);
    }

    fn write(&mut self, record: &[u8]) {
        let tail = self.cursor(REACTOR_TAIL_WORD).load(Relaxed);
        let head = self.cursor(REACTOR_HEAD_WORD).load(Acquire);
        let mut place = tail as usize & (REACTOR_RING_BYTES - 1);
        let filler = if record.len() > REACTOR_RING_BYTES - place { REACTOR_RING_BYTES - place } else { 0 };
        assert!(tail.wrapping_sub(head) as usize + filler + record.len() <= REACTOR_RING_BYTES, "a test's decisions fit the ring");
        // SAFETY: inside the region, see above.
        unsafe {
            let ring = self.base.add(REACTOR_RING_BYTE);
            if filler > 0 {
                ring.add(place).cast::<[u32; 2]>().write([filler as u32, 0]);
                place = 0;
            }
            std::ptr::copy_nonoverlapping(record.as_ptr(), ring.add(place), record.len());
        }
        self.cursor(REACTOR_TAIL_WORD).store(tail.wrapping_add((filler + record.len()) as u32), Release);
    }
}

/// Texts of the given lengths, one after the other.
fn texts(mut rest: &[u8], lengths: impl IntoIterator<Item = usize>) -> Vec<String> {
    let mut next = |length| {
        let (text, after) = rest.split_at(length);
        rest = after;
        String::from_utf8_lossy(text).into_owned()
    };
    lengths.into_iter().map(&mut next).collect()
}

impl Head {
    fn read(record: &[u8]) -> Head {
        let (words, rest) = HeadWords::read(record).unwrap();
        let (table, text) = rest.split_at(words.field_count as usize * 4);
        let certificate = words.certificate_length as usize;
        let mut lengths = vec![certificate, words.request_id_length as usize];
        lengths.extend([words.method_length, words.scheme_length, words.authority_length, words.path_length].map(usize::from));
        lengths.extend(table.as_chunks::<2>().0.iter().map(|length| usize::from(u16::from_le_bytes(*length))));
        let mut texts = texts(text, lengths).into_iter();
        let mut text = || texts.next().unwrap();
        let (_certificate, _id, method, _scheme, authority, path) = (text(), text(), text(), text(), text(), text());
        Head {
            exchange: words.exchange,
            flags: words.flags,
            tag: Tag { route: words.tag, memo: words.memo },
            age_us: words.age_us,
            content_length: words.content_length,
            method,
            authority,
            path,
            fields: (0..words.field_count).map(|_| (text(), text())).collect(),
        }
    }
}

impl Failure {
    fn read(record: &[u8]) -> Failure {
        let (words, _) = AttemptFailedWords::read(record).unwrap();
        Failure {
            exchange: words.exchange,
            tag: Tag { route: words.tag, memo: words.memo },
            attempts: words.attempts,
            backend: words.slot,
            reason: words.reason,
            flags: words.flags,
            took_us: words.duration_us,
            status: words.status,
            grpc_status: words.grpc_status,
            retry_after_s: words.retry_after_s,
            age_us: words.age_us,
        }
    }
}

impl Late {
    fn read(record: &[u8]) -> Late {
        let (words, _) = LateWords::read(record).unwrap();
        Late {
            exchange: words.exchange,
            tag: Tag { route: words.tag, memo: words.memo },
            attempts: words.attempts,
            backend: words.slot,
            took_us: words.duration_us,
        }
    }
}

impl Completion {
    fn read(record: &[u8]) -> Completion {
        let (words, text) = CompletionWords::read(record).unwrap();
        let lengths = [words.request_id_length, words.method_length, words.authority_length, words.path_length];
        let path = texts(text, lengths.map(usize::from)).remove(3);
        Completion {
            exchange: words.exchange,
            tag: Tag { route: words.tag, memo: words.memo },
            backend: words.slot,
            attempts: words.attempts,
            status: words.status,
            reason: words.reason,
            flags: words.flags,
            bytes_in: words.bytes_in,
            bytes_out: words.bytes_out,
            backend_status: words.backend_status,
            grpc_status: words.grpc_status,
            retry_after_s: words.retry_after_s,
            loser: words.loser_slot,
            lost_us: words.loser_us,
            path,
        }
    }
}
