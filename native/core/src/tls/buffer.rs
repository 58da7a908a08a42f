//! What the safe wrapper of BoringSSL leaves out: buffers with counted references, and what a
//! status means.

use boring::error::ErrorStack;
use boring_sys as ffi;
use std::ptr::{self, NonNull};

/// Bytes that BoringSSL counts the references of.
pub(super) struct Buffer(NonNull<ffi::CRYPTO_BUFFER>);

impl Buffer {
    pub(super) fn new(bytes: &[u8]) -> Result<Buffer, ErrorStack> {
        // SAFETY: the bytes are copied.
        let raw = unsafe { ffi::CRYPTO_BUFFER_new(bytes.as_ptr(), bytes.len(), ptr::null_mut()) };
        NonNull::new(raw).map(Buffer).ok_or_else(ErrorStack::get)
    }

    pub(super) fn as_ptr(&self) -> *mut ffi::CRYPTO_BUFFER {
        self.0.as_ptr()
    }
}

// SAFETY: its references are counted atomically, and its bytes never change.
unsafe impl Send for Buffer {}
unsafe impl Sync for Buffer {}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: the reference is ours.
        unsafe { ffi::CRYPTO_BUFFER_free(self.0.as_ptr()) }
    }
}

/// What a call of BoringSSL says of itself.
pub(super) fn done(status: std::ffi::c_int) -> Result<(), ErrorStack> {
    if status == 1 { Ok(()) } else { Err(ErrorStack::get()) }
}
