//! What a client must prove, ready for handshakes: authorities in stores of their own, lists, names
//! that are allowed; and the judgement of a chain by them.

use super::revocation::Revocation;
use super::rules::{Allowed, Mode, Rules};
use super::twin;
use crate::base::counters::CertificateRefused;
use crate::tls::buffer::{Buffer, done};
use crate::tls::certificate::seconds;
use crate::tls::identity::{Identity, Verdict};
use crate::tls::verdict;
use boring::error::ErrorStack;
use boring::sha::Sha256;
use boring::stack::Stack;
use boring::x509::store::{X509Store, X509StoreBuilder};
use boring::x509::verify::X509VerifyFlags;
use boring::x509::{X509, X509Ref, X509StoreContext};
use boring_sys as ffi;
use foreign_types_shared::ForeignTypeRef;
use std::collections::HashMap;
use std::ffi::c_int;

/// Bytes of authorities' names that a client is told. Where there are more it is told none and
/// chooses by itself.
const MAX_TOLD_BYTES: usize = 8 * 1024;

/// Authorities that a chain is held against, of those whose name stands in it.
const MAX_ATTEMPTS: usize = 8;

/// An authority: alone in its store, so that another of the same name is not mistaken for it.
struct Authority {
    certificate: X509,
    der: Box<[u8]>,
    store: X509Store,
}

/// What clients must prove, ready for handshakes.
pub struct Policy {
    pub(super) rules: Rules,
    authorities: Vec<Authority>,
    /// Places of authorities by subject, DER.
    by_subject: HashMap<Box<[u8]>, Vec<u32>>,
    /// Names of the authorities, which a client is told.
    pub(super) told: Vec<Buffer>,
    revocation: Revocation,
    /// Stands for all that decides about a certificate.
    pub(super) digest: [u8; 32],
}

impl Policy {
    pub(super) fn new(mut rules: Rules) -> Result<Policy, String> {
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
    pub(super) fn is_as(&self, other: &Policy) -> bool {
        self.digest == other.digest && self.rules.forward == other.rules.forward
    }

    /// What a chain in DER proves, the client's own certificate first.
    pub fn judge(&self, chain: &[&[u8]]) -> Result<Identity, CertificateRefused> {
        let is_too_long = chain.len() > self.rules.max_depth as usize + 2;
        if is_too_long || chain.iter().map(|der| der.len()).sum::<usize>() > self.rules.max_bytes {
            return Err(CertificateRefused::TooLarge);
        }
        // BoringSSL passes over what comes behind a certificate, by which its fingerprint would be
        // another.
        if !chain.iter().all(|der| is_one_value(der)) {
            return Err(CertificateRefused::Malformed);
        }
        let certificates =
            chain.iter().map(|der| X509::from_der(der)).collect::<Result<Vec<_>, _>>().map_err(|_| CertificateRefused::Malformed)?;
        let leaf = certificates.first().ok_or(CertificateRefused::Missing)?;
        let verdict = if self.rules.mode == Mode::Any { Verdict::Unverified } else { Verdict::Verified };
        let mut identity = Identity::read(leaf, chain, verdict).ok_or(CertificateRefused::Malformed)?;
        if self.denies(&identity.fingerprint)
            || !self.rules.denied.is_empty() && twin::fingerprints(leaf, chain[0]).any(|twin| self.denies(&twin))
        {
            return Err(CertificateRefused::Denied);
        }
        if verdict == Verdict::Verified {
            identity.valid_until = self.verify(&certificates)?;
            if !self.rules.allowed.is_empty() && !self.rules.allowed.iter().any(|allowed| allowed.fits(&identity)) {
                return Err(CertificateRefused::NotAllowed);
            }
        }
        Ok(identity)
    }

    fn denies(&self, fingerprint: &[u8; 32]) -> bool {
        self.rules.denied.binary_search(fingerprint).is_ok()
    }

    /// Until when the chain holds.
    fn verify(&self, certificates: &[X509]) -> Result<i64, CertificateRefused> {
        let (leaf, others) = certificates.split_first().ok_or(CertificateRefused::Missing)?;
        let mut refusal = CertificateRefused::UnknownCa;
        for authority in self.candidates(certificates) {
            match authority.verify(leaf, others, self.rules.max_depth, &self.revocation) {
                Ok(until) => return Ok(until),
                // What the right authority says counts for more than that others did not issue it.
                Err(said) if refusal == CertificateRefused::UnknownCa => refusal = said,
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

    fn verify(&self, leaf: &X509, others: &[X509], max_depth: u32, revocation: &Revocation) -> Result<i64, CertificateRefused> {
        let verified = || -> Result<Result<i64, CertificateRefused>, ErrorStack> {
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
                    return Ok(Err(verdict::Fault::of(verdict).refused()));
                }
                let chain: Vec<&X509Ref> = context.chain().into_iter().flatten().collect();
                let ends = chain.iter().map(|one| seconds(one.not_after()));
                let until = ends.collect::<Result<Vec<_>, _>>()?.into_iter().min();
                let Some(until) = until.filter(|_| is_good) else { return Ok(Err(CertificateRefused::Invalid)) };
                Ok(revocation.check(&chain).map(|listed_until| until.min(listed_until)))
            })
        };
        verified().unwrap_or(Err(CertificateRefused::Invalid))
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
