//! Settings of a listener. Sizes are in bytes, times in milliseconds.

use crate::base::budget::{SMALL_SHARED_WINDOW, SMALL_WINDOW};
use crate::base::settings::settings;
use crate::http::normal;
use crate::http::section::FieldLimits;
use crate::relay::{Floor, ListenerLimits};
use boring::ssl::{SslContextBuilder, SslMethod};

/// Connection IDs kept for a client. This also bounds the addresses that it may use during a
/// connection, because quiche keeps a path for each.
const PEER_CONNECTION_IDS: u64 = 8;

/// Unidirectional streams of a client: control, two for QPACK, and a few of unknown type (RFC 9114
/// §6.2.3).
const PEER_STREAMS: u64 = 8;

/// Bytes that may wait on a unidirectional stream.
const PEER_STREAM_WINDOW: u64 = 16 * 1024;

/// Largest datagram accepted: slightly more than an Ethernet frame carries.
const MAX_RECEIVED_PAYLOAD: usize = 1_500;

settings! {
    /// How what is sent to clients is controlled.
    enum Congestion {
        /// Halves its rate at a loss.
        #[default]
        Cubic = "cubic",
        /// Version 2.
        Bbr = "bbr",
    }
}

settings! {
    /// The transport of a connection, and the sockets.
    struct Quic {
        /// Time without a packet after which a connection is closed.
        idle_timeout_ms: u64 = "idle_timeout",
        /// Interval at which a client with an open request is sent a PING; 0 for never.
        keep_alive_ms: u64 = "keep_alive",
        /// Time limit of handshakes and of request heads.
        handshake_timeout_ms: u64 = "handshake_timeout",
        /// How what is sent is controlled.
        congestion: Congestion = "congestion",
        /// Request streams open at once, a connection.
        max_streams: u64 = "max_streams",
        /// Body bytes of a request that wait for a backend, a stream.
        stream_window: u64 = "stream_window",
        /// The same for all streams of a connection.
        connection_window: u64 = "connection_window",
        /// Largest datagram sent, if path MTU discovery finds that the path carries it.
        max_udp_payload: usize = "max_udp_payload",
        /// Segmentation offload, if the kernel has it.
        is_gso_allowed: bool = "gso",
        /// Receive offload, if the kernel has it.
        is_gro_allowed: bool = "gro",
        /// Pacing, where the congestion controller gives release times.
        is_paced: bool = "pacing",
        /// Socket receive buffer, as far as the kernel grants it.
        receive_buffer: usize = "receive_buffer",
        /// Socket send buffer, likewise.
        send_buffer: usize = "send_buffer",
    }
}

impl Quic {
    /// What new connections are made with.
    pub(super) fn config(&self, context: SslContextBuilder) -> quiche::Result<quiche::Config> {
        let mut config = quiche::Config::with_boring_ssl_ctx_builder(quiche::PROTOCOL_VERSION, context)?;
        config.set_application_protos(&[b"h3"])?;
        config.set_max_idle_timeout(self.idle_timeout_ms);
        // quiche probes no larger datagrams than it would receive.
        config.set_max_recv_udp_payload_size(MAX_RECEIVED_PAYLOAD.max(self.max_udp_payload));
        config.set_max_send_udp_payload_size(self.max_udp_payload);
        config.discover_pmtu(true);
        self.set_windows(&mut config, false);
        config.set_initial_max_stream_data_uni(PEER_STREAM_WINDOW);
        config.set_initial_max_streams_bidi(self.max_streams);
        config.set_initial_max_streams_uni(PEER_STREAMS);
        config.set_active_connection_id_limit(PEER_CONNECTION_IDS);
        config.set_disable_active_migration(false);
        config.set_cc_algorithm_name(if self.congestion == Congestion::Bbr { "bbr2_gcongestion" } else { "cubic" })?;
        config.enable_pacing(self.is_paced);
        config.grease(true);
        Ok(config)
    }

    /// Sets the windows of new connections. If memory is tight they keep their small initial size.
    pub(super) fn set_windows(&self, config: &mut quiche::Config, is_tight: bool) {
        let (stream, connection) = (self.stream_window, self.connection_window);
        let first = stream.min(SMALL_WINDOW as u64);
        let (stream, connection) = if is_tight { (first, connection.min(SMALL_SHARED_WINDOW as u64)) } else { (stream, connection) };
        config.set_initial_max_stream_data_bidi_remote(first);
        config.set_max_stream_window(stream);
        config.set_initial_max_data(connection);
        config.set_max_connection_window(connection);
    }
}

settings! {
    /// HTTP of an exchange.
    struct Http {
        /// Size of field sections.
        max_head_bytes: usize = "max_head",
        /// Number of fields.
        max_fields: usize = "max_fields",
        /// Cookie fields of a request head, which count as one of its fields.
        max_cookie_crumbs: usize = "max_cookie_crumbs",
        /// Minimum rate of a client that owes something, in bytes a second; 0 for no minimum.
        min_rate: u64 = "min_rate",
        /// Time over which that is measured.
        min_rate_period_ms: u64 = "min_rate_period",
    }
}

settings! {
    /// What becomes of `%2F` and `%5C` in a path.
    enum EscapedSlashes {
        /// They stay as they are.
        #[default]
        Keep = "keep",
        /// The request gets 400.
        Reject = "reject",
    }
}

settings! {
    /// How heads are made canonical before anybody sees them.
    struct Normalise {
        /// Whether they are.
        is_on: bool = "enabled",
        /// `//` in a path becomes `/`.
        are_slashes_merged: bool = "merge_slashes",
        /// What becomes of escaped ones.
        escaped_slashes: EscapedSlashes = "escaped_slashes",
    }
}

impl Normalise {
    /// Rules for canonical heads; none to pass heads unchanged.
    pub fn rules(&self) -> Option<normal::Rules> {
        let are_escaped_slashes_kept = self.escaped_slashes == EscapedSlashes::Keep;
        self.is_on.then_some(normal::Rules { are_slashes_merged: self.are_slashes_merged, are_escaped_slashes_kept })
    }
}

/// What a listener does.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerSettings {
    /// Key exchange in order of preference, names with colons between them.
    pub groups: String,
    /// Connections at once, in all shards.
    pub max_connections: usize,
    /// Transport and sockets.
    pub quic: Quic,
    /// Exchanges.
    pub http: Http,
    /// Heads.
    pub normalise: Normalise,
}

impl ListenerSettings {
    /// Checks the settings. The error says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        let mut context = SslContextBuilder::new(SslMethod::tls()).map_err(|stack| stack.to_string())?;
        context.set_curves_list(&self.groups).map_err(|stack| stack.to_string())?;
        self.quic.config(context).map(drop).map_err(|error| error.to_string())
    }

    /// Limits that the relay enforces.
    pub fn limits(&self) -> ListenerLimits {
        let Http { max_head_bytes, max_fields, max_cookie_crumbs, min_rate, min_rate_period_ms } = self.http;
        ListenerLimits {
            fields: FieldLimits { max_size: max_head_bytes, max_count: max_fields, max_crumbs: max_cookie_crumbs },
            normal: self.normalise.rules(),
            decode_timeout: self.quic.handshake_timeout_ms * 1_000_000,
            floor: Floor::new(min_rate, min_rate_period_ms),
        }
    }

    /// Whether `other` configures connections in the same way.
    pub(super) fn is_config_of(&self, other: &ListenerSettings) -> bool {
        // The reactor enforces these itself, so they make no difference.
        let of_config = |quic: &Quic| Quic {
            keep_alive_ms: 0,
            handshake_timeout_ms: 0,
            is_gso_allowed: false,
            is_gro_allowed: false,
            receive_buffer: 0,
            send_buffer: 0,
            ..quic.clone()
        };
        self.groups == other.groups && of_config(&self.quic) == of_config(&other.quic)
    }
}
