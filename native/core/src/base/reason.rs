//! Why an exchange or an attempt ended as it did: the numbers that stand in records, as `docs/design/records.md` lists them.
//!
//! `src/base/errors.ts` holds the same list for the lane and a test compares the two. A number is never used again for another reason.

/// Whose failure a reason is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// No failure.
    None,
    /// The client's.
    Downstream,
    /// The backend's.
    Upstream,
    /// Our own.
    Internal,
    /// What the configuration asks for.
    Config,
}

/// Whether another attempt may be made after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Not at all.
    Never,
    /// When nothing was sent to the backend, whatever the method.
    IfUnsent,
    /// When the request is safe to repeat (RFC 9110 §9.2.2).
    Safe,
}

/// A reason; `as u32` is its number in records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Reason {
    /// Nothing went wrong.
    None = 0,
    /// The request head breaks RFC 9114 or RFC 9110.
    RequestMalformed = 1,
    /// The request head has too many or too large fields.
    RequestHeadTooLarge = 2,
    /// The request body is larger than the route allows.
    RequestBodyTooLarge = 3,
    /// The request body differs from its content-length.
    RequestLengthMismatch = 4,
    /// CONNECT is not supported.
    ConnectNotSupported = 5,
    /// The client reset the stream.
    ClientReset = 6,
    /// The connection of the client ended.
    ClientGone = 7,
    /// The client made no progress in time.
    ClientSlow = 8,
    /// The expectation of the request cannot be met.
    ExpectationFailed = 9,
    /// The client broke the protocol on its stream.
    ClientProtocolError = 10,
    /// The path or authority has no canonical form.
    PathNotCanonical = 11,
    /// The client took or sent fewer bytes a second than it has to.
    ClientBelowRate = 12,
    /// The certificate of the connection does not name the authority of the request.
    Misdirected = 13,
    /// No route matches the request.
    RouteNotFound = 16,
    /// The upstream has no backend that could be tried.
    BackendNotAvailable = 17,
    /// The route answers by itself.
    FixedResponse = 18,
    /// The access list of the route does not admit the client.
    AccessDenied = 19,
    /// The client or its tenant sent more than its rate allows.
    RateLimited = 20,
    /// The route sends the client elsewhere.
    Redirected = 21,
    /// The shared rate limit could not be asked, and the configuration refuses then.
    RateLimitNotAvailable = 22,
    /// No backend could answer, the fallback of the route did.
    FallbackResponse = 23,
    /// OPTIONS or TRACE whose Max-Forwards ended here was answered here.
    MaxForwardsReached = 24,
    /// The backend could not be connected.
    ConnectFailed = 32,
    /// The backend was not connected in time.
    ConnectTimeout = 33,
    /// The TLS handshake with the backend failed.
    TlsFailed = 34,
    /// The name of the backend has no address.
    NameNotResolved = 35,
    /// Every session to the backend is full.
    SessionsExhausted = 36,
    /// The backend refused the stream before it processed it.
    BackendRefused = 37,
    /// The backend is going away and did not take the stream.
    BackendGoaway = 38,
    /// The backend reset the stream.
    BackendReset = 39,
    /// The backend closed the session.
    BackendClosed = 40,
    /// The backend broke the protocol.
    BackendProtocolError = 41,
    /// The response head has too many or too large fields.
    BackendHeadTooLarge = 42,
    /// The backend sent no response head in time.
    HeadTimeout = 43,
    /// The exchange made no progress in time.
    IdleTimeout = 44,
    /// The exchange lasted longer than its route allows.
    ExchangeTimeout = 45,
    /// The response body differs from its content-length.
    ResponseLengthMismatch = 46,
    /// The backend answered with a status that the route tries again.
    ResponseStatus = 47,
    /// The attempt had no response head in its time.
    AttemptTimeout = 48,
    /// Every backend of the upstream is out, and one of them at least is ejected or held off.
    CircuitOpen = 49,
    /// The certificate of the backend was not issued by anybody who is trusted.
    TlsIssuerUnknown = 50,
    /// The certificate of the backend is for another name.
    TlsNameMismatch = 51,
    /// The certificate of the backend has expired.
    TlsCertificateExpired = 52,
    /// The certificate of the backend is not valid yet.
    TlsCertificateNotYetValid = 53,
    /// The certificate of the backend does not hold for another reason.
    TlsCertificateInvalid = 54,
    /// The backend does not speak TLS on its port.
    TlsPlainText = 55,
    /// The backend and the edge have no version, cipher or group of TLS in common.
    TlsNotAgreed = 56,
    /// The backend ended the TLS handshake with an alert.
    TlsAlert = 57,
    /// The backend closed the connection during the TLS handshake.
    TlsClosed = 58,
    /// Every backend of the upstream is down by its health checks.
    BackendsUnhealthy = 59,
    /// No certificate of the backend's chain has a pinned key.
    TlsPinMismatch = 60,
    /// The backend wants a certificate, and was shown none.
    TlsCertificateRequired = 61,
    /// The edge has no room for another exchange.
    Overloaded = 65,
    /// A rule failed while it decided.
    LaneFailed = 66,
    /// The edge stopped before the exchange ended.
    Shutdown = 67,
    /// The upstream has as many exchanges in flight and waiting as it may.
    UpstreamFull = 68,
    /// The route has as many exchanges in flight and waiting as it may.
    RouteFull = 69,
    /// The tenant has as many exchanges in flight as it may.
    TenantFull = 70,
    /// The exchange waited too long for a place.
    QueueTimeout = 71,
    /// The upstream is at the limit its latency allows.
    ConcurrencyLimited = 72,
    /// The upstream is near its limit and the priority of the request is low.
    Brownout = 73,
    /// A fault of the edge (a panic) ended what carried the exchange.
    InternalError = 74,
    /// The process held as many bytes for peers as it may, and this exchange had gone longest without progress.
    BudgetExhausted = 75,
}

/// What the registry says of a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The reason.
    pub reason: Reason,
    /// Stable name in logs, metrics and answers.
    pub code: &'static str,
    /// Whose failure it is.
    pub side: Side,
    /// Status a client gets, 0 when none follows from the reason.
    pub status: u16,
    /// Whether another attempt may help.
    pub retry: Retry,
}

const fn entry(reason: Reason, code: &'static str, side: Side, status: u16, retry: Retry) -> Entry {
    Entry { reason, code, side, status, retry }
}

/// Every reason, ordered by number.
pub const ALL: &[Entry] = &[
    entry(Reason::None, "none", Side::None, 0, Retry::Never),
    entry(Reason::RequestMalformed, "request_malformed", Side::Downstream, 400, Retry::Never),
    entry(Reason::RequestHeadTooLarge, "request_head_too_large", Side::Downstream, 431, Retry::Never),
    entry(Reason::RequestBodyTooLarge, "request_body_too_large", Side::Downstream, 413, Retry::Never),
    entry(Reason::RequestLengthMismatch, "request_length_mismatch", Side::Downstream, 400, Retry::Never),
    entry(Reason::ConnectNotSupported, "connect_not_supported", Side::Downstream, 501, Retry::Never),
    entry(Reason::ClientReset, "client_reset", Side::Downstream, 499, Retry::Never),
    entry(Reason::ClientGone, "client_gone", Side::Downstream, 499, Retry::Never),
    entry(Reason::ClientSlow, "client_slow", Side::Downstream, 408, Retry::Never),
    entry(Reason::ExpectationFailed, "expectation_failed", Side::Downstream, 417, Retry::Never),
    entry(Reason::ClientProtocolError, "client_protocol_error", Side::Downstream, 400, Retry::Never),
    entry(Reason::PathNotCanonical, "path_not_canonical", Side::Downstream, 400, Retry::Never),
    entry(Reason::ClientBelowRate, "client_below_rate", Side::Downstream, 408, Retry::Never),
    entry(Reason::Misdirected, "misdirected", Side::Downstream, 421, Retry::Never),
    entry(Reason::RouteNotFound, "route_not_found", Side::Config, 404, Retry::Never),
    entry(Reason::BackendNotAvailable, "backend_not_available", Side::Upstream, 503, Retry::Never),
    entry(Reason::FixedResponse, "fixed_response", Side::Config, 0, Retry::Never),
    entry(Reason::AccessDenied, "access_denied", Side::Config, 403, Retry::Never),
    entry(Reason::RateLimited, "rate_limited", Side::Downstream, 429, Retry::Never),
    entry(Reason::Redirected, "redirected", Side::Config, 0, Retry::Never),
    entry(Reason::RateLimitNotAvailable, "rate_limit_not_available", Side::Internal, 503, Retry::Never),
    entry(Reason::FallbackResponse, "fallback_response", Side::Config, 0, Retry::Never),
    entry(Reason::MaxForwardsReached, "max_forwards_reached", Side::Config, 0, Retry::Never),
    entry(Reason::ConnectFailed, "connect_failed", Side::Upstream, 502, Retry::IfUnsent),
    entry(Reason::ConnectTimeout, "connect_timeout", Side::Upstream, 504, Retry::IfUnsent),
    entry(Reason::TlsFailed, "tls_failed", Side::Upstream, 502, Retry::IfUnsent),
    entry(Reason::NameNotResolved, "name_not_resolved", Side::Upstream, 502, Retry::IfUnsent),
    entry(Reason::SessionsExhausted, "sessions_exhausted", Side::Upstream, 503, Retry::IfUnsent),
    entry(Reason::BackendRefused, "backend_refused", Side::Upstream, 502, Retry::IfUnsent),
    entry(Reason::BackendGoaway, "backend_goaway", Side::Upstream, 502, Retry::IfUnsent),
    entry(Reason::BackendReset, "backend_reset", Side::Upstream, 502, Retry::Safe),
    entry(Reason::BackendClosed, "backend_closed", Side::Upstream, 502, Retry::Safe),
    entry(Reason::BackendProtocolError, "backend_protocol_error", Side::Upstream, 502, Retry::Safe),
    entry(Reason::BackendHeadTooLarge, "backend_head_too_large", Side::Upstream, 502, Retry::Safe),
    entry(Reason::HeadTimeout, "head_timeout", Side::Upstream, 504, Retry::Safe),
    entry(Reason::IdleTimeout, "idle_timeout", Side::Upstream, 504, Retry::Never),
    entry(Reason::ExchangeTimeout, "exchange_timeout", Side::Internal, 504, Retry::Never),
    entry(Reason::ResponseLengthMismatch, "response_length_mismatch", Side::Upstream, 502, Retry::Never),
    entry(Reason::ResponseStatus, "response_status", Side::Upstream, 502, Retry::Safe),
    entry(Reason::AttemptTimeout, "attempt_timeout", Side::Upstream, 504, Retry::Safe),
    entry(Reason::CircuitOpen, "circuit_open", Side::Upstream, 503, Retry::Never),
    entry(Reason::TlsIssuerUnknown, "tls_issuer_unknown", Side::Upstream, 502, Retry::IfUnsent),
    entry(Reason::TlsNameMismatch, "tls_name_mismatch", Side::Upstream, 502, Retry::IfUnsent),
    entry(Reason::TlsCertificateExpired, "tls_certificate_expired", Side::Upstream, 502, Retry::IfUnsent),
    entry(Reason::TlsCertificateNotYetValid, "tls_certificate_not_yet_valid", Side::Upstream, 502, Retry::IfUnsent),
    entry(Reason::TlsCertificateInvalid, "tls_certificate_invalid", Side::Upstream, 502, Retry::IfUnsent),
    entry(Reason::TlsPlainText, "tls_plain_text", Side::Upstream, 502, Retry::IfUnsent),
    entry(Reason::TlsNotAgreed, "tls_not_agreed", Side::Upstream, 502, Retry::IfUnsent),
    entry(Reason::TlsAlert, "tls_alert", Side::Upstream, 502, Retry::IfUnsent),
    entry(Reason::TlsClosed, "tls_closed", Side::Upstream, 502, Retry::IfUnsent),
    entry(Reason::BackendsUnhealthy, "backends_unhealthy", Side::Upstream, 503, Retry::Never),
    entry(Reason::TlsPinMismatch, "tls_pin_mismatch", Side::Upstream, 502, Retry::IfUnsent),
    entry(Reason::TlsCertificateRequired, "tls_certificate_required", Side::Upstream, 502, Retry::IfUnsent),
    entry(Reason::Overloaded, "overloaded", Side::Internal, 503, Retry::Never),
    entry(Reason::LaneFailed, "lane_failed", Side::Internal, 500, Retry::Never),
    entry(Reason::Shutdown, "shutdown", Side::Internal, 503, Retry::Never),
    entry(Reason::UpstreamFull, "upstream_full", Side::Internal, 503, Retry::Never),
    entry(Reason::RouteFull, "route_full", Side::Internal, 503, Retry::Never),
    entry(Reason::TenantFull, "tenant_full", Side::Internal, 503, Retry::Never),
    entry(Reason::QueueTimeout, "queue_timeout", Side::Internal, 503, Retry::Never),
    entry(Reason::ConcurrencyLimited, "concurrency_limited", Side::Internal, 503, Retry::Never),
    entry(Reason::Brownout, "brownout", Side::Internal, 503, Retry::Never),
    entry(Reason::InternalError, "internal_error", Side::Internal, 500, Retry::Safe),
    entry(Reason::BudgetExhausted, "budget_exhausted", Side::Internal, 503, Retry::Never),
];

/// Why a TLS handshake with a backend failed, in the order of the counter's series; the first
/// stands for all that has no reason of its own.
pub const OF_TLS: [Reason; 12] = [
    Reason::TlsFailed,
    Reason::TlsIssuerUnknown,
    Reason::TlsNameMismatch,
    Reason::TlsCertificateExpired,
    Reason::TlsCertificateNotYetValid,
    Reason::TlsCertificateInvalid,
    Reason::TlsPlainText,
    Reason::TlsNotAgreed,
    Reason::TlsAlert,
    Reason::TlsClosed,
    Reason::TlsPinMismatch,
    Reason::TlsCertificateRequired,
];

/// Place in [`ALL`] of each number, so that a look-up is one load; 0 for numbers nobody has.
const PLACES: [u8; 128] = {
    let mut places = [0; 128];
    let mut place = 0;
    while place < ALL.len() {
        places[ALL[place].reason as usize] = place as u8;
        place += 1;
    }
    places
};

impl Reason {
    /// Number in records.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The registry's row.
    pub const fn entry(self) -> &'static Entry {
        &ALL[PLACES[self as usize] as usize]
    }

    /// Place in [`OF_TLS`], if it is there.
    pub fn of_tls(self) -> Option<usize> {
        OF_TLS.iter().position(|reason| *reason == self)
    }

    /// What a client is told in its place: what is wrong with a backend's certificate is none of
    /// its business.
    pub fn told(self) -> Reason {
        if self.of_tls().is_some() { Reason::TlsFailed } else { self }
    }

    /// Stable name.
    pub const fn code(self) -> &'static str {
        self.entry().code
    }

    /// Status a client gets, 0 for none.
    pub const fn status(self) -> u16 {
        self.entry().status
    }

    /// Status in the gRPC protocol: that of a deadline where one has passed, else what a gRPC client would make of the HTTP status by itself (gRPC, "HTTP to
    /// gRPC Status Code Mapping").
    pub const fn grpc_status(self) -> u32 {
        match (self, self.status()) {
            (Reason::ExchangeTimeout, _) => 4,
            (_, 400) => 13,
            (_, 401) => 16,
            (_, 403) => 7,
            (_, 404) => 12,
            (_, 429 | 502 | 503 | 504) => 14,
            _ => 2,
        }
    }

    /// The reason of a number; none for numbers nobody has.
    pub fn from_number(number: u32) -> Option<Reason> {
        let entry = &ALL[*PLACES.get(number as usize)? as usize];
        (entry.reason as u32 == number).then_some(entry.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_leads_back_to_its_reason() {
        for entry in ALL {
            assert_eq!(Reason::from_number(entry.reason.number()), Some(entry.reason));
            assert_eq!(entry.reason.entry(), entry);
        }
        assert_eq!(Reason::from_number(15), None);
        assert_eq!(Reason::from_number(4_000_000_000), None);
    }

    #[test]
    fn numbers_rise_and_codes_are_different() {
        for pair in ALL.windows(2) {
            assert!(pair[0].reason.number() < pair[1].reason.number());
            assert!(ALL.iter().filter(|entry| entry.code == pair[0].code).count() == 1);
        }
    }
}
