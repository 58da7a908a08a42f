//! The certificates of a listener, by name, for all shards at once.
//!
//! A store holds one set at a time, which a swap replaces as a whole: handshakes that come after it
//! get the new certificates, those under way and open connections keep what they have. Finding a
//! name's certificates is a look-up or two, however many names there are.

use super::certificate::{Certificate, KeyKind};
use super::client_auth::{Policies, Rules, handshake};
use super::credential::{self, Credential, Pool};
use super::facts::{Counts, Facts};
use super::names::{NameRoom, NameTable};
use super::tickets::{TicketKeys, TicketPolicy};
use crate::base::counters::{CertificateRefused, Counters, Id, ServerName};
use crate::base::panics::plant;
use crate::base::poll::Wake;
use boring::error::ErrorStack;
use boring::sha::Sha256;
use boring::ssl::{NameType, SniError, SslAlert, SslRef};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering::*};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Names of certificates that are told apart in metrics; what is beyond counts as one.
const MAX_LABELS: usize = 1_000;

/// The name of those.
const OTHERS: &str = "others";

/// What becomes of a handshake that asks for no name that a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownName {
    /// It gets the first certificate.
    Default,
    /// It fails.
    Refuse,
}

/// Rules of a listener's handshakes.
#[derive(Clone)]
pub struct Policy {
    /// The listener's name: sessions of one are worth nothing at another.
    pub listener: String,
    /// For names that nobody knows, addresses, and clients that give no name.
    pub unknown_name: UnknownName,
    /// Requests for authorities that the handshake's certificate does not name get 421.
    pub is_strict: bool,
    /// Where the keys of session tickets come from.
    pub tickets: TicketPolicy,
    /// What clients must prove, by server name; none where nobody is asked.
    pub clients: Vec<Rules>,
}

impl Policy {
    /// Stands for the rules in session tickets: a ticket resumes only under the rules that it was
    /// given under.
    fn digest(&self, names: &[String], clients: &Policies) -> [u8; 32] {
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        names.sort_unstable();
        let mut hash = Sha256::new();
        hash.update(b"lychgate session 1\0");
        hash.update(self.listener.as_bytes());
        hash.update(&[0, (self.unknown_name == UnknownName::Refuse) as u8, self.is_strict as u8]);
        for name in &names {
            hash.update(name.as_bytes());
            hash.update(b"\0");
        }
        clients.digest(&names, &mut hash);
        hash.finish()
    }
}

/// Places of the certificates that are for a name, the one to be preferred first.
type Group = Box<[u32]>;

/// A certificate at work.
struct Kept {
    credential: Credential,
    kind: KeyKind,
    validity: (i64, i64),
}

/// A set of certificates.
struct Set {
    kept: Vec<Kept>,
    by_name: NameTable<Group>,
    default: Group,
    policy: Policy,
    /// What clients must prove.
    clients: Arc<Policies>,
    counts: BTreeMap<String, Arc<Counts>>,
}

/// Certificates of a listener, for all shards.
pub struct CertificateStore {
    set: RwLock<Arc<Set>>,
    tickets: TicketKeys,
    /// What [`CertificateStore::clients_version`] says.
    clients_version: AtomicU64,
    /// Whoever has to look at its connections when other certificates are wanted of clients.
    followers: Mutex<Vec<Weak<Wake>>>,
    /// Connections that were ended because their client's certificate did not pass any more, by
    /// reason.
    ended: [AtomicU64; CertificateRefused::VALUES.len()],
}

impl CertificateStore {
    /// Prepares the first set.
    pub fn new(certificates: Vec<Certificate>, policy: Policy) -> Result<CertificateStore, String> {
        let tickets = TicketKeys::new(policy.tickets.clone()).map_err(|stack| stack.to_string())?;
        let set = Arc::new(Set::new(certificates, policy, None)?);
        let clients_version = AtomicU64::new(version_of(&set.clients));
        let (followers, ended) = (Mutex::default(), [const { AtomicU64::new(0) }; CertificateRefused::VALUES.len()]);
        Ok(CertificateStore { set: RwLock::new(set), tickets, clients_version, followers, ended })
    }

    /// Puts another set in the place of what is there, at once; when it fails nothing has changed.
    pub fn replace(&self, certificates: Vec<Certificate>, policy: Policy) -> Result<(), String> {
        let tickets = policy.tickets.clone();
        let set = Arc::new(Set::new(certificates, policy, Some(&self.current()))?);
        self.tickets.obey(tickets).map_err(|stack| stack.to_string())?;
        let version = version_of(&set.clients);
        let before = std::mem::replace(&mut *self.set.write().unwrap_or_else(PoisonError::into_inner), set);
        if self.clients_version.swap(version, AcqRel) != version {
            let followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
            followers.iter().filter_map(Weak::upgrade).for_each(|wake| wake.wake());
        }
        // Outside of the lock: thousands of certificates take a while to be freed.
        drop(before);
        Ok(())
    }

    /// From now on wakes who looks after connections when other certificates are wanted of clients.
    pub fn follow(&self, wake: &Arc<Wake>) {
        let mut followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
        followers.retain(|follower| follower.strong_count() > 0);
        if !followers.iter().any(|follower| ptr::eq(follower.as_ptr(), Arc::as_ptr(wake))) {
            followers.push(Arc::downgrade(wake));
        }
    }

    /// Changes when other certificates are wanted of clients; even where none is wanted of anybody.
    pub fn clients_version(&self) -> u64 {
        self.clients_version.load(Acquire)
    }

    /// What clients must prove.
    pub fn clients(&self) -> Arc<Policies> {
        self.current().clients.clone()
    }

    /// A connection is ended because its client's certificate does not pass any more.
    pub fn note_ended(&self, reason: CertificateRefused) {
        self.ended[reason as usize].fetch_add(1, Relaxed);
    }

    /// Connections that were ended so, by reason, with the listener's name.
    pub fn ended(&self) -> (String, Vec<(&'static str, u64)>) {
        let rows = CertificateRefused::VALUES.iter().zip(&self.ended).map(|(reason, count)| (*reason, count.load(Relaxed)));
        (self.current().policy.listener.clone(), rows.collect())
    }

    fn current(&self) -> Arc<Set> {
        self.set.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Handshakes by name of certificate, with the listener's name. Those of a certificate that has
    /// left are forgotten.
    pub fn handshakes(&self) -> (String, Vec<(String, Arc<Counts>)>) {
        let set = self.current();
        (set.policy.listener.clone(), set.counts.iter().map(|(label, counts)| (label.clone(), counts.clone())).collect())
    }

    /// Keys of session tickets.
    pub fn tickets(&self) -> &TicketKeys {
        &self.tickets
    }

    /// How long a ticket can be opened.
    pub fn ticket_lifetime(&self) -> Option<Duration> {
        match self.current().policy.tickets {
            TicketPolicy::Rotating(period) => Some(2 * period),
            TicketPolicy::Given(_) => None,
        }
    }

    /// Gives a handshake the certificates of the name it asks for. An error ends it with the alert.
    pub(super) fn choose(&self, ssl: &mut SslRef, alert: &mut SslAlert, counters: &Counters) -> Result<(), SniError> {
        plant::here("certificate");
        let set = self.current();
        let (found, group) = match ssl.servername_raw(NameType::HOST_NAME) {
            None => (ServerName::Absent, None),
            Some(name) => set.find(name),
        };
        counters.add_to(Id::ServerNames, found as usize, 1);
        if group.is_none() && set.policy.unknown_name == UnknownName::Refuse {
            counters.add_to(Id::ServerNamesRefused, found as usize - ServerName::Absent as usize, 1);
            // RFC 8446 §9.2, RFC 6066 §3.
            *alert = if found == ServerName::Absent { SslAlert::MISSING_EXTENSION } else { SslAlert::UNRECOGNIZED_NAME };
            return Err(SniError::ALERT_FATAL);
        }
        credential::shed_when_done(ssl);
        let asked = if set.clients.is_off() { Ok(()) } else { handshake::demand(&set.clients, ssl) };
        if asked.and_then(|()| set.offer(group.unwrap_or(&set.default), ssl)).is_err() {
            *alert = SslAlert::INTERNAL_ERROR;
            return Err(SniError::ALERT_FATAL);
        }
        // Only a name that was recognised is acknowledged (RFC 6066 §3).
        if group.is_some() { Ok(()) } else { Err(SniError::NOACK) }
    }
}

/// The lowest bit says whether anybody is asked for anything.
fn version_of(clients: &Policies) -> u64 {
    clients.generation() << 1 | u64::from(!clients.is_off())
}

impl Set {
    fn new(certificates: Vec<Certificate>, mut policy: Policy, before: Option<&Set>) -> Result<Set, String> {
        let Some(first) = certificates.first() else { return Err("a listener needs a certificate".to_owned()) };
        let mut by_name = NameTable::<Vec<u32>>::default();
        let clients = Policies::new(std::mem::take(&mut policy.clients))?;
        let clients = match before {
            Some(before) => clients.following(&before.clients),
            None => Arc::new(clients),
        };
        let mut pool = Pool::default();
        let mut counts = BTreeMap::new();
        let mut kept = Vec::with_capacity(certificates.len());
        for (place, certificate) in certificates.iter().enumerate() {
            let label = if counts.len() < MAX_LABELS || counts.contains_key(&certificate.label) { &certificate.label } else { OTHERS };
            let counted = counts
                .entry(label.to_owned())
                .or_insert_with(|| before.and_then(|before| before.counts.get(label)).cloned().unwrap_or_default());
            let covered = policy.is_strict.then(|| certificate.covered.clone().into());
            let facts = Facts { counts: counted.clone(), covered };
            let credential = Credential::new(certificate, &policy.digest(&certificate.names, &clients), facts, &mut pool)
                .map_err(|stack| format!("certificate {}: {stack}", certificate.label))?;
            kept.push(Kept { credential, kind: certificate.kind, validity: certificate.validity });
            for name in &certificate.names {
                let group = by_name.entry(name);
                if group.last() != Some(&(place as u32)) {
                    group.push(place as u32);
                }
            }
        }
        let default = first.names.first().map_or_else(|| vec![0], |name| by_name.entry(name).clone());
        let ordered = |mut group: Vec<u32>| -> Group {
            group.sort_by_key(|place| {
                let Kept { kind, validity, .. } = &kept[*place as usize];
                (*kind, Reverse(validity.1), *place)
            });
            group.into()
        };
        let (by_name, default) = (by_name.map(ordered), ordered(default));
        Ok(Set { kept, by_name, default, policy, clients, counts })
    }

    /// Certificates for a name: exact before wildcard.
    fn find(&self, name: &[u8]) -> (ServerName, Option<&Group>) {
        let mut room = NameRoom::new();
        let Some(name) = room.lower(name) else { return (ServerName::Unknown, None) };
        if name.parse::<IpAddr>().is_ok() {
            return (ServerName::Address, self.by_name.exact(name));
        }
        match (self.by_name.exact(name), self.by_name.wildcard(name)) {
            (Some(group), _) => (ServerName::Exact, Some(group)),
            (None, Some(group)) => (ServerName::Wildcard, Some(group)),
            (None, None) => (ServerName::Unknown, None),
        }
    }

    /// Offers a handshake the certificates of a group, those first that are valid now. BoringSSL
    /// takes the first whose signature the client can verify (RFC 8446 §4.2.3).
    fn offer(&self, group: &Group, ssl: &mut SslRef) -> Result<(), ErrorStack> {
        if let [only] = **group {
            return self.kept[only as usize].credential.offer(ssl);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() as i64);
        for is_valid in [true, false] {
            for Kept { credential, validity, .. } in group.iter().map(|place| &self.kept[*place as usize]) {
                if (validity.0..=validity.1).contains(&now) == is_valid {
                    credential.offer(ssl)?;
                }
            }
        }
        Ok(())
    }
}
