//! The process's certificates by listener. They belong to no reactor: those of all shards read the same store, and the main thread swaps what is in it.

use crate::types::{BindingCertificate, BindingTlsPolicy};
use crate::{convert, failure};
use lychgate_core::tls::store::CertificateStore;
use napi::Result;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

static STORES: Mutex<BTreeMap<u32, Arc<CertificateStore>>> = Mutex::new(BTreeMap::new());

/// Gives a listener other certificates, or its first. When it fails nothing has changed.
pub fn set(listener: u32, certificates: Vec<BindingCertificate>, policy: BindingTlsPolicy) -> Result<()> {
    let (certificates, policy) = (convert::certificates(certificates)?, convert::tls_policy(policy)?);
    let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    match stores.get(&listener) {
        Some(store) => store.replace(certificates, policy).map_err(failure),
        None => {
            stores.insert(listener, Arc::new(CertificateStore::new(certificates, policy).map_err(failure)?));
            Ok(())
        }
    }
}

/// The store of a listener.
pub fn find(listener: usize) -> Result<Arc<CertificateStore>> {
    let stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    stores.get(&(listener as u32)).cloned().ok_or_else(|| failure(format!("listener {listener} has no certificates yet")))
}
