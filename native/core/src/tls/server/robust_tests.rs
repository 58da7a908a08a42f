//! Certificates, keys and tickets as nobody made them: in each something is changed. They are taken
//! or refused, never with a panic, and nothing is believed of what was changed. A few hundred of
//! each; `PROPTEST_CASES=100000` makes it so many. `native/fuzz` has the same without an end.

use super::super::certificate::Certificate;
use super::super::client_auth::{Mode, Policies, Rules, twin};
use super::tests::{Made, RULES, Server, Try, issued, key, policy};
use crate::base::counters::{CertificateRefused, Id, TicketRefused};
use crate::tls::store::{CertificateStore, Policy};
use crate::tls::tickets::{TicketKey, TicketPolicy};
use boring::base64;
use boring::nid::Nid;
use boring::sha::sha256;
use boring::x509::X509;
use proptest::collection::vec;
use proptest::prelude::*;
use std::sync::LazyLock;

/// Changes: where, of all places, how many bytes there give way, and what comes instead.
fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, usize, Vec<u8>)>> {
    vec((any::<prop::sample::Index>(), 0..6usize, vec(any::<u8>(), 0..6)), 1..4)
}

fn changed(bytes: &[u8], changes: &[(prop::sample::Index, usize, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (at, gone, instead) in changes {
        let from = at.index(bytes.len() + 1);
        let until = (from + gone).min(bytes.len());
        bytes.splice(from..until, instead.iter().copied());
    }
    bytes
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = base64::encode_block(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// One of each kind of key.
static PAIRS: LazyLock<Vec<(Made, Vec<u8>)>> = LazyLock::new(|| {
    let made = |is_rsa| {
        let key = key(is_rsa);
        let made = Made::new(&["a.test"], &key, &[issued("a.test", &key, (0, 1), None)]);
        (made, key.private_key_to_der_pkcs8().unwrap())
    };
    vec![made(false), made(true)]
});

proptest! {
    /// What a listener is given. A pair that is taken makes a store, and signs a handshake.
    #[test]
    fn any_certificate_and_key_are_taken_or_refused_in_words(
        which in 0..2usize, of_chain in changes(), of_key in changes(), kept in 0..4u8, is_text in any::<bool>(),
    ) {
        let (made, key) = &PAIRS[which];
        let (chain_pem, key_pem) = if is_text {
            let text = |pem: &str, list: &[_]| String::from_utf8_lossy(&changed(pem.as_bytes(), list)).into_owned();
            (text(&made.chain_pem, &of_chain), text(&made.key_pem, &of_key))
        } else {
            (pem("CERTIFICATE", &changed(&made.chain[0], &of_chain)), pem("PRIVATE KEY", &changed(key, &of_key)))
        };
        // Both, one or none of the two is changed.
        let chain_pem = if kept & 1 == 0 { chain_pem } else { made.chain_pem.clone() };
        let key_pem = if kept & 2 == 0 { key_pem } else { made.key_pem.clone() };
        match Certificate::parse("a".to_owned(), vec!["a.test".to_owned()], &chain_pem, &key_pem) {
            Err(said) => prop_assert!(!said.is_empty() && said.iter().all(|said| !said.contains('\n'))),
            Ok(certificate) => {
                prop_assert!(!certificate.chain.is_empty());
                let store = CertificateStore::new(vec![certificate], policy("public", RULES)).unwrap();
                // A leaf that BoringSSL read may still be one that a client does not.
                let _ = Server::around(store).try_with(Try::of("a.test"));
            }
        }
    }

    /// What a client shows. What was changed is signed by nobody.
    #[test]
    fn any_certificate_of_a_client_is_refused_once_a_byte_of_it_is_another(list in changes(), others in vec(changes(), 0..3), is_any in any::<bool>()) {
        let (ca, of_ca) = &*CLIENTS;
        let own = changed(of_ca, &list);
        let more: Vec<Vec<u8>> = others.iter().map(|list| changed(ca, list)).collect();
        let chain: Vec<&[u8]> = std::iter::once(&own).chain(&more).map(Vec::as_slice).collect();
        let rules = Rules {
            mode: if is_any { Mode::Any } else { Mode::Required },
            ca_pem: pem("CERTIFICATE", ca),
            max_depth: 4,
            max_bytes: 16_384,
            ..Rules::off()
        };
        let judged = Policies::new(vec![rules]).unwrap().policy(0).judge(&chain);
        if !is_any && own != *of_ca {
            prop_assert!(judged.is_err());
        }
    }
}

/// What stands behind a certificate is no part of what was signed, and would make its fingerprint
/// another.
#[test]
fn a_certificate_of_a_client_with_a_byte_behind_it_is_refused() {
    let (ca, own) = &*CLIENTS;
    let rules = Rules { mode: Mode::Required, ca_pem: pem("CERTIFICATE", ca), max_depth: 4, max_bytes: 16_384, ..Rules::off() };
    let policies = Policies::new(vec![rules]).unwrap();
    assert!(policies.policy(0).judge(&[own]).is_ok());
    for more in [&[0][..], &[0x30, 0], own] {
        let longer = [own, more].concat();
        assert!(matches!(policies.policy(0).judge(&[&longer]), Err(CertificateRefused::Malformed)));
        assert!(matches!(policies.policy(0).judge(&[own, &[ca, more].concat()]), Err(CertificateRefused::Malformed)));
    }
}

/// (r, n − s) signs what (r, s) signs, so that a client could show a certificate of another
/// fingerprint.
#[test]
fn a_certificate_that_is_denied_is_denied_with_its_signature_in_the_other_form() {
    let (ca, own) = &*CLIENTS;
    let signature = X509::from_der(own).unwrap().signature().as_slice().to_vec();
    let other = twin::twin(own, &signature, Nid::X9_62_PRIME256V1).unwrap();
    assert_ne!(&other, own);
    let rules = Rules { mode: Mode::Required, ca_pem: pem("CERTIFICATE", ca), max_depth: 4, max_bytes: 16_384, ..Rules::off() };
    let open = Policies::new(vec![rules.clone()]).unwrap();
    for denied in [own, &other] {
        let denying = Policies::new(vec![Rules { denied: vec![sha256(denied)], ..rules.clone() }]).unwrap();
        for shown in [own, &other] {
            assert!(open.policy(0).judge(&[shown]).is_ok(), "both hold");
            assert!(matches!(denying.policy(0).judge(&[shown]), Err(CertificateRefused::Denied)));
        }
        let stranger = issued("client.test", &key(false), (0, 1), None).to_der().unwrap();
        assert!(!matches!(denying.policy(0).judge(&[&stranger]), Err(CertificateRefused::Denied)));
    }
}

/// An authority and what it gave a client, DER.
static CLIENTS: LazyLock<(Vec<u8>, Vec<u8>)> = LazyLock::new(|| {
    let of_ca = key(false);
    let ca: X509 = issued("ca.test", &of_ca, (0, 1), None);
    let own = issued("client.test", &key(false), (0, 1), Some(&(ca.clone(), of_ca)));
    (ca.to_der().unwrap(), own.to_der().unwrap())
});

/// Whatever byte of a ticket is another, and however short it is: the client gets a full handshake.
#[test]
fn a_ticket_of_which_a_byte_is_another_opens_nothing_and_costs_a_full_handshake() {
    let a = Made::simple("a.test");
    let name = [7; 16];
    for length in [48, 80] {
        let mut bytes = vec![1; length];
        bytes[..16].copy_from_slice(&name);
        let key = TicketKey::parse(&bytes).unwrap();
        let mut server = Server::new(&[&a], Policy { tickets: TicketPolicy::Given(vec![key]), ..policy("public", RULES) });
        let session = server.try_with(Try::of("a.test")).session.unwrap();
        let at = session.windows(16).position(|bytes| bytes == name).unwrap();
        // An OCTET STRING of 128 to 255 bytes or of more.
        let size = match session[at - 3..at] {
            [_, 0x81, size] => usize::from(size),
            [0x82, high, low] => usize::from(u16::from_be_bytes([high, low])),
            _ => panic!("no length stands before the ticket"),
        };
        assert!(size > 100);
        assert!(server.try_with(Try { session: Some(&session), ..Try::of("a.test") }).is_resumed);
        let mut refused = 0;
        for place in 0..size {
            let mut session = session.clone();
            session[at + place] ^= 1 << (place % 8);
            let got = server.try_with(Try { session: Some(&session), ..Try::of("a.test") });
            assert_eq!((got.is_done, got.is_resumed), (true, false), "byte {place} of {size}");
            refused += 1;
        }
        let unknown = server.count(Id::TicketsRefused, TicketRefused::UnknownKey as usize);
        assert_eq!((refused, unknown), (size, 16.0), "by its name, or by its seal");
    }
}
