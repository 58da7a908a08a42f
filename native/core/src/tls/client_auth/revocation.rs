//! What authorities have revoked: a serial number is found in a sorted table of hashes, eight bytes
//! each, whoever issued it.

use super::rules::{RevocationList, Rules};
use crate::base::counters::CertificateRefused;
use crate::tls::identity::serial_bytes;
use boring::sha::{Sha256, sha256};
use boring::x509::X509Ref;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

/// Revoked certificates of the authorities of a policy.
#[derive(Default)]
pub(super) struct Revocation {
    /// Whether it is to be asked at all.
    is_wanted: bool,
    accepts_expired: bool,
    accepts_missing: bool,
    /// Until when the lists of an authority hold, by its key.
    until: HashMap<[u8; 32], i64>,
    /// Hashes of key and serial number, sorted. The hash is of this process alone, so that nobody
    /// can choose a number whose hash is another's.
    revoked: Box<[u64]>,
    hasher: RandomState,
    /// Stands for all of it.
    pub digest: [u8; 32],
}

impl Revocation {
    /// Of the lists of a policy, by the certificates of its authorities.
    pub fn new<'a>(rules: &Rules, authorities: impl Iterator<Item = (&'a [u8], &'a X509Ref)>) -> Result<Revocation, String> {
        let mut found = Revocation {
            is_wanted: !rules.lists.is_empty(),
            accepts_expired: rules.accepts_expired_lists,
            accepts_missing: rules.accepts_missing_lists,
            ..Revocation::default()
        };
        let mut hash = Sha256::new();
        hash.update(&[found.is_wanted as u8, found.accepts_expired as u8, found.accepts_missing as u8]);
        let keys: HashMap<[u8; 32], Option<[u8; 32]>> = match found.is_wanted {
            true => authorities.map(|(der, certificate)| (sha256(der), key_of(certificate))).collect(),
            false => HashMap::new(),
        };
        let mut revoked = Vec::new();
        for RevocationList { signer, next_update, serials } in &rules.lists {
            let Some(key) = keys.get(signer).copied().flatten() else {
                return Err("a revocation list is signed by none of the authorities".to_owned());
            };
            let until = next_update.unwrap_or(i64::MAX);
            hash.update(&key);
            hash.update(&until.to_be_bytes());
            hash.update(serials);
            let known = found.until.entry(key).or_insert(until);
            *known = until.max(*known);
            revoked.extend(unpacked(serials).map(|serial| found.hashed(&key, serial)));
        }
        revoked.sort_unstable();
        revoked.dedup();
        found.revoked = revoked.into();
        found.digest = hash.finish();
        Ok(found)
    }

    fn hashed(&self, key: &[u8; 32], serial: &[u8]) -> u64 {
        self.hasher.hash_one((key, serial))
    }

    fn has(&self, key: &[u8; 32], certificate: &X509Ref) -> bool {
        // Below zero: no authority lists such a number, and none may give it out.
        serial_bytes(certificate.serial_number()).is_none_or(|serial| self.revoked.binary_search(&self.hashed(key, serial)).is_ok())
    }

    /// Until when a chain, which was verified, is not revoked: the lists of who issued its links
    /// say so.
    pub fn check(&self, chain: &[&X509Ref]) -> Result<i64, CertificateRefused> {
        let mut until = i64::MAX;
        if !self.is_wanted {
            return Ok(until);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() as i64);
        let mut is_unknown = false;
        for link in chain.windows(2) {
            let [certificate, issuer] = link else { break };
            let key = key_of(issuer).ok_or(CertificateRefused::Invalid)?;
            if self.has(&key, certificate) {
                return Err(CertificateRefused::Revoked);
            }
            match self.until.get(&key) {
                None => is_unknown |= !self.accepts_missing,
                Some(_) if self.accepts_expired => {}
                Some(end) => {
                    is_unknown |= *end < now;
                    until = until.min(*end);
                }
            }
        }
        if is_unknown { Err(CertificateRefused::RevocationUnknown) } else { Ok(until) }
    }

    /// Whether a list of `issuer` names a certificate that it has issued.
    pub fn is_revoked_by(&self, certificate: &X509Ref, issuer: &X509Ref) -> bool {
        self.is_wanted
            && issuer.issued(certificate).is_ok()
            && key_of(issuer).is_some_and(|key| self.has(&key, certificate))
            && issuer.public_key().is_ok_and(|key| certificate.verify(&key).unwrap_or(false))
    }

    /// Bytes that it takes.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.revoked.len() * size_of::<u64>()
    }
}

/// SHA-256 of a certificate's key.
fn key_of(certificate: &X509Ref) -> Option<[u8; 32]> {
    certificate.public_key().and_then(|key| key.public_key_to_der()).ok().map(|der| sha256(&der))
}

/// Serial numbers that have their length before them.
fn unpacked(mut packed: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = packed.split_first()?;
        let (serial, rest) = rest.split_at_checked(usize::from(*length))?;
        packed = rest;
        Some(serial)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_thousand_entries_take_782_kib() {
        let mut revocation = Revocation::default();
        let key = [7; 32];
        let mut revoked: Vec<u64> = (0..100_000u32).map(|number| revocation.hashed(&key, &number.to_be_bytes())).collect();
        revoked.sort_unstable();
        revocation.revoked = revoked.into();
        assert_eq!(revocation.bytes().div_ceil(1024), 782);
    }

    #[test]
    fn packed_numbers_are_read_as_far_as_they_are_whole() {
        assert_eq!(unpacked(&[1, 5, 0, 2, 1, 2]).collect::<Vec<_>>(), [&[5][..], &[], &[1, 2]]);
        assert_eq!(unpacked(&[1, 5, 2, 1]).collect::<Vec<_>>(), [&[5][..]]);
        assert_eq!(unpacked(&[]).count(), 0);
    }
}
