//! Records that cross the border, field by field as in `src/native/binding.ts`.

use napi::bindgen_prelude::{Either3, Uint8Array};
use napi_derive::napi;
use std::collections::HashMap;

/// A section of the configuration, by key: what is in it is described in the core.
pub type BindingSection = HashMap<String, Either3<bool, f64, String>>;

macro_rules! record {
    ($(#[$meta:meta])* $name:ident { $($field:ident : $kind:ty),* $(,)? }) => {
        $(#[$meta])*
        #[allow(missing_docs, reason = "documented where it is used, in src/native/binding.ts")]
        #[napi(object)]
        pub struct $name { $(pub $field: $kind),* }
    };
}

record!(
    /// A certificate.
    BindingCertificate { label: String, names: Vec<String>, chain_pem: String, key_pem: String, ocsp: Uint8Array }
);
record!(
    /// Rules of a listener's handshakes.
    BindingTlsPolicy { listener: String, unknown_name: String, is_strict: bool, ticket_rotation_ms: f64, ticket_keys: Vec<Uint8Array>, clients: Vec<BindingClientAuth> }
);
record!(
    /// A field in which backends are told of a client's certificate.
    BindingForwardField { name: String, fact: String }
);
record!(
    /// What clients must prove.
    BindingClientAuth {
        names: Vec<String>,
        mode: String,
        ca_pem: String,
        tells_authorities: bool,
        max_depth: u32,
        max_bytes: u32,
        lists: Vec<BindingRevocationList>,
        accepts_expired_lists: bool,
        accepts_missing_lists: bool,
        denied: Vec<Uint8Array>,
        allowed: Vec<BindingAllowed>,
        keeps_connections: bool,
        forward: Vec<BindingForwardField>,
    }
);
record!(
    /// A revocation list.
    BindingRevocationList { signer: Uint8Array, next_update: f64, serials: Uint8Array }
);
record!(
    /// Clients that are allowed.
    BindingAllowed { dns: String, uri: String, email: String, subject: String }
);
record!(
    /// Connections that were ended for their client's certificate.
    BindingEnded { listener: String, reason: String, count: f64 }
);
record!(
    /// Handshakes of a certificate.
    BindingCertificateHandshakes { listener: String, certificate: String, full: f64, resumed: f64, failed: f64 }
);
record!(
    /// A listener as one shard sees it.
    BindingListener {
        place: u32,
        listener: u32,
        is_retiring: bool,
        groups: Vec<String>,
        max_connections: f64,
        max_connections_per_client: f64,
        client_prefix4: u32,
        client_prefix6: u32,
        exempt_networks: Vec<String>,
        quic: BindingSection,
        http: BindingSection,
        normalise: BindingSection,
    }
);
record!(
    /// What a reactor is made from.
    BindingReactorOptions {
        shard: u32,
        shards: u32,
        process_generation: u32,
        cid_key: Uint8Array,
        max_exchanges: f64,
        stateless_replies: f64,
        max_held_bytes: f64,
        backend_table: Uint8Array,
    }
);
record!(
    /// A backend.
    BindingBackend {
        slot: u32,
        scheme: String,
        authority: String,
        addresses: Vec<String>,
        server_name: String,
        is_verified: bool,
        ca_pem: String,
        client_chain_pem: String,
        client_key_pem: String,
        min_tls_version: String,
        max_tls_version: String,
        pins: Vec<String>,
        max_sessions: f64,
        max_streams_per_session: f64,
        max_bound: f64,
        bound_idle_ms: f64,
        session_idle_timeout_ms: f64,
        session_max_age_ms: f64,
        ping_interval_ms: f64,
        ping_timeout_ms: f64,
        stream_window_bytes: f64,
        session_window_bytes: f64,
        max_head_bytes: f64,
        max_fields: f64,
    }
);
record!(
    /// A question over HTTP/3.
    BindingQuestion {
        address: String,
        server_name: String,
        is_verified: bool,
        ca_pem: String,
        client_chain_pem: String,
        client_key_pem: String,
        pins: Vec<String>,
        method: String,
        authority: String,
        path: String,
        user_agent: String,
        timeout_ms: f64,
        body_bytes: f64,
    }
);
record!(
    /// Its answer.
    BindingReply { status: u32, body: Uint8Array }
);
record!(
    /// A head edit.
    BindingEdit { op: String, name: String, value: String, r#match: String }
);
record!(
    /// A plan; edits are places in the list beside it.
    BindingPlan {
        number: u32,
        request: Vec<u32>,
        response: Vec<u32>,
        hold_statuses: Vec<u32>,
        hold_grpc_statuses: Vec<u32>,
        is_path_canonical: bool,
        underscores: String,
        underscore_names: Vec<String>,
    }
);
record!(
    /// A snapshot.
    BindingSnapshot { generation: f64, backends: Vec<BindingBackend>, reserved_fields: Vec<String>, is_lane_told: bool, is_logged: bool }
);
record!(
    /// Plans, and the edits that they are made of.
    BindingPlans { edits: Vec<BindingEdit>, plans: Vec<BindingPlan> }
);
record!(
    /// Where sockets were opened.
    BindingPlace { port: u32, is_steered: bool }
);
record!(
    /// A family of counters.
    BindingFamily {
        name: String,
        help: String,
        kind: String,
        labels: Vec<HashMap<String, String>>,
        offset: u32,
        stride: u32,
        bounds: Vec<f64>,
        scale: f64,
    }
);
record!(
    /// A canonical form, or a complaint.
    BindingNormal { authority: String, path: String, complaint: String }
);
record!(
    /// A panic.
    BindingPanic { shard: u32, owner: String, place: String, message: String }
);
record!(
    /// A reason.
    BindingReason { number: u32, code: String, grpc_status: u32 }
);
