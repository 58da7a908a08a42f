//! A certificate that signs itself, for `localhost`.

use boring::asn1::Asn1Time;
use boring::ec::{EcGroup, EcKey};
use boring::hash::MessageDigest;
use boring::nid::Nid;
use boring::pkey::{PKey, Private};
use boring::rsa::Rsa;
use boring::x509::extension::{BasicConstraints, SubjectAlternativeName};
use boring::x509::{X509, X509Name};
use lychgate_core::tls::certificate::Certificate;
use lychgate_core::tls::store::{Policy, UnknownName};
use lychgate_core::tls::tickets::TicketPolicy;
use std::time::Duration;

/// Rules of the bed's listener.
pub fn policy() -> Policy {
    Policy {
        listener: "bed".to_owned(),
        unknown_name: UnknownName::Default,
        is_strict: false,
        tickets: TicketPolicy::Rotating(Duration::from_secs(3600)),
        clients: Vec::new(),
    }
}

/// With so many names beside `localhost`, to make it long: about twenty bytes each.
pub fn localhost(others: usize) -> Certificate {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    signed_by(PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap(), others)
}

/// The same with a key of RSA, 2,048 bits.
pub fn localhost_rsa() -> Certificate {
    signed_by(PKey::from_rsa(Rsa::generate(2_048).unwrap()).unwrap(), 0)
}

fn signed_by(key: PKey<Private>, others: usize) -> Certificate {
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    let mut names = SubjectAlternativeName::new();
    names.dns("localhost");
    for number in 0..others {
        names.dns(&format!("name-{number}.localhost"));
    }
    let names = names.build(&builder.x509v3_context(None, None)).unwrap();
    builder.append_extension(&names).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    let chain = String::from_utf8(builder.build().to_pem().unwrap()).unwrap();
    let key = String::from_utf8(key.private_key_to_pem_pkcs8().unwrap()).unwrap();
    Certificate::parse("localhost".to_owned(), vec!["localhost".to_owned()], &chain, &key)
        .map_err(|complaints| complaints.join(", "))
        .unwrap()
}

/// An authority that signs itself.
pub fn authority(name: &str) -> (X509, PKey<Private>) {
    client_side(name, None)
}

/// A client's certificate.
pub fn issued(name: &str, issuer: &(X509, PKey<Private>)) -> (X509, PKey<Private>) {
    client_side(name, Some(issuer))
}

fn client_side(name: &str, issuer: Option<&(X509, PKey<Private>)>) -> (X509, PKey<Private>) {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut subject = X509Name::builder().unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    let subject = subject.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder.set_issuer_name(issuer.map_or(&subject, |(issuer, _)| issuer.subject_name())).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    if issuer.is_none() {
        builder.append_extension(&BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
    }
    builder.sign(issuer.map_or(&key, |(_, key)| key), MessageDigest::sha256()).unwrap();
    (builder.build(), key)
}
