//! TLS of listeners: TLS 1.3 only, a certificate by server name, X25519MLKEM768 offered beside X25519, tickets that every shard opens.
//!
//! The first certificate of a listener is its default: it answers clients that send no name or one that no certificate is for.

use crate::base::panics::{self, plant};
use crate::quic::cid::CidKey;
use boring::error::ErrorStack;
use boring::pkey::{PKey, Private};
use boring::ssl::{ClientHello, NameType, SelectCertError, SslContextBuilder, SslMethod, SslRef};
use boring::x509::X509;
use foreign_types_shared::ForeignTypeRef;

/// Key exchange in order of preference (draft-ietf-tls-ecdhe-mlkem for the first).
const GROUPS: &str = "X25519MLKEM768:X25519:P-256:P-384";

/// A chain, its key, and the names it is for.
pub struct Certificate {
    names: Vec<String>,
    chain: Vec<X509>,
    key: PKey<Private>,
}

impl Certificate {
    /// Parses PEM text, leaf first. Names are lower-case, `*.` for one leading label. Complaints are sentences without secrets.
    pub fn parse(names: Vec<String>, chain_pem: &str, key_pem: &str) -> Result<Certificate, Vec<String>> {
        let mut complaints = Vec::new();
        let chain = X509::stack_from_pem(chain_pem.as_bytes()).unwrap_or_default();
        if chain.is_empty() {
            complaints.push("the chain holds no PEM certificate".to_owned());
        }
        let key = PKey::private_key_from_pem(key_pem.as_bytes());
        if key.is_err() {
            complaints.push("the key is no PEM private key".to_owned());
        }
        if let (Some(leaf), Ok(key)) = (chain.first(), &key) {
            match leaf.public_key() {
                Ok(public) if public.public_eq(key) => {}
                _ => complaints.push("the key does not belong to the chain's first certificate".to_owned()),
            }
        }
        match key {
            Ok(key) if complaints.is_empty() => {
                let names = names.into_iter().map(|name| name.to_ascii_lowercase()).collect();
                Ok(Certificate { names, chain, key })
            }
            _ => Err(complaints),
        }
    }

    fn is_exactly(&self, name: &str) -> bool {
        self.names.iter().any(|own| own == name)
    }

    /// A wildcard stands for exactly one label (RFC 6125 §6.4.3).
    fn is_wildcard_for(&self, name: &str) -> bool {
        let Some((_, parent)) = name.split_once('.') else { return false };
        self.names.iter().any(|own| own.strip_prefix("*.") == Some(parent))
    }
}

/// Place of the certificate for a name: exact before wildcard, the first when none is for it.
fn select(certificates: &[Certificate], name: &str) -> usize {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let exact = certificates.iter().position(|certificate| certificate.is_exactly(&name));
    exact.or_else(|| certificates.iter().position(|certificate| certificate.is_wildcard_for(&name))).unwrap_or(0)
}

/// A context for quiche. At least one certificate must be given.
pub fn context(certificates: Vec<Certificate>) -> Result<SslContextBuilder, ErrorStack> {
    let mut builder = SslContextBuilder::new(SslMethod::tls())?;
    builder.set_curves_list(GROUPS)?;
    let default = &certificates[0];
    builder.set_certificate(&default.chain[0])?;
    builder.set_private_key(&default.key)?;
    for issuer in &default.chain[1..] {
        builder.add_extra_chain_cert(issuer.clone())?;
    }
    if certificates.len() > 1 {
        // BoringSSL calls it: what panics must not pass through there.
        builder.set_select_certificate_callback(move |mut hello: ClientHello<'_>| {
            panics::callback(Err(SelectCertError::ERROR), || choose(&certificates, &mut hello))
        });
    }
    Ok(builder)
}

/// Gives a handshake the certificate for the name it asks for.
fn choose(certificates: &[Certificate], hello: &mut ClientHello<'_>) -> Result<(), SelectCertError> {
    plant::here("certificate");
    let place = select(certificates, hello.servername(NameType::HOST_NAME).unwrap_or(""));
    if place == 0 {
        return Ok(());
    }
    let (ssl, certificate) = (hello.ssl_mut(), &certificates[place]);
    let mut apply = || {
        ssl.set_certificate(&certificate.chain[0])?;
        ssl.set_private_key(&certificate.key)?;
        forget_chain(ssl)?;
        certificate.chain[1..].iter().try_for_each(|issuer| ssl.add_chain_cert(issuer))
    };
    apply().map_err(|_: ErrorStack| SelectCertError::ERROR)
}

/// A connection begins with the default certificate's chain; what is added would stand behind that.
fn forget_chain(ssl: &mut SslRef) -> Result<(), ErrorStack> {
    // SAFETY: the connection is ours for as long as the reference lives, and its certificates are its own.
    match unsafe { boring_sys::SSL_clear_chain_certs(ssl.as_ptr()) } {
        1 => Ok(()),
        _ => Err(ErrorStack::get()),
    }
}

/// The key of session tickets, 48 bytes, the same in every shard of a process.
pub fn ticket_key(key: &CidKey) -> [u8; 48] {
    let mut bytes = [0u8; 48];
    for (place, part) in bytes.chunks_exact_mut(16).enumerate() {
        part.copy_from_slice(&key.derive(&[b"session tickets "[..].as_ref(), &[place as u8]].concat()).to_be_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use boring::asn1::Asn1Time;
    use boring::ec::{EcGroup, EcKey};
    use boring::hash::MessageDigest;
    use boring::nid::Nid;
    use boring::rsa::Rsa;
    use boring::x509::X509Name;

    /// A chain and its key.
    fn made() -> (String, String) {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
        let mut builder = X509::builder().unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        let chain = String::from_utf8(builder.build().to_pem().unwrap()).unwrap();
        (chain, String::from_utf8(key.private_key_to_pem_pkcs8().unwrap()).unwrap())
    }

    fn certificate(names: &[&str]) -> Certificate {
        let (chain, key) = made();
        Certificate::parse(names.iter().map(|name| (*name).to_owned()).collect(), &chain, &key).map_err(|_| ()).unwrap()
    }

    #[test]
    fn a_name_gets_its_exact_certificate_then_a_wildcard_then_the_first() {
        let all = [certificate(&["default.test"]), certificate(&["*.a.test"]), certificate(&["b.a.test"])];
        assert_eq!(select(&all, "b.a.test"), 2);
        assert_eq!(select(&all, "B.A.test."), 2);
        assert_eq!(select(&all, "c.a.test"), 1);
        assert_eq!(select(&all, "d.c.a.test"), 0);
        assert_eq!(select(&all, "a.test"), 0);
        assert_eq!(select(&all, ""), 0);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let ((chain, _), (_, key)) = (made(), made());
        let complaints = Certificate::parse(vec![], &chain, &key).err().unwrap();
        assert_eq!(complaints, ["the key does not belong to the chain's first certificate"]);
        assert_eq!(Certificate::parse(vec![], "", "").err().unwrap().len(), 2);
    }

    /// A key of RSA or of ECDSA.
    fn key(is_rsa: bool) -> PKey<Private> {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        match is_rsa {
            true => PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap(),
            false => PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap(),
        }
    }

    /// A certificate of a name for a key, signed by whose name and key is given, or by itself.
    fn issued(name: &str, key: &PKey<Private>, issuer: Option<&(X509, PKey<Private>)>) -> X509 {
        let mut subject = X509Name::builder().unwrap();
        subject.append_entry_by_text("CN", name).unwrap();
        let subject = subject.build();
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        builder.set_subject_name(&subject).unwrap();
        builder.set_issuer_name(issuer.map_or(&subject, |issuer| issuer.0.subject_name())).unwrap();
        builder.set_pubkey(key).unwrap();
        builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
        builder.sign(issuer.map_or(key, |issuer| &issuer.1), MessageDigest::sha256()).unwrap();
        builder.build()
    }

    /// Both certificates of one authority have the same intermediate, and those of two have their own.
    #[test]
    fn every_certificate_comes_with_its_own_intermediates_once_each() {
        for kinds in [[false, false], [true, true], [true, false], [false, true]] {
            for is_shared in [true, false] {
                let root = key(false);
                let root = (issued("root", &root, None), root);
                let issuers: Vec<_> = ["first", "second"]
                    .map(|name| {
                        let key = key(false);
                        (issued(name, &key, Some(&root)), key)
                    })
                    .into();
                let chains: Vec<(String, String, Vec<Vec<u8>>)> = ["a.test", "b.test"]
                    .into_iter()
                    .enumerate()
                    .map(|(place, name)| {
                        let issuer = &issuers[if is_shared { 0 } else { place }];
                        let key = key(kinds[place]);
                        let chain = [issued(name, &key, Some(issuer)), issuer.0.clone()];
                        let pem = chain.iter().flat_map(|one| one.to_pem().unwrap()).collect();
                        let key = String::from_utf8(key.private_key_to_pem_pkcs8().unwrap()).unwrap();
                        (String::from_utf8(pem).unwrap(), key, chain.iter().map(|one| one.to_der().unwrap()).collect())
                    })
                    .collect();
                for (name, place) in [("a.test", 0), ("b.test", 1), ("c.test", 0)] {
                    let all = ["a.test", "b.test"].into_iter().zip(&chains);
                    let all = all.map(|(name, (pem, key, _))| Certificate::parse(vec![name.to_owned()], pem, key).map_err(|_| ()).unwrap());
                    let (chain, is_done) = shake_hands(all.collect(), name, "X25519");
                    assert!(is_done && chain == chains[place].2, "{name} of {kinds:?}: {} certificates", chain.len());
                }
            }
        }
    }

    fn configured(context: SslContextBuilder) -> quiche::Config {
        let mut config = quiche::Config::with_boring_ssl_ctx_builder(quiche::PROTOCOL_VERSION, context).unwrap();
        config.set_application_protos(&[b"h3"]).unwrap();
        config
    }

    /// The leaf that a client gets, and whether both sides are done.
    fn handshake(certificates: Vec<Certificate>, name: &str, group: &str) -> (Option<X509>, bool) {
        let (chain, is_done) = shake_hands(certificates, name, group);
        (chain.first().map(|der| X509::from_der(der).unwrap()), is_done)
    }

    /// A handshake in memory; the client offers one group. Returns the chain it got and whether both sides are done.
    fn shake_hands(certificates: Vec<Certificate>, name: &str, group: &str) -> (Vec<Vec<u8>>, bool) {
        let mut offered = SslContextBuilder::new(SslMethod::tls()).unwrap();
        offered.set_curves_list(group).unwrap();
        let (mut server, mut client) = (configured(context(certificates).unwrap()), configured(offered));
        client.verify_peer(false);
        let (near, far) = ("127.0.0.1:1111".parse().unwrap(), "127.0.0.1:2222".parse().unwrap());
        let id = |byte| quiche::ConnectionId::from_vec(vec![byte; 8]);
        let mut asking = quiche::connect(Some(name), &id(1), near, far, &mut client).unwrap();
        let mut answering = quiche::accept(&id(2), None, far, near, &mut server).unwrap();
        let mut packet = [0; 1500];
        for _ in 0..8 {
            while let Ok((length, _)) = asking.send(&mut packet) {
                let _ = answering.recv(&mut packet[..length], quiche::RecvInfo { from: near, to: far });
            }
            while let Ok((length, _)) = answering.send(&mut packet) {
                let _ = asking.recv(&mut packet[..length], quiche::RecvInfo { from: far, to: near });
            }
        }
        let chain = asking.peer_cert_chain().unwrap_or_default().into_iter().map(<[u8]>::to_vec).collect();
        (chain, asking.is_established() && answering.is_established())
    }

    #[test]
    fn a_client_may_choose_the_hybrid_group_or_plain_x25519_and_no_other_kind() {
        for (group, is_taken) in [("X25519MLKEM768", true), ("X25519", true), ("P-256", true), ("P-521", false)] {
            assert_eq!(handshake(vec![certificate(&["a.test"])], "a.test", group).1, is_taken, "{group}");
        }
    }

    #[test]
    fn the_handshake_gives_the_certificate_of_the_name_that_was_asked_for() {
        let pairs = [made(), made()];
        let parse =
            |name: &str, (chain, key): &(String, String)| Certificate::parse(vec![name.to_owned()], chain, key).map_err(|_| ()).unwrap();
        for (name, place) in [("a.test", 0), ("b.test", 1), ("c.test", 0)] {
            let leaf = handshake(vec![parse("a.test", &pairs[0]), parse("b.test", &pairs[1])], name, "X25519").0.unwrap();
            assert_eq!(leaf.to_der().unwrap(), X509::from_pem(pairs[place].0.as_bytes()).unwrap().to_der().unwrap(), "{name}");
        }
    }
}
