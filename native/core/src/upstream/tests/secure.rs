//! TLS towards backends: what is proven, what is agreed on, and what is refused.

use std::io::{Read, Write};

use boring::asn1::Asn1Time;
use boring::ec::{EcGroup, EcKey};
use boring::hash::MessageDigest;
use boring::nid::Nid;
use boring::pkey::{PKey, Private};
use boring::ssl::{AlpnError, SslAcceptor, SslMethod, select_next_proto};
use boring::x509::extension::{BasicConstraints, SubjectAlternativeName};
use boring::x509::{X509, X509Name};

use super::driver::{Driver, config};
use super::peer::Peer;
use super::real::Nghttpd;
use crate::base::reason::Reason;
use crate::upstream::{BackendConfig, Scheme};

/// A certificate that signs itself, for `backend.test` and 127.0.0.1.
fn certificate() -> (X509, PKey<Private>) {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_text("CN", "backend.test").unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(2).unwrap()).unwrap();
    let constraints = BasicConstraints::new().critical().ca().build().unwrap();
    builder.append_extension(&constraints).unwrap();
    let context = builder.x509v3_context(None, None);
    let names = SubjectAlternativeName::new().dns("backend.test").ip("127.0.0.1").build(&context).unwrap();
    builder.append_extension(&names).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    (builder.build(), key)
}

fn pem(certificate: &X509) -> String {
    String::from_utf8(certificate.to_pem().unwrap()).unwrap()
}

/// An HTTP/1.1 server over TLS that agrees to `alpn` and answers with the name it was asked for.
fn server(connections: usize, alpn: &'static [u8], certificate: &X509, key: &PKey<Private>) -> Peer {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
    builder.set_certificate(certificate).unwrap();
    builder.set_private_key(key).unwrap();
    if !alpn.is_empty() {
        builder.set_alpn_select_callback(move |_, offered| select_next_proto(alpn, offered).ok_or(AlpnError::NOACK));
    }
    let acceptor = builder.build();
    Peer::serve(connections, move |_, stream| {
        let Ok(mut stream) = acceptor.accept(stream) else { return };
        let mut text = Vec::new();
        let mut bytes = [0; 4096];
        while let Ok(count) = stream.read(&mut bytes) {
            text.extend_from_slice(&bytes[..count]);
            if count == 0 {
                return;
            }
            if text.ends_with(b"\r\n\r\n") {
                text.clear();
                let name = stream.ssl().servername(boring::ssl::NameType::HOST_NAME).unwrap_or("none").to_owned();
                let is_resumed = stream.ssl().session_reused();
                let body = format!("{name} {is_resumed} {}", "x".repeat(100_000));
                let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes());
            }
        }
    })
}

fn backend(peer: &Peer, server_name: &str, ca_pem: String) -> BackendConfig {
    BackendConfig { server_name: server_name.into(), ca_pem, ..config(0, Scheme::Https, peer.address) }
}

#[test]
fn http_1_is_spoken_where_alpn_does_not_agree_on_http_2() {
    let (certificate, key) = certificate();
    for alpn in [&b""[..], b"\x08http/1.1"] {
        let peer = server(1, alpn, &certificate, &key);
        let mut driver = Driver::new(vec![backend(&peer, "backend.test", pem(&certificate))]);
        for _ in 0..2 {
            let told = driver.fetch(0, "/");
            assert!(told.body.starts_with(b"backend.test false x"), "{told:?}");
        }
        assert_eq!(driver.upstreams.stats.connects_succeeded, 1);
        drop(driver);
        peer.join();
    }
}

#[test]
fn an_unknown_issuer_and_a_wrong_name_are_refused_unless_told_otherwise() {
    let (certificate, key) = certificate();
    let (stranger, _) = self::certificate();
    let peer = server(4, b"\x08http/1.1", &certificate, &key);
    let refused = [
        backend(&peer, "backend.test", pem(&stranger)),
        backend(&peer, "other.test", pem(&certificate)),
        backend(&peer, "backend.test", String::new()),
    ];
    for backend in refused {
        let mut driver = Driver::new(vec![backend]);
        let fault = driver.fetch(0, "/").fault.unwrap();
        assert_eq!((fault.reason, fault.is_unsent), (Reason::TlsFailed, true));
        assert_eq!(driver.upstreams.stats.connects_tls_failed, 1);
    }
    let mut driver = Driver::new(vec![BackendConfig { is_verified: false, ..backend(&peer, "other.test", String::new()) }]);
    assert!(driver.fetch(0, "/").body.starts_with(b"other.test false"));
    drop(driver);
    peer.join();
}

#[test]
fn an_address_is_proven_as_such_and_not_sent_as_a_name() {
    let (certificate, key) = certificate();
    let peer = server(1, b"\x08http/1.1", &certificate, &key);
    let config = BackendConfig { authority: format!("127.0.0.1:{}", peer.address.port()), ..backend(&peer, "", pem(&certificate)) };
    let mut driver = Driver::new(vec![config]);
    assert!(driver.fetch(0, "/").body.starts_with(b"none false"));
    drop(driver);
    peer.join();
}

#[test]
fn a_second_connection_resumes_the_first() {
    let (certificate, key) = certificate();
    let peer = server(2, b"\x08http/1.1", &certificate, &key);
    let mut config = backend(&peer, "backend.test", pem(&certificate));
    config.session_idle_timeout_ms = 1000;
    let mut driver = Driver::new(vec![config]);
    assert!(driver.fetch(0, "/").body.starts_with(b"backend.test false"));
    driver.skew += 2_000_000_000;
    driver.until("the idle session to end", |driver| driver.upstreams.stats.sessions_open == 0);
    assert!(driver.fetch(0, "/").body.starts_with(b"backend.test true"));
    drop(driver);
    peer.join();
}

#[test]
fn a_bundle_without_certificates_fails_every_attempt() {
    let mut driver = Driver::new(vec![BackendConfig { ca_pem: "no".into(), ..config(0, Scheme::Https, "127.0.0.1:1".parse().unwrap()) }]);
    assert_eq!(driver.fetch(0, "/").fault.unwrap().reason, Reason::TlsFailed);
}

#[test]
fn http_2_over_tls_carries_large_bodies_both_ways() {
    let (certificate, key) = certificate();
    let key_pem = key.private_key_to_pem_pkcs8().unwrap();
    let certificate_pem = pem(&certificate);
    let large: Vec<u8> = (0..5 << 20).map(|place: usize| (place * 7 % 253) as u8).collect();
    let files = [("key", &key_pem[..]), ("chain", certificate_pem.as_bytes()), ("large", &large[..])];
    let Some(server) = Nghttpd::start("tls", &files, &[], &["key", "chain"]) else { return };
    let mut backend = config(0, Scheme::Https, server.address);
    (backend.server_name, backend.ca_pem) = ("backend.test".into(), certificate_pem);
    let mut driver = Driver::new(vec![backend]);
    let keys: Vec<_> = (0..4).map(|_| driver.get(0, "/large")).collect();
    for key in keys {
        assert!(driver.finish(key).body == large);
    }
    let key = driver.request(0, "POST", "/large", &[], Some(large.clone()));
    assert!(driver.finish(key).status.is_some());
    assert_eq!(driver.upstreams.stats.connects_succeeded, 1);
    assert!(driver.upstreams.describe(driver.now()).contains("\"protocol\":\"h2\""));
}
