//! One backend in the pool's books: its configuration, its sessions in order of age, and the attempts that wait.

use std::cell::Cell;
use std::rc::Rc;

use super::places::Places;
use super::shared::Told;
use crate::base::timers::Nanos;
use crate::tls::client::{ClientTls, ClientTlsOptions};
use crate::upstream::config::{BackendConfig, Scheme};
use crate::upstream::h2::ASSUMED_STREAMS;
use crate::upstream::session::Session;
use crate::upstream::sink::SessionRef;

/// How long a pool has been full, so that whoever waits knows what it waited for.
#[derive(Clone, Copy, Debug, Default)]
pub struct FullTime {
    /// Whether it is full now: every session that there may be is open, so that only the end of an exchange makes room.
    pub is_full: bool,
    /// How long it has been so, in all.
    pub total: Nanos,
}

/// Counts that time.
#[derive(Default)]
pub struct FullClock {
    total: Nanos,
    since: Option<Nanos>,
}

impl FullClock {
    /// Notes how it is now.
    pub fn note(&mut self, is_full: bool, now: Nanos) {
        match (is_full, self.since) {
            (true, None) => self.since = Some(now),
            (false, Some(since)) => {
                self.total += now.saturating_sub(since);
                self.since = None;
            }
            _ => {}
        }
    }

    /// The time until now.
    pub fn read(&self, now: Nanos) -> FullTime {
        FullTime { is_full: self.since.is_some(), total: self.total + self.since.map_or(0, |since| now.saturating_sub(since)) }
    }
}

/// A session as its backend has counted it.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// It goes on taking streams.
    pub is_lasting: bool,
    /// It does, and is on its way.
    pub is_connecting: bool,
}

impl Counted {
    /// As a session is now.
    pub fn of(session: &Session) -> Counted {
        let is_lasting = session.is_lasting();
        Counted { is_lasting, is_connecting: is_lasting && session.is_connecting() }
    }
}

/// The books.
pub struct Backend {
    /// As the last snapshot describes it.
    pub config: Rc<BackendConfig>,
    /// Trust; none for plain TCP, and when the bundle cannot be used.
    pub tls: Option<ClientTls>,
    /// Sessions, oldest first: the first with room takes the next stream, so that younger ones can become idle and end.
    pub sessions: Vec<SessionRef>,
    /// Who holds its places, and the attempts that wait for one.
    pub places: Places,
    /// Sessions that go on taking streams, as of when each was last seen to.
    pub lasting: u32,
    /// Those of them that are on their way.
    pub connecting: u32,
    /// Sessions that are one client's alone.
    pub bound: u32,
    /// How long all of those that there may be were open.
    pub full: FullClock,
    /// What other shards know of it.
    pub told: Told,
    /// Streams that its latest session could have open: what the next session counts on until it has heard.
    pub told_streams: Rc<Cell<u32>>,
    /// No snapshot names it any more: it ends with its last exchange.
    pub is_retired: bool,
    /// After a failed connect, while other sessions serve.
    pub connect_not_before: Nanos,
    /// The next sick session is replaced after this.
    pub renew_not_before: Nanos,
    /// Why a session last ended against our will, and what more is known of that, for the admin
    /// API; empty when none has.
    pub last_fault: (&'static str, &'static str),
}

impl Backend {
    /// A backend without sessions.
    pub fn new(config: BackendConfig) -> Backend {
        Backend {
            tls: make_tls(&config),
            config: Rc::new(config),
            sessions: Vec::new(),
            places: Places::default(),
            lasting: 0,
            connecting: 0,
            bound: 0,
            full: FullClock::default(),
            told: Told::default(),
            told_streams: Rc::new(Cell::new(ASSUMED_STREAMS)),
            is_retired: false,
            connect_not_before: 0,
            renew_not_before: 0,
            last_fault: ("", ""),
        }
    }

    /// Takes a session into the counts as it is now, in place of what it was.
    pub fn count(&mut self, before: Counted, after: Counted) {
        self.lasting = self.lasting + u32::from(after.is_lasting) - u32::from(before.is_lasting);
        self.connecting = self.connecting + u32::from(after.is_connecting) - u32::from(before.is_connecting);
    }

    /// Sessions it may have: of this shard, or of all, see [`super::shared`].
    pub fn limit(&self) -> u32 {
        self.config.limits.max_sessions.max(1)
    }

    /// Whether TLS is asked for and cannot be had.
    pub fn is_without_trust(&self) -> bool {
        self.config.scheme == Scheme::Https && self.tls.is_none()
    }
}

fn make_tls(config: &BackendConfig) -> Option<ClientTls> {
    if config.scheme != Scheme::Https {
        return None;
    }
    let tls = &config.tls;
    let options = ClientTlsOptions {
        server_name: &tls.server_name,
        host: config.host(),
        is_verified: tls.is_verified,
        ca_pem: &tls.ca_pem,
        credentials: &tls.credentials,
        versions: tls.versions,
        pins: &tls.pins,
    };
    ClientTls::new(options).ok()
}
