//! TLS to backends: verification, ALPN, versions and failures.

use std::io::{Read, Write};

use boring::asn1::Asn1Time;
use boring::ec::{EcGroup, EcKey};
use boring::hash::MessageDigest;
use boring::nid::Nid;
use boring::pkey::{PKey, Private};
use boring::ssl::{
    AlpnError, HandshakeError, SniError, SslAcceptor, SslAcceptorBuilder, SslMethod, SslOptions, SslVerifyMode, SslVersion,
    select_next_proto,
};
use boring::x509::extension::{BasicConstraints, ExtendedKeyUsage, SubjectAlternativeName};
use boring::x509::store::X509StoreBuilder;
use boring::x509::{X509, X509Name};

use super::driver::{Driver, config};
use super::peer::Peer;
use super::real::Nghttpd;
use crate::base::reason::{OF_TLS, Reason};
use crate::tls::client::{Credentials, Pin, TlsVersion};
use crate::upstream::{BackendConfig, Scheme, Stat, TlsConfig};

/// A self-signed certificate for `backend.test` and 127.0.0.1.
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

/// An HTTP/1.1 server over TLS that accepts `alpn` and responds with the server name asked for.
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
    let tls = TlsConfig { server_name: server_name.into(), ca_pem, ..TlsConfig::default() };
    BackendConfig { tls, ..config(0, Scheme::Https, peer.address) }
}

#[test]
fn http_1_is_spoken_where_alpn_does_not_agree_on_http_2() {
    let (certificate, key) = certificate();
    for alpn in [&b""[..], b"\x08http/1.1"] {
        let peer = server(1, alpn, &certificate, &key);
        let mut driver = Driver::new(vec![backend(&peer, "backend.test", pem(&certificate))]);
        for _ in 0..2 {
            let outcome = driver.fetch(0, "/");
            assert!(outcome.body.starts_with(b"backend.test false x"), "{outcome:?}");
        }
        assert_eq!(driver.upstreams.stats[Stat::ConnectsSucceeded], 1);
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
        assert_eq!((fault.reason.told(), fault.is_unsent), (Reason::TlsFailed, true));
        assert_eq!(driver.upstreams.stats[Stat::ConnectsTlsFailed], 1);
    }
    let mut unverified = backend(&peer, "other.test", String::new());
    unverified.tls.is_verified = false;
    let mut driver = Driver::new(vec![unverified]);
    assert!(driver.fetch(0, "/").body.starts_with(b"other.test false"));
    drop(driver);
    peer.join();
}

/// What a server's certificate is made of.
struct Making<'a> {
    name: &'a str,
    /// Valid between these days from now.
    days: (i64, i64),
    is_for_clients: bool,
    issuer: Option<&'a (X509, PKey<Private>)>,
}

const SOUND: Making<'static> = Making { name: "backend.test", days: (-1, 1), is_for_clients: false, issuer: None };

fn made(making: &Making<'_>) -> (X509, PKey<Private>) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let day = |days: i64| Asn1Time::from_unix(now + days * 86_400).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap()).unwrap()).unwrap();
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_text("CN", making.name).unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(making.issuer.map_or(&name, |issuer| issuer.0.subject_name())).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&day(making.days.0)).unwrap();
    builder.set_not_after(&day(making.days.1)).unwrap();
    if making.issuer.is_none() {
        builder.append_extension(&BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
    }
    if making.is_for_clients {
        builder.append_extension(&ExtendedKeyUsage::new().client_auth().build().unwrap()).unwrap();
    }
    let names = SubjectAlternativeName::new().dns(making.name).build(&builder.x509v3_context(None, None)).unwrap();
    builder.append_extension(&names).unwrap();
    builder.sign(making.issuer.map_or(&key, |issuer| &issuer.1), MessageDigest::sha256()).unwrap();
    (builder.build(), key)
}

/// The reason of a fault, and its text in `describe`.
fn refused(peer: Peer, server_name: &str, ca: &X509) -> (Reason, String) {
    let config = backend(&peer, server_name, pem(ca));
    refused_with(peer, config)
}

fn refused_with(peer: Peer, config: BackendConfig) -> (Reason, String) {
    let mut driver = Driver::new(vec![config]);
    let fault = driver.fetch(0, "/").fault.unwrap();
    let text = driver.upstreams.describe(driver.now());
    let (_, rest) = text.split_once("\"last_fault\":\"").unwrap();
    if let Some(index) = fault.reason.of_tls() {
        assert!(fault.is_unsent);
        let mut counts = [0; OF_TLS.len()];
        counts[index] = 1;
        let stats = driver.upstreams.stats;
        assert_eq!((stats[Stat::ConnectsTlsFailed] + stats[Stat::ConnectsSucceeded], stats.tls_failures), (1, counts));
    }
    let outcome = rest.split('"').next().unwrap().to_owned();
    drop(driver);
    peer.join();
    (fault.reason, outcome)
}

#[test]
fn a_certificate_that_does_not_hold_says_why() {
    let ca = made(&Making { name: "ca.test", ..SOUND });
    let namesake = made(&Making { name: "ca.test", ..SOUND });
    let stranger = made(&Making { name: "stranger.test", ..SOUND });
    let of_ca = Making { issuer: Some(&ca), ..SOUND };
    let cases = [
        (Making { issuer: Some(&stranger), ..SOUND }, "backend.test", Reason::TlsIssuerUnknown, "unable to get local issuer certificate"),
        (Making { issuer: Some(&namesake), ..SOUND }, "backend.test", Reason::TlsIssuerUnknown, "certificate signature failure"),
        (Making { issuer: None, ..SOUND }, "backend.test", Reason::TlsIssuerUnknown, "self signed certificate"),
        (Making { name: "other.test", ..of_ca }, "backend.test", Reason::TlsNameMismatch, "Hostname mismatch"),
        (Making { ..of_ca }, "192.0.2.1", Reason::TlsNameMismatch, "IP address mismatch"),
        (Making { days: (-20, -10), ..of_ca }, "backend.test", Reason::TlsCertificateExpired, "certificate has expired"),
        (Making { days: (10, 20), ..of_ca }, "backend.test", Reason::TlsCertificateNotYetValid, "certificate is not yet valid"),
        (Making { is_for_clients: true, ..of_ca }, "backend.test", Reason::TlsCertificateInvalid, "unsupported certificate purpose"),
    ];
    for (making, server_name, reason, detail) in cases {
        let (certificate, key) = made(&making);
        let found = refused(server(1, b"\x08http/1.1", &certificate, &key), server_name, &ca.0);
        assert_eq!(found, (reason, format!("{}: {detail}", reason.code())));
    }
    let (certificate, key) = made(&of_ca);
    let peer = server(1, b"\x08http/1.1", &certificate, &key);
    let mut driver = Driver::new(vec![backend(&peer, "backend.test", pem(&ca.0))]);
    assert!(driver.fetch(0, "/").body.starts_with(b"backend.test"), "a sound one is taken");
    drop(driver);
    peer.join();
}

/// A server that refuses every handshake, by `refuse`.
fn refusing(refuse: impl FnOnce(&mut SslAcceptorBuilder)) -> (Peer, X509) {
    let (certificate, key) = certificate();
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
    builder.set_certificate(&certificate).unwrap();
    builder.set_private_key(&key).unwrap();
    refuse(&mut builder);
    let acceptor = builder.build();
    let peer = Peer::serve(1, move |_, stream| {
        if let Err(HandshakeError::Failure(mut failed)) = acceptor.accept(stream) {
            // What is unread when a socket closes would take the alert with it.
            let _ = std::io::copy(failed.get_mut(), &mut std::io::sink());
        }
    });
    (peer, certificate)
}

#[test]
fn a_backend_that_refuses_the_handshake_is_told_apart_by_its_alert() {
    type Refuse = fn(&mut SslAcceptorBuilder);
    let cases: [(Refuse, Reason, &str); 3] = [
        (
            |builder| {
                builder.clear_options(SslOptions::NO_TLSV1 | SslOptions::NO_TLSV1_1);
                builder.set_min_proto_version(Some(SslVersion::TLS1)).unwrap();
                builder.set_max_proto_version(Some(SslVersion::TLS1_1)).unwrap();
            },
            Reason::TlsNotAgreed,
            "protocol_version",
        ),
        (
            |builder| {
                builder.set_max_proto_version(Some(SslVersion::TLS1_2)).unwrap();
                builder.set_cipher_list("ECDHE-RSA-AES128-GCM-SHA256").unwrap();
            },
            Reason::TlsNotAgreed,
            "handshake_failure",
        ),
        (|builder| builder.set_servername_callback(|_, _| Err(SniError::ALERT_FATAL)), Reason::TlsAlert, "unrecognized_name"),
    ];
    for (refuse, reason, alert) in cases {
        let (peer, certificate) = refusing(refuse);
        assert_eq!(refused(peer, "backend.test", &certificate), (reason, format!("{}: {alert}", reason.code())));
    }
}

/// With TLS 1.3 the client's handshake is done before the server has checked its certificate, or
/// missed one.
#[test]
fn an_alert_after_the_handshake_is_told_too() {
    let (peer, certificate) = refusing(|builder| builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT));
    assert_eq!(refused(peer, "backend.test", &certificate), (Reason::TlsCertificateRequired, "tls_certificate_required".to_owned()));
}

/// The same, for a certificate that the backend refuses.
#[test]
fn a_certificate_that_the_backend_does_not_take_is_a_failed_handshake() {
    let own = made(&Making { name: "edge.test", is_for_clients: true, ..SOUND });
    let (peer, certificate) = refusing(|builder| builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT));
    let credentials =
        Credentials { chain_pem: pem(&own.0), key_pem: String::from_utf8(own.1.private_key_to_pem_pkcs8().unwrap()).unwrap() };
    let mut config = backend(&peer, "backend.test", pem(&certificate));
    config.tls.credentials = credentials;
    assert_eq!(refused_with(peer, config), (Reason::TlsAlert, "tls_alert: unknown_ca".to_owned()));
}

#[test]
fn a_port_without_tls_and_one_that_hangs_up_are_told_apart() {
    let (certificate, _) = certificate();
    let settings = b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64";
    for greeting in [&b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n"[..], settings, b"SSH-2.0-OpenSSH_9.2\r\n"] {
        let peer = Peer::serve(1, move |_, mut stream| {
            stream.write_all(greeting).unwrap();
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        });
        assert_eq!(refused(peer, "backend.test", &certificate), (Reason::TlsPlainText, "tls_plain_text".to_owned()));
    }
    let peer = Peer::serve(1, |_, mut stream| assert!(stream.read(&mut [0; 4096]).unwrap() > 100));
    assert_eq!(refused(peer, "backend.test", &certificate), (Reason::TlsClosed, "tls_closed".to_owned()));
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
    config.limits.idle_timeout_ms = 1000;
    let mut driver = Driver::new(vec![config]);
    assert!(driver.fetch(0, "/").body.starts_with(b"backend.test false"));
    driver.skew += 2_000_000_000;
    driver.until("the idle session to end", |driver| driver.upstreams.stats[Stat::SessionsOpen] == 0);
    assert!(driver.fetch(0, "/").body.starts_with(b"backend.test true"));
    drop(driver);
    peer.join();
}

#[test]
fn a_bundle_without_certificates_fails_every_attempt() {
    let mut untrusted = config(0, Scheme::Https, "127.0.0.1:1".parse().unwrap());
    untrusted.tls.ca_pem = "no".into();
    let mut driver = Driver::new(vec![untrusted]);
    assert_eq!(driver.fetch(0, "/").fault.unwrap().reason, Reason::TlsFailed);
}

#[test]
fn http_2_over_tls_carries_large_bodies_both_ways() {
    let (certificate, key) = certificate();
    let key_pem = key.private_key_to_pem_pkcs8().unwrap();
    let certificate_pem = pem(&certificate);
    let large: Vec<u8> = (0..5 << 20).map(|index: usize| (index * 7 % 253) as u8).collect();
    let files = [("key", &key_pem[..]), ("chain", certificate_pem.as_bytes()), ("large", &large[..])];
    let Some(server) = Nghttpd::start("tls", &files, &[], &["key", "chain"]) else { return };
    let mut backend = config(0, Scheme::Https, server.address);
    (backend.tls.server_name, backend.tls.ca_pem) = ("backend.test".into(), certificate_pem);
    let mut driver = Driver::new(vec![backend]);
    let keys: Vec<_> = (0..4).map(|_| driver.get(0, "/large")).collect();
    for key in keys {
        assert!(driver.finish(key).body == large);
    }
    let key = driver.request(0, "POST", "/large", &[], Some(large.clone()));
    assert!(driver.finish(key).status.is_some());
    assert_eq!(driver.upstreams.stats[Stat::ConnectsSucceeded], 1);
    assert!(driver.upstreams.describe(driver.now()).contains("\"protocol\":\"h2\""));
}

/// A server by this acceptor that answers every request with the common name of the client's
/// certificate, `nobody` without one, and the version.
fn asking_server(connections: usize, mut builder: SslAcceptorBuilder, authority: &X509) -> Peer {
    let mut store = X509StoreBuilder::new().unwrap();
    store.add_cert(authority).unwrap();
    builder.set_verify_cert_store(store.build()).unwrap();
    builder.set_verify(SslVerifyMode::PEER);
    let acceptor = builder.build();
    Peer::serve(connections, move |_, stream| {
        let acceptor = acceptor.clone();
        // Draining sessions are open beside those that replace them.
        std::thread::spawn(move || {
            let Ok(mut stream) = acceptor.accept(stream) else { return };
            let mut text = Vec::new();
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut bytes) {
                text.extend_from_slice(&bytes[..count]);
                if !text.ends_with(b"\r\n\r\n") {
                    continue;
                }
                text.clear();
                let shown = stream.ssl().peer_certificate();
                let names = shown
                    .iter()
                    .flat_map(|shown| shown.subject_name().entries_by_nid(Nid::COMMONNAME).map(|name| name.data().as_slice().to_vec()));
                let name = names.map(|name| String::from_utf8(name).unwrap()).next().unwrap_or("nobody".to_owned());
                let body = format!("{name} {}", stream.ssl().version_str());
                let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes());
            }
        });
    })
}

fn acceptor(certificate: &X509, key: &PKey<Private>) -> SslAcceptorBuilder {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
    builder.set_certificate(certificate).unwrap();
    builder.set_private_key(key).unwrap();
    builder.set_session_id_context(b"backend").unwrap();
    builder
}

/// A certificate of this name for `backend.test`, by an authority.
fn issued(name: &str, authority: &X509, authority_key: &PKey<Private>) -> (X509, PKey<Private>) {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut subject = X509Name::builder().unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&subject.build()).unwrap();
    builder.set_issuer_name(authority.subject_name()).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(2).unwrap()).unwrap();
    let context = builder.x509v3_context(Some(authority), None);
    let names = SubjectAlternativeName::new().dns("backend.test").build(&context).unwrap();
    builder.append_extension(&names).unwrap();
    builder.sign(authority_key, MessageDigest::sha256()).unwrap();
    (builder.build(), key)
}

fn credentials((certificate, key): &(X509, PKey<Private>)) -> Credentials {
    Credentials { chain_pem: pem(certificate), key_pem: String::from_utf8(key.private_key_to_pem_pkcs8().unwrap()).unwrap() }
}

#[test]
fn a_backend_that_asks_is_shown_a_certificate_and_the_next_session_after_a_new_snapshot_shows_the_new_one() {
    let (authority, authority_key) = certificate();
    let peer = asking_server(3, acceptor(&authority, &authority_key), &authority);
    let plain = backend(&peer, "backend.test", pem(&authority));
    let with = |name| {
        let mut config = plain.clone();
        config.tls.credentials = credentials(&issued(name, &authority, &authority_key));
        config
    };
    let mut driver = Driver::new(vec![plain.clone()]);
    assert_eq!(driver.fetch(0, "/").body, b"nobody TLSv1.3");
    let old = with("old");
    driver.upstreams.apply(vec![old.clone()]);
    assert_eq!(driver.fetch(0, "/").body, b"old TLSv1.3");
    driver.upstreams.apply(vec![old]);
    let running = driver.get(0, "/");
    driver.upstreams.apply(vec![with("new")]);
    assert_eq!(driver.fetch(0, "/").body, b"new TLSv1.3", "whoever comes after it");
    assert_eq!(driver.finish(running).body, b"old TLSv1.3", "what is under way ends where it began");
    driver.until("the old sessions to end", |driver| driver.upstreams.stats[Stat::SessionsOpen] == 1);
    assert_eq!(driver.upstreams.stats[Stat::ConnectsSucceeded], 3, "an equal snapshot opens none");
    drop(driver);
    peer.join();
}

#[test]
fn versions_are_those_that_the_configuration_allows() {
    let (authority, key) = certificate();
    for (versions, offered, expected) in [
        ((TlsVersion::V12, TlsVersion::V12), None, Ok("nobody TLSv1.2")),
        ((TlsVersion::V13, TlsVersion::V13), None, Ok("nobody TLSv1.3")),
        ((TlsVersion::V12, TlsVersion::V13), Some(SslVersion::TLS1_2), Ok("nobody TLSv1.2")),
        ((TlsVersion::V13, TlsVersion::V13), Some(SslVersion::TLS1_2), Err(Reason::TlsNotAgreed)),
    ] {
        let mut builder = acceptor(&authority, &key);
        builder.set_max_proto_version(offered).unwrap();
        let peer = asking_server(1, builder, &authority);
        let mut config = backend(&peer, "backend.test", pem(&authority));
        config.tls.versions = versions;
        let mut driver = Driver::new(vec![config]);
        let outcome = driver.fetch(0, "/");
        let got = outcome.fault.map_or(Ok(String::from_utf8(outcome.body).unwrap()), |fault| Err(fault.reason));
        assert_eq!(got, expected.map(str::to_owned));
        drop(driver);
        peer.join();
    }
}

#[test]
fn a_pin_is_the_key_of_any_certificate_of_the_verified_chain_and_none_beside_it() {
    let (authority, authority_key) = certificate();
    let (leaf, leaf_key) = issued("leaf", &authority, &authority_key);
    let (elsewhere, elsewhere_key) = certificate();
    let (stranger, _) = issued("stranger", &elsewhere, &elsewhere_key);
    let pin = |certificate: &X509| Pin::of_key(certificate).unwrap();
    // What `openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | openssl base64` makes
    // of the key.
    let text = boring::base64::encode_block(&boring::sha::sha256(&leaf.public_key().unwrap().public_key_to_der().unwrap()));
    assert_eq!(Pin::of(&text), Some(pin(&leaf)));
    assert_eq!((Pin::of("abc="), Pin::of(&text[..43]), Pin::of("")), (None, None, None));
    for (pins, ca, expected) in [
        (vec![pin(&leaf)], &authority, Ok(200)),
        (vec![pin(&authority)], &authority, Ok(200)),
        (vec![pin(&stranger), pin(&leaf)], &authority, Ok(200)),
        (vec![pin(&stranger)], &authority, Err(Reason::TlsPinMismatch)),
        // A pin does not replace trust.
        (vec![pin(&leaf)], &elsewhere, Err(Reason::TlsIssuerUnknown)),
    ] {
        // The stranger's certificate is sent along, as anyone can do: it is not part of the chain.
        let mut builder = acceptor(&leaf, &leaf_key);
        builder.add_extra_chain_cert(stranger.clone()).unwrap();
        let peer = asking_server(1, builder, &authority);
        let mut config = backend(&peer, "backend.test", pem(ca));
        config.tls.pins = pins;
        let mut driver = Driver::new(vec![config]);
        let outcome = driver.fetch(0, "/");
        let got = outcome.fault.map_or(Ok(outcome.status.unwrap_or(0)), |fault| Err(fault.reason));
        assert_eq!(got, expected);
        let failures = driver.upstreams.stats.tls_failures;
        assert_eq!(failures.iter().sum::<u64>(), u64::from(expected.is_err()));
        drop(driver);
        peer.join();
    }
}
