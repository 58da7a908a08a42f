// Made by `npm run records` from native/core/src/base/reason/reasons.yaml, not by hand.
//! The registry of reasons: numbers that stand in records, codes, and what follows from each.

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
    /// The Max-Forwards of OPTIONS or TRACE ended here, the edge answered.
    MaxForwardsReached = 24,
    /// The backend could not be connected.
    ConnectFailed = 32,
    /// The backend was not connected in time.
    ConnectTimeout = 33,
    /// The TLS handshake with the backend failed for a reason that has no code of its own; clients
    /// get this code for all of them.
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
    /// No certificate of the chain of the backend has a pinned key.
    TlsPinMismatch = 60,
    /// The backend wants a certificate of the edge, which shows none.
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
    /// A fault of the edge ended what carried the exchange.
    InternalError = 74,
    /// The edge held as many bytes as it may, and the exchange was the slowest to take its own.
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
    /// Status in the gRPC protocol.
    pub grpc_status: u32,
}

const fn entry(reason: Reason, code: &'static str, side: Side, status: u16, retry: Retry, grpc_status: u32) -> Entry {
    Entry { reason, code, side, status, retry, grpc_status }
}

/// Every reason, ordered by number.
pub const ALL: &[Entry] = &[
    entry(Reason::None, "none", Side::None, 0, Retry::Never, 2),
    entry(Reason::RequestMalformed, "request_malformed", Side::Downstream, 400, Retry::Never, 13),
    entry(Reason::RequestHeadTooLarge, "request_head_too_large", Side::Downstream, 431, Retry::Never, 2),
    entry(Reason::RequestBodyTooLarge, "request_body_too_large", Side::Downstream, 413, Retry::Never, 2),
    entry(Reason::RequestLengthMismatch, "request_length_mismatch", Side::Downstream, 400, Retry::Never, 13),
    entry(Reason::ConnectNotSupported, "connect_not_supported", Side::Downstream, 501, Retry::Never, 2),
    entry(Reason::ClientReset, "client_reset", Side::Downstream, 499, Retry::Never, 2),
    entry(Reason::ClientGone, "client_gone", Side::Downstream, 499, Retry::Never, 2),
    entry(Reason::ClientSlow, "client_slow", Side::Downstream, 408, Retry::Never, 2),
    entry(Reason::ExpectationFailed, "expectation_failed", Side::Downstream, 417, Retry::Never, 2),
    entry(Reason::ClientProtocolError, "client_protocol_error", Side::Downstream, 400, Retry::Never, 13),
    entry(Reason::PathNotCanonical, "path_not_canonical", Side::Downstream, 400, Retry::Never, 13),
    entry(Reason::ClientBelowRate, "client_below_rate", Side::Downstream, 408, Retry::Never, 2),
    entry(Reason::Misdirected, "misdirected", Side::Downstream, 421, Retry::Never, 2),
    entry(Reason::RouteNotFound, "route_not_found", Side::Config, 404, Retry::Never, 12),
    entry(Reason::BackendNotAvailable, "backend_not_available", Side::Upstream, 503, Retry::Never, 14),
    entry(Reason::FixedResponse, "fixed_response", Side::Config, 0, Retry::Never, 2),
    entry(Reason::AccessDenied, "access_denied", Side::Config, 403, Retry::Never, 7),
    entry(Reason::RateLimited, "rate_limited", Side::Downstream, 429, Retry::Never, 14),
    entry(Reason::Redirected, "redirected", Side::Config, 0, Retry::Never, 2),
    entry(Reason::RateLimitNotAvailable, "rate_limit_not_available", Side::Internal, 503, Retry::Never, 14),
    entry(Reason::FallbackResponse, "fallback_response", Side::Config, 0, Retry::Never, 2),
    entry(Reason::MaxForwardsReached, "max_forwards_reached", Side::Config, 0, Retry::Never, 2),
    entry(Reason::ConnectFailed, "connect_failed", Side::Upstream, 502, Retry::IfUnsent, 14),
    entry(Reason::ConnectTimeout, "connect_timeout", Side::Upstream, 504, Retry::IfUnsent, 14),
    entry(Reason::TlsFailed, "tls_failed", Side::Upstream, 502, Retry::IfUnsent, 14),
    entry(Reason::NameNotResolved, "name_not_resolved", Side::Upstream, 502, Retry::IfUnsent, 14),
    entry(Reason::SessionsExhausted, "sessions_exhausted", Side::Upstream, 503, Retry::IfUnsent, 14),
    entry(Reason::BackendRefused, "backend_refused", Side::Upstream, 502, Retry::IfUnsent, 14),
    entry(Reason::BackendGoaway, "backend_goaway", Side::Upstream, 502, Retry::IfUnsent, 14),
    entry(Reason::BackendReset, "backend_reset", Side::Upstream, 502, Retry::Safe, 14),
    entry(Reason::BackendClosed, "backend_closed", Side::Upstream, 502, Retry::Safe, 14),
    entry(Reason::BackendProtocolError, "backend_protocol_error", Side::Upstream, 502, Retry::Safe, 14),
    entry(Reason::BackendHeadTooLarge, "backend_head_too_large", Side::Upstream, 502, Retry::Safe, 14),
    entry(Reason::HeadTimeout, "head_timeout", Side::Upstream, 504, Retry::Safe, 14),
    entry(Reason::IdleTimeout, "idle_timeout", Side::Upstream, 504, Retry::Never, 14),
    entry(Reason::ExchangeTimeout, "exchange_timeout", Side::Internal, 504, Retry::Never, 4),
    entry(Reason::ResponseLengthMismatch, "response_length_mismatch", Side::Upstream, 502, Retry::Never, 14),
    entry(Reason::ResponseStatus, "response_status", Side::Upstream, 502, Retry::Safe, 14),
    entry(Reason::AttemptTimeout, "attempt_timeout", Side::Upstream, 504, Retry::Safe, 14),
    entry(Reason::CircuitOpen, "circuit_open", Side::Upstream, 503, Retry::Never, 14),
    entry(Reason::TlsIssuerUnknown, "tls_issuer_unknown", Side::Upstream, 502, Retry::IfUnsent, 14),
    entry(Reason::TlsNameMismatch, "tls_name_mismatch", Side::Upstream, 502, Retry::IfUnsent, 14),
    entry(Reason::TlsCertificateExpired, "tls_certificate_expired", Side::Upstream, 502, Retry::IfUnsent, 14),
    entry(Reason::TlsCertificateNotYetValid, "tls_certificate_not_yet_valid", Side::Upstream, 502, Retry::IfUnsent, 14),
    entry(Reason::TlsCertificateInvalid, "tls_certificate_invalid", Side::Upstream, 502, Retry::IfUnsent, 14),
    entry(Reason::TlsPlainText, "tls_plain_text", Side::Upstream, 502, Retry::IfUnsent, 14),
    entry(Reason::TlsNotAgreed, "tls_not_agreed", Side::Upstream, 502, Retry::IfUnsent, 14),
    entry(Reason::TlsAlert, "tls_alert", Side::Upstream, 502, Retry::IfUnsent, 14),
    entry(Reason::TlsClosed, "tls_closed", Side::Upstream, 502, Retry::IfUnsent, 14),
    entry(Reason::BackendsUnhealthy, "backends_unhealthy", Side::Upstream, 503, Retry::Never, 14),
    entry(Reason::TlsPinMismatch, "tls_pin_mismatch", Side::Upstream, 502, Retry::IfUnsent, 14),
    entry(Reason::TlsCertificateRequired, "tls_certificate_required", Side::Upstream, 502, Retry::IfUnsent, 14),
    entry(Reason::Overloaded, "overloaded", Side::Internal, 503, Retry::Never, 14),
    entry(Reason::LaneFailed, "lane_failed", Side::Internal, 500, Retry::Never, 2),
    entry(Reason::Shutdown, "shutdown", Side::Internal, 503, Retry::Never, 14),
    entry(Reason::UpstreamFull, "upstream_full", Side::Internal, 503, Retry::Never, 14),
    entry(Reason::RouteFull, "route_full", Side::Internal, 503, Retry::Never, 14),
    entry(Reason::TenantFull, "tenant_full", Side::Internal, 503, Retry::Never, 14),
    entry(Reason::QueueTimeout, "queue_timeout", Side::Internal, 503, Retry::Never, 14),
    entry(Reason::ConcurrencyLimited, "concurrency_limited", Side::Internal, 503, Retry::Never, 14),
    entry(Reason::Brownout, "brownout", Side::Internal, 503, Retry::Never, 14),
    entry(Reason::InternalError, "internal_error", Side::Internal, 500, Retry::Safe, 2),
    entry(Reason::BudgetExhausted, "budget_exhausted", Side::Internal, 503, Retry::Never, 14),
];
