//! One backend of the pool: its configuration, its sessions in order of age, and the attempts that
//! wait for it.

use std::cell::Cell;
use std::rc::Rc;

use super::queue::FairQueue;
use super::share::Share;
use crate::base::table::BackendTable;
use crate::base::timers::Nanos;
use crate::tls::client::{ClientTls, ClientTlsOptions};
use crate::upstream::config::{BackendConfig, Scheme};
use crate::upstream::h2::ASSUMED_STREAMS;
use crate::upstream::session::Session;
use crate::upstream::sink::SessionRef;

/// How long a backend has been full, so that an attempt that waits knows what it waited for.
#[derive(Clone, Copy, Debug, Default)]
pub struct FullTime {
    /// It is full now: every session it may have is open, so only the end of an exchange makes
    /// room.
    pub is_full: bool,
    /// How long it has been full, in all.
    pub total: Nanos,
}

/// Measures that time.
#[derive(Default)]
pub struct FullClock {
    total: Nanos,
    since: Option<Nanos>,
}

impl FullClock {
    /// Whether the backend is full from now on.
    pub fn set(&mut self, is_full: bool, now: Nanos) {
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

/// What a session counts as.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// It goes on taking streams.
    pub is_lasting: bool,
    /// The same, and it is not usable yet.
    pub is_connecting: bool,
}

impl Counted {
    /// As the session is now.
    pub fn of(session: &Session) -> Counted {
        let is_lasting = session.is_lasting();
        Counted { is_lasting, is_connecting: is_lasting && session.is_connecting() }
    }
}

/// The backend.
pub struct Backend {
    /// As the last snapshot describes it.
    pub config: Rc<BackendConfig>,
    /// Trust; none for plain TCP, and when the CA bundle cannot be used.
    pub tls: Option<ClientTls>,
    /// Sessions, oldest first: the first with room takes the next stream, so that younger ones can
    /// become idle and end.
    pub sessions: Vec<SessionRef>,
    /// Permits for its streams, and the attempts that wait for one.
    pub queue: FairQueue,
    /// Sessions that go on taking streams, as last counted.
    pub lasting: u32,
    /// Those of them that are not usable yet.
    pub connecting: u32,
    /// Sessions bound to one client.
    pub bound: u32,
    /// How long all sessions it may have were open.
    pub full: FullClock,
    /// Where the limit is one for all shards: this shard's share in it.
    pub share: Option<Share>,
    /// Streams that its latest session could have open: what the next assumes before SETTINGS.
    pub last_max_streams: Rc<Cell<u32>>,
    /// No snapshot names it any more: it goes with its last exchange.
    pub is_retired: bool,
    /// After a failed connect, while other sessions serve.
    pub connect_not_before: Nanos,
    /// The next failing session is replaced after this.
    pub renew_not_before: Nanos,
    /// What last ended a session other than in order, and a detail; for the admin API.
    pub last_fault: (&'static str, &'static str),
}

impl Backend {
    /// A backend without sessions.
    pub fn new(config: BackendConfig, table: BackendTable) -> Backend {
        let limit = config.limits.max_sessions.max(1);
        Backend {
            tls: make_tls(&config),
            sessions: Vec::new(),
            queue: FairQueue::default(),
            lasting: 0,
            connecting: 0,
            bound: 0,
            full: FullClock::default(),
            share: (config.scheme == Scheme::Http).then(|| Share::new(table, config.slot, limit)),
            last_max_streams: Rc::new(Cell::new(ASSUMED_STREAMS)),
            is_retired: false,
            connect_not_before: 0,
            renew_not_before: 0,
            last_fault: ("", ""),
            config: Rc::new(config),
        }
    }

    /// Takes the limits and addresses of a new snapshot. The peer is the same.
    pub fn adopt(&mut self, config: BackendConfig) {
        self.config = Rc::new(config);
        self.connect_not_before = 0;
        let limit = self.limit();
        if let Some(share) = &mut self.share {
            share.limit = limit;
        }
    }

    /// Recounts a session.
    pub fn recount(&mut self, before: Counted, after: Counted) {
        self.lasting = self.lasting + u32::from(after.is_lasting) - u32::from(before.is_lasting);
        self.connecting = self.connecting + u32::from(after.is_connecting) - u32::from(before.is_connecting);
    }

    /// Sessions it may have: of this shard, or of all where there is a share.
    pub fn limit(&self) -> u32 {
        self.config.limits.max_sessions.max(1)
    }

    /// Sessions it has.
    pub fn connections(&self) -> u32 {
        self.sessions.len() as u32
    }

    /// Whether another session may be opened while `lasting` go on.
    pub fn may_connect(&self, lasting: u32, now: Nanos) -> bool {
        match &self.share {
            Some(share) => share.may_connect(self.connections(), now),
            None => lasting < self.limit(),
        }
    }

    /// Sessions that this shard may have whatever others want.
    pub fn part(&self) -> u32 {
        self.share.as_ref().map_or_else(|| self.limit(), Share::part)
    }

    /// Sessions that this shard should close, as soon as they are idle, for other shards.
    pub fn owed(&self) -> u32 {
        self.share.as_ref().map_or(0, |share| share.owed(self.connections()))
    }

    /// Tells other shards how things are here.
    pub fn publish(&mut self) {
        let own = self.connections();
        if let Some(share) = &mut self.share {
            // An attempt that a session is on its way to lacks nothing.
            let waiting = (self.queue.len() as u32).saturating_sub(self.connecting);
            share.publish(waiting, own, own > 0 || !self.queue.is_empty());
        }
    }

    /// Whether TLS is asked for and cannot be had.
    pub fn is_without_trust(&self) -> bool {
        self.config.scheme == Scheme::Https && self.tls.is_none()
    }
}

/// What this shard had is free for others.
impl Drop for Backend {
    fn drop(&mut self) {
        if let Some(share) = &mut self.share {
            self.sessions.iter().for_each(|_| share.give());
            share.publish(0, 0, false);
        }
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
