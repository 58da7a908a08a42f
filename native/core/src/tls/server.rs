//! TLS of listeners: TLS 1.3 only, certificates from the listener's store, X25519MLKEM768 offered beside X25519, tickets that every shard opens.

use super::store::CertificateStore;
use crate::base::counters::Counters;
use crate::base::panics;
use crate::quic::cid::CidKey;
use boring::error::ErrorStack;
use boring::ssl::{SniError, SslAlert, SslContextBuilder, SslMethod};
use std::sync::Arc;

/// Key exchange in order of preference (draft-ietf-tls-ecdhe-mlkem for the first).
const GROUPS: &str = "X25519MLKEM768:X25519:P-256:P-384";

/// A context for quiche; its handshakes take their certificates from the store.
pub fn context(store: Arc<CertificateStore>, counters: Arc<Counters>) -> Result<SslContextBuilder, ErrorStack> {
    let mut builder = SslContextBuilder::new(SslMethod::tls())?;
    builder.set_curves_list(GROUPS)?;
    // BoringSSL calls it: what panics must not pass through there.
    builder.set_servername_callback(move |ssl, alert| {
        *alert = SslAlert::INTERNAL_ERROR;
        panics::callback(Err(SniError::ALERT_FATAL), || store.choose(ssl, alert, &counters))
    });
    Ok(builder)
}

/// The key of session tickets, 48 bytes, the same in every shard of a process.
pub fn ticket_key(key: &CidKey) -> [u8; 48] {
    let mut bytes = [0u8; 48];
    for (place, part) in bytes.chunks_exact_mut(16).enumerate() {
        part.copy_from_slice(&key.derive(&[b"session tickets "[..].as_ref(), &[place as u8]].concat()).to_be_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests;
