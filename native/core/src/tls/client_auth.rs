//! Certificates of clients: who is asked for one, by the server name of the handshake, and what it
//! must prove.
//!
//! Nothing here knows of QUIC. A handshake is told what to ask for where its certificate is chosen,
//! and leaves what it found beside the connection, from where [`take`] takes it.

use super::credential::{Buffer, done};
use super::facts::host_of;
use super::identity::{AlternativeName, Identity, Verdict};
use super::revocation::Revocation;
use super::told::{ForwardField, Told};
use super::twin;
use crate::base::counters::{ClientCertificate, Counters, Id};
use boring::error::ErrorStack;
use boring::sha::Sha256;
use boring::ssl::{NameType, SslAlert, SslOptions, SslRef, SslVerifyError, SslVerifyMode};
use boring::stack::Stack;
use boring::x509::store::{X509Store, X509StoreBuilder};
use boring::x509::verify::X509VerifyFlags;
use boring::x509::{X509, X509Ref, X509StoreContext, X509VerifyError};
use boring_sys as ffi;
use foreign_types_shared::ForeignTypeRef;
use std::collections::HashMap;
use std::ffi::{c_int, c_long, c_void};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};

/// Bytes of authorities' names that a client is told. Where there are more it is told none and
/// chooses by itself.
const MAX_TOLD_BYTES: usize = 8 * 1024;

/// Authorities that a chain is held against, of those whose name stands in it.
const MAX_ATTEMPTS: usize = 8;

/// The longest server name.
const MAX_NAME: usize = 255;

/// The next generation of policies; none is zero.
static GENERATIONS: AtomicU64 = AtomicU64::new(1);

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

/// Names of [`Refusal`] in metrics.
pub const REFUSALS: [&str; 11] = [
    "missing",
    "unknown_ca",
    "expired",
    "revoked",
    "revocation_unknown",
    "denied",
    "not_allowed",
    "malformed",
    "too_large",
    "purpose",
    "invalid",
];

/// Why a client's certificate is refused; the place is the series of
/// [`Id::ClientCertificatesRefused`].
#[allow(missing_docs, reason = "the label values say what each is")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Refusal {
    Missing,
    UnknownCa,
    Expired,
    Revoked,
    RevocationUnknown,
    Denied,
    NotAllowed,
    Malformed,
    TooLarge,
    Purpose,
    Invalid,
}

impl Refusal {
    /// What the client is told (RFC 8446 §6.2).
    pub fn alert(self) -> SslAlert {
        match self {
            Refusal::Missing => SslAlert::CERTIFICATE_REQUIRED,
            Refusal::UnknownCa => SslAlert::UNKNOWN_CA,
            Refusal::Expired => SslAlert::CERTIFICATE_EXPIRED,
            Refusal::Revoked => SslAlert::CERTIFICATE_REVOKED,
            Refusal::RevocationUnknown => SslAlert::CERTIFICATE_UNKNOWN,
            Refusal::Denied | Refusal::NotAllowed => SslAlert::ACCESS_DENIED,
            Refusal::Purpose => SslAlert::UNSUPPORTED_CERTIFICATE,
            Refusal::Malformed | Refusal::TooLarge | Refusal::Invalid => SslAlert::BAD_CERTIFICATE,
        }
    }

    fn of(verdict: X509VerifyError) -> Refusal {
        match verdict {
            X509VerifyError::UNABLE_TO_GET_ISSUER_CERT
            | X509VerifyError::UNABLE_TO_GET_ISSUER_CERT_LOCALLY
            | X509VerifyError::UNABLE_TO_VERIFY_LEAF_SIGNATURE
            | X509VerifyError::DEPTH_ZERO_SELF_SIGNED_CERT
            | X509VerifyError::SELF_SIGNED_CERT_IN_CHAIN
            | X509VerifyError::CERT_UNTRUSTED
            | X509VerifyError::AKID_SKID_MISMATCH
            // Its issuer bears the name of one that is trusted.
            | X509VerifyError::CERT_SIGNATURE_FAILURE => Refusal::UnknownCa,
            X509VerifyError::CERT_HAS_EXPIRED | X509VerifyError::CERT_NOT_YET_VALID => Refusal::Expired,
            X509VerifyError::INVALID_PURPOSE => Refusal::Purpose,
            X509VerifyError::CERT_CHAIN_TOO_LONG => Refusal::TooLarge,
            _ => Refusal::Invalid,
        }
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
    fn fits(&self, identity: &Identity) -> bool {
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

/// An authority: alone in its store, so that another of the same name is not mistaken for it.
struct Authority {
    certificate: X509,
    der: Box<[u8]>,
    store: X509Store,
}

/// What clients must prove, ready for handshakes.
pub struct Policy {
    rules: Rules,
    authorities: Vec<Authority>,
    /// Places of authorities by subject, DER.
    by_subject: HashMap<Box<[u8]>, Vec<u32>>,
    told: Vec<Buffer>,
    revocation: Revocation,
    digest: [u8; 32],
}

impl Policy {
    fn new(mut rules: Rules) -> Result<Policy, String> {
        let pem = std::mem::take(&mut rules.ca_pem);
        let certificates = X509::stack_from_pem(pem.as_bytes()).map_err(|stack| stack.to_string())?;
        if certificates.is_empty() && matches!(rules.mode, Mode::Optional | Mode::Required) {
            return Err("client certificates cannot be verified without an authority".to_owned());
        }
        let mut authorities = Vec::with_capacity(certificates.len());
        let mut by_subject = HashMap::<Box<[u8]>, Vec<u32>>::new();
        for certificate in certificates {
            let authority = Authority::new(&certificate).map_err(|stack| stack.to_string())?;
            let subject = certificate.subject_name().to_der().map_err(|stack| stack.to_string())?;
            if authorities.iter().any(|other: &Authority| other.der == authority.der) {
                continue;
            }
            by_subject.entry(subject.into()).or_default().push(authorities.len() as u32);
            authorities.push(authority);
        }
        let revocation = Revocation::new(&rules, authorities.iter().map(|authority| (&*authority.der, &*authority.certificate)))?;
        // An authority that another one of them has revoked vouches for nobody. What a list says of
        // the number of its own signer is said of a client's.
        for places in by_subject.values_mut() {
            places.retain(|place| {
                let Authority { certificate, der, .. } = &authorities[*place as usize];
                let others = authorities.iter().filter(|other| other.der != *der);
                !others.into_iter().any(|other| revocation.is_revoked_by(certificate, &other.certificate))
            });
        }
        by_subject.retain(|_, places| !places.is_empty());
        let told_bytes: usize = by_subject.keys().map(|name| name.len() + 2).sum();
        let told = match rules.tells_authorities && told_bytes <= MAX_TOLD_BYTES {
            true => by_subject.keys().map(|name| Buffer::new(name)).collect::<Result<_, _>>().map_err(|stack| stack.to_string())?,
            false => Vec::new(),
        };
        rules.denied.sort_unstable();
        let mut policy = Policy { rules, authorities, by_subject, told, revocation, digest: [0; 32] };
        policy.digest = policy.digested();
        Ok(policy)
    }

    /// Stands for all that decides about a certificate.
    fn digested(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"lychgate client certificates 1\0");
        hash.update(&[self.rules.mode as u8]);
        hash.update(&self.rules.max_depth.to_be_bytes());
        let mut authorities: Vec<&[u8]> = self.authorities.iter().map(|authority| &*authority.der).collect();
        authorities.sort_unstable();
        for der in authorities {
            hash.update(&(der.len() as u64).to_be_bytes());
            hash.update(der);
        }
        hash.update(&self.revocation.digest);
        for denied in &self.rules.denied {
            hash.update(denied);
        }
        for Allowed { dns, uri, email, subject } in &self.rules.allowed {
            for part in [dns, uri, email, subject] {
                hash.update(&(part.len() as u64).to_be_bytes());
                hash.update(part.as_bytes());
            }
        }
        hash.finish()
    }

    /// Whether a request under the other one may come where this one was obeyed: the same was
    /// wanted of the client, and backends are told the same of it.
    fn is_as(&self, other: &Policy) -> bool {
        self.digest == other.digest && self.rules.forward == other.rules.forward
    }

    /// What a chain in DER proves, the client's own certificate first.
    pub fn judge(&self, chain: &[&[u8]]) -> Result<Identity, Refusal> {
        let is_too_long = chain.len() > self.rules.max_depth as usize + 2;
        if is_too_long || chain.iter().map(|der| der.len()).sum::<usize>() > self.rules.max_bytes {
            return Err(Refusal::TooLarge);
        }
        // BoringSSL passes over what comes behind a certificate, by which its fingerprint would be
        // another.
        if !chain.iter().all(|der| is_one_value(der)) {
            return Err(Refusal::Malformed);
        }
        let certificates = chain.iter().map(|der| X509::from_der(der)).collect::<Result<Vec<_>, _>>().map_err(|_| Refusal::Malformed)?;
        let leaf = certificates.first().ok_or(Refusal::Missing)?;
        let verdict = if self.rules.mode == Mode::Any { Verdict::Unverified } else { Verdict::Verified };
        let mut identity = Identity::read(leaf, chain, verdict).ok_or(Refusal::Malformed)?;
        if self.denies(&identity.fingerprint)
            || !self.rules.denied.is_empty() && twin::fingerprints(leaf, chain[0]).any(|twin| self.denies(&twin))
        {
            return Err(Refusal::Denied);
        }
        if verdict == Verdict::Verified {
            identity.valid_until = self.verify(&certificates)?;
            if !self.rules.allowed.is_empty() && !self.rules.allowed.iter().any(|allowed| allowed.fits(&identity)) {
                return Err(Refusal::NotAllowed);
            }
        }
        Ok(identity)
    }

    fn denies(&self, fingerprint: &[u8; 32]) -> bool {
        self.rules.denied.binary_search(fingerprint).is_ok()
    }

    /// Until when the chain holds.
    fn verify(&self, certificates: &[X509]) -> Result<i64, Refusal> {
        let (leaf, others) = certificates.split_first().ok_or(Refusal::Missing)?;
        let mut refusal = Refusal::UnknownCa;
        for authority in self.candidates(certificates) {
            match authority.verify(leaf, others, self.rules.max_depth, &self.revocation) {
                Ok(until) => return Ok(until),
                // What the right authority says counts for more than that others did not issue it.
                Err(said) if refusal == Refusal::UnknownCa => refusal = said,
                Err(_) => {}
            }
        }
        Err(refusal)
    }

    /// Authorities whose name says that they issued one of the certificates, or that stand among
    /// them.
    fn candidates(&self, certificates: &[X509]) -> Vec<&Authority> {
        let mut places: Vec<u32> = Vec::new();
        for certificate in certificates {
            for name in [certificate.issuer_name(), certificate.subject_name()] {
                let Ok(name) = name.to_der() else { continue };
                places
                    .extend(self.by_subject.get(&*name).into_iter().flatten().filter(|place| !places.contains(place)).collect::<Vec<_>>());
            }
        }
        places.truncate(MAX_ATTEMPTS);
        places.into_iter().map(|place| &self.authorities[place as usize]).collect()
    }
}

impl Authority {
    fn new(certificate: &X509) -> Result<Authority, ErrorStack> {
        let mut store = X509StoreBuilder::new()?;
        store.add_cert(certificate)?;
        // One in the middle of a chain is trusted as well as a root.
        store.set_flags(X509VerifyFlags::PARTIAL_CHAIN);
        Ok(Authority { certificate: certificate.clone(), der: certificate.to_der()?.into(), store: store.build() })
    }

    fn verify(&self, leaf: &X509, others: &[X509], max_depth: u32, revocation: &Revocation) -> Result<i64, Refusal> {
        let verified = || -> Result<Result<i64, Refusal>, ErrorStack> {
            let mut untrusted = Stack::new()?;
            for other in others {
                untrusted.push(other.clone())?;
            }
            X509StoreContext::new()?.init(&self.store, leaf, &untrusted, |context| {
                // SAFETY: the context lives, and so do the parameters that belong to it.
                unsafe {
                    done(ffi::X509_STORE_CTX_set_purpose(context.as_ptr(), ffi::X509_PURPOSE_SSL_CLIENT))?;
                    ffi::X509_VERIFY_PARAM_set_depth(ffi::X509_STORE_CTX_get0_param(context.as_ptr()), max_depth as c_int);
                }
                // What stays in the queue of errors would be told as somebody else's.
                let is_good = context.verify_cert().unwrap_or(false);
                if let Err(verdict) = context.verify_result() {
                    return Ok(Err(Refusal::of(verdict)));
                }
                let chain: Vec<&X509Ref> = context.chain().into_iter().flatten().collect();
                let ends = chain.iter().map(|one| super::certificate::seconds(one.not_after()));
                let until = ends.collect::<Result<Vec<_>, _>>()?.into_iter().min();
                let Some(until) = until.filter(|_| is_good) else { return Ok(Err(Refusal::Invalid)) };
                Ok(revocation.check(&chain).map(|listed_until| until.min(listed_until)))
            })
        };
        verified().unwrap_or(Err(Refusal::Invalid))
    }
}

/// Whether it is a sequence in DER with nothing behind it.
fn is_one_value(der: &[u8]) -> bool {
    let (length, rest) = match der {
        [0x30, length @ 0..=0x7f, rest @ ..] => (usize::from(*length), rest),
        [0x30, 0x81, length, rest @ ..] => (usize::from(*length), rest),
        [0x30, 0x82, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        [0x30, 0x83, high, middle, low, rest @ ..] => (u32::from_be_bytes([0, *high, *middle, *low]) as usize, rest),
        _ => return false,
    };
    length == rest.len()
}

/// What clients of a listener must prove, by server name.
pub struct Policies {
    /// The first is for names that no other is for.
    all: Vec<Policy>,
    exact: HashMap<Box<str>, u32>,
    /// By what follows the `*.`.
    wildcard: HashMap<Box<str>, u32>,
    /// No two of a process have the same.
    generation: u64,
}

impl Policies {
    /// Prepares rules; where none are for all other names those are asked for nothing.
    pub fn new(rules: Vec<Rules>) -> Result<Policies, String> {
        let (default, named): (Vec<_>, Vec<_>) = rules.into_iter().partition(|rules| rules.names.is_empty());
        let default = default.into_iter().next().unwrap_or_else(Rules::off);
        let mut policies = Policies {
            all: vec![Policy::new(default)?],
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            generation: GENERATIONS.fetch_add(1, Relaxed),
        };
        for rules in named {
            let place = policies.all.len() as u32;
            for name in &rules.names {
                match name.strip_prefix("*.") {
                    Some(parent) => policies.wildcard.insert(parent.into(), place),
                    None => policies.exact.insert(name.as_str().into(), place),
                };
            }
            policies.all.push(Policy::new(rules)?);
        }
        Ok(policies)
    }

    /// These, as those that follow on `before`: the same ones again where nothing is different.
    pub(super) fn following(self, before: &Arc<Policies>) -> Arc<Policies> {
        if self.is_same_as(before) { before.clone() } else { Arc::new(self) }
    }

    fn is_same_as(&self, other: &Policies) -> bool {
        let is_same = |(one, other): (&Policy, &Policy)| {
            let [mine, theirs] = [one, other].map(|policy| {
                let Rules { names, tells_authorities, max_bytes, keeps_connections, forward, .. } = &policy.rules;
                (policy.digest, names, *tells_authorities, *max_bytes, *keeps_connections, forward)
            });
            mine == theirs
        };
        self.all.len() == other.all.len() && self.all.iter().zip(&other.all).all(is_same)
    }

    /// No two of a process have the same.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether nobody is asked for anything.
    pub fn is_off(&self) -> bool {
        self.all.iter().all(|policy| policy.rules.mode == Mode::Off)
    }

    /// Whether all names have the same.
    fn is_uniform(&self) -> bool {
        self.all.iter().all(|policy| policy.is_as(&self.all[0]))
    }

    /// Place of a host's policy: of its name, of the wildcard in place of its first label, of all
    /// others.
    fn find(&self, host: &[u8]) -> u32 {
        let mut room = [0; MAX_NAME];
        let host = host.strip_suffix(b".").unwrap_or(host);
        let Some(lower) = room.get_mut(..host.len()) else { return 0 };
        lower.copy_from_slice(host);
        lower.make_ascii_lowercase();
        let Ok(host) = std::str::from_utf8(lower) else { return 0 };
        let of_wildcard = || host.split_once('.').and_then(|(label, parent)| self.wildcard.get(parent).filter(|_| !label.is_empty()));
        self.exact.get(host).or_else(of_wildcard).copied().unwrap_or(0)
    }

    /// Stands for what decides about clients that ask for these names, in session tickets.
    pub(super) fn digest(&self, names: &[&str], hash: &mut Sha256) {
        hash.update(&self.all[0].digest);
        for name in names {
            hash.update(&self.policy(self.find(name.as_bytes())).digest);
        }
    }

    /// That of a place; of one that there is not, that for all other names.
    pub fn policy(&self, place: u32) -> &Policy {
        self.all.get(place as usize).unwrap_or(&self.all[0])
    }

    /// Tells a handshake what to ask its client for.
    pub(super) fn demand(self: &Arc<Policies>, ssl: &mut SslRef) -> Result<(), ErrorStack> {
        let place = ssl.servername_raw(NameType::HOST_NAME).map_or(0, |name| self.find(name));
        let policy = self.policy(place);
        let auth = Box::new(Auth { policies: self.clone(), place, identity: None });
        // SAFETY: the connection lives, and has nothing in that place yet: its certificate is chosen once.
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

/// What a connection has to do with client certificates.
pub struct Auth {
    policies: Arc<Policies>,
    place: u32,
    /// Of the certificate that was shown.
    pub identity: Option<Arc<Identity>>,
}

impl Auth {
    /// Who the client is and what backends are told of it, where it has shown a certificate.
    pub fn told(&self) -> Option<Arc<Told>> {
        let forward = &self.policies.policy(self.place).rules.forward;
        self.identity.as_ref().map(|identity| Arc::new(Told::new(identity.clone(), forward)))
    }

    /// Generation of the policies that it obeys.
    pub fn generation(&self) -> u64 {
        self.policies.generation
    }

    /// Whether its certificate, or what spoke for it, has run out.
    fn has_run_out(&self, now: i64) -> bool {
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
    // SAFETY: only boxes of it are put there, and the reference lives no longer than that to the connection.
    unsafe { ffi::SSL_get_ex_data(ssl.as_ptr(), *PLACE).cast::<Auth>().as_ref() }
}

/// Takes what a handshake found, once.
pub fn take(ssl: &mut SslRef) -> Option<Box<Auth>> {
    // SAFETY: only boxes of it are put there; once nothing points there any more it is ours.
    unsafe {
        let raw = ffi::SSL_get_ex_data(ssl.as_ptr(), *PLACE).cast::<Auth>();
        if raw.is_null() || ffi::SSL_set_ex_data(ssl.as_ptr(), *PLACE, ptr::null_mut()) != 1 {
            return None;
        }
        Some(Box::from_raw(raw))
    }
}

/// Holds an open connection against the policies of now, for the name it was opened with: from here
/// on it obeys them. Says whether they are others; whoever does not pass has to go.
pub fn recheck(policies: &Arc<Policies>, ssl: &SslRef, auth: &mut Option<Box<Auth>>, now: i64) -> Result<bool, Refusal> {
    if auth.as_ref().is_some_and(|auth| auth.generation() == policies.generation && !auth.has_run_out(now)) {
        return Ok(false);
    }
    let place = ssl.servername_raw(NameType::HOST_NAME).map_or(0, |name| policies.find(name));
    let policy = policies.policy(place);
    let before = auth.take();
    let is_as_before = before.as_ref().is_some_and(|auth| {
        let old = auth.policies.policy(auth.place);
        (old.digest, old.rules.keeps_connections) == (policy.digest, policy.rules.keeps_connections) && !auth.has_run_out(now)
    });
    let shown = before.and_then(|auth| auth.identity);
    let judged = match (&shown, policy.rules.mode) {
        (_, Mode::Off) => Ok(None),
        _ if is_as_before => Ok(shown.clone()),
        (None, Mode::Required) => Err(Refusal::Missing),
        (None, _) => Ok(None),
        (Some(identity), _) => policy.judge(&identity.chain.iter().map(|der| &**der).collect::<Vec<_>>()).map(|one| Some(Arc::new(one))),
    };
    let identity = match judged {
        Ok(identity) => identity,
        Err(_) if policy.rules.keeps_connections => shown,
        Err(refusal) => return Err(refusal),
    };
    *auth = (!policies.is_off()).then(|| Box::new(Auth { policies: policies.clone(), place, identity }));
    Ok(true)
}

/// A client has shown a certificate: BoringSSL asks whether it holds.
pub(super) fn verify(ssl: &mut SslRef, counters: &Counters) -> Result<(), SslVerifyError> {
    let chain = shown(ssl);
    // SAFETY: only boxes of it are put there, and nobody else has a reference while the callback runs.
    let auth = unsafe { ffi::SSL_get_ex_data(ssl.as_ptr(), *PLACE).cast::<Auth>().as_mut() };
    let Some(auth) = auth else { return Err(SslVerifyError::Invalid(SslAlert::INTERNAL_ERROR)) };
    match auth.policies.policy(auth.place).judge(&chain) {
        Ok(identity) => {
            auth.identity = Some(Arc::new(identity));
            Ok(())
        }
        Err(refusal) => {
            note_refusal(refusal, counters);
            Err(SslVerifyError::Invalid(refusal.alert()))
        }
    }
}

/// What the client has shown, DER, its own first.
fn shown<'a>(ssl: &SslRef) -> Vec<&'a [u8]> {
    // SAFETY: the session under way holds the buffers, which nobody changes, to the end of the handshake: the callback that asks for
    // them is within it.
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
pub(super) fn note_end(ssl: &SslRef, counters: &Counters) {
    let Some(auth) = of_connection(ssl) else { return };
    if auth.policies.policy(auth.place).rules.mode == Mode::Off {
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
pub(super) fn note_refusal(refusal: Refusal, counters: &Counters) {
    counters.add_to(Id::ClientCertificates, ClientCertificate::Refused as usize, 1);
    counters.add_to(Id::ClientCertificatesRefused, refusal as usize, 1);
}
