//! From the border's records to the core's.

use crate::failure;
use crate::types::{
    BindingAllowed, BindingBackend, BindingCertificate, BindingClientAuth, BindingEdit, BindingForwardField, BindingListener, BindingPlan,
    BindingPlans, BindingRevocationList, BindingSection, BindingSnapshot, BindingTlsPolicy,
};
use lychgate_core::base::settings::{Section, Value};
use lychgate_core::http::normal;
use lychgate_core::http::reserved::Reserved;
use lychgate_core::plan::{Edit, Edits, Plan, Underscores};
use lychgate_core::quic::clients::{ClientCounts, ClientLimit};
use lychgate_core::quic::count::ConnectionCount;
use lychgate_core::reactor::Snapshot;
use lychgate_core::reactor::listener::settings::{Http, Normalise, Quic};
use lychgate_core::reactor::listener::{ListenerOptions, ListenerSettings};
use lychgate_core::relay::Telling;
use lychgate_core::tls::certificate::Certificate;
use lychgate_core::tls::client::{Credentials, Pin, TlsVersion};
use lychgate_core::tls::client_auth::{Allowed, Mode, RevocationList, Rules};
use lychgate_core::tls::store::{CertificateStore, Policy, UnknownName};
use lychgate_core::tls::tickets::{TicketKey, TicketPolicy};
use lychgate_core::tls::told::{Fact, ForwardField};
use lychgate_core::upstream::{BackendConfig, Scheme, SessionLimits, TlsConfig};
use napi::Result;
use napi::bindgen_prelude::{Either3, Uint8Array};
use std::sync::Arc;
use std::time::Duration;

/// A listener, without its socket. `connections` counts those of all shards, `clients` the same by
/// client.
pub fn listener(
    listener: BindingListener,
    connections: ConnectionCount,
    clients: ClientCounts,
    certificates: Arc<CertificateStore>,
) -> Result<ListenerOptions> {
    Ok(ListenerOptions {
        place: listener.place,
        number: listener.listener,
        is_retiring: listener.is_retiring,
        socket: None,
        certificates,
        connections,
        client_limit: client_limit(&listener, clients)?,
        settings: settings(&listener)?,
    })
}

/// Settings of a listener.
pub fn settings(listener: &BindingListener) -> Result<ListenerSettings> {
    let read = || -> std::result::Result<ListenerSettings, String> {
        Ok(ListenerSettings {
            groups: listener.groups.join(":"),
            max_connections: listener.max_connections as usize,
            quic: Quic::read(section("quic", &listener.quic))?,
            http: Http::read(section("http", &listener.http))?,
            normalise: Normalise::read(section("normalise", &listener.normalise))?,
        })
    };
    read().map_err(|said| failure(format!("listener {}: {said}", listener.listener)))
}

fn section(name: &'static str, values: &BindingSection) -> Section {
    let value = |value: &Either3<bool, f64, String>| match value {
        Either3::A(flag) => Value::Flag(*flag),
        Either3::B(number) => Value::Number(*number),
        Either3::C(word) => Value::Word(word.clone()),
    };
    Section::new(name, values.iter().map(|(key, said)| (key.clone(), value(said))).collect())
}

/// Certificates of a listener; the error names each that cannot be used.
pub fn certificates(list: Vec<BindingCertificate>) -> Result<Vec<Certificate>> {
    let mut parsed = Vec::with_capacity(list.len());
    let mut complaints = Vec::new();
    for BindingCertificate { label, names, chain_pem, key_pem, ocsp } in list {
        match Certificate::parse(label.clone(), names, &chain_pem, &key_pem).and_then(|parsed| parsed.with_ocsp(&ocsp)) {
            Ok(certificate) => parsed.push(certificate),
            Err(said) => complaints.push(format!("certificate {label}: {}", said.join("; "))),
        }
    }
    if complaints.is_empty() { Ok(parsed) } else { Err(failure(complaints.join("\n"))) }
}

/// Rules of a listener's handshakes.
pub fn tls_policy(policy: BindingTlsPolicy) -> Result<Policy> {
    let unknown_name = match policy.unknown_name.as_str() {
        "default" => UnknownName::Default,
        "refuse" => UnknownName::Refuse,
        other => return Err(failure(format!("{other} is nothing to do with unknown names: expected default or refuse"))),
    };
    let key = |bytes: &Uint8Array| {
        TicketKey::parse(bytes).ok_or_else(|| failure(format!("a ticket key has {} bytes instead of 48 or 80", bytes.len())))
    };
    let tickets = match policy.ticket_keys.is_empty() {
        true => TicketPolicy::Rotating(Duration::from_millis(policy.ticket_rotation_ms.max(1.0) as u64)),
        false => TicketPolicy::Given(policy.ticket_keys.iter().map(key).collect::<Result<_>>()?),
    };
    let clients = policy.clients.into_iter().map(client_auth).collect::<Result<_>>()?;
    Ok(Policy { listener: policy.listener, unknown_name, is_strict: policy.is_strict, tickets, clients })
}

fn client_auth(auth: BindingClientAuth) -> Result<Rules> {
    let mode = Mode::of(&auth.mode).ok_or_else(|| failure(format!("{} is no mode of client certificates", auth.mode)))?;
    Ok(Rules {
        names: auth.names,
        mode,
        ca_pem: auth.ca_pem,
        tells_authorities: auth.tells_authorities,
        max_depth: auth.max_depth,
        max_bytes: auth.max_bytes as usize,
        forward: auth.forward.into_iter().map(forward_field).collect::<Result<_>>()?,
        lists: auth.lists.into_iter().map(revocation_list).collect::<Result<_>>()?,
        accepts_expired_lists: auth.accepts_expired_lists,
        accepts_missing_lists: auth.accepts_missing_lists,
        denied: auth.denied.iter().map(|bytes| digest(bytes)).collect::<Result<_>>()?,
        allowed: auth.allowed.into_iter().map(|BindingAllowed { dns, uri, email, subject }| Allowed { dns, uri, email, subject }).collect(),
        keeps_connections: auth.keeps_connections,
    })
}

fn forward_field(field: BindingForwardField) -> Result<ForwardField> {
    let fact = Fact::of(&field.fact).ok_or_else(|| failure(format!("{} is nothing that a certificate tells", field.fact)))?;
    Ok(ForwardField { name: field.name.into(), fact })
}

fn revocation_list(list: BindingRevocationList) -> Result<RevocationList> {
    let next_update = list.next_update.is_finite().then_some(list.next_update as i64);
    Ok(RevocationList { signer: digest(&list.signer)?, next_update, serials: list.serials.to_vec() })
}

fn digest(bytes: &[u8]) -> Result<[u8; 32]> {
    bytes.try_into().map_err(|_| failure(format!("a digest has {} bytes instead of 32", bytes.len())))
}

/// The limit of a client's connections.
pub fn client_limit(listener: &BindingListener, counts: ClientCounts) -> Result<Option<ClientLimit>> {
    if listener.max_connections_per_client == 0.0 {
        return Ok(None);
    }
    let network = |text: &String| text.parse().map_err(|()| failure(format!("{text} is no block of addresses")));
    Ok(Some(ClientLimit {
        max: listener.max_connections_per_client as u32,
        prefix4: listener.client_prefix4.min(32) as u8,
        prefix6: listener.client_prefix6.min(128) as u8,
        exempt: listener.exempt_networks.iter().map(network).collect::<Result<_>>()?,
        counts,
    }))
}

/// Rules of normalisation.
pub fn rules(are_slashes_merged: bool, escaped_slashes: &str) -> Result<normal::Rules> {
    let are_escaped_slashes_kept = match escaped_slashes {
        "keep" => true,
        "reject" => false,
        other => return Err(failure(format!("{other} is nothing to do with escaped slashes: expected keep or reject"))),
    };
    Ok(normal::Rules { are_slashes_merged, are_escaped_slashes_kept })
}

/// A snapshot.
pub fn snapshot(snapshot: BindingSnapshot) -> Result<Snapshot> {
    Ok(Snapshot {
        backends: snapshot.backends.into_iter().map(backend).collect::<Result<_>>()?,
        reserved: Reserved::new(&snapshot.reserved_fields),
        telling: Telling { is_lane_told: snapshot.is_lane_told, is_logged: snapshot.is_logged },
    })
}

/// Plans by number. Each edit is compiled once, however many plans have it.
pub fn plans(BindingPlans { edits, plans }: BindingPlans) -> Result<Vec<(u32, Plan)>> {
    let compile = |edit: &BindingEdit| Edit::compile(&edit.op, &edit.name, &edit.value, &edit.r#match).map_err(failure);
    let edits = edits.iter().map(|edit| compile(edit).map(Arc::new)).collect::<Result<Vec<_>>>()?;
    plans.into_iter().map(|one| Ok((one.number, plan(&edits, one)?))).collect()
}

fn plan(edits: &[Arc<Edit>], plan: BindingPlan) -> Result<Plan> {
    let of = |places: &[u32]| -> Result<Edits> {
        let edit = |place: &u32| edits.get(*place as usize).cloned().ok_or_else(|| failure(format!("there is no edit {place}")));
        Ok(Edits::new(places.iter().map(edit).collect::<Result<Vec<_>>>()?))
    };
    let compiled = Plan::new(of(&plan.request)?, of(&plan.response)?, &plan.hold_statuses, &plan.hold_grpc_statuses).map_err(failure)?;
    let underscores = Underscores::compile(&plan.underscores, &plan.underscore_names).map_err(failure)?;
    Ok(Plan { is_path_canonical: plan.is_path_canonical, underscores, ..compiled })
}

fn backend(backend: BindingBackend) -> Result<BackendConfig> {
    let scheme = Scheme::of(&backend.scheme).ok_or_else(|| failure(format!("{} is no scheme of a backend", backend.scheme)))?;
    let address = |text: &String| text.parse().map_err(|_| failure(format!("{text} is no address of the form ip:port")));
    Ok(BackendConfig {
        slot: backend.slot,
        scheme,
        addresses: backend.addresses.iter().map(address).collect::<Result<_>>()?,
        authority: backend.authority,
        tls: TlsConfig {
            server_name: backend.server_name,
            is_verified: backend.is_verified,
            ca_pem: backend.ca_pem,
            credentials: Credentials { chain_pem: backend.client_chain_pem, key_pem: backend.client_key_pem },
            versions: (version(&backend.min_tls_version)?, version(&backend.max_tls_version)?),
            pins: pins(&backend.pins)?,
        },
        limits: SessionLimits {
            max_sessions: backend.max_sessions as u32,
            max_streams: backend.max_streams_per_session as u32,
            idle_timeout_ms: backend.session_idle_timeout_ms as u64,
            max_age_ms: backend.session_max_age_ms as u64,
            ping_interval_ms: backend.ping_interval_ms as u64,
            ping_timeout_ms: backend.ping_timeout_ms as u64,
            max_bound: backend.max_bound as u32,
            bound_idle_ms: backend.bound_idle_ms as u64,
            stream_window_bytes: backend.stream_window_bytes as u32,
            session_window_bytes: backend.session_window_bytes as u32,
            max_head_bytes: backend.max_head_bytes as usize,
            max_fields: backend.max_fields as usize,
        },
    })
}

fn version(name: &str) -> Result<TlsVersion> {
    TlsVersion::of(name).ok_or_else(|| failure("no version of TLS"))
}

/// Pinned keys from their text.
pub fn pins(texts: &[String]) -> Result<Vec<Pin>> {
    texts.iter().map(|pin| Pin::of(pin).ok_or_else(|| failure(format!("{pin} is no pin")))).collect()
}
