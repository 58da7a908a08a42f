//! From nothing to an open session: addresses are tried in order of preference, then TLS shakes hands where it is asked for.

use std::cell::Cell;
use std::io;
use std::mem;
use std::os::fd::RawFd;
use std::rc::Rc;

use super::{Phase, Protocol, Session, Turn, after, expected_protocol, protocol_of};
use crate::base::reason::Reason;
use crate::base::slab;
use crate::base::timers::{NEVER, Nanos};
use crate::tls::client::{ClientTls, Failure};
use crate::upstream::config::{BackendConfig, Scheme};
use crate::upstream::outbox::Outbox;
use crate::upstream::pool::backend::Counted;
use crate::upstream::sink::{SessionRef, Sink};
use crate::upstream::socket::{Interest, Socket};
use crate::upstream::stats::Stat;
use crate::upstream::transport::{Handshake, Transport};

/// How long one address may take while there are others, and the last one. Attempts give up earlier by the timeout of their route.
const NEXT_ADDRESS_MS: u64 = 1_000;
const LAST_ADDRESS_MS: u64 = 10_000;

/// What a new session needs to know.
pub struct Origin {
    /// Its name.
    pub key: SessionRef,
    /// The backend in the pool's books.
    pub backend: slab::Key,
    /// The backend.
    pub config: Rc<BackendConfig>,
    /// The epoll that watches it.
    pub epoll: RawFd,
    /// Its token there.
    pub token: u64,
    /// Streams that the backend's latest session could have open; shared by all of them.
    pub told_streams: Rc<Cell<u32>>,
    /// A number between 0 and 1, for the age limit.
    pub chance: f64,
}

impl Session {
    /// Begins to connect; an error when no address can even be tried.
    pub fn connect(origin: Origin, now: Nanos) -> io::Result<Session> {
        let config = origin.config;
        let (address, socket) = first_socket(&config, 0)?;
        let transport = Transport::Plain(socket);
        let interest = Interest { read: true, write: true };
        transport.watch(origin.epoll, origin.token, Interest::NONE, interest)?;
        let age_ms = (config.limits.max_age_ms as f64 * (1.0 - 0.1 * origin.chance)) as u64;
        Ok(Session {
            key: origin.key,
            backend: origin.backend,
            reserved: Vec::new(),
            freed: Vec::new(),
            counted: Counted::default(),
            is_dirty: false,
            is_draining: false,
            is_suspect: false,
            is_bound: false,
            started: 0,
            phase: Phase::Connecting,
            transport,
            protocol: expected_protocol(&config, &origin.told_streams),
            told_streams: origin.told_streams,
            out: Outbox::default(),
            block: None,
            parsed: 0,
            address,
            epoll: origin.epoll,
            token: origin.token,
            interest,
            opened_at: now,
            read_at: now,
            idle_since: now,
            was_busy: false,
            pinged_at: NEVER,
            connect_until: after(now, patience(&config, address)),
            retire_at: after(now, age_ms),
            is_write_broken: false,
            was_heard: false,
            queued: 0,
            because: "",
            detail: "",
            config,
        })
    }

    /// The socket says something while the session is on its way.
    pub fn on_connecting<S: Sink + ?Sized>(&mut self, turn: &mut Turn<'_>, tls: Option<&ClientTls>, sink: &mut S) {
        if self.phase == Phase::Connecting {
            if self.transport.connected().is_err() {
                return self.try_next_address(turn, sink, Reason::ConnectFailed);
            }
            match self.config.scheme {
                Scheme::H2c => return self.open(turn, true),
                Scheme::Http => return self.open(turn, false),
                Scheme::Https => {}
            }
            if !self.secure(tls) {
                return self.fail_over_tls(turn, sink, Failure::of_trust());
            }
            self.phase = Phase::Handshaking;
        }
        match self.transport.handshake() {
            Handshake::Done { is_h2 } => self.open(turn, is_h2),
            Handshake::Blocked { is_writing } => self.watch(Interest { read: true, write: is_writing }),
            Handshake::Failed(failure) => self.fail_over_tls(turn, sink, failure),
        }
    }

    /// The address takes too long.
    pub(super) fn on_connect_timeout<S: Sink + ?Sized>(&mut self, turn: &mut Turn<'_>, sink: &mut S) {
        self.try_next_address(turn, sink, Reason::ConnectTimeout);
    }

    fn try_next_address<S: Sink + ?Sized>(&mut self, turn: &mut Turn<'_>, sink: &mut S, reason: Reason) {
        let (address, socket) = match first_socket(&self.config, self.address + 1) {
            Ok(next) => next,
            Err(error) if is_out_of_descriptors(&error) => {
                turn.stats[Stat::ConnectsWithoutDescriptor] += 1;
                return self.give_up(turn, sink, Reason::ConnectFailed);
            }
            Err(_) => return self.fail(turn, sink, reason),
        };
        self.transport = Transport::Plain(socket);
        self.phase = Phase::Connecting;
        self.address = address;
        self.connect_until = after(turn.now, patience(&self.config, address));
        self.interest = Interest { read: true, write: true };
        if self.transport.watch(self.epoll, self.token, Interest::NONE, self.interest).is_err() {
            self.fail(turn, sink, reason);
        }
    }

    fn fail<S: Sink + ?Sized>(&mut self, turn: &mut Turn<'_>, sink: &mut S, reason: Reason) {
        match reason {
            Reason::ConnectTimeout => turn.stats[Stat::ConnectsTimedOut] += 1,
            _ => turn.stats[Stat::ConnectsFailed] += 1,
        }
        self.give_up(turn, sink, reason);
    }

    fn fail_over_tls<S: Sink + ?Sized>(&mut self, turn: &mut Turn<'_>, sink: &mut S, failure: Failure) {
        turn.stats[Stat::ConnectsTlsFailed] += 1;
        turn.stats.tls_failures[failure.reason.of_tls().unwrap_or(0)] += 1;
        self.detail = failure.detail;
        self.give_up(turn, sink, failure.reason);
    }

    fn give_up<S: Sink + ?Sized>(&mut self, turn: &mut Turn<'_>, sink: &mut S, reason: Reason) {
        self.because = reason.code();
        self.close(turn, sink, reason, 0);
    }

    fn secure(&mut self, tls: Option<&ClientTls>) -> bool {
        let bare = mem::replace(&mut self.transport, Transport::Gone);
        match tls.and_then(|tls| bare.secure(tls)) {
            Some(transport) => self.transport = transport,
            None => return false,
        }
        true
    }

    fn open(&mut self, turn: &mut Turn<'_>, is_h2: bool) {
        let is_as_expected = matches!(self.protocol, Protocol::H2(_)) == is_h2;
        if !is_as_expected {
            self.protocol = protocol_of(&self.config, &self.told_streams, is_h2);
        }
        if let Protocol::H2(h2) = &mut self.protocol {
            h2.begin(&mut self.out);
        }
        self.phase = Phase::Open;
        self.opened_at = turn.now;
        self.read_at = turn.now;
        self.idle_since = turn.now;
        turn.stats[Stat::ConnectsSucceeded] += 1;
        turn.stats[Stat::SessionsConnecting] -= 1;
        turn.stats[Stat::SessionsOpen] += 1;
        self.watch(Interest { read: true, write: false });
    }
}

/// The first address from a place on that the kernel is willing to try.
fn first_socket(config: &BackendConfig, from: usize) -> io::Result<(usize, Socket)> {
    let mut result = Err(io::ErrorKind::AddrNotAvailable.into());
    for (place, address) in config.addresses.iter().enumerate().skip(from) {
        result = Socket::connect(address).map(|socket| (place, socket));
        if result.is_ok() {
            break;
        }
    }
    result
}

/// Whether the process, or the system, has as many files open as it may.
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

fn patience(config: &BackendConfig, address: usize) -> u64 {
    if address + 1 < config.addresses.len() { NEXT_ADDRESS_MS } else { LAST_ADDRESS_MS }
}
