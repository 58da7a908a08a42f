//! Questions of active health over HTTP/3: a thread each, for as long as the answer takes.

use crate::convert::pins;
use crate::failure;
use crate::types::{BindingQuestion, BindingReply};
use lychgate_core::tls::client::Credentials;
use lychgate_core::upstream::TlsConfig;
use lychgate_core::upstream::probe::{self, Probe};
use napi::Result;
use napi::bindgen_prelude::{Env, Object};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What is under way, by the number that whoever asked gave it.
static ASKS: LazyLock<Mutex<HashMap<u32, Arc<AtomicBool>>>> = LazyLock::new(Mutex::default);

/// TLS and quiche need no more.
const STACK_BYTES: usize = 512 * 1024;

/// A promise of the answer.
pub fn ask<'env>(env: &'env Env, number: u32, question: BindingQuestion) -> Result<Object<'env>> {
    let probe = Probe {
        address: question.address.parse().map_err(|_| failure(format!("{} is no address of the form ip:port", question.address)))?,
        tls: TlsConfig {
            server_name: question.server_name,
            is_verified: question.is_verified,
            ca_pem: question.ca_pem,
            credentials: Credentials { chain_pem: question.client_chain_pem, key_pem: question.client_key_pem },
            pins: pins(&question.pins)?,
            ..TlsConfig::default()
        },
        method: question.method,
        authority: question.authority,
        path: question.path,
        user_agent: question.user_agent,
        timeout: Duration::from_millis(question.timeout_ms as u64),
        body_bytes: question.body_bytes as usize,
    };
    let (deferred, promise) = env.create_deferred()?;
    let is_cancelled = Arc::new(AtomicBool::new(false));
    under_way().insert(number, is_cancelled.clone());
    let work = move || {
        // A promise is kept whatever happens.
        let answer = catch_unwind(AssertUnwindSafe(|| probe::run(&probe, &is_cancelled))).unwrap_or(Err("a fault of the edge".to_owned()));
        under_way().remove(&number);
        match answer {
            Ok(reply) => deferred.resolve(move |_| Ok(BindingReply { status: u32::from(reply.status), body: reply.body.into() })),
            Err(fault) => deferred.reject(failure(fault)),
        }
    };
    std::thread::Builder::new().name("ask".to_owned()).stack_size(STACK_BYTES).spawn(work).map_err(|error| failure(error.to_string()))?;
    Ok(promise)
}

/// The answer is not wanted any more.
pub fn cancel(number: u32) {
    if let Some(is_cancelled) = under_way().get(&number) {
        is_cancelled.store(true, Ordering::Relaxed);
    }
}

fn under_way() -> MutexGuard<'static, HashMap<u32, Arc<AtomicBool>>> {
    ASKS.lock().unwrap_or_else(PoisonError::into_inner)
}
