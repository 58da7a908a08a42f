//! What the handshake of a client's connection has come to.

use super::client_auth::{Auth, Policies, handshake, recheck};
use super::coverage::Coverage;
use super::facts;
use super::told::Told;
use crate::base::counters::CertificateRefused;
use boring::ssl::SslRef;
use std::sync::Arc;

/// TLS of an open connection.
#[derive(Default)]
pub struct ConnectionTls {
    /// Number of the cipher (RFC 8446 §B.4).
    pub cipher: u16,
    /// Number of the key exchange.
    pub group: u16,
    /// What requests may be for.
    pub coverage: Coverage,
    /// Who the client is and what is told of it, where it has shown a certificate.
    pub told: Option<Arc<Told>>,
    auth: Option<Box<Auth>>,
}

impl ConnectionTls {
    /// Of a handshake that is through; asked once.
    pub fn of(ssl: &mut SslRef) -> ConnectionTls {
        let mut tls = ConnectionTls {
            cipher: ssl.current_cipher().map_or(0, |cipher| cipher.protocol_id()),
            group: ssl.curve().unwrap_or(0),
            auth: handshake::take(ssl),
            ..ConnectionTls::default()
        };
        tls.identify(ssl);
        tls
    }

    /// Generation of what the client had to prove; zero where nothing was asked of it.
    pub fn generation(&self) -> u64 {
        self.auth.as_ref().map_or(0, |auth| auth.generation())
    }

    /// Holds the client's certificate against what is wanted now; `now` in seconds since 1970.
    pub fn recheck(&mut self, policies: &Arc<Policies>, ssl: &SslRef, now: i64) -> Result<(), CertificateRefused> {
        if recheck::recheck(policies, ssl, &mut self.auth, now)? {
            self.identify(ssl);
        }
        Ok(())
    }

    fn identify(&mut self, ssl: &SslRef) {
        self.coverage = Coverage::new(facts::covered(ssl), self.auth.as_ref().and_then(|auth| auth.gate()));
        self.told = self.auth.as_ref().and_then(|auth| auth.told());
    }
}
