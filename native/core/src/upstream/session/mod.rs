//! One connection to a backend: a socket that connects, perhaps shakes hands, carries a protocol and ends.
//!
//! The states are those of [`Phase`]; `connect` leads to `Open`, `transfer` moves bytes while it lasts, `timing` says when enough is enough. Every way out
//! goes through [`Session::close`], after which the pool takes the session off its books.

mod connect;
mod timing;
mod transfer;

pub use connect::{Origin, is_out_of_descriptors};

use std::cell::Cell;
use std::os::fd::RawFd;
use std::rc::Rc;

use super::config::{BackendConfig, Scheme};
use super::h1::H1;
use super::h2::H2;
use super::io::{Io, Work};
use super::outbox::Outbox;
use super::pool::backend::Counted;
use super::pool::places::{Client, Holder};
use super::sink::{Fault, Key, SessionRef, Sink};
use super::socket::Interest;
use super::stats::{Stat, Stats};
use super::transport::Transport;
use crate::base::chunk::Block;
use crate::base::reason::Reason;
use crate::base::slab;
use crate::base::timers::{NEVER, Nanos};
use crate::http::fields::Fields;

/// Where a session is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The kernel connects.
    Connecting,
    /// TLS shakes hands.
    Handshaking,
    /// Streams may be carried.
    Open,
    /// Over; why, for attempts that waited for it.
    Closed(Reason),
}

/// What is spoken on the session.
pub enum Protocol {
    /// HTTP/2.
    H2(Box<H2>),
    /// HTTP/1.1.
    H1(Box<H1>),
}

/// What a session borrows for a call.
pub struct Turn<'a> {
    /// Shared buffers.
    pub work: &'a mut Work,
    /// Counters.
    pub stats: &'a mut Stats,
    /// Now.
    pub now: Nanos,
}

/// The session.
pub struct Session {
    /// Its name.
    pub key: SessionRef,
    /// The backend it belongs to, in the pool's books.
    pub backend: slab::Key,
    /// What it was made for; a later snapshot does not change it.
    pub config: Rc<BackendConfig>,
    /// Places promised to attempts that have not started yet.
    pub reserved: Vec<(Key, Holder)>,
    /// Places of streams that have ended, until the backend's books have them back.
    pub freed: Vec<Holder>,
    /// As its backend's books have counted it.
    pub counted: Counted,
    /// Stands in the pool's list of sessions to flush.
    pub is_dirty: bool,
    /// Takes no more streams: too old, or its backend has changed.
    pub is_draining: bool,
    /// Takes no more streams until it is known whether another can take its place.
    pub is_suspect: bool,
    /// Stands in the books as one client's alone.
    pub is_bound: bool,
    /// Attempts started on it.
    pub started: u64,
    phase: Phase,
    transport: Transport,
    protocol: Protocol,
    out: Outbox,
    block: Option<Block>,
    parsed: usize,
    address: usize,
    epoll: RawFd,
    token: u64,
    interest: Interest,
    opened_at: Nanos,
    read_at: Nanos,
    idle_since: Nanos,
    was_busy: bool,
    pinged_at: Nanos,
    connect_until: Nanos,
    retire_at: Nanos,
    is_write_broken: bool,
    /// Anything was read of what the backend sent.
    was_heard: bool,
    /// Of the out buffer, as counted.
    queued: u64,
    because: &'static str,
    detail: &'static str,
    told_streams: Rc<Cell<u32>>,
}

impl Session {
    /// Whether it has carried a request before.
    pub fn is_reused(&self) -> bool {
        self.started > 0
    }

    /// Where it is in its life.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether it is over.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed(_))
    }

    /// Whether it is on its way to being usable.
    pub fn is_connecting(&self) -> bool {
        matches!(self.phase, Phase::Connecting | Phase::Handshaking)
    }

    /// Whether another attempt may start on it.
    pub fn has_room(&self) -> bool {
        self.phase == Phase::Open && self.is_lasting() && self.open_streams() + self.promised() < self.capacity()
    }

    /// The client whose alone it is.
    pub fn owner(&self) -> Option<Client> {
        match &self.protocol {
            Protocol::H2(_) => None,
            Protocol::H1(h1) => h1.owner(),
        }
    }

    /// Whether an attempt on behalf of anybody may start on it.
    pub fn has_room_for_all(&self) -> bool {
        self.has_room() && self.owner().is_none()
    }

    /// Whether a body could be sent on it now, as far as the session as a whole is concerned.
    pub fn has_credit(&self) -> bool {
        match &self.protocol {
            Protocol::H2(h2) => h2.has_credit(),
            Protocol::H1(_) => true,
        }
    }

    /// Whether it counts among the sessions a backend may have: it will go on taking streams.
    pub fn is_lasting(&self) -> bool {
        !self.is_draining
            && !self.is_suspect
            && !self.is_closed()
            && match &self.protocol {
                Protocol::H2(h2) => !h2.is_going_away(),
                Protocol::H1(h1) => !h1.is_closing(),
            }
    }

    /// Whether the backend has reset stream after stream on it.
    pub fn is_sick(&self) -> bool {
        matches!(&self.protocol, Protocol::H2(h2) if h2.is_sick())
    }

    /// Nothing can take its place: it goes on.
    pub fn forgive(&mut self) {
        self.is_suspect = false;
        if let Protocol::H2(h2) = &mut self.protocol {
            h2.forgive();
        }
    }

    /// Attempts it can be expected to take once it is open.
    pub fn expected_room(&self) -> u32 {
        self.capacity().saturating_sub(self.promised())
    }

    /// Whether it has carried its last stream.
    pub fn is_spent(&self) -> bool {
        self.phase == Phase::Open && !self.is_lasting() && !self.is_suspect && self.open_streams() == 0 && self.reserved.is_empty()
    }

    /// Streams open.
    pub fn open_streams(&self) -> u32 {
        match &self.protocol {
            Protocol::H2(h2) => h2.open_streams(),
            Protocol::H1(h1) => h1.open_streams(),
        }
    }

    fn promised(&self) -> u32 {
        self.reserved.len() as u32
    }

    /// Streams it may have open.
    pub fn capacity(&self) -> u32 {
        match &self.protocol {
            Protocol::H2(h2) => h2.capacity(),
            Protocol::H1(_) => 1,
        }
    }

    /// Name of the protocol, for the admin API.
    pub fn protocol_name(&self) -> &'static str {
        match &self.protocol {
            Protocol::H2(_) => "h2",
            Protocol::H1(_) => "http/1.1",
        }
    }

    /// Bytes that wait to be written.
    pub fn pending_bytes(&self) -> usize {
        self.out.len()
    }

    /// When it became usable.
    pub fn opened_at(&self) -> Nanos {
        self.opened_at
    }

    /// Why it was ended, if that was against our will, and what more is known of it.
    pub fn because(&self) -> (&'static str, &'static str) {
        (self.because, self.detail)
    }

    /// Starts an attempt on a reserved place.
    pub fn start(&mut self, turn: &mut Turn<'_>, key: Key, head: &Fields, has_body: bool) -> Result<(u32, u32), Fault> {
        let reason = match self.phase {
            Phase::Open => None,
            Phase::Closed(reason) => Some(reason),
            _ => Some(Reason::ConnectFailed),
        };
        if let Some(reason) = reason {
            self.release_place(key);
            return Err(Fault::unsent(reason));
        }
        let Some(holder) = self.take_place(key) else { return Err(Fault::unsent(Reason::BackendClosed)) };
        let (protocol, mut io) = self.split(turn);
        let named = match protocol {
            Protocol::H2(h2) => h2.start(&mut io, (key, holder), head, has_body),
            Protocol::H1(h1) => h1.start(&mut io, (key, holder), head, has_body),
        };
        let named = match named {
            Ok(named) => named,
            Err(fault) => {
                self.freed.push(holder);
                return Err(fault);
            }
        };
        turn.stats[Stat::StreamsStarted] += 1;
        turn.stats[Stat::SessionsReused] += u64::from(self.started > 0);
        self.started += 1;
        self.was_busy = true;
        Ok(named)
    }

    /// Gives the place back that was reserved for an attempt.
    pub fn release_place(&mut self, key: Key) {
        if let Some(holder) = self.take_place(key) {
            self.freed.push(holder);
        }
    }

    /// Those who start soon after they were promised a place stand at the end.
    fn take_place(&mut self, key: Key) -> Option<Holder> {
        let place = self.reserved.iter().rposition(|(reserved, _)| *reserved == key)?;
        Some(self.reserved.swap_remove(place).1)
    }

    /// Body bytes a stream may write now.
    pub fn body_room(&mut self, slot: u32, id: u32) -> usize {
        match &mut self.protocol {
            Protocol::H2(h2) => h2.body_room(&self.out, slot, id),
            Protocol::H1(h1) => h1.body_room(&self.out, id),
        }
    }

    /// Writes body bytes that `fill` provides.
    pub fn write_body(&mut self, turn: &mut Turn<'_>, slot: u32, id: u32, fill: impl FnOnce(&mut [u8]) -> (usize, bool)) -> usize {
        let (protocol, mut io) = self.split(turn);
        match protocol {
            Protocol::H2(h2) => h2.write_body(&mut io, slot, id, fill),
            Protocol::H1(h1) => h1.write_body(&mut io, id, fill),
        }
    }

    /// Ends a request with trailers.
    pub fn write_trailers(&mut self, turn: &mut Turn<'_>, slot: u32, id: u32, fields: &Fields) {
        let (protocol, mut io) = self.split(turn);
        match protocol {
            Protocol::H2(h2) => h2.write_trailers(&mut io, slot, id, fields),
            Protocol::H1(h1) => h1.write_trailers(&mut io, id, fields),
        }
    }

    /// The relay passed bytes on.
    pub fn credit(&mut self, turn: &mut Turn<'_>, slot: u32, id: u32, bytes: usize) {
        let (protocol, mut io) = self.split(turn);
        match protocol {
            Protocol::H2(h2) => h2.credit(&mut io, slot, id, bytes),
            Protocol::H1(h1) => h1.credit(id, bytes),
        }
    }

    /// The relay gives a stream up.
    pub fn reset(&mut self, turn: &mut Turn<'_>, slot: u32, id: u32, h2_code: u32) {
        let (protocol, mut io) = self.split(turn);
        match protocol {
            Protocol::H2(h2) => h2.reset(&mut io, slot, id, h2_code),
            Protocol::H1(h1) => h1.reset(&mut io, id),
        }
    }

    /// Whether a flush would do anything: write, or go on reading what waits behind a relay that has room again.
    pub fn has_work(&self) -> bool {
        let has_output = !self.out.is_empty() && !self.interest.write && !self.is_write_broken;
        self.phase == Phase::Open && (has_output || self.wants_read() != self.interest.read || self.is_spent())
    }

    /// Ends the session: every stream fails for `reason`.
    pub fn close<S: Sink + ?Sized>(&mut self, turn: &mut Turn<'_>, sink: &mut S, reason: Reason, h2_code: u32) {
        if self.is_closed() {
            return;
        }
        let was_open = self.phase == Phase::Open;
        self.phase = Phase::Closed(reason);
        match was_open {
            true => turn.stats[Stat::SessionsOpen] -= 1,
            false => turn.stats[Stat::SessionsConnecting] -= 1,
        }
        let (protocol, mut io) = self.split(turn);
        match protocol {
            Protocol::H2(h2) => h2.fail_all(&mut io, sink, reason, h2_code),
            Protocol::H1(h1) => h1.fail_all(&mut io, sink, reason, h2_code),
        }
        if let Some(block) = self.block.take() {
            turn.work.blocks.give_back(block);
        }
        self.recount(turn.stats);
    }

    /// Counts anew what waits for the backend.
    fn recount(&mut self, stats: &mut Stats) {
        let queued = if self.is_closed() { 0 } else { self.out.len() as u64 };
        stats[Stat::QueuedBytes] = stats[Stat::QueuedBytes] + queued - self.queued;
        self.queued = queued;
    }

    /// Ends a session in order: GOAWAY and close_notify as far as the kernel takes them at once.
    pub fn say_goodbye<S: Sink + ?Sized>(&mut self, turn: &mut Turn<'_>, sink: &mut S, reason: Reason, h2_code: u32) {
        if self.phase == Phase::Open {
            if let Protocol::H2(h2) = &mut self.protocol {
                h2.say_goodbye(&mut self.out, h2_code);
            }
            self.write_out(turn);
            self.transport.close();
        }
        self.close(turn, sink, reason, h2_code);
    }

    /// Notes the moment at which the last stream ended. What comes afterwards (answers to PING) does not keep a session from being idle.
    fn note_idle(&mut self, now: Nanos) {
        if self.was_busy && self.open_streams() == 0 {
            self.was_busy = false;
            self.idle_since = now;
        }
    }

    fn wants_read(&self) -> bool {
        match &self.protocol {
            Protocol::H2(_) => true,
            Protocol::H1(h1) => h1.wants_read(),
        }
    }

    fn split<'a>(&'a mut self, turn: &'a mut Turn<'_>) -> (&'a mut Protocol, Io<'a>) {
        let io = Io { out: &mut self.out, work: turn.work, stats: turn.stats, freed: &mut self.freed, now: turn.now };
        (&mut self.protocol, io)
    }
}

fn protocol_of(config: &BackendConfig, told_streams: &Rc<Cell<u32>>, is_h2: bool) -> Protocol {
    if is_h2 {
        Protocol::H2(Box::new(H2::new(&config.limits, told_streams.clone())))
    } else {
        Protocol::H1(Box::new(H1::new(&config.limits)))
    }
}

/// What a scheme speaks before ALPN has been heard.
fn expected_protocol(config: &BackendConfig, told_streams: &Rc<Cell<u32>>) -> Protocol {
    protocol_of(config, told_streams, config.scheme != Scheme::Http)
}

/// A time after another, where 0 means never.
fn after(start: Nanos, milliseconds: u64) -> Nanos {
    if milliseconds == 0 { NEVER } else { start.saturating_add(milliseconds.saturating_mul(1_000_000)) }
}
