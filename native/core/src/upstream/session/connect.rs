//! From nothing to an open session: addresses are tried in order of preference, then TLS shakes
//! hands where the scheme asks for it.

use std::cell::Cell;
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;

use super::input::Input;
use super::permits::Permits;
use super::protocol::Protocol;
use super::state::{Phase, Session, Turn};
use super::timing::Timing;
use super::wire::Wire;
use crate::base::reason::Reason;
use crate::base::timers::Nanos;
use crate::tls::client::{ClientTls, Failure};
use crate::upstream::config::{BackendConfig, Scheme};
use crate::upstream::sink::Sink;
use crate::upstream::socket::{Interest, Socket};
use crate::upstream::stats::Stat;
use crate::upstream::transport::Handshake;

/// Time for one address while there are others, and for the last one. Attempts give up earlier, by
/// the timeout of their route.
const NEXT_ADDRESS_MS: u64 = 1_000;
const LAST_ADDRESS_MS: u64 = 10_000;

/// What a new session needs to know.
pub struct Origin {
    /// The backend.
    pub config: Rc<BackendConfig>,
    /// The epoll that watches the socket.
    pub epoll: RawFd,
    /// Its token there.
    pub token: u64,
    /// Streams that the backend's latest session could have open; shared by all of them.
    pub last_max_streams: Rc<Cell<u32>>,
    /// A random number between 0 and 1, for the age limit.
    pub random: f64,
}

impl Session {
    /// Begins to connect; an error when no address can even be tried.
    pub fn connect(origin: Origin, now: Nanos) -> io::Result<Session> {
        let config = origin.config;
        let (address, socket) = first_socket(&config, 0)?;
        let wire = Wire::new(socket, origin.epoll, origin.token)?;
        let max_age_ms = (config.limits.max_age_ms as f64 * (1.0 - 0.1 * origin.random)) as u64;
        Ok(Session {
            protocol: Protocol::expected(&config, origin.last_max_streams),
            permits: Permits::default(),
            timing: Timing::new(now, patience_ms(&config, address), max_age_ms),
            is_draining: false,
            is_paused: false,
            started: 0,
            fault: ("", ""),
            phase: Phase::Connecting,
            wire,
            input: Input::default(),
            address,
            was_heard: false,
            config,
        })
    }

    /// The socket is ready while the session is not open yet.
    pub fn on_connecting<S: Sink + ?Sized>(&mut self, turn: &mut Turn<'_>, tls: Option<&ClientTls>, sink: &mut S) {
        if self.phase == Phase::Connecting {
            if self.wire.transport.connected().is_err() {
                return try_next_address(self, turn, sink, Reason::ConnectFailed);
            }
            if self.config.scheme != Scheme::Https {
                return open(self, turn);
            }
            if !self.wire.secure(tls) {
                return fail_tls(self, turn, sink, Failure::of_trust());
            }
            self.phase = Phase::Handshaking;
        }
        match self.wire.transport.handshake() {
            Handshake::Done { is_h2 } => {
                if !is_h2 {
                    self.protocol = Protocol::http1(&self.config.limits);
                }
                open(self, turn);
            }
            Handshake::Blocked { is_writing } => self.wire.watch(Interest { read: true, write: is_writing }),
            Handshake::Failed(failure) => fail_tls(self, turn, sink, failure),
        }
    }

    /// The address takes too long.
    pub(super) fn on_connect_timeout<S: Sink + ?Sized>(&mut self, turn: &mut Turn<'_>, sink: &mut S) {
        try_next_address(self, turn, sink, Reason::ConnectTimeout);
    }
}

fn try_next_address<S: Sink + ?Sized>(session: &mut Session, turn: &mut Turn<'_>, sink: &mut S, reason: Reason) {
    let (address, socket) = match first_socket(&session.config, session.address + 1) {
        Ok(next) => next,
        Err(error) if is_out_of_descriptors(&error) => {
            turn.stats[Stat::ConnectsWithoutDescriptor] += 1;
            return end(session, turn, sink, Reason::ConnectFailed);
        }
        Err(_) => return fail(session, turn, sink, reason),
    };
    session.phase = Phase::Connecting;
    session.address = address;
    session.timing.reconnect(turn.now, patience_ms(&session.config, address));
    if session.wire.reconnect(socket).is_err() {
        fail(session, turn, sink, reason);
    }
}

fn fail<S: Sink + ?Sized>(session: &mut Session, turn: &mut Turn<'_>, sink: &mut S, reason: Reason) {
    let counter = if reason == Reason::ConnectTimeout { Stat::ConnectsTimedOut } else { Stat::ConnectsFailed };
    turn.stats[counter] += 1;
    end(session, turn, sink, reason);
}

fn fail_tls<S: Sink + ?Sized>(session: &mut Session, turn: &mut Turn<'_>, sink: &mut S, failure: Failure) {
    turn.stats[Stat::ConnectsTlsFailed] += 1;
    turn.stats.tls_failures[failure.reason.of_tls().unwrap_or(0)] += 1;
    session.fault.1 = failure.detail;
    end(session, turn, sink, failure.reason);
}

fn end<S: Sink + ?Sized>(session: &mut Session, turn: &mut Turn<'_>, sink: &mut S, reason: Reason) {
    session.fault.0 = reason.code();
    session.close(turn, sink, reason, 0);
}

fn open(session: &mut Session, turn: &mut Turn<'_>) {
    if let Protocol::H2(h2) = &mut session.protocol {
        h2.begin(&mut session.wire.out);
    }
    session.phase = Phase::Open;
    session.timing.open(turn.now);
    turn.stats[Stat::ConnectsSucceeded] += 1;
    turn.stats[Stat::SessionsConnecting] -= 1;
    turn.stats[Stat::SessionsOpen] += 1;
    session.wire.watch(Interest { read: true, write: false });
}

/// The first address from an index on that the kernel is willing to try.
fn first_socket(config: &BackendConfig, from: usize) -> io::Result<(usize, Socket)> {
    let mut result = Err(io::ErrorKind::AddrNotAvailable.into());
    for (index, address) in config.addresses.iter().enumerate().skip(from) {
        result = Socket::connect(address).map(|socket| (index, socket));
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

fn patience_ms(config: &BackendConfig, address: usize) -> u64 {
    if address + 1 < config.addresses.len() { NEXT_ADDRESS_MS } else { LAST_ADDRESS_MS }
}
