//! One listening address as a shard sees it: its socket, its TLS and transport settings, what is ready to be sent.

use crate::base::budget::{SMALL_SHARED_WINDOW, SMALL_WINDOW};
use crate::base::counters::Counters;
use crate::base::slab::Key;
use crate::base::timers::Nanos;
use crate::http::normal;
use crate::http::section::FieldLimits;
use crate::quic::clients::ClientLimit;
use crate::quic::connection::Connection;
use crate::quic::count::ConnectionCount;
use crate::quic::send::{SendStats, Sender};
use crate::quic::socket;
use crate::relay::{Floor, ListenerLimits};
use crate::tls::server;
use crate::tls::store::CertificateStore;
use boring::ssl::{SslContextBuilder, SslMethod};
use std::io;
use std::net::SocketAddr;
use std::ops::{Index, IndexMut};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// What all shards count of a place together. It is held by every socket of the place, beside
/// whoever asks.
#[derive(Debug, Default)]
pub struct PlaceCount {
    connections: AtomicUsize,
}

impl PlaceCount {
    /// Connections that send by its sockets.
    pub fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }
}

/// A socket of a place.
pub struct ListenerSocket {
    fd: OwnedFd,
    count: Arc<PlaceCount>,
}

impl ListenerSocket {
    /// A bound socket.
    pub fn new(fd: OwnedFd, count: &Arc<PlaceCount>) -> ListenerSocket {
        ListenerSocket { fd, count: count.clone() }
    }

    /// Its descriptor.
    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// A shard's part of a listener.
pub struct ListenerOptions {
    /// Number of its socket in all shards: a listener has another one for every address that it
    /// gets.
    pub place: u32,
    /// Number of the listener, which records tell.
    pub number: u32,
    /// Nobody new is let in, and who is connected is told to go.
    pub is_retiring: bool,
    /// Bound socket, owned from now on. None where the reactor has it.
    pub socket: Option<ListenerSocket>,
    /// Its certificates, which all shards share.
    pub certificates: Arc<CertificateStore>,
    /// Connections that are open, in all shards.
    pub connections: ConnectionCount,
    /// How many of them a client may have; none for as many as there are.
    pub client_limit: Option<ClientLimit>,
    /// The rest.
    pub settings: ListenerSettings,
}

/// What a listener does; sizes in bytes, times in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerSettings {
    /// Key exchange in order of preference, names with colons between them.
    pub groups: String,
    /// `cubic` or `bbr`.
    pub congestion: String,
    /// Connection is closed after so long without a packet.
    pub idle_timeout_ms: u64,
    /// So often a client with an open request is asked whether it is still there; 0 for never.
    pub keep_alive_ms: u64,
    /// Handshake and request heads must be complete in this time.
    pub handshake_timeout_ms: u64,
    /// Connections at once, in all shards.
    pub max_connections: usize,
    /// Request streams open at once, a connection.
    pub max_streams: u64,
    /// Body bytes of a request that wait for a backend, a stream.
    pub stream_window: u64,
    /// The same for all streams of a connection.
    pub connection_window: u64,
    /// Largest datagram sent, where the path carries it: what it carries is found out.
    pub max_udp_payload: usize,
    /// Segmentation offload, if the kernel has it.
    pub is_gso_allowed: bool,
    /// Receive offload, if the kernel has it.
    pub is_gro_allowed: bool,
    /// What the kernel keeps of packets that nobody has taken yet, and of those on their way out,
    /// where it grants as much.
    pub buffers: (usize, usize),
    /// Pacing, where the congestion controller gives release times.
    pub is_paced: bool,
    /// Size of field sections.
    pub max_head_bytes: usize,
    /// Number of fields.
    pub max_fields: usize,
    /// Bytes a second that a client has to take and send while it owes some; 0 for no such limit.
    pub min_rate: u64,
    /// Time over which that is measured.
    pub min_rate_period_ms: u64,
    /// Cookie fields of a request head, which count as one of its fields.
    pub max_cookie_crumbs: usize,
    /// How heads are made canonical before anybody sees them; none where they pass as they came.
    pub normal: Option<normal::Rules>,
}

impl ListenerSettings {
    /// What is wrong with them.
    pub fn check(&self) -> Result<(), String> {
        let mut context = SslContextBuilder::new(SslMethod::tls()).map_err(|stack| stack.to_string())?;
        context.set_curves_list(&self.groups).map_err(|stack| stack.to_string())?;
        configure(self, context).map(drop).map_err(|error| error.to_string())
    }

    /// Limits that the relay obeys.
    pub(super) fn limits(&self) -> ListenerLimits {
        ListenerLimits {
            fields: FieldLimits { max_size: self.max_head_bytes, max_count: self.max_fields, max_crumbs: self.max_cookie_crumbs },
            normal: self.normal,
            decode_timeout: self.handshake_timeout_ms * 1_000_000,
            floor: Floor::new(self.min_rate, self.min_rate_period_ms),
        }
    }

    /// Whether connections are made alike by `other`.
    fn is_config_of(&self, other: &ListenerSettings) -> bool {
        let of = |settings: &ListenerSettings| {
            let ListenerSettings { congestion, idle_timeout_ms, max_streams, stream_window, connection_window, .. } = settings;
            let transport = (congestion.clone(), *idle_timeout_ms, *max_streams, *stream_window, *connection_window);
            (settings.groups.clone(), transport, settings.max_udp_payload, settings.is_paced)
        };
        of(self) == of(other)
    }
}

/// A listener at work: a socket, and what becomes of who comes to it.
pub struct Listener {
    socket: ListenerSocket,
    /// Number of the listener it is a socket of.
    pub number: u32,
    /// Address it is bound to.
    pub local: SocketAddr,
    /// Its certificates, and what clients must prove.
    pub certificates: Arc<CertificateStore>,
    /// Version of the latter that its connections were held against.
    pub clients_version: u64,
    /// Settings for new connections.
    pub config: quiche::Config,
    /// Packets on their way out.
    pub sender: Sender,
    /// Whether the kernel took no more at the last flush.
    pub is_blocked: bool,
    /// Connections that wait for its room.
    pub held_up: Vec<Key>,
    /// Datagrams that its socket is known to have dropped because its receive buffer was full, modulo 2^32.
    pub overflows: u32,
    /// Connections of this listener that are open, in all shards.
    pub connections: ConnectionCount,
    /// Limit of those of one client.
    pub client_limit: Option<ClientLimit>,
    /// Connections of this shard that send by its socket.
    own: usize,
    /// Nobody new is let in.
    pub is_retiring: bool,
    /// The socket is closed after the last connection.
    pub is_closing: bool,
    /// What it does.
    pub settings: ListenerSettings,
    /// How long tickets live for new connections.
    ticket_lifetime: Option<Duration>,
    /// Whether new connections keep their first windows, which are small.
    is_tight: bool,
}

/// What a listener is set up or changed with once nothing can fail any more.
pub struct Prepared {
    local: SocketAddr,
    /// None where the present one stays.
    config: Option<quiche::Config>,
}

/// Connection IDs of a client that we keep, which is also how many addresses it may use in a connection's life: quiche keeps a path for each.
const PEER_CONNECTION_IDS: u64 = 8;

/// Unidirectional streams of a client: control, two of QPACK, and some that nobody knows (RFC 9114 §6.2.3).
const PEER_STREAMS: u64 = 8;

/// Bytes an unidirectional stream may have waiting.
const PEER_STREAM_WINDOW: u64 = 16 * 1024;

/// Largest datagram we accept: Ethernet and what lies a little above it.
const MAX_RECEIVED_PAYLOAD: usize = 1_500;

impl Listener {
    /// What can fail of setting a listener up, or of changing `present`.
    pub fn prepare(options: &ListenerOptions, present: Option<&Listener>, counters: &Arc<Counters>) -> io::Result<Prepared> {
        let local = match (present, &options.socket) {
            (Some(present), _) => present.local,
            (None, Some(socket)) => socket::local_address(socket.fd.as_raw_fd())?,
            (None, None) => return Err(io::Error::other(format!("there is no socket for place {}", options.place))),
        };
        let is_same = present.is_some_and(|present| {
            Arc::ptr_eq(&present.certificates, &options.certificates)
                && present.ticket_lifetime == options.certificates.ticket_lifetime()
                && present.settings.is_config_of(&options.settings)
        });
        if is_same {
            return Ok(Prepared { local, config: None });
        }
        let context =
            server::context(options.certificates.clone(), &options.settings.groups, counters.clone()).map_err(io::Error::other)?;
        Ok(Prepared { local, config: Some(configure(&options.settings, context).map_err(io::Error::other)?) })
    }

    /// Sets a listener up; none without what only a new one needs.
    pub fn new(options: ListenerOptions, prepared: Prepared) -> Option<Listener> {
        let (Some(socket), Some(config)) = (options.socket, prepared.config) else { return None };
        let ListenerOptions { number, is_retiring, certificates, connections, client_limit, settings, .. } = options;
        if settings.is_gro_allowed {
            socket::set_gro(&socket.fd, true);
        }
        let is_gso = settings.is_gso_allowed && socket::probe_gso(&socket.fd);
        Some(Listener {
            number,
            local: prepared.local,
            clients_version: certificates.clients_version(),
            config,
            sender: Sender::new(socket.fd.as_raw_fd(), is_gso, prepared.local.ip().is_unspecified()),
            socket,
            is_blocked: false,
            held_up: Vec::new(),
            overflows: 0,
            connections,
            client_limit,
            own: 0,
            is_retiring,
            is_closing: false,
            settings,
            ticket_lifetime: certificates.ticket_lifetime(),
            certificates,
            is_tight: false,
        })
    }

    /// Obeys other options. Connections that are open keep what was agreed with their clients.
    pub fn change(&mut self, options: ListenerOptions, prepared: Prepared) {
        let ListenerOptions { number, is_retiring, certificates, connections, client_limit, settings, .. } = options;
        if settings.is_gro_allowed != self.settings.is_gro_allowed {
            socket::set_gro(&self.socket.fd, settings.is_gro_allowed);
        }
        if settings.is_gso_allowed != self.settings.is_gso_allowed {
            self.sender.set_gso(settings.is_gso_allowed && socket::probe_gso(&self.socket.fd));
        }
        if settings.buffers != self.settings.buffers {
            socket::size_buffers(&self.socket.fd, settings.buffers);
        }
        if let Some(config) = prepared.config {
            (self.config, self.is_tight) = (config, false);
            self.ticket_lifetime = certificates.ticket_lifetime();
        }
        (self.is_retiring, self.is_closing) = (is_retiring, false);
        (self.number, self.certificates, self.connections) = (number, certificates, connections);
        (self.client_limit, self.settings) = (client_limit, settings);
    }

    /// Forgets what was under way; socket and settings stay.
    pub fn start_over(&mut self) {
        self.sender = self.sender.renewed();
        self.is_blocked = false;
        self.held_up.clear();
        self.socket.count.connections.fetch_sub(self.own, Relaxed);
        self.own = 0;
    }

    /// A connection sends by its socket from now on.
    pub fn enter(&mut self) {
        self.own += 1;
        self.socket.count.connections.fetch_add(1, Relaxed);
    }

    /// One does no more.
    pub fn leave(&mut self) {
        self.own -= 1;
        self.socket.count.connections.fetch_sub(1, Relaxed);
    }

    /// Whether its socket is to be closed, and no connection is left that sends by it.
    pub fn is_done(&self) -> bool {
        self.is_closing && self.own == 0
    }

    /// How often clients with open requests are asked whether they are still there; 0 for never.
    pub fn keep_alive(&self) -> Nanos {
        // Half, so that a PING which is lost is sent again in time.
        self.settings.keep_alive_ms.min(self.settings.idle_timeout_ms / 2) * 1_000_000
    }

    /// Handshakes that take longer are given up.
    pub fn handshake_timeout(&self) -> Nanos {
        self.settings.handshake_timeout_ms * 1_000_000
    }

    /// A connection waits until the socket has room. It waits for no time meanwhile: one that has come already would come again at once.
    pub fn hold_up(&mut self, key: Key, connection: &mut Connection) {
        (connection.release_at, connection.acknowledge_at) = (0, 0);
        if !connection.is_held_up {
            connection.is_held_up = true;
            self.held_up.push(key);
        }
    }

    /// Whether new connections keep the small windows their streams begin with. Otherwise those grow while what comes is taken quickly (quiche does that).
    pub fn set_tight(&mut self, is_tight: bool) {
        if is_tight != self.is_tight {
            self.is_tight = is_tight;
            set_windows(&mut self.config, (self.settings.stream_window, self.settings.connection_window), is_tight);
        }
    }

    /// Whether a connection that obeys this generation of what clients must prove, zero for none,
    /// came too late to be held against the present one with the others.
    pub fn is_late(&self, generation: u64) -> bool {
        let version = self.certificates.clients_version();
        let is_asking = version & 1 == 1;
        if generation == 0 { is_asking } else { generation != version >> 1 }
    }

    /// Its descriptor.
    pub fn fd(&self) -> RawFd {
        self.socket.fd.as_raw_fd()
    }
}

fn configure(options: &ListenerSettings, context: SslContextBuilder) -> quiche::Result<quiche::Config> {
    let mut config = quiche::Config::with_boring_ssl_ctx_builder(quiche::PROTOCOL_VERSION, context)?;
    config.set_application_protos(&[b"h3"])?;
    config.set_max_idle_timeout(options.idle_timeout_ms);
    // quiche probes for no more than it would receive.
    config.set_max_recv_udp_payload_size(MAX_RECEIVED_PAYLOAD.max(options.max_udp_payload));
    config.set_max_send_udp_payload_size(options.max_udp_payload);
    config.discover_pmtu(true);
    set_windows(&mut config, (options.stream_window, options.connection_window), false);
    config.set_initial_max_stream_data_uni(PEER_STREAM_WINDOW);
    config.set_initial_max_streams_bidi(options.max_streams);
    config.set_initial_max_streams_uni(PEER_STREAMS);
    config.set_active_connection_id_limit(PEER_CONNECTION_IDS);
    config.set_disable_active_migration(false);
    config.set_cc_algorithm_name(if options.congestion == "bbr" { "bbr2_gcongestion" } else { "cubic" })?;
    config.enable_pacing(options.is_paced);
    config.grease(true);
    Ok(config)
}

fn set_windows(config: &mut quiche::Config, (stream, connection): (u64, u64), is_tight: bool) {
    let first = stream.min(SMALL_WINDOW as u64);
    let (stream, connection) = if is_tight { (first, connection.min(SMALL_SHARED_WINDOW as u64)) } else { (stream, connection) };
    config.set_initial_max_stream_data_bidi_remote(first);
    config.set_max_stream_window(stream);
    config.set_initial_max_data(connection);
    config.set_max_connection_window(connection);
}

/// The listeners of a shard, by place. One is taken out only when no connection has its place any
/// more, so whoever has a place of a connection finds it.
#[derive(Default)]
pub struct Listeners {
    places: Vec<Option<Box<Listener>>>,
    /// What was sent by sockets that are closed.
    closed: SendStats,
}

impl Listeners {
    /// Whether there is one.
    pub fn has(&self, place: usize) -> bool {
        self.places.get(place).is_some_and(Option::is_some)
    }

    /// The listener in a place that may have none.
    pub fn get(&self, place: usize) -> Option<&Listener> {
        self.places.get(place)?.as_deref()
    }

    /// Puts one in a place that has none.
    pub fn insert(&mut self, place: usize, listener: Listener) {
        if self.places.len() <= place {
            self.places.resize_with(place + 1, || None);
        }
        self.places[place] = Some(Box::new(listener));
    }

    /// Who takes new connections that come by a socket: the kernel gives packets to the socket of
    /// an address, also to one that retires, before it gives them to the one of a wildcard, which
    /// may have followed on it.
    pub fn receiver(&self, place: usize) -> usize {
        let Some(retiring) = self.get(place).filter(|listener| listener.is_retiring) else { return place };
        let follows = |listener: &Listener| {
            let (own, left) = (listener.local, retiring.local);
            !listener.is_retiring && own.ip().is_unspecified() && own.port() == left.port() && own.is_ipv4() == left.is_ipv4()
        };
        (0..self.places.len()).find(|next| self.get(*next).is_some_and(follows)).unwrap_or(place)
    }

    /// Takes one out, whose socket is closed by that.
    pub fn close(&mut self, place: usize) {
        if let Some(listener) = self.places.get_mut(place).and_then(Option::take) {
            self.closed += listener.sender.stats;
        }
    }

    /// Places that have one.
    pub fn places(&self) -> impl Iterator<Item = usize> + use<> {
        let places: Vec<usize> = (0..self.places.len()).filter(|place| self.has(*place)).collect();
        places.into_iter()
    }

    /// One more than the last place.
    pub fn room(&self) -> usize {
        self.places.len()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Listener> {
        self.places.iter().flatten().map(Box::as_ref)
    }

    /// What was sent by all, also those that are gone.
    pub fn sent(&self) -> SendStats {
        let mut sum = self.closed;
        for listener in self.iter() {
            sum += listener.sender.stats;
        }
        sum
    }
}

impl Index<usize> for Listeners {
    type Output = Listener;

    fn index(&self, place: usize) -> &Listener {
        self.places[place].as_deref().expect("a connection's listener")
    }
}

impl IndexMut<usize> for Listeners {
    fn index_mut(&mut self, place: usize) -> &mut Listener {
        self.places[place].as_deref_mut().expect("a connection's listener")
    }
}
