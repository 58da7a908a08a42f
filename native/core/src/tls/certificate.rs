//! A certificate chain with its key, as they are read: parsed, held against each other, and kept as
//! DER.

use boring::asn1::{Asn1Time, Asn1TimeRef};
use boring::pkey::{Id, PKey, Private};
use boring::x509::{X509, X509Ref};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How much a signature of a key costs us, the cheapest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyKind {
    /// ECDSA with P-256, for which BoringSSL has assembly.
    P256,
    /// Ed25519, or ECDSA with another curve.
    Other,
    /// RSA.
    Rsa,
}

/// A chain, its key, and the names it is for.
pub struct Certificate {
    /// What it is called in metrics.
    pub label: String,
    /// Names it answers for, lower-case, `*.` for one leading label.
    pub names: Vec<String>,
    /// Names that its leaf is good for, lower-case, addresses in their usual form.
    pub covered: Vec<String>,
    /// DER, leaf first.
    pub chain: Vec<Vec<u8>>,
    /// Of the leaf.
    pub key: PKey<Private>,
    /// What its issuer says of its revocation, given to clients that ask for it (an OCSP response,
    /// DER); empty for none.
    pub ocsp: Vec<u8>,
    /// What a signature costs.
    pub kind: KeyKind,
    /// From then and until then the leaf is valid, seconds since 1970.
    pub validity: (i64, i64),
}

impl Certificate {
    /// Parses PEM text, leaf first. Where no names are given, those of the leaf hold. Complaints
    /// are sentences without secrets.
    pub fn parse(label: String, names: Vec<String>, chain_pem: &str, key_pem: &str) -> Result<Certificate, Vec<String>> {
        let mut complaints = Vec::new();
        let chain = X509::stack_from_pem(chain_pem.as_bytes()).unwrap_or_default();
        if chain.is_empty() {
            complaints.push("the chain holds no PEM certificate".to_owned());
        }
        let key = PKey::private_key_from_pem(key_pem.as_bytes());
        if key.is_err() {
            complaints.push("the key is no PEM private key".to_owned());
        }
        let (Some(leaf), Ok(key)) = (chain.first(), key) else { return Err(complaints) };
        match leaf.public_key() {
            Ok(public) if public.public_eq(&key) => {}
            _ => complaints.push("the key does not belong to the chain's first certificate".to_owned()),
        }
        let der: Result<Vec<_>, _> = chain.iter().map(|one| one.to_der()).collect();
        let (Ok(chain), [Ok(from), Ok(until)]) = (der, [leaf.not_before(), leaf.not_after()].map(seconds)) else {
            complaints.push("the chain cannot be read".to_owned());
            return Err(complaints);
        };
        if !complaints.is_empty() {
            return Err(complaints);
        }
        let covered = covered(leaf);
        let names = if names.is_empty() { covered.clone() } else { names.iter().map(|name| name.to_ascii_lowercase()).collect() };
        let kind = match key.id() {
            Id::RSA | Id::RSAPSS => KeyKind::Rsa,
            Id::EC if key.bits() == 256 => KeyKind::P256,
            _ => KeyKind::Other,
        };
        Ok(Certificate { label, names, covered, chain, key, ocsp: Vec::new(), kind, validity: (from, until) })
    }

    /// Adds the issuer's word on its revocation.
    pub fn with_ocsp(mut self, response: &[u8]) -> Result<Certificate, Vec<String>> {
        if !response.is_empty() && !is_ocsp_response(response) {
            return Err(vec!["the OCSP response is none, or one that says nothing".to_owned()]);
        }
        self.ocsp = response.to_vec();
        Ok(self)
    }
}

/// Whether it is a successful OCSP response (RFC 6960 §4.2.1), as far as its beginning and its
/// length say.
fn is_ocsp_response(der: &[u8]) -> bool {
    let (length, rest) = match der {
        [0x30, length @ 0..=0x7f, rest @ ..] => (usize::from(*length), rest),
        [0x30, 0x81, length, rest @ ..] => (usize::from(*length), rest),
        [0x30, 0x82, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        _ => return false,
    };
    length == rest.len() && rest.starts_with(&[0x0a, 1, 0])
}

/// Names and addresses that a certificate is for (RFC 9525 §6: of its alternative names alone).
fn covered(leaf: &X509Ref) -> Vec<String> {
    let mut names = Vec::new();
    for name in leaf.subject_alt_names().iter().flatten() {
        if let Some(name) = name.dnsname() {
            names.push(name.trim_end_matches('.').to_ascii_lowercase());
        } else if let Some(bytes) = name.ipaddress() {
            let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| IpAddr::from(Ipv4Addr::from(bytes)));
            let address = v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| IpAddr::from(Ipv6Addr::from(bytes))));
            names.extend(address.iter().map(IpAddr::to_string));
        }
    }
    names
}

/// Seconds since 1970.
pub(super) fn seconds(time: &Asn1TimeRef) -> Result<i64, boring::error::ErrorStack> {
    let passed = Asn1Time::from_unix(0)?.diff(time)?;
    Ok(i64::from(passed.days) * 86_400 + i64::from(passed.secs))
}
