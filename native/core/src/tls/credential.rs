//! BoringSSL's credentials: a chain and its key, prepared once and offered to handshakes, of which
//! each takes the first that its client can verify. The safe wrapper of the `boring` crate makes
//! none of certificates.

use super::buffer::{Buffer, done};
use super::certificate::Certificate;
use super::facts::{self, Facts};
use boring::error::ErrorStack;
use boring::ssl::SslRef;
use boring_sys as ffi;
use foreign_types_shared::ForeignTypeRef;
use std::collections::HashMap;
use std::ptr::NonNull;

/// Certificates in DER, each kept once however many chains have it.
#[derive(Default)]
pub struct Pool(HashMap<Box<[u8]>, Buffer>);

impl Pool {
    fn buffer(&mut self, der: &[u8]) -> Result<*mut ffi::CRYPTO_BUFFER, ErrorStack> {
        if let Some(known) = self.0.get(der) {
            return Ok(known.as_ptr());
        }
        let made = Buffer::new(der)?;
        let raw = made.as_ptr();
        self.0.insert(der.into(), made);
        Ok(raw)
    }
}

/// A credential, which nobody changes once it is made.
pub struct Credential(NonNull<ffi::SSL_CREDENTIAL>);

// SAFETY: its references are counted atomically, and it is only read.
unsafe impl Send for Credential {}
unsafe impl Sync for Credential {}

impl Credential {
    /// Prepares a certificate. Sessions begun with it resume only where the same `context` holds.
    pub fn new(certificate: &Certificate, context: &[u8; 32], facts: Facts, pool: &mut Pool) -> Result<Credential, ErrorStack> {
        // SAFETY: no preconditions.
        let made = NonNull::new(unsafe { ffi::SSL_CREDENTIAL_new_x509() }).map(Credential).ok_or_else(ErrorStack::get)?;
        let mut chain = Vec::with_capacity(certificate.chain.len());
        for (place, der) in certificate.chain.iter().enumerate() {
            // A leaf is hardly ever another's issuer: only those are looked up.
            if place > 0 {
                chain.push(pool.buffer(der)?);
            }
        }
        let leaf = Buffer::new(&certificate.chain[0])?;
        chain.insert(0, leaf.as_ptr());
        let raw = made.0.as_ptr();
        // SAFETY: all pointers are valid for the calls, which copy or count what they keep.
        unsafe {
            done(ffi::SSL_CREDENTIAL_set1_cert_chain(raw, chain.as_ptr(), chain.len()))?;
            done(ffi::SSL_CREDENTIAL_set1_private_key(raw, certificate.key.as_ptr()))?;
            done(ffi::SSL_CREDENTIAL_set1_session_id_context(raw, context.as_ptr(), context.len()))?;
            facts::attach(raw, facts)?;
            if !certificate.ocsp.is_empty() {
                let response = Buffer::new(&certificate.ocsp)?;
                done(ffi::SSL_CREDENTIAL_set1_ocsp_response(raw, response.as_ptr()))?;
            }
        }
        Ok(made)
    }

    /// Puts it behind those that a handshake has been offered.
    pub fn offer(&self, ssl: &mut SslRef) -> Result<(), ErrorStack> {
        // SAFETY: both live; the connection counts a reference of its own.
        unsafe { done(ffi::SSL_add1_credential(ssl.as_ptr(), self.0.as_ptr())) }
    }
}

impl Drop for Credential {
    fn drop(&mut self) {
        // SAFETY: the reference is ours.
        unsafe { ffi::SSL_CREDENTIAL_free(self.0.as_ptr()) }
    }
}

/// What a connection was configured with is freed once its handshake is through: the list of
/// certificates among it, and more than a kilobyte of settings.
pub fn shed_when_done(ssl: &mut SslRef) {
    // SAFETY: the connection lives. Nothing reads its configuration after the handshake: quiche
    // asks for what was negotiated, which stays.
    unsafe { ffi::SSL_set_shed_handshake_config(ssl.as_ptr(), 1) }
}
