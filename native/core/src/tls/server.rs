//! TLS of listeners: TLS 1.3 only, certificates from the listener's store, X25519MLKEM768 offered
//! beside X25519, tickets that every shard opens.

use super::client_auth::handshake;
use super::facts;
use super::store::CertificateStore;
use super::tickets::Ticket;
use crate::base::counters::{CertificateRefused, Counters, Id, TicketRefused};
use crate::base::panics;
use boring::error::ErrorStack;
use boring::ssl::{
    SniError, SslAlert, SslContextBuilder, SslInfoCallbackMode, SslInfoCallbackValue, SslMethod, SslVerifyError, SslVerifyMode,
};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

/// Key exchange in order of preference, unless told otherwise (draft-ietf-tls-ecdhe-mlkem for the
/// first).
pub const GROUPS: &str = "X25519MLKEM768:X25519:P-256:P-384";

/// No ticket lives longer (RFC 8446 §4.6.1).
const MAX_LIFETIME: Duration = Duration::from_secs(7 * 86_400);

thread_local! {
    /// Whether the handshake that this thread is at has just opened a ticket.
    static IS_OPENED: Cell<bool> = const { Cell::new(false) };
}

/// A context for quiche; its handshakes take their certificates from the store.
pub fn context(store: Arc<CertificateStore>, groups: &str, counters: Arc<Counters>) -> Result<SslContextBuilder, ErrorStack> {
    let mut builder = SslContextBuilder::new(SslMethod::tls())?;
    builder.set_curves_list(groups)?;
    let (certificates, names) = (store.clone(), counters.clone());
    // BoringSSL calls it: what panics must not pass through there.
    builder.set_servername_callback(move |ssl, alert| {
        IS_OPENED.set(false);
        *alert = SslAlert::INTERNAL_ERROR;
        panics::callback(Err(SniError::ALERT_FATAL), || certificates.choose(ssl, alert, &names))
    });
    let verified = counters.clone();
    builder.set_custom_verify_callback(SslVerifyMode::NONE, move |ssl| {
        panics::callback(Err(SslVerifyError::Invalid(SslAlert::INTERNAL_ERROR)), || handshake::verify(ssl, &verified))
    });
    // SAFETY: the callback sets up everything that BoringSSL's documentation asks for, or says that
    // it did not.
    unsafe {
        let (keys, counters) = (store.clone(), counters.clone());
        builder.set_ticket_key_callback(move |_, name, iv, cipher, hmac, is_sealing| {
            let ticket = panics::callback(Ticket::Failed, || match is_sealing {
                true => keys.tickets().seal(name, iv, cipher, hmac),
                false => keys.tickets().open(name, iv, cipher, hmac),
            });
            IS_OPENED.set(ticket == Ticket::Opened);
            if ticket == Ticket::Unknown && !is_sealing {
                counters.add_to(Id::TicketsRefused, TicketRefused::UnknownKey as usize, 1);
            }
            ticket.result()
        });
        // One is enough: a client of HTTP/3 has one connection to a name, and gets another ticket
        // on each.
        boring_sys::SSL_CTX_set_num_tickets(builder.as_ptr(), 1);
        if let Some(lifetime) = store.ticket_lifetime() {
            boring_sys::SSL_CTX_set_session_psk_dhe_timeout(builder.as_ptr(), lifetime.min(MAX_LIFETIME).as_secs() as u32);
        }
    }
    // BoringSSL holds a ticket against the rules right after it was opened, and then goes on to its
    // next state.
    builder.set_info_callback(move |ssl, mode, value| {
        if mode == SslInfoCallbackMode::ACCEPT_LOOP && IS_OPENED.take() && !ssl.session_reused() {
            counters.add_to(Id::TicketsRefused, TicketRefused::Rules as usize, 1);
        }
        // Nothing else is told so.
        if matches!(value, SslInfoCallbackValue::Alert(alert) if mode == SslInfoCallbackMode::WRITE_ALERT && alert.alert() == SslAlert::CERTIFICATE_REQUIRED) {
            handshake::note_refusal(CertificateRefused::Missing, &counters);
        }
        if mode == SslInfoCallbackMode::HANDSHAKE_DONE {
            facts::note_end(ssl);
            handshake::note_end(ssl, &counters);
        }
    });
    Ok(builder)
}

#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod robust_tests;
#[cfg(test)]
mod tests;
