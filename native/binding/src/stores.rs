//! The process's certificates by listener. They belong to no reactor: those of all shards read the
//! same store, and the main thread swaps what is in it.

use crate::types::{BindingCertificate, BindingCertificateHandshakes, BindingEnded, BindingTlsPolicy};
use crate::{convert, failure};
use lychgate_core::tls::store::CertificateStore;
use napi::Result;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
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

/// Forgets the certificates of a listener that is no more. Handshakes under way keep them.
pub fn remove(listener: u32) {
    let removed = STORES.lock().unwrap_or_else(PoisonError::into_inner).remove(&listener);
    drop(removed);
}

/// Handshakes by listener and certificate.
pub fn handshakes() -> Vec<BindingCertificateHandshakes> {
    let stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    let rows = stores.values().flat_map(|store| {
        let (listener, rows) = store.handshakes();
        rows.into_iter().map(move |(certificate, counts)| BindingCertificateHandshakes {
            listener: listener.clone(),
            certificate,
            full: counts.full.load(Relaxed) as f64,
            resumed: counts.resumed.load(Relaxed) as f64,
            failed: counts.failed.load(Relaxed) as f64,
        })
    });
    rows.collect()
}

/// Connections that were ended for their client's certificate, by listener and reason.
pub fn ended() -> Vec<BindingEnded> {
    let stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    let rows = stores.values().flat_map(|store| {
        let (listener, rows) = store.ended();
        rows.into_iter().map(move |(reason, count)| BindingEnded {
            listener: listener.clone(),
            reason: reason.to_owned(),
            count: count as f64,
        })
    });
    rows.collect()
}

/// The store of a listener.
pub fn find(listener: u32) -> Result<Arc<CertificateStore>> {
    let stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    stores.get(&listener).cloned().ok_or_else(|| failure(format!("listener {listener} has no certificates yet")))
}
