//! What clients must prove, as it is configured.

use crate::tls::identity::{AlternativeName, Identity};
use crate::tls::told::ForwardField;

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// No.
    Off,
    /// Yes; one that is shown must hold.
    Optional,
    /// Yes, and without one there is no connection.
    Required,
    /// Yes; what is shown is passed on unverified.
    Any,
}

impl Mode {
    /// As the configuration spells it.
    pub fn of(text: &str) -> Option<Mode> {
        Some(match text {
            "off" => Mode::Off,
            "optional" => Mode::Optional,
            "required" => Mode::Required,
            "any" => Mode::Any,
            _ => return None,
        })
    }
}

/// What clients must prove, as configured.
#[derive(Clone)]
pub struct Rules {
    /// Server names that it is for, lower-case, `*.` for one leading label; of one for all others
    /// none.
    pub names: Vec<String>,
    /// Whether they are asked.
    pub mode: Mode,
    /// Authorities, PEM; each is trusted by itself.
    pub ca_pem: String,
    /// Whether clients are told the names of the authorities.
    pub tells_authorities: bool,
    /// Certificates between the client's and the authority's, at most.
    pub max_depth: u32,
    /// Bytes of what a client shows, at most.
    pub max_bytes: usize,
    /// In which fields backends are told of it.
    pub forward: Vec<ForwardField>,
    /// What authorities have revoked.
    pub lists: Vec<RevocationList>,
    /// Whether a list that ran out still says who is not revoked.
    pub accepts_expired_lists: bool,
    /// Whether who was issued by an authority without a list counts as not revoked.
    pub accepts_missing_lists: bool,
    /// SHA-256 of certificates that are refused.
    pub denied: Vec<[u8; 32]>,
    /// Of these one has to fit; all do where there is none.
    pub allowed: Vec<Allowed>,
    /// Whether a connection outlives what its certificate was good for.
    pub keeps_connections: bool,
}

/// A revocation list whose signature was verified.
#[derive(Clone)]
pub struct RevocationList {
    /// SHA-256 of the certificate, among those of the authorities, whose key signed it.
    pub signer: [u8; 32],
    /// Seconds since 1970 at which the next one comes; none where it does not say so.
    pub next_update: Option<i64>,
    /// Serial numbers, each with its length before it, without zeros in front.
    pub serials: Vec<u8>,
}

/// Clients that are allowed: those to which all of it that is given applies.
#[derive(Clone, Default)]
pub struct Allowed {
    /// A host, or `*.` and what follows one label.
    pub dns: String,
    /// A URI, or with a `*` at its end what it begins with.
    pub uri: String,
    /// A mail address.
    pub email: String,
    /// The subject, as [`Identity::subject`] has it.
    pub subject: String,
}

impl Allowed {
    pub(super) fn fits(&self, identity: &Identity) -> bool {
        let has = |fits: &dyn Fn(&AlternativeName) -> bool| identity.names.iter().any(fits);
        (self.dns.is_empty() || has(&|name| matches!(name, AlternativeName::Dns(host) if fits_host(&self.dns, host))))
            && (self.uri.is_empty() || has(&|name| matches!(name, AlternativeName::Uri(uri) if fits_uri(&self.uri, uri))))
            && (self.email.is_empty() || has(&|name| matches!(name, AlternativeName::Email(address) if **address == *self.email)))
            && (self.subject.is_empty() || *identity.subject == *self.subject)
    }
}

fn fits_host(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(parent) => host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && label != "*" && rest == parent),
        None => host == pattern,
    }
}

fn fits_uri(pattern: &str, uri: &str) -> bool {
    match pattern.strip_suffix('*') {
        // What follows has to be something, and no way up and out again.
        Some(start) => {
            uri.strip_prefix(start).is_some_and(|rest| !rest.is_empty() && !rest.split('/').any(|part| part == "." || part == ".."))
        }
        None => uri == pattern,
    }
}

impl Rules {
    /// Those of who asks for nothing.
    pub fn off() -> Rules {
        Rules {
            names: Vec::new(),
            mode: Mode::Off,
            ca_pem: String::new(),
            tells_authorities: false,
            max_depth: 0,
            max_bytes: 0,
            forward: Vec::new(),
            lists: Vec::new(),
            accepts_expired_lists: false,
            accepts_missing_lists: false,
            denied: Vec::new(),
            allowed: Vec::new(),
            keeps_connections: false,
        }
    }
}
