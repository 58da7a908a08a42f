//! What the edge has to know of the certificate of a handshake or of a connection: BoringSSL keeps
//! it beside the credential.

use super::client_auth::{Auth, Gate};
use super::credential::done;
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

/// Authorities that requests of a connection may name: those its certificate is good for, where its
/// listener is strict, and those that want of clients what its handshake wanted.
#[derive(Default)]
pub struct Coverage {
    names: Option<Arc<[String]>>,
    gate: Option<Gate>,
    /// The authority that was last found among them.
    last: Vec<u8>,
}

impl Coverage {
    /// Whether requests for an authority may come here. Nothing is asked where the listener is not
    /// strict and wants the same of all clients.
    #[inline]
    pub fn admits(&mut self, authority: &[u8]) -> bool {
        if self.names.is_none() && self.gate.is_none() || !authority.is_empty() && authority == self.last {
            return true;
        }
        let is_named = self.names.as_ref().is_none_or(|names| covers(names, authority));
        let is_covered = is_named && self.gate.as_ref().is_none_or(|gate| gate.admits(authority));
        if is_covered {
            self.last.clear();
            self.last.extend_from_slice(authority);
        }
        is_covered
    }
}

/// The host of an authority, without brackets.
pub(super) fn host_of(authority: &[u8]) -> &[u8] {
    match authority {
        [b'[', rest @ ..] => rest.split(|byte| *byte == b']').next().unwrap_or(rest),
        _ => authority.split(|byte| *byte == b':').next().unwrap_or(authority),
    }
}

/// Whether a certificate is good for the host of an authority: by its name, by a wildcard in place
/// of the first label (RFC 9525 §6.3), or by its address.
fn covers(names: &[String], authority: &[u8]) -> bool {
    let host = host_of(authority);
    let host = host.strip_suffix(b".").unwrap_or(host);
    let parent = host.iter().position(|byte| *byte == b'.').map(|dot| &host[dot..]).filter(|parent| parent.len() < host.len());
    names.iter().any(|name| match name.strip_prefix('*') {
        Some(of) => parent.is_some_and(|parent| parent.eq_ignore_ascii_case(of.as_bytes())),
        None => host.eq_ignore_ascii_case(name.as_bytes()),
    })
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
    // SAFETY: the connection lives and holds its handshake, which holds the credential, which holds the facts; none of it changes while the reference lives.
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
        // SAFETY: the connection lives and has no facts yet: a handshake ends once. Where they cannot be put there they are ours again.
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

/// What requests of a connection may ask for.
pub fn coverage(ssl: &SslRef, auth: Option<&Auth>) -> Coverage {
    // SAFETY: only boxes of facts are put there, and this one lives as long as the connection.
    let facts = unsafe { ffi::SSL_get_ex_data(ssl.as_ptr(), PLACES.1).cast::<Facts>().as_ref() };
    Coverage { names: facts.and_then(|facts| facts.covered.clone()), gate: auth.and_then(Auth::gate), last: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_covered_by_its_name_a_wildcard_of_one_label_or_its_address() {
        let names: Arc<[String]> = ["a.test", "*.b.test", "192.0.2.1", "2001:db8::1"].map(str::to_owned).into();
        let mut coverage = Coverage { names: Some(names), ..Coverage::default() };
        for good in ["a.test", "A.test:443", "a.test.", "x.b.test", "X.B.TEST:8443", "192.0.2.1:1", "[2001:db8::1]:443", "[2001:db8::1]"] {
            assert!(coverage.admits(good.as_bytes()) && coverage.admits(good.as_bytes()), "{good}");
        }
        for bad in ["b.test", "x.y.b.test", ".b.test", "x.a.test", "test", "", "192.0.2.2", "[2001:db8::2]", "a.test.evil.test"] {
            assert!(!coverage.admits(bad.as_bytes()) && !coverage.admits(bad.as_bytes()), "{bad}");
        }
        assert!(Coverage::default().admits(b"anything"));
    }
}
