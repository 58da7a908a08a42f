//! One listening address as a shard sees it: its socket, its TLS and transport settings, what is ready to be sent.

use crate::base::budget::{SMALL_SHARED_WINDOW, SMALL_WINDOW};
use crate::base::counters::Counters;
use crate::base::slab::Key;
use crate::http::normal;
use crate::quic::clients::ClientLimit;
use crate::quic::connection::Connection;
use crate::quic::count::ConnectionCount;
use crate::quic::send::Sender;
use crate::quic::socket;
use crate::tls::server;
use crate::tls::store::CertificateStore;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// A shard's part of a listener; sizes in bytes, times in milliseconds.
pub struct ListenerOptions {
    /// Bound socket, owned from now on.
    pub socket: OwnedFd,
    /// Its certificates, which all shards share.
    pub certificates: Arc<CertificateStore>,
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
    /// Those that are open, in all shards.
    pub connections: ConnectionCount,
    /// How many of them a client may have; none for as many as there are.
    pub client_limit: Option<ClientLimit>,
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

/// A listener at work.
pub struct Listener {
    socket: OwnedFd,
    /// Address it is bound to.
    pub local: SocketAddr,
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
    /// Limit of them.
    pub max_connections: usize,
    /// Limit of those of one client.
    pub client_limit: Option<ClientLimit>,
    /// Size of a full datagram.
    pub max_udp_payload: usize,
    /// Request bytes that may wait on a stream, and on all streams of a connection.
    windows: (u64, u64),
    /// Whether new connections keep their first windows, which are small.
    is_tight: bool,
    /// Whether packets wait for their release time.
    pub is_paced: bool,
    /// Told in SETTINGS.
    pub max_head_bytes: usize,
    /// Clients with open requests are asked so often whether they are still there; 0 for never.
    pub keep_alive_ms: u64,
    /// Handshakes that take longer are given up.
    pub handshake_timeout_ms: u64,
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
    /// Sets a listener up.
    pub fn new(options: ListenerOptions, counters: &Arc<Counters>) -> io::Result<Listener> {
        let local = socket::local_address(options.socket.as_raw_fd())?;
        let context = server::context(options.certificates.clone(), &options.groups, counters.clone()).map_err(io::Error::other)?;
        let config = configure(&options, context).map_err(io::Error::other)?;
        if options.is_gro_allowed {
            socket::enable_gro(&options.socket);
        }
        let is_gso = options.is_gso_allowed && socket::probe_gso(&options.socket);
        let sender = Sender::new(options.socket.as_raw_fd(), is_gso, local.ip().is_unspecified());
        Ok(Listener {
            socket: options.socket,
            local,
            config,
            sender,
            is_blocked: false,
            held_up: Vec::new(),
            overflows: 0,
            connections: options.connections,
            max_connections: options.max_connections,
            client_limit: options.client_limit,
            max_udp_payload: options.max_udp_payload,
            windows: (options.stream_window, options.connection_window),
            is_tight: false,
            is_paced: options.is_paced,
            max_head_bytes: options.max_head_bytes,
            // Half, so that a PING which is lost is sent again in time.
            keep_alive_ms: options.keep_alive_ms.min(options.idle_timeout_ms / 2),
            handshake_timeout_ms: options.handshake_timeout_ms,
        })
    }

    /// Forgets what was under way; socket and settings stay.
    pub fn start_over(&mut self) {
        self.sender = self.sender.renewed();
        self.is_blocked = false;
        self.held_up.clear();
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
            set_windows(&mut self.config, self.windows, is_tight);
        }
    }

    /// Its descriptor.
    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

fn configure(options: &ListenerOptions, context: boring::ssl::SslContextBuilder) -> quiche::Result<quiche::Config> {
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
