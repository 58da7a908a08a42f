//! The border between Node and the reactor: conversions only, no policy. The shape is
//! `src/native/binding.ts`.

mod asks;
mod attachment;
mod convert;
mod listeners;
mod service;
mod shards;
mod signals;
mod stores;
mod types;
mod uv;

use lychgate_core::base::counters::{FAMILIES, Kind, offset};
use lychgate_core::base::panics;
use lychgate_core::base::reason;
use lychgate_core::http::normal;
use lychgate_core::record::sample;
use lychgate_core::tls::certificate::Certificate;
use napi::bindgen_prelude::*;
use napi_derive::napi;
use std::collections::HashMap;
use types::*;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Version of the addon.
#[napi(catch_unwind)]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Opens the sockets of a place, one for each shard, all or none.
#[napi(catch_unwind)]
pub fn open_listener(
    place: u32,
    address: String,
    shards: u32,
    receive_buffer_bytes: f64,
    send_buffer_bytes: f64,
    cid_key: Uint8Array,
) -> Result<BindingPlace> {
    listeners::open(place, &address, shards, (receive_buffer_bytes as usize, send_buffer_bytes as usize), &cid_key)
}

/// Closes the sockets of a place that no reactor has taken, and forgets it.
#[napi(catch_unwind)]
pub fn close_listener(place: u32) {
    listeners::close(place);
}

/// Sockets of a place that are open.
#[napi(catch_unwind)]
pub fn listener_sockets(place: u32) -> u32 {
    listeners::sockets(place)
}

/// Connections that send by the sockets of a place.
#[napi(catch_unwind)]
pub fn place_connections(place: u32) -> f64 {
    listeners::place_connections(place) as f64
}

/// Connections of a listener, in all shards.
#[napi(catch_unwind)]
pub fn listener_connections(listener: u32) -> f64 {
    listeners::connections(listener) as f64
}

/// Throws what is wrong with the settings of a listener.
#[napi(catch_unwind)]
pub fn check_listener(listener: BindingListener) -> Result<()> {
    listeners::check(listener)
}

/// Has a shard listen where it is told to, and nowhere else.
#[napi(catch_unwind)]
pub fn reactor_listen(shard: u32, listeners: Vec<BindingListener>, drain_ms: f64) -> Result<()> {
    shards::with(shard, |reactor| listeners::listen(reactor, shard as usize, listeners, drain_ms))?
}

/// Gives a shard other limits.
#[napi(catch_unwind)]
pub fn reactor_limit(shard: u32, max_exchanges: f64, stateless_replies: f64) -> Result<()> {
    shards::with(shard, |reactor| reactor.set_limits(max_exchanges as usize, stateless_replies as u32))
}

/// Another limit of what all shards hold for peers.
#[napi(catch_unwind)]
pub fn limit_held(bytes: f64) -> Result<()> {
    shards::limit_held(bytes as u64)
}

/// Lets this thread take a signal that was blocked when the process began.
#[napi(catch_unwind)]
pub fn unblock_signal(signal: i32) -> Result<()> {
    // SAFETY: the set is the thread's own, and is initialised before it is used.
    let failed = unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, signal) != 0 || libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, std::ptr::null_mut()) != 0
    };
    if failed { Err(failure(format!("{signal} is no signal"))) } else { Ok(()) }
}

/// Whether a crash of the process may leave its memory behind, and other processes of its user may
/// read it.
#[napi(catch_unwind)]
pub fn set_dumpable(is_dumpable: bool) -> Result<()> {
    // SAFETY: the call takes numbers alone.
    let failed = unsafe { libc::prctl(libc::PR_SET_DUMPABLE, libc::c_ulong::from(is_dumpable), 0, 0, 0) != 0 };
    if failed { Err(failure(std::io::Error::last_os_error().to_string())) } else { Ok(()) }
}

/// The canonical form of an authority and a path, as a listener with these rules makes it.
#[napi(catch_unwind)]
pub fn normalise(
    authority: String,
    path: String,
    scheme: String,
    are_slashes_merged: bool,
    escaped_slashes: String,
) -> Result<BindingNormal> {
    let rules = convert::rules(are_slashes_merged, &escaped_slashes)?;
    let port = normal::DefaultPort::of(scheme.as_bytes());
    let (authority, of_authority) = canonical(authority, |text, out| normal::authority(text, port, out));
    let (path, of_path) = canonical(path, |text, out| normal::path(text, rules, out));
    Ok(BindingNormal { authority, path, complaint: of_authority.or(of_path).unwrap_or_default().to_owned() })
}

/// A text's canonical form, or the text as it is and what is to be said against it.
fn canonical(
    text: String,
    make: impl FnOnce(&[u8], &mut Vec<u8>) -> std::result::Result<bool, normal::Complaint>,
) -> (String, Option<normal::Complaint>) {
    let mut out = Vec::new();
    match make(text.as_bytes(), &mut out) {
        // Forms are ASCII.
        Ok(true) => (String::from_utf8_lossy(&out).into_owned(), None),
        Ok(false) => (text, None),
        Err(complaint) => (text, Some(complaint)),
    }
}

/// Complaints about a certificate; none when all is well.
#[napi(catch_unwind)]
pub fn check_certificate(certificate: BindingCertificate) -> Vec<String> {
    Certificate::parse(certificate.label, certificate.names, &certificate.chain_pem, &certificate.key_pem)
        .and_then(|parsed| parsed.with_ocsp(&certificate.ocsp))
        .err()
        .unwrap_or_default()
}

/// Gives a listener its certificates, in all shards at once.
#[napi(catch_unwind)]
pub fn set_certificates(listener: u32, certificates: Vec<BindingCertificate>, policy: BindingTlsPolicy) -> Result<()> {
    stores::set(listener, certificates, policy)
}

/// Forgets the certificates of a listener that is no more.
#[napi(catch_unwind)]
pub fn remove_certificates(listener: u32) {
    stores::remove(listener);
}

/// Connections that were ended for their client's certificate, of all shards.
#[napi(catch_unwind)]
pub fn client_certificates_ended() -> Vec<types::BindingEnded> {
    stores::ended()
}

/// Handshakes by certificate, of all shards.
#[napi(catch_unwind)]
pub fn certificate_handshakes() -> Vec<BindingCertificateHandshakes> {
    stores::handshakes()
}

/// Makes the reactor of a shard.
#[napi(catch_unwind)]
pub fn reactor_create(options: BindingReactorOptions) -> Result<()> {
    shards::create(options)
}

/// Ends the reactor of a shard.
#[napi(catch_unwind)]
pub fn reactor_destroy(shard: u32) -> Result<()> {
    shards::destroy(shard)
}

/// Puts a shard's reactor on this thread's event loop; returns the ring's memory.
#[napi(catch_unwind)]
pub fn reactor_attach<'env>(env: &'env Env, shard: u32, decide: Function<'env, (), ()>) -> Result<Unknown<'env>> {
    attachment::attach(env, shard, decide)
}

/// Takes a shard's reactor off this thread's event loop.
#[napi(catch_unwind)]
pub fn reactor_detach(shard: u32) -> Result<()> {
    attachment::detach(shard)
}

/// Gives a reactor a snapshot.
#[napi(catch_unwind)]
pub fn reactor_apply(shard: u32, snapshot: BindingSnapshot) -> Result<()> {
    let snapshot = convert::snapshot(snapshot)?;
    shards::with(shard, |reactor| reactor.apply(snapshot))
}

/// Gives a reactor further plans, or others under their numbers.
#[napi(catch_unwind)]
pub fn reactor_learn_plans(shard: u32, plans: BindingPlans) -> Result<()> {
    let plans = convert::plans(plans)?;
    shards::with(shard, |reactor| reactor.learn_plans(plans))
}

/// Takes the decisions that stand in the ring now.
#[napi(catch_unwind)]
pub fn reactor_kick(shard: u32) -> Result<()> {
    shards::with(shard, |reactor| reactor.kick())
}

/// Ends every exchange and connection that is left.
#[napi(catch_unwind)]
pub fn reactor_close(shard: u32) -> Result<()> {
    shards::with(shard, |reactor| reactor.close())
}

/// Begins the drain.
#[napi(catch_unwind)]
pub fn reactor_drain(shard: u32) -> Result<()> {
    shards::with(shard, |reactor| reactor.drain())
}

/// Connections as JSON.
#[napi(catch_unwind)]
pub fn reactor_connections(shard: u32, limit: u32) -> Result<String> {
    shards::with(shard, |reactor| reactor.describe_connections(limit as usize))
}

/// Sessions as JSON.
#[napi(catch_unwind)]
pub fn reactor_sessions(shard: u32) -> Result<String> {
    shards::with(shard, |reactor| reactor.describe_sessions())
}

/// Asks a backend over HTTP/3.
#[napi(catch_unwind)]
pub fn ask_h3<'env>(env: &'env Env, number: u32, question: BindingQuestion) -> Result<Object<'env>> {
    asks::ask(env, number, question)
}

/// Ends what was asked by this number.
#[napi(catch_unwind)]
pub fn cancel_h3(number: u32) {
    asks::cancel(number);
}

/// Tells the service manager that listens at `address`.
#[napi(catch_unwind)]
pub fn notify_service(address: String, text: String) -> Result<()> {
    service::notify(&address, &text)
}

/// Milliseconds since the oldest open exchange began, -1 where there is none.
#[napi(catch_unwind)]
pub fn reactor_oldest_exchange(shard: u32) -> Result<f64> {
    shards::with(shard, |reactor| reactor.oldest_exchange_ms().unwrap_or(-1.0))
}

/// A copy of the counters.
#[napi(catch_unwind)]
pub fn reactor_counters(shard: u32) -> Result<Float64Array> {
    Ok(Float64Array::new(shards::find(shard)?.counters.copy()))
}

/// Milliseconds the lane's present call has taken.
#[napi(catch_unwind)]
pub fn reactor_lane_busy_ms(shard: u32) -> Result<f64> {
    Ok(shards::find(shard)?.busy_ms())
}

/// Open exchanges.
#[napi(catch_unwind)]
pub fn reactor_exchanges(shard: u32) -> Result<f64> {
    use lychgate_core::base::counters::Id;
    Ok(shards::find(shard)?.counters.get(Id::ExchangesOpen) as f64)
}

/// Descriptions of the counters.
#[napi(catch_unwind)]
pub fn families() -> Vec<BindingFamily> {
    let describe = |(place, family): (usize, &lychgate_core::base::counters::Family)| BindingFamily {
        name: family.name.to_owned(),
        help: family.help.to_owned(),
        kind: match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
        .to_owned(),
        labels: family
            .values
            .iter()
            .map(
                |value| {
                    if family.label.is_empty() { HashMap::new() } else { HashMap::from([(family.label.to_owned(), (*value).to_owned())]) }
                },
            )
            .collect(),
        offset: offset(place) as u32,
        stride: family.stride() as u32,
        bounds: family.bounds.iter().map(|bound| *bound as f64 * family.scale).collect(),
        scale: family.scale,
    };
    FAMILIES.iter().enumerate().map(describe).collect()
}

/// Panics since the last call, for the log.
#[napi(catch_unwind)]
pub fn take_panics() -> Vec<BindingPanic> {
    let reports = panics::take_reports().into_iter();
    let shown = |report: panics::Report| BindingPanic {
        shard: report.shard as u32,
        owner: report.owner.name().to_owned(),
        place: report.place,
        message: report.message,
    };
    reports.map(shown).collect()
}

/// Plants a panic that strikes where this thread next passes the place; for a test.
#[napi(catch_unwind)]
pub fn plant_panic(place: String) -> Result<()> {
    if panics::plant::arm(&place) { Ok(()) } else { Err(failure(format!("no panic can be planted in {place} of this build"))) }
}

/// Runs when the addon is loaded.
#[napi(module_exports)]
pub fn load(_exports: Object<'_>) -> Result<()> {
    panics::install();
    Ok(())
}

/// The registry of reasons.
#[napi(catch_unwind)]
pub fn reasons() -> Vec<BindingReason> {
    reason::ALL
        .iter()
        .map(|entry| BindingReason { number: entry.reason.number(), code: entry.code.to_owned(), grpc_status: entry.reason.grpc_status() })
        .collect()
}

/// Writes records with known values; for a test.
#[napi(catch_unwind)]
pub fn record_samples(mut memory: Uint8Array) -> u32 {
    let bytes = sample::outward();
    // SAFETY: the caller's own array, used by nobody else during the call.
    let room = unsafe { memory.as_mut() };
    room[..bytes.len()].copy_from_slice(&bytes);
    bytes.len() as u32
}

/// Decodes decisions; for a test.
#[napi(catch_unwind)]
pub fn record_decode(memory: Uint8Array) -> String {
    sample::inward(&memory)
}

fn key(bytes: &[u8]) -> Result<[u8; 32]> {
    bytes.try_into().map_err(|_| failure(format!("the key has {} bytes instead of 32", bytes.len())))
}

fn failure(message: impl Into<String>) -> Error {
    Error::from_reason(message.into())
}
