//! One backend in the pool's books: its configuration, its sessions in order of age, and the attempts that wait.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::base::timers::Nanos;
use crate::tls::client::{ClientTls, ClientTlsOptions};
use crate::upstream::config::{BackendConfig, Scheme};
use crate::upstream::h2::ASSUMED_STREAMS;
use crate::upstream::sink::{Key, SessionRef};

/// The books.
pub struct Backend {
    /// As the last snapshot describes it.
    pub config: Rc<BackendConfig>,
    /// Trust; none for plain TCP, and when the bundle cannot be used.
    pub tls: Option<ClientTls>,
    /// Sessions, oldest first: the first with room takes the next stream, so that younger ones can become idle and end.
    pub sessions: Vec<SessionRef>,
    /// Attempts that wait for a session or a stream, first come first served.
    pub waiting: VecDeque<Key>,
    /// Streams that its latest session could have open: what the next session counts on until it has heard.
    pub told_streams: Rc<Cell<u32>>,
    /// No snapshot names it any more: it ends with its last exchange.
    pub is_retired: bool,
    /// After a failed connect, while other sessions serve.
    pub connect_not_before: Nanos,
    /// Why a session last ended against our will, for the admin API; empty when none has.
    pub last_fault: &'static str,
}

impl Backend {
    /// A backend without sessions.
    pub fn new(config: BackendConfig) -> Backend {
        Backend {
            tls: make_tls(&config),
            config: Rc::new(config),
            sessions: Vec::new(),
            waiting: VecDeque::new(),
            told_streams: Rc::new(Cell::new(ASSUMED_STREAMS)),
            is_retired: false,
            connect_not_before: 0,
            last_fault: "",
        }
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
    let options =
        ClientTlsOptions { server_name: &config.server_name, host: config.host(), is_verified: config.is_verified, ca_pem: &config.ca_pem };
    ClientTls::new(options).ok()
}
