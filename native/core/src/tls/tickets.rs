//! Keys of session tickets (RFC 5077 §4, RFC 8446 §4.6.1): the first seals, all open. They are of
//! this process and change by themselves, or are given, so that several instances open each other's
//! tickets.

use boring::error::ErrorStack;
use boring::hash::MessageDigest;
use boring::hmac::HmacCtxRef;
use boring::rand::rand_bytes;
use boring::ssl::TicketKeyCallbackResult;
use boring::symm::{Cipher, CipherCtxRef};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Keys that are kept of those that change by themselves: the one that seals, and those of two
/// periods before.
const KEPT: usize = 3;

/// Bytes of a key's name and of an initialisation vector.
const BLOCK: usize = 16;

/// A key: its name, which stands in the ticket, a key for HMAC-SHA256 and one for AES-CBC.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketKey {
    name: [u8; BLOCK],
    hmac: Vec<u8>,
    aes: Vec<u8>,
}

impl TicketKey {
    /// From 48 or 80 bytes: name, then AES-128 and HMAC keys of 16 bytes each, or HMAC and AES-256
    /// keys of 32, as nginx reads them.
    pub fn parse(bytes: &[u8]) -> Option<TicketKey> {
        let (name, rest) = bytes.split_first_chunk()?;
        let (hmac, aes) = match rest.len() {
            32 => (&rest[16..], &rest[..16]),
            64 => rest.split_at(32),
            _ => return None,
        };
        Some(TicketKey { name: *name, hmac: hmac.to_vec(), aes: aes.to_vec() })
    }

    fn random() -> Result<TicketKey, ErrorStack> {
        let mut key = TicketKey { name: [0; BLOCK], hmac: vec![0; 32], aes: vec![0; 32] };
        rand_bytes(&mut key.name)?;
        rand_bytes(&mut key.hmac)?;
        rand_bytes(&mut key.aes)?;
        Ok(key)
    }

    fn cipher(&self) -> Cipher {
        if self.aes.len() == 16 { Cipher::aes_128_cbc() } else { Cipher::aes_256_cbc() }
    }
}

impl Drop for TicketKey {
    fn drop(&mut self) {
        for secret in [&mut self.hmac, &mut self.aes] {
            // SAFETY: the vector's own bytes.
            unsafe { boring_sys::OPENSSL_cleanse(secret.as_mut_ptr().cast(), secret.len()) };
        }
    }
}

/// Where keys come from.
#[derive(Clone, PartialEq, Eq)]
pub enum TicketPolicy {
    /// The process makes a new one each time so much has passed.
    Rotating(Duration),
    /// These, until others are given; none is no ticket at all.
    Given(Vec<TicketKey>),
}

struct Ring {
    policy: TicketPolicy,
    /// The first seals.
    keys: Vec<TicketKey>,
    /// When the next is made.
    due: Option<Instant>,
}

/// The keys of a listener, of all shards.
pub struct TicketKeys(RwLock<Ring>);

/// What came of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ticket {
    /// A new one was sealed.
    Sealed,
    /// It was opened.
    Opened,
    /// No key is known by its name.
    Unknown,
    /// BoringSSL refused something.
    Failed,
}

impl Ticket {
    /// In BoringSSL's terms.
    pub fn result(self) -> TicketKeyCallbackResult {
        match self {
            Ticket::Sealed | Ticket::Opened => TicketKeyCallbackResult::Success,
            Ticket::Unknown => TicketKeyCallbackResult::Noop,
            Ticket::Failed => TicketKeyCallbackResult::Error,
        }
    }
}

impl TicketKeys {
    /// Makes or takes the first keys.
    pub fn new(policy: TicketPolicy) -> Result<TicketKeys, ErrorStack> {
        let mut ring = Ring { policy: TicketPolicy::Given(Vec::new()), keys: Vec::new(), due: None };
        ring.obey(policy)?;
        Ok(TicketKeys(RwLock::new(ring)))
    }

    /// Obeys another policy. Keys that change by themselves are kept while they do.
    pub fn obey(&self, policy: TicketPolicy) -> Result<(), ErrorStack> {
        self.0.write().unwrap_or_else(PoisonError::into_inner).obey(policy)
    }

    /// Makes the keys that are due.
    pub fn advance(&self, now: Instant) {
        let is_due = self.0.read().unwrap_or_else(PoisonError::into_inner).due.is_some_and(|due| due <= now);
        if is_due {
            self.0.write().unwrap_or_else(PoisonError::into_inner).advance(now);
        }
    }

    /// Prepares BoringSSL to seal a ticket.
    pub(super) fn seal(&self, name: &mut [u8; BLOCK], iv: &mut [u8; BLOCK], cipher: &mut CipherCtxRef, hmac: &mut HmacCtxRef) -> Ticket {
        self.advance(Instant::now());
        let ring = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(key) = ring.keys.first() else { return Ticket::Unknown };
        *name = key.name;
        let prepared = rand_bytes(iv)
            .and_then(|()| cipher.init_encrypt(&key.cipher(), &key.aes, iv))
            .and_then(|()| hmac.init(&key.hmac, &MessageDigest::sha256()));
        if prepared.is_ok() { Ticket::Sealed } else { Ticket::Failed }
    }

    /// Prepares BoringSSL to open a ticket.
    pub(super) fn open(&self, name: &[u8; BLOCK], iv: &[u8; BLOCK], cipher: &mut CipherCtxRef, hmac: &mut HmacCtxRef) -> Ticket {
        self.advance(Instant::now());
        let ring = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(key) = ring.keys.iter().find(|key| key.name == *name) else { return Ticket::Unknown };
        let prepared = cipher.init_decrypt(&key.cipher(), &key.aes, iv).and_then(|()| hmac.init(&key.hmac, &MessageDigest::sha256()));
        if prepared.is_ok() { Ticket::Opened } else { Ticket::Failed }
    }
}

impl Ring {
    fn obey(&mut self, policy: TicketPolicy) -> Result<(), ErrorStack> {
        if policy == self.policy {
            return Ok(());
        }
        match &policy {
            TicketPolicy::Given(keys) => (self.keys, self.due) = (keys.clone(), None),
            TicketPolicy::Rotating(period) => {
                if self.due.is_none() {
                    self.keys = vec![TicketKey::random()?];
                }
                self.due = Some(Instant::now() + *period);
            }
        }
        self.policy = policy;
        Ok(())
    }

    fn advance(&mut self, now: Instant) {
        let (TicketPolicy::Rotating(period), Some(due)) = (&self.policy, self.due) else { return };
        let Some(late) = now.checked_duration_since(due) else { return };
        let periods = 1 + late.as_nanos() / period.as_nanos().max(1);
        for _ in 0..periods.min(KEPT as u128) {
            // Without randomness the old key goes on until the next time.
            let Ok(key) = TicketKey::random() else { break };
            self.keys.insert(0, key);
        }
        self.keys.truncate(KEPT);
        self.due = Some(now + *period);
    }
}
