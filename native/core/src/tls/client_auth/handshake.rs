//! What a handshake has to do with client certificates: it is told what to ask for, judges what is
//! shown, and leaves what it found beside the connection.

use super::policies::Policies;
use super::policy::Policy;
use super::rules::Mode;
use crate::base::counters::{CertificateRefused, ClientCertificate, Counters, Id};
use crate::tls::buffer::{Buffer, done};
use crate::tls::identity::{Identity, Verdict};
use crate::tls::names::host_of;
use crate::tls::told::Told;
use crate::tls::verdict;
use boring::error::ErrorStack;
use boring::ssl::{NameType, SslAlert, SslOptions, SslRef, SslVerifyError, SslVerifyMode};
use boring_sys as ffi;
use foreign_types_shared::ForeignTypeRef;
use std::ffi::{c_int, c_long, c_void};
use std::ptr;
use std::sync::{Arc, LazyLock};

/// What a connection has to do with client certificates.
pub struct Auth {
    pub(super) policies: Arc<Policies>,
    pub(super) place: u32,
    /// Of the certificate that was shown.
    pub identity: Option<Arc<Identity>>,
}

impl Auth {
    /// The policy that the handshake obeyed.
    pub(super) fn policy(&self) -> &Policy {
        self.policies.policy(self.place)
    }

    /// Who the client is and what backends are told of it, where it has shown a certificate.
    pub fn told(&self) -> Option<Arc<Told>> {
        let forward = &self.policy().rules.forward;
        self.identity.as_ref().map(|identity| Arc::new(Told::new(identity.clone(), forward)))
    }

    /// Generation of the policies that it obeys.
    pub fn generation(&self) -> u64 {
        self.policies.generation()
    }

    /// Whether its certificate, or what spoke for it, has run out.
    pub(super) fn has_run_out(&self, now: i64) -> bool {
        self.identity.as_ref().is_some_and(|identity| identity.verdict == Verdict::Verified && identity.valid_until < now)
    }

    /// What requests of it may ask for, where not all names of its listener have the same policy.
    pub fn gate(&self) -> Option<Gate> {
        (!self.policies.is_uniform()).then(|| Gate { policies: self.policies.clone(), place: self.place })
    }
}

/// The policy that a connection's handshake obeyed, held against those of the hosts it asks for.
pub struct Gate {
    policies: Arc<Policies>,
    place: u32,
}

impl Gate {
    /// Whether the policy of an authority is that of the handshake.
    pub fn admits(&self, authority: &[u8]) -> bool {
        let place = self.policies.find(host_of(authority));
        place == self.place || self.policies.policy(place).is_as(self.policies.policy(self.place))
    }
}

/// Tells a handshake what to ask its client for.
pub(in crate::tls) fn demand(policies: &Arc<Policies>, ssl: &mut SslRef) -> Result<(), ErrorStack> {
    let place = ssl.servername_raw(NameType::HOST_NAME).map_or(0, |name| policies.find(name));
    let policy = policies.policy(place);
    let auth = Box::new(Auth { policies: policies.clone(), place, identity: None });
    // SAFETY: the connection lives, and has nothing in that place yet: its certificate is chosen
    // once.
    unsafe { put(ssl, auth)? };
    if policy.rules.mode == Mode::Off {
        return Ok(());
    }
    let needs_one = policy.rules.mode == Mode::Required;
    ssl.set_verify(if needs_one { SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT } else { SslVerifyMode::PEER });
    // A ticket would be as good as a certificate that nobody looks at again.
    ssl.set_options(SslOptions::NO_TICKET);
    // SAFETY: the connection lives; the list and what is in it are the connection's from here on.
    unsafe {
        ffi::SSL_set_max_cert_list(ssl.as_ptr(), policy.rules.max_bytes);
        if !policy.told.is_empty() {
            ffi::SSL_set0_client_CAs(ssl.as_ptr(), counted(&policy.told)?.cast());
        }
    }
    Ok(())
}

/// A stack with a reference of its own to each buffer.
fn counted(buffers: &[Buffer]) -> Result<*mut ffi::OPENSSL_STACK, ErrorStack> {
    // SAFETY: the stack is ours until it is returned; each buffer in it has one reference more.
    unsafe {
        let stack = ffi::OPENSSL_sk_new_null();
        if stack.is_null() {
            return Err(ErrorStack::get());
        }
        for buffer in buffers {
            if ffi::OPENSSL_sk_push(stack, buffer.as_ptr().cast()) == 0 {
                // Memory ran out: those that are in it are never freed, which is better than twice.
                ffi::OPENSSL_sk_free(stack);
                return Err(ErrorStack::get());
            }
            ffi::CRYPTO_BUFFER_up_ref(buffer.as_ptr());
        }
        Ok(stack)
    }
}

/// Place beside connections; below zero where there is none.
static PLACE: LazyLock<c_int> = LazyLock::new(|| {
    // SAFETY: no arguments but the function that frees what is put there.
    unsafe { ffi::SSL_get_ex_new_index(0, ptr::null_mut(), ptr::null_mut(), None, Some(free)) }
});

unsafe extern "C" fn free(_: *mut c_void, auth: *mut c_void, _: *mut ffi::CRYPTO_EX_DATA, _: c_int, _: c_long, _: *mut c_void) {
    if !auth.is_null() {
        // SAFETY: only boxes of it are put in this place, and each is freed once.
        drop(unsafe { Box::from_raw(auth.cast::<Auth>()) });
    }
}

/// # Safety
/// Nothing may be in the connection's place yet.
unsafe fn put(ssl: &mut SslRef, auth: Box<Auth>) -> Result<(), ErrorStack> {
    let raw = Box::into_raw(auth);
    // SAFETY: as above; the box is BoringSSL's from here on, or ours again where it is not taken.
    unsafe { done(ffi::SSL_set_ex_data(ssl.as_ptr(), *PLACE, raw.cast())).inspect_err(|_| drop(Box::from_raw(raw))) }
}

fn of_connection(ssl: &SslRef) -> Option<&Auth> {
    // SAFETY: only boxes of it are put there, and the reference lives no longer than that to the
    // connection.
    unsafe { ffi::SSL_get_ex_data(ssl.as_ptr(), *PLACE).cast::<Auth>().as_ref() }
}

/// Takes what a handshake found, once.
pub(in crate::tls) fn take(ssl: &mut SslRef) -> Option<Box<Auth>> {
    // SAFETY: only boxes of it are put there; once nothing points there any more it is ours.
    unsafe {
        let raw = ffi::SSL_get_ex_data(ssl.as_ptr(), *PLACE).cast::<Auth>();
        if raw.is_null() || ffi::SSL_set_ex_data(ssl.as_ptr(), *PLACE, ptr::null_mut()) != 1 {
            return None;
        }
        Some(Box::from_raw(raw))
    }
}

/// A client has shown a certificate: BoringSSL asks whether it holds.
pub(in crate::tls) fn verify(ssl: &mut SslRef, counters: &Counters) -> Result<(), SslVerifyError> {
    let chain = shown(ssl);
    // SAFETY: only boxes of it are put there, and nobody else has a reference while the callback
    // runs.
    let auth = unsafe { ffi::SSL_get_ex_data(ssl.as_ptr(), *PLACE).cast::<Auth>().as_mut() };
    let Some(auth) = auth else { return Err(SslVerifyError::Invalid(SslAlert::INTERNAL_ERROR)) };
    match auth.policy().judge(&chain) {
        Ok(identity) => {
            auth.identity = Some(Arc::new(identity));
            Ok(())
        }
        Err(refused) => {
            note_refusal(refused, counters);
            Err(SslVerifyError::Invalid(verdict::alert(refused)))
        }
    }
}

/// What the client has shown, DER, its own first.
fn shown<'a>(ssl: &SslRef) -> Vec<&'a [u8]> {
    // SAFETY: the session under way holds the buffers, which nobody changes, to the end of the
    // handshake: the callback that asks for them is within it.
    unsafe {
        let stack: *const ffi::OPENSSL_STACK = ffi::SSL_get0_peer_certificates(ssl.as_ptr()).cast();
        let count = if stack.is_null() { 0 } else { ffi::OPENSSL_sk_num(stack) };
        let der = |place| {
            let buffer: *const ffi::CRYPTO_BUFFER = ffi::OPENSSL_sk_value(stack, place).cast();
            std::slice::from_raw_parts(ffi::CRYPTO_BUFFER_data(buffer), ffi::CRYPTO_BUFFER_len(buffer))
        };
        (0..count).map(der).collect()
    }
}

/// A handshake has come to its end: what came of asking counts.
pub(in crate::tls) fn note_end(ssl: &SslRef, counters: &Counters) {
    let Some(auth) = of_connection(ssl) else { return };
    if auth.policy().rules.mode == Mode::Off {
        return;
    }
    let result = match auth.identity.as_ref().map(|identity| identity.verdict) {
        Some(Verdict::Verified) => ClientCertificate::Verified,
        Some(Verdict::Unverified) => ClientCertificate::Unverified,
        None => ClientCertificate::Absent,
    };
    counters.add_to(Id::ClientCertificates, result as usize, 1);
}

/// A certificate was refused, or there was none where one must be.
pub(in crate::tls) fn note_refusal(refused: CertificateRefused, counters: &Counters) {
    counters.add_to(Id::ClientCertificates, ClientCertificate::Refused as usize, 1);
    counters.add_to(Id::ClientCertificatesRefused, refused as usize, 1);
}
