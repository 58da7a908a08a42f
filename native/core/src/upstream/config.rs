//! A backend as the snapshot describes it. Mirrors `BindingBackend`.

use std::net::SocketAddr;

use crate::http::section::FieldLimits;
use crate::tls::client::{Credentials, Pin, TlsVersion};

/// Protocol and transport of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP/2 with prior knowledge over TCP (RFC 9113 §3.3).
    H2c,
    /// HTTP/1.1 over TCP.
    Http,
    /// TLS: HTTP/2 or HTTP/1.1, as ALPN chooses.
    Https,
}

impl Scheme {
    /// The scheme of a name in the configuration.
    pub fn of(name: &str) -> Option<Scheme> {
        match name {
            "h2c" => Some(Scheme::H2c),
            "http" => Some(Scheme::Http),
            "https" => Some(Scheme::Https),
            _ => None,
        }
    }

    /// Name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Scheme::H2c => "h2c",
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

/// One member of an upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendConfig {
    /// Number in the shared table and in records.
    pub slot: u32,
    /// Protocol and transport.
    pub scheme: Scheme,
    /// `host:port` as configured.
    pub authority: String,
    /// Resolved addresses in order of preference; may be empty.
    pub addresses: Vec<SocketAddr>,
    /// TLS, used with [`Scheme::Https`] only.
    pub tls: TlsConfig,
    /// Limits of its sessions.
    pub limits: SessionLimits,
}

/// How a backend is verified in a TLS handshake, and what it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsConfig {
    /// Server name; empty for none.
    pub server_name: String,
    /// Whether the backend's certificate is verified.
    pub is_verified: bool,
    /// PEM bundle trusted instead of the system's; empty for the system's.
    pub ca_pem: String,
    /// Certificate and key shown on request.
    pub credentials: Credentials,
    /// Lowest and highest version.
    pub versions: (TlsVersion, TlsVersion),
    /// Keys of which the backend's chain must have one; none for any.
    pub pins: Vec<Pin>,
}

impl Default for TlsConfig {
    /// Verified by the system's roots.
    fn default() -> TlsConfig {
        TlsConfig {
            server_name: String::new(),
            is_verified: true,
            ca_pem: String::new(),
            credentials: Credentials::default(),
            versions: (TlsVersion::V12, TlsVersion::V13),
            pins: Vec::new(),
        }
    }
}

/// Limits of a backend's sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// Sessions open at once.
    pub max_sessions: u32,
    /// Streams open at once on an HTTP/2 session, whatever the peer allows.
    pub max_streams: u32,
    /// A session without streams is closed after this.
    pub idle_timeout_ms: u64,
    /// A session takes no new streams after this, less up to a tenth at random; 0 for no limit.
    pub max_age_ms: u64,
    /// A session that received nothing for this long is sent a PING; 0 disables.
    pub ping_interval_ms: u64,
    /// How long the answer to a PING may take.
    pub ping_timeout_ms: u64,
    /// Bound sessions of one client on this shard; a session over the limit closes after its
    /// exchange.
    pub max_bound: u32,
    /// How long an idle bound session is kept for its client while others wait.
    pub bound_idle_ms: u64,
    /// Receive window of a stream.
    pub stream_window_bytes: u32,
    /// Receive window of a session.
    pub session_window_bytes: u32,
    /// Size of a response head.
    pub max_head_bytes: usize,
    /// Fields in a response head.
    pub max_fields: usize,
}

impl SessionLimits {
    /// Limits of a response head.
    pub(crate) fn head(&self) -> FieldLimits {
        FieldLimits { max_size: self.max_head_bytes, max_count: self.max_fields, max_crumbs: self.max_fields }
    }
}

impl BackendConfig {
    /// Whether sessions opened for `other` may go on serving: the same peer under the same TLS
    /// rules.
    pub fn is_same_peer(&self, other: &BackendConfig) -> bool {
        self.scheme == other.scheme && self.authority == other.authority && self.tls == other.tls
    }

    /// Host of the authority, without port and brackets.
    pub fn host(&self) -> &str {
        let host = match self.authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) && (host.starts_with('[') || !host.contains(':')) => host,
            _ => &self.authority,
        };
        host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn backend(authority: &str) -> BackendConfig {
        BackendConfig {
            slot: 0,
            scheme: Scheme::H2c,
            authority: authority.into(),
            addresses: vec![],
            tls: TlsConfig::default(),
            limits: SessionLimits {
                max_sessions: 1,
                max_streams: 1,
                idle_timeout_ms: 1,
                max_age_ms: 0,
                ping_interval_ms: 0,
                ping_timeout_ms: 0,
                max_bound: 4,
                bound_idle_ms: 1_000,
                stream_window_bytes: 65_535,
                session_window_bytes: 65_535,
                max_head_bytes: 1024,
                max_fields: 10,
            },
        }
    }

    #[test]
    fn the_host_has_neither_port_nor_brackets() {
        assert_eq!(backend("a.test:80").host(), "a.test");
        assert_eq!(backend("[::1]:80").host(), "::1");
        assert_eq!(backend("[::1]").host(), "::1");
        assert_eq!(backend("a.test").host(), "a.test");
    }
}
