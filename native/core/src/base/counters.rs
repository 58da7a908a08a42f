//! Counters of a reactor: one writer, any reader, no lock. The main thread copies them at scrape.
//!
//! A family is described once, in [`FAMILIES`]: its name, help, kind and series. The addon hands
//! the descriptions to `src/observe`, so that a counter added here is a metric there.

use super::panics::Owner;
pub use super::series::{
    CertificateRefused, ClientCertificate, Closed, Dropped, Handshake, Refused, Rejected, ServerName, TicketRefused, TrailerDropped,
};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a family is to Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only goes up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by upper bound, then a sum.
    Histogram,
}

/// Describes a family.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Metric name.
    pub name: &'static str,
    /// HELP text.
    pub help: &'static str,
    /// Kind.
    pub kind: Kind,
    /// Label name, empty for none.
    pub label: &'static str,
    /// Label values, one series each; one empty value when there is no label.
    pub values: &'static [&'static str],
    /// Upper bounds in stored units; empty if no histogram.
    pub bounds: &'static [u64],
    /// Stored units times this are base units.
    pub scale: f64,
}

impl Family {
    /// Numbers a series takes.
    pub const fn stride(&self) -> usize {
        match self.kind {
            Kind::Histogram => self.bounds.len() + 2,
            _ => 1,
        }
    }
}

macro_rules! families {
    ($($id:ident = $kind:ident $name:literal, $help:literal, $label:literal $values:expr, $bounds:expr, $scale:expr;)*) => {
        /// Names a family.
        #[allow(missing_docs, reason = "the help text of FAMILIES says what each is")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Id { $($id),* }

        /// All families, in the order of [`Id`].
        pub const FAMILIES: &[Family] = &[$(Family {
            name: $name, help: $help, kind: Kind::$kind, label: $label, values: &$values, bounds: &$bounds, scale: $scale,
        }),*];
    };
}

const NONE: [&str; 1] = [""];
const NO_BOUNDS: [u64; 0] = [];
const TURN_US: [u64; 13] = [10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 20_000, 50_000, 250_000];
const RTT_US: [u64; 12] = [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000];
const BATCH: [u64; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];
const LOSS_PPM: [u64; 9] = [0, 100, 1_000, 5_000, 10_000, 20_000, 50_000, 100_000, 250_000];
const AGE_MS: [u64; 9] = [10, 100, 1_000, 5_000, 15_000, 60_000, 300_000, 1_800_000, 7_200_000];

families! {
    DatagramsReceived = Counter "lychgate_datagrams_received_total", "UDP datagrams received.", "" NONE, NO_BOUNDS, 1.0;
    ReceivedBytes = Counter "lychgate_received_bytes_total", "UDP payload bytes received.", "" NONE, NO_BOUNDS, 1.0;
    ReceiveCalls = Counter "lychgate_receive_calls_total", "recvmmsg system calls.", "" NONE, NO_BOUNDS, 1.0;
    DatagramsSent = Counter "lychgate_datagrams_sent_total", "UDP datagrams sent.", "" NONE, NO_BOUNDS, 1.0;
    SentBytes = Counter "lychgate_sent_bytes_total", "UDP payload bytes sent.", "" NONE, NO_BOUNDS, 1.0;
    SendCalls = Counter "lychgate_send_calls_total", "sendmmsg and sendto system calls.", "" NONE, NO_BOUNDS, 1.0;
    SendErrors = Counter "lychgate_send_errors_total", "Messages the kernel refused to send.", "" NONE, NO_BOUNDS, 1.0;
    GsoFallbacks = Counter "lychgate_gso_fallbacks_total", "Times segmentation offload was given up on a socket.", "" NONE, NO_BOUNDS, 1.0;
    ReceiveOverflows = Counter "lychgate_receive_buffer_overflows_total", "Datagrams the kernel dropped because the receive buffer of a listener's socket was full.", "" NONE, NO_BOUNDS, 1.0;
    SendBufferFull = Counter "lychgate_send_buffer_full_total", "Times the send buffer of a listener's socket was full and connections had to wait for it.", "" NONE, NO_BOUNDS, 1.0;
    Drops = Counter "lychgate_datagrams_dropped_total", "Datagrams dropped, by reason.", "reason"
        Dropped::VALUES, NO_BOUNDS, 1.0;
    HandedOver = Counter "lychgate_datagrams_handed_over_total", "Datagrams that reached the wrong shard, by direction.", "direction"
        ["out", "in"], NO_BOUNDS, 1.0;
    VersionNegotiations = Counter "lychgate_version_negotiations_total", "Version Negotiation packets sent.", "" NONE, NO_BOUNDS, 1.0;
    ConnectionsRefused = Counter "lychgate_connections_refused_total", "Connections refused with CONNECTION_REFUSED, by reason: first datagrams, which beyond `limits.stateless_replies` are dropped for the same reason, and of client_limit also handshakes that are through.", "reason"
        Refused::VALUES, NO_BOUNDS, 1.0;
    Handshakes = Counter "lychgate_handshakes_total", "QUIC handshakes, by outcome.", "outcome"
        Handshake::VALUES, NO_BOUNDS, 1.0;
    ServerNames = Counter "lychgate_server_names_total", "Handshakes by what was found of the server name: a certificate for it (exact, wildcard), no name sent (absent), an IP address, a name that no certificate is for.", "found"
        ServerName::VALUES, NO_BOUNDS, 1.0;
    ServerNamesRefused = Counter "lychgate_server_names_refused_total", "Handshakes refused for their server name (`unknown_name: refuse`), by what was found of it.", "found"
        ServerName::REFUSED, NO_BOUNDS, 1.0;
    TicketsRefused = Counter "lychgate_session_tickets_refused_total", "Session tickets that led to a full handshake, by reason: sealed with a key that is not known or no longer (unknown_key), too old or given for other names or under other rules (rules).", "reason"
        TicketRefused::VALUES, NO_BOUNDS, 1.0;
    ClientCertificates = Counter "lychgate_client_certificates_total", "Handshakes that asked the client for a certificate, by result: it was verified, or taken unverified (`mode: any`), the client has none (absent), or the handshake was refused.", "result"
        ClientCertificate::VALUES, NO_BOUNDS, 1.0;
    ClientCertificatesRefused = Counter "lychgate_client_certificates_refused_total", "Handshakes refused for the client's certificate, by reason.", "reason"
        CertificateRefused::VALUES, NO_BOUNDS, 1.0;
    ReservedFieldsRemoved = Counter "lychgate_client_certificate_fields_removed_total", "Fields of requests that pretended to tell of a client's certificate, removed from heads and trailers.", "" NONE, NO_BOUNDS, 1.0;
    ConnectionsOpen = Gauge "lychgate_connections", "QUIC connections open.", "" NONE, NO_BOUNDS, 1.0;
    ConnectionsOpened = Counter "lychgate_connections_opened_total", "QUIC connections accepted.", "" NONE, NO_BOUNDS, 1.0;
    ConnectionsClosed = Counter "lychgate_connections_closed_total", "QUIC connections closed, by what closed them.", "cause"
        Closed::VALUES, NO_BOUNDS, 1.0;
    ConnectionAge = Histogram "lychgate_connection_duration_seconds", "Age of connections when they closed.", "" NONE, AGE_MS, 1e-3;
    ConnectionRtt = Histogram "lychgate_connection_rtt_seconds", "Smoothed round-trip time of connections when they closed.", "" NONE, RTT_US, 1e-6;
    ConnectionLoss = Histogram "lychgate_connection_loss_ratio", "Share of sent packets found lost, when connections closed.", "" NONE, LOSS_PPM, 1e-6;
    Migrations = Counter "lychgate_connection_migrations_total", "Connections whose client moved to another address.", "" NONE, NO_BOUNDS, 1.0;
    ExchangesOpen = Gauge "lychgate_exchanges", "Exchanges open.", "" NONE, NO_BOUNDS, 1.0;
    ExchangesStarted = Counter "lychgate_exchanges_started_total", "Request streams that began.", "" NONE, NO_BOUNDS, 1.0;
    RequestsRejected = Counter "lychgate_requests_rejected_total", "Requests rejected unread with H3_REQUEST_REJECTED, by reason; not_begun is a stream whose first byte did not come in time.", "reason"
        Rejected::VALUES, NO_BOUNDS, 1.0;
    HeldBytes = Gauge "lychgate_held_bytes", "Bytes held for peers, what was granted to them included, by side: downstream (request bodies that came or may come, response bytes not yet acknowledged by clients), upstream (response bytes that backends sent or may send).", "side"
        ["downstream", "upstream"], NO_BOUNDS, 1.0;
    BodyBytesIn = Counter "lychgate_request_body_bytes_total", "Body bytes taken from clients.", "" NONE, NO_BOUNDS, 1.0;
    BodyBytesOut = Counter "lychgate_response_body_bytes_total", "Body bytes given to clients' streams.", "" NONE, NO_BOUNDS, 1.0;
    TrailerFieldsDropped = Counter "lychgate_trailer_fields_dropped_total", "Trailer fields that did not pass, by reason: a request's whose name the plan removes from its head or sets there (trust fields of `claims` and edits of the route), a request's with an underscore, a response's whose name the route removes or sets.", "reason"
        TrailerDropped::VALUES, NO_BOUNDS, 1.0;
    Panics = Counter "lychgate_panics_total", "Panics, by what was given up for each: a connection, a session to a backend, all of a shard.", "owner"
        Owner::VALUES, NO_BOUNDS, 1.0;
    Turns = Counter "lychgate_turns_total", "Turns of the reactor.", "" NONE, NO_BOUNDS, 1.0;
    TurnDuration = Histogram "lychgate_turn_duration_seconds", "Time of a turn, the lane's part included.", "" NONE, TURN_US, 1e-6;
    TurnDatagrams = Histogram "lychgate_turn_datagrams", "Datagrams a turn received, of turns that received any.", "" NONE, BATCH, 1.0;
    LaneDuration = Histogram "lychgate_lane_call_duration_seconds", "Time of a call of the lane.", "" NONE, TURN_US, 1e-6;
    LaneRecords = Histogram "lychgate_lane_call_heads", "Heads and failures offered in a call of the lane.", "" NONE, BATCH, 1.0;
    LaneFailures = Counter "lychgate_lane_call_failures_total", "Calls of the lane that threw or were cut off.", "" NONE, NO_BOUNDS, 1.0;
    SessionsOpen = Gauge "lychgate_upstream_sessions", "Sessions open to backends.", "" NONE, NO_BOUNDS, 1.0;
    SessionsConnecting = Gauge "lychgate_upstream_sessions_connecting", "Sessions being connected.", "" NONE, NO_BOUNDS, 1.0;
    StreamsOpen = Gauge "lychgate_upstream_streams", "Streams open to backends.", "" NONE, NO_BOUNDS, 1.0;
    StreamsWaiting = Gauge "lychgate_upstream_waiting", "Attempts that wait for a session.", "" NONE, NO_BOUNDS, 1.0;
    Connects = Counter "lychgate_upstream_connects_total", "Connection attempts to backends, by outcome; no_descriptor: the process has as many files open as it may.", "outcome"
        ["succeeded", "failed", "timed_out", "tls_failed", "no_descriptor"], NO_BOUNDS, 1.0;
    TlsFailures = Counter "lychgate_upstream_tls_failures_total", "TLS handshakes with backends that failed, by cause; not_agreed: no version, cipher or group in common; certificate_required: the edge showed none.", "cause"
        ["other", "issuer_unknown", "name_mismatch", "certificate_expired", "certificate_not_yet_valid", "certificate_invalid", "plain_text", "not_agreed", "alert",
         "closed", "pin_mismatch", "certificate_required"], NO_BOUNDS, 1.0;
    SessionsBound = Gauge "lychgate_upstream_bound_sessions", "Sessions to backends that are one client's alone, because NTLM or Negotiate were spoken of there.", "" NONE, NO_BOUNDS, 1.0;
    ConnectionAuth = Counter "lychgate_upstream_connection_auth_total", "What came of NTLM and Negotiate: bound, a session became one client's alone; in_excess, and ends, for the client has enough; given_up, and ended for others who waited; challenge_removed, from a response over HTTP/2.", "outcome"
        ["bound", "in_excess", "given_up", "challenge_removed"], NO_BOUNDS, 1.0;
    StreamsStarted = Counter "lychgate_upstream_streams_started_total", "Attempts started on a session.", "" NONE, NO_BOUNDS, 1.0;
    SessionsReused = Counter "lychgate_upstream_sessions_reused_total", "Attempts started on a session that had carried one before.", "" NONE, NO_BOUNDS, 1.0;
    UpstreamBytesIn = Counter "lychgate_upstream_received_bytes_total", "Bytes read from backends.", "" NONE, NO_BOUNDS, 1.0;
    UpstreamBytesOut = Counter "lychgate_upstream_sent_bytes_total", "Bytes written to backends.", "" NONE, NO_BOUNDS, 1.0;
    Goaways = Counter "lychgate_upstream_goaways_total", "GOAWAY frames received from backends.", "" NONE, NO_BOUNDS, 1.0;
    UpstreamResets = Counter "lychgate_upstream_resets_total", "Upstream streams reset, by direction.", "direction" ["in", "out"], NO_BOUNDS, 1.0;
    UpstreamProtocolErrors = Counter "lychgate_upstream_protocol_errors_total", "Sessions ended because a backend broke the protocol.", "" NONE, NO_BOUNDS, 1.0;
    UpstreamPingTimeouts = Counter "lychgate_upstream_ping_timeouts_total", "Sessions that did not answer a PING in time.", "" NONE, NO_BOUNDS, 1.0;
    SessionsRenewed = Counter "lychgate_upstream_sessions_renewed_total", "Sessions replaced because their backend reset stream after stream.", "" NONE, NO_BOUNDS, 1.0;
}

const OFFSETS: [usize; FAMILIES.len() + 1] = {
    let mut offsets = [0; FAMILIES.len() + 1];
    let mut place = 0;
    while place < FAMILIES.len() {
        offsets[place + 1] = offsets[place] + FAMILIES[place].stride() * FAMILIES[place].values.len();
        place += 1;
    }
    offsets
};

/// Place of a family's first number.
pub const fn offset(family: usize) -> usize {
    OFFSETS[family]
}

/// Numbers of all families.
pub const COUNT: usize = OFFSETS[FAMILIES.len()];

/// The numbers of one reactor.
pub struct Counters {
    values: [AtomicU64; COUNT],
}

impl Default for Counters {
    fn default() -> Self {
        Counters { values: [const { AtomicU64::new(0) }; COUNT] }
    }
}

impl Counters {
    fn bump(&self, place: usize, by: u64) {
        // One writer: a load and a store, no locked instruction.
        let value = &self.values[place];
        value.store(value.load(Relaxed).wrapping_add(by), Relaxed);
    }

    /// Adds to a family without labels.
    pub fn add(&self, id: Id, by: u64) {
        self.bump(OFFSETS[id as usize], by);
    }

    /// Adds to one of a family's series.
    pub fn add_to(&self, id: Id, series: usize, by: u64) {
        debug_assert!(series < FAMILIES[id as usize].values.len());
        self.bump(OFFSETS[id as usize] + series, by);
    }

    /// Sets a gauge, or a counter that somebody else counts.
    pub fn set(&self, id: Id, series: usize, value: u64) {
        self.values[OFFSETS[id as usize] + series].store(value, Relaxed);
    }

    /// Puts a value, in stored units, into a histogram.
    pub fn observe(&self, id: Id, value: u64) {
        let bounds = FAMILIES[id as usize].bounds;
        let bucket = bounds.iter().position(|bound| value <= *bound).unwrap_or(bounds.len());
        let first = OFFSETS[id as usize];
        self.bump(first + bucket, 1);
        self.bump(first + bounds.len() + 1, value);
    }

    /// A family's first number.
    pub fn get(&self, id: Id) -> u64 {
        self.values[OFFSETS[id as usize]].load(Relaxed)
    }

    /// Counts a dropped datagram.
    pub fn dropped(&self, reason: Dropped) {
        self.add_to(Id::Drops, reason as usize, 1);
    }

    /// All numbers, for the main thread.
    pub fn copy(&self) -> Vec<f64> {
        self.values.iter().map(|value| value.load(Relaxed) as f64).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::reason::OF_TLS;

    #[test]
    fn families_lie_side_by_side() {
        for (place, family) in FAMILIES.iter().enumerate() {
            assert_eq!(offset(place + 1) - offset(place), family.stride() * family.values.len(), "{}", family.name);
            assert!(family.name.starts_with("lychgate_"));
            assert!(family.bounds.is_sorted());
        }
        assert_eq!(FAMILIES[Id::UpstreamPingTimeouts as usize].name, "lychgate_upstream_ping_timeouts_total");
    }

    #[test]
    fn causes_of_tls_failures_are_their_reasons() {
        let values = FAMILIES[Id::TlsFailures as usize].values;
        assert_eq!(values.len(), OF_TLS.len());
        for (value, reason) in values.iter().zip(OF_TLS).skip(1) {
            assert_eq!(Some(*value), reason.code().strip_prefix("tls_"));
        }
    }

    #[test]
    fn a_histogram_counts_by_bound_and_sums() {
        let counters = Counters::default();
        for value in [1, 10, 11, 1_000_000] {
            counters.observe(Id::TurnDuration, value);
        }
        let values = counters.copy();
        let first = offset(Id::TurnDuration as usize);
        assert_eq!(values[first..first + 2], [2.0, 1.0]);
        assert_eq!(values[first + TURN_US.len()], 1.0);
        assert_eq!(values[first + TURN_US.len() + 1], 1_000_022.0);
    }
}
