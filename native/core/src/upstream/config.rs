//! One backend as the snapshot describes it. Mirrors `BindingBackend`.

use std::net::SocketAddr;

use crate::http::section::FieldLimits;
use crate::tls::client::{Credentials, Pin, TlsVersion};

/// How a backend is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP/2 with prior knowledge over TCP (RFC 9113 §3.3).
    H2c,
    /// HTTP/1.1 over TCP.
    Http,
    /// TLS: HTTP/2 where ALPN agrees on it, HTTP/1.1 otherwise.
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
    /// How it is spoken to.
    pub scheme: Scheme,
    /// `host:port` as configured.
    pub authority: String,
    /// Resolved addresses in order of preference; may be empty.
    pub addresses: Vec<SocketAddr>,
    /// TLS server name; empty for none.
    pub server_name: String,
    /// Whether the backend's certificate is verified.
    pub is_verified: bool,
    /// PEM bundle trusted instead of the system's; empty for the system's.
    pub ca_pem: String,
    /// What is shown to the backend when it asks.
    pub credentials: Credentials,
    /// Lowest version of TLS that is spoken.
    pub min_tls: TlsVersion,
    /// Highest version of TLS that is spoken.
    pub max_tls: TlsVersion,
    /// Keys of which the backend's chain must have one; none for any.
    pub pins: Vec<Pin>,
    /// Sessions open at once.
    pub max_sessions: u32,
    /// Streams on one HTTP/2 session, whatever the peer allows.
    pub max_streams_per_session: u32,
    /// A session without streams is closed after this.
    pub session_idle_timeout_ms: u64,
    /// A session takes no more streams after this, less up to a tenth by chance; 0 for no limit.
    pub session_max_age_ms: u64,
    /// A session that was silent for so long is asked for a sign of life; 0 disables.
    pub ping_interval_ms: u64,
    /// How long the sign of life may take.
    pub ping_timeout_ms: u64,
    /// Sessions of its own that a client may have, of this shard; another ends with its exchange.
    pub max_bound: u32,
    /// For how long an idle one is left to its client whoever waits.
    pub bound_idle_ms: u64,
    /// Receive window of a stream.
    pub stream_window_bytes: u32,
    /// Receive window of a session.
    pub session_window_bytes: u32,
    /// Greatest size of a response head.
    pub max_head_bytes: usize,
    /// Most fields of a response head.
    pub max_fields: usize,
}

impl BackendConfig {
    /// Whether sessions opened for `other` may go on serving: the same peer, asked for the same proof.
    pub fn is_same_peer(&self, other: &BackendConfig) -> bool {
        self.scheme == other.scheme
            && self.authority == other.authority
            && self.server_name == other.server_name
            && self.is_verified == other.is_verified
            && self.ca_pem == other.ca_pem
            && self.credentials == other.credentials
            && (self.min_tls, self.max_tls) == (other.min_tls, other.max_tls)
            && self.pins == other.pins
    }

    /// Host of the authority, without port and brackets.
    pub fn host(&self) -> &str {
        let host = match self.authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) && (host.starts_with('[') || !host.contains(':')) => host,
            _ => &self.authority,
        };
        host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host)
    }

    pub(crate) fn limits(&self) -> FieldLimits {
        FieldLimits { max_size: self.max_head_bytes, max_count: self.max_fields, max_crumbs: self.max_fields }
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
            server_name: String::new(),
            is_verified: true,
            ca_pem: String::new(),
            credentials: Credentials::default(),
            min_tls: TlsVersion::V12,
            max_tls: TlsVersion::V13,
            pins: vec![],
            max_sessions: 1,
            max_bound: 4,
            bound_idle_ms: 1_000,
            max_streams_per_session: 1,
            session_idle_timeout_ms: 1,
            session_max_age_ms: 0,
            ping_interval_ms: 0,
            ping_timeout_ms: 0,
            stream_window_bytes: 65_535,
            session_window_bytes: 65_535,
            max_head_bytes: 1024,
            max_fields: 10,
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
