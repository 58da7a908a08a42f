//! What the edge has to know of the certificate of a handshake or of a connection: BoringSSL keeps
//! it beside the credential.

use super::buffer::done;
use boring::error::ErrorStack;
use boring::ssl::SslRef;
use boring_sys as ffi;
use foreign_types_shared::ForeignTypeRef;
use std::ffi::{c_int, c_long, c_void};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};

/// Handshakes of the certificates of one name in metrics.
#[derive(Debug, Default)]
pub struct Counts {
    /// Whole ones that came to their end.
    pub full: AtomicU64,
    /// Resumed sessions.
    pub resumed: AtomicU64,
    /// Those that failed after the certificate was chosen: the client refused it, or was not heard
    /// of again.
    pub failed: AtomicU64,
}

/// Facts of a certificate.
#[derive(Clone)]
pub struct Facts {
    /// Its handshakes.
    pub counts: Arc<Counts>,
    /// Names it is good for, where requests for others are to be refused.
    pub covered: Option<Arc<[String]>>,
}

/// Places of the facts beside credentials and connections; below zero where there is none.
static PLACES: LazyLock<(c_int, c_int)> = LazyLock::new(|| {
    // SAFETY: no arguments but the function that frees what is put there.
    unsafe {
        (
            ffi::SSL_CREDENTIAL_get_ex_new_index(0, ptr::null_mut(), ptr::null_mut(), None, Some(free)),
            ffi::SSL_get_ex_new_index(0, ptr::null_mut(), ptr::null_mut(), None, Some(free)),
        )
    }
});

unsafe extern "C" fn free(_: *mut c_void, facts: *mut c_void, _: *mut ffi::CRYPTO_EX_DATA, _: c_int, _: c_long, _: *mut c_void) {
    if !facts.is_null() {
        // SAFETY: only boxes of facts are put in these places, and each is freed once.
        drop(unsafe { Box::from_raw(facts.cast::<Facts>()) });
    }
}

/// Puts facts beside a credential that has none.
///
/// # Safety
/// The credential must live, and not be shared yet.
pub unsafe fn attach(credential: *mut ffi::SSL_CREDENTIAL, facts: Facts) -> Result<(), ErrorStack> {
    // SAFETY: as above; the box is BoringSSL's from here on.
    unsafe { done(ffi::SSL_CREDENTIAL_set_ex_data(credential, PLACES.0, Box::into_raw(Box::new(facts)).cast())) }
}

/// Facts of the certificate that a handshake under way has chosen.
fn of_handshake(ssl: &SslRef) -> Option<&Facts> {
    // SAFETY: the connection lives and holds its handshake, which holds the credential, which holds
    // the facts; none of it changes while the reference lives.
    unsafe {
        let credential = ffi::SSL_get0_selected_credential(ssl.as_ptr());
        if credential.is_null() {
            return None;
        }
        ffi::SSL_CREDENTIAL_get_ex_data(credential, PLACES.0).cast::<Facts>().as_ref()
    }
}

/// A handshake has come to its end: it counts, and a strict listener's connection keeps the names
/// of its certificate.
pub fn note_end(ssl: &SslRef) {
    let Some(facts) = of_handshake(ssl) else { return };
    let count = if ssl.session_reused() { &facts.counts.resumed } else { &facts.counts.full };
    count.fetch_add(1, Relaxed);
    if facts.covered.is_some() {
        let kept = Box::into_raw(Box::new(facts.clone()));
        // SAFETY: the connection lives and has no facts yet: a handshake ends once. Where they
        // cannot be put there they are ours again.
        unsafe {
            if ffi::SSL_set_ex_data(ssl.as_ptr(), PLACES.1, kept.cast()) != 1 {
                drop(Box::from_raw(kept));
            }
        }
    }
}

/// A handshake has failed.
pub fn note_failure(ssl: &SslRef) {
    if let Some(facts) = of_handshake(ssl) {
        facts.counts.failed.fetch_add(1, Relaxed);
    }
}

/// Names that the certificate of an open connection is good for, where its listener is strict.
pub fn covered(ssl: &SslRef) -> Option<Arc<[String]>> {
    // SAFETY: only boxes of facts are put there, and this one lives as long as the connection.
    let facts = unsafe { ffi::SSL_get_ex_data(ssl.as_ptr(), PLACES.1).cast::<Facts>().as_ref() };
    facts?.covered.clone()
}
