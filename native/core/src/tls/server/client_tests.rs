use super::super::client_auth::{Allowed, Mode, RevocationList, Rules, handshake, recheck};
use super::super::identity::{AlternativeName, Identity, Verdict};
use super::tests::{Got, Made, PERIOD, Server, Try, key};
use crate::base::counters::{CertificateRefused, ClientCertificate, Id};
use crate::tls::store::{Policy, UnknownName};
use crate::tls::tickets::TicketPolicy;
use boring::asn1::{Asn1Integer, Asn1Time};
use boring::bn::BigNum;
use boring::hash::MessageDigest;
use boring::nid::Nid;
use boring::pkey::{PKey, Private};
use boring::ssl::SslRef;
use boring::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage};
use boring::x509::{X509, X509Extension, X509Name};
use std::sync::Arc;

/// A certificate with its key.
#[derive(Clone)]
struct Pair {
    certificate: X509,
    key: PKey<Private>,
}

/// What a certificate is to say.
struct Wanted<'a> {
    subject: &'a str,
    days: (i64, i64),
    is_authority: bool,
    is_for_servers: bool,
    serial: u32,
    /// DER of its alternative names.
    names: &'a [u8],
    issuer: Option<&'a Pair>,
}

impl<'a> Wanted<'a> {
    fn of(subject: &'a str, issuer: &'a Pair) -> Wanted<'a> {
        Wanted { subject, days: (0, 1), is_authority: false, is_for_servers: false, serial: 1, names: &[], issuer: Some(issuer) }
    }

    fn issued(self) -> Pair {
        let key = key(false);
        let mut subject = X509Name::builder().unwrap();
        subject.append_entry_by_text("O", "Example").unwrap();
        subject.append_entry_by_text("CN", self.subject).unwrap();
        let subject = subject.build();
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        builder.set_serial_number(&Asn1Integer::from_bn(&BigNum::from_u32(self.serial).unwrap()).unwrap()).unwrap();
        builder.set_subject_name(&subject).unwrap();
        builder.set_issuer_name(self.issuer.map_or(&*subject, |issuer| issuer.certificate.subject_name())).unwrap();
        builder.set_pubkey(&key).unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
        let [from, until] = [self.days.0, self.days.1].map(|days| Asn1Time::from_unix(now + days * 86_400).unwrap());
        builder.set_not_before(&from).unwrap();
        builder.set_not_after(&until).unwrap();
        if self.is_authority {
            builder.append_extension(&BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
            builder.append_extension(&KeyUsage::new().critical().key_cert_sign().crl_sign().build().unwrap()).unwrap();
        } else {
            let mut usage = ExtendedKeyUsage::new();
            if self.is_for_servers {
                usage.server_auth()
            } else {
                usage.client_auth()
            };
            builder.append_extension(&usage.build().unwrap()).unwrap();
        }
        if !self.names.is_empty() {
            let hex: String = self.names.iter().map(|byte| format!("{byte:02x}")).collect();
            builder.append_extension(&X509Extension::new_nid(None, None, Nid::SUBJECT_ALT_NAME, &format!("DER:{hex}")).unwrap()).unwrap();
        }
        builder.sign(self.issuer.map_or(&key, |issuer| &issuer.key), MessageDigest::sha256()).unwrap();
        Pair { certificate: builder.build(), key }
    }
}

fn authority(name: &str) -> Pair {
    let nobody = Pair { certificate: X509::builder().unwrap().build(), key: key(false) };
    Wanted { is_authority: true, issuer: None, ..Wanted::of(name, &nobody) }.issued()
}

fn client(issuer: &Pair) -> Pair {
    Wanted::of("client", issuer).issued()
}

fn pem(authorities: &[&Pair]) -> String {
    authorities.iter().map(|one| String::from_utf8(one.certificate.to_pem().unwrap()).unwrap()).collect()
}

fn rules(names: &[&str], mode: Mode, authorities: &[&Pair]) -> Rules {
    Rules {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        mode,
        ca_pem: pem(authorities),
        tells_authorities: true,
        max_depth: 2,
        max_bytes: 16 * 1024,
        ..Rules::off()
    }
}

fn policy(clients: Vec<Rules>) -> Policy {
    Policy {
        listener: "public".to_owned(),
        unknown_name: UnknownName::Default,
        is_strict: false,
        tickets: TicketPolicy::Rotating(PERIOD),
        clients,
    }
}

/// A server for a.test, b.test and what lies below w.test.
fn server(clients: Vec<Rules>) -> Server {
    Server::new(&certificates().each_ref(), policy(clients))
}

fn certificates() -> [Made; 1] {
    [Made::simple("a.test")]
}

/// A handshake with a certificate, and what came of it at the server.
fn show(server: &mut Server, name: &str, chain: &[X509], key: &PKey<Private>) -> (Got, Option<Arc<Identity>>) {
    let mut got = server.try_with(Try { shows: chain, key: Some(key), ..Try::of(name) });
    let ssl: &mut SslRef = got.server.as_mut();
    let identity = handshake::take(ssl).and_then(|auth| auth.identity);
    (got, identity)
}

fn show_one(server: &mut Server, pair: &Pair) -> (Got, Option<Arc<Identity>>) {
    show(server, "a.test", std::slice::from_ref(&pair.certificate), &pair.key)
}

fn refused(server: &Server, reason: CertificateRefused) -> f64 {
    server.count(Id::ClientCertificatesRefused, reason as usize)
}

#[test]
fn each_mode_takes_what_it_should_of_no_certificate_a_good_one_and_one_of_a_stranger() {
    let (ca, stranger) = (authority("ca"), authority("stranger"));
    let (good, bad) = (client(&ca), client(&stranger));
    for (mode, none, good_one, bad_one) in [
        (Mode::Off, None, None, None),
        (Mode::Optional, None, None, Some(48)),
        (Mode::Required, Some(116), None, Some(48)),
        (Mode::Any, None, None, None),
    ] {
        let mut server = server(vec![rules(&[], mode, &[&ca])]);
        let got = server.try_with(Try::of("a.test"));
        assert_eq!(got.alert, none, "{mode:?} without");
        for (pair, expected) in [(&good, good_one), (&bad, bad_one)] {
            let (got, identity) = show_one(&mut server, pair);
            assert_eq!((got.alert, got.server.is_established()), (expected, expected.is_none()), "{mode:?}");
            let verdict = match mode {
                Mode::Off => None,
                Mode::Any => Some(Verdict::Unverified),
                _ => expected.is_none().then_some(Verdict::Verified),
            };
            assert_eq!(identity.map(|identity| identity.verdict), verdict, "{mode:?}");
        }
        let results = |result: ClientCertificate| server.count(Id::ClientCertificates, result as usize);
        let counted = [ClientCertificate::Verified, ClientCertificate::Unverified, ClientCertificate::Absent, ClientCertificate::Refused];
        let expected = match mode {
            Mode::Off => [0.0; 4],
            Mode::Optional => [1.0, 0.0, 1.0, 1.0],
            Mode::Required => [1.0, 0.0, 0.0, 2.0],
            Mode::Any => [0.0, 2.0, 1.0, 0.0],
        };
        assert_eq!(counted.map(results), expected, "{mode:?}");
        assert_eq!(refused(&server, CertificateRefused::Missing), f64::from(u8::from(mode == Mode::Required)));
    }
}

#[test]
fn what_speaks_against_a_certificate_is_told_by_its_alert_and_counted_by_its_reason() {
    let ca = authority("ca");
    let namesake = authority("ca");
    let no_authority = client(&ca);
    for (what, pair, reason, alert) in [
        ("expired", Wanted { days: (-2, -1), ..Wanted::of("x", &ca) }.issued(), CertificateRefused::Expired, 45),
        ("not yet valid", Wanted { days: (1, 2), ..Wanted::of("x", &ca) }.issued(), CertificateRefused::Expired, 45),
        ("of another authority of the same name", client(&namesake), CertificateRefused::UnknownCa, 48),
        ("for servers", Wanted { is_for_servers: true, ..Wanted::of("x", &ca) }.issued(), CertificateRefused::Purpose, 43),
        ("a NUL in a host", Wanted { names: b"\x30\x05\x82\x03a\0b", ..Wanted::of("x", &ca) }.issued(), CertificateRefused::Malformed, 42),
        (
            "a line end in a URI",
            Wanted { names: b"\x30\x05\x86\x03a\nb", ..Wanted::of("x", &ca) }.issued(),
            CertificateRefused::Malformed,
            42,
        ),
        (
            "an address of five bytes",
            Wanted { names: b"\x30\x07\x87\x05abcde", ..Wanted::of("x", &ca) }.issued(),
            CertificateRefused::Malformed,
            42,
        ),
        ("a control character in the subject", Wanted::of("a\u{7}b", &ca).issued(), CertificateRefused::Malformed, 42),
        ("signed by who is no authority", client(&no_authority), CertificateRefused::UnknownCa, 48),
    ] {
        let mut server = server(vec![rules(&[], Mode::Required, &[&ca])]);
        let (got, identity) = show_one(&mut server, &pair);
        assert_eq!((got.alert, identity, refused(&server, reason)), (Some(alert), None, 1.0), "{what}");
    }
    // Its issuer is sent along, and is no authority.
    let mut server = server(vec![rules(&[], Mode::Required, &[&ca])]);
    let below = client(&no_authority);
    let (got, _) = show(&mut server, "a.test", &[below.certificate, no_authority.certificate], &below.key);
    assert_eq!((got.alert, refused(&server, CertificateRefused::UnknownCa)), (Some(48), 1.0));
}

#[test]
fn a_chain_is_as_long_and_as_large_as_it_may_be_and_its_last_link_may_be_trusted_itself() {
    let root = authority("root");
    let below = |name, issuer: &Pair| Wanted { is_authority: true, ..Wanted::of(name, issuer) }.issued();
    let (first, second, third) = {
        let first = below("first", &root);
        let second = below("second", &first);
        let third = below("third", &second);
        (first, second, third)
    };
    let mut by_root = server(vec![rules(&[], Mode::Required, &[&root])]);
    let deep = client(&second);
    let chain = [&deep, &second, &first].map(|pair| pair.certificate.clone());
    let (got, identity) = show(&mut by_root, "a.test", &chain, &deep.key);
    assert_eq!((got.alert, identity.map(|identity| identity.chain.len())), (None, Some(3)));
    let too_deep = client(&third);
    let chain = [&too_deep, &third, &second, &first].map(|pair| pair.certificate.clone());
    let (got, _) = show(&mut by_root, "a.test", &chain, &too_deep.key);
    assert_eq!((got.alert.is_some(), got.server.is_established()), (true, false));
    let chain = [&too_deep, &third, &second, &first, &root].map(|pair| pair.certificate.clone());
    assert_eq!(show(&mut by_root, "a.test", &chain, &too_deep.key).0.alert, Some(42));
    assert_eq!(refused(&by_root, CertificateRefused::TooLarge), 1.0);
    let small = Rules { max_bytes: 100, ..rules(&[], Mode::Required, &[&root]) };
    let mut small = server(vec![small]);
    assert_eq!((show_one(&mut small, &client(&root)).0.alert, refused(&small, CertificateRefused::TooLarge)), (Some(42), 1.0));
    let mut by_second = server(vec![rules(&[], Mode::Required, &[&second])]);
    assert_eq!(show_one(&mut by_second, &deep).0.alert, None, "the link in the middle is trusted");
    assert_eq!(show_one(&mut by_second, &client(&first)).0.alert, Some(48), "not what issued it");
}

#[test]
fn while_two_authorities_of_one_name_overlap_those_of_both_are_taken() {
    let (old, new) = (authority("ca"), authority("ca"));
    for bundle in [[&old, &new], [&new, &old]] {
        let mut server = server(vec![rules(&[], Mode::Required, &bundle)]);
        for one in [&old, &new] {
            assert_eq!(show_one(&mut server, &client(one)).0.alert, None);
        }
    }
}

#[test]
fn a_name_has_its_own_policy_and_those_without_have_that_of_all_others() {
    let (ca, other) = (authority("ca"), authority("other"));
    let mut server = server(vec![
        rules(&[], Mode::Off, &[]),
        rules(&["b.test"], Mode::Required, &[&other]),
        rules(&["*.w.test"], Mode::Required, &[&ca]),
    ]);
    let pair = client(&ca);
    for (name, alert) in [("a.test", None), ("B.test.", Some(48)), ("x.w.test", None), ("x.y.w.test", None), ("w.test", None)] {
        let (got, identity) = show(&mut server, name, std::slice::from_ref(&pair.certificate), &pair.key);
        assert_eq!((got.alert, identity.is_some()), (alert, name == "x.w.test"), "{name}");
    }
    for (name, alert) in [(Some("b.test"), Some(116)), (Some("x.w.test"), Some(116)), (None, None), (Some("192.0.2.1"), None)] {
        assert_eq!(server.try_with(Try { name, ..Try::of("") }).alert, alert, "{name:?}");
    }
}

#[test]
fn a_connection_admits_only_hosts_whose_policy_is_that_of_its_handshake() {
    let ca = authority("ca");
    let asked = |names: &[&str]| rules(names, Mode::Optional, &[&ca]);
    let mut server = server(vec![rules(&[], Mode::Off, &[]), asked(&["b.test", "*.w.test"]), asked(&["c.test"])]);
    let mut admits = |sni: &str, authority: &str| {
        let mut got = server.try_with(Try::of(sni));
        let auth = handshake::take(got.server.as_mut());
        auth.as_ref().unwrap().gate().unwrap().admits(authority.as_bytes())
    };
    for (sni, authority, is_admitted) in [
        ("a.test", "a.test", true),
        ("a.test", "other.test:8443", true),
        ("a.test", "b.test", false),
        ("a.test", "B.TEST.:443", false),
        ("a.test", "x.w.test", false),
        ("b.test", "a.test", false),
        ("b.test", "x.w.test", true),
        ("b.test", "c.test", true),
        ("unknown.test", "b.test:1", false),
        ("192.0.2.1", "[2001:db8::1]:443", true),
    ] {
        assert_eq!(admits(sni, authority), is_admitted, "{sni} {authority}");
    }
    let mut uniform = self::server(vec![asked(&[]), asked(&["b.test"])]);
    let auth = handshake::take(uniform.try_with(Try::of("a.test")).server.as_mut());
    assert!(auth.unwrap().gate().is_none(), "nothing is asked where all names have one policy");
}

#[test]
fn a_client_of_whom_a_certificate_is_wanted_gets_no_ticket_and_a_ticket_of_before_opens_nothing() {
    let ca = authority("ca");
    let made = certificates();
    let mut server = server(vec![]);
    let session = server.try_with(Try::of("a.test")).session.unwrap();
    let pair = client(&ca);
    for mode in [Mode::Optional, Mode::Required, Mode::Any] {
        server.replace(&[&made[0]], policy(vec![rules(&[], mode, &[&ca])])).unwrap();
        let shown = std::slice::from_ref(&pair.certificate);
        let got = server.try_with(Try { session: Some(&session), shows: shown, key: Some(&pair.key), ..Try::of("a.test") });
        assert_eq!((got.is_done, got.is_resumed, got.session), (true, false, None), "{mode:?}");
    }
    server.replace(&[&made[0]], policy(vec![])).unwrap();
    assert!(server.try_with(Try { session: Some(&session), ..Try::of("a.test") }).is_resumed, "the rules are those of then");
}

#[test]
fn an_identity_says_what_its_certificate_says() {
    let ca = authority("ca");
    let names = b"\x30\x2a\x82\x06A.tEst\x86\x0espiffe://a/web\x81\x06a@a.bc\x87\x04\xc0\x00\x02\x01\x88\x02\x2a\x03";
    let pair = Wanted { names, serial: 0x1f2, ..Wanted::of("a, b+\u{e9}", &ca) }.issued();
    let mut server = server(vec![rules(&[], Mode::Required, &[&ca])]);
    let identity = show_one(&mut server, &pair).1.unwrap();
    assert_eq!(&*identity.subject, "CN=a\\, b\\+\\C3\\A9,O=Example");
    assert_eq!((&*identity.issuer, &*identity.serial), ("CN=ca,O=Example", "01F2"));
    assert_eq!(
        *identity.names,
        [
            AlternativeName::Dns("a.test".into()),
            AlternativeName::Uri("spiffe://a/web".into()),
            AlternativeName::Email("a@a.bc".into()),
            AlternativeName::Ip("192.0.2.1".parse().unwrap()),
        ]
    );
    let der = pair.certificate.to_der().unwrap();
    assert_eq!((identity.der(), identity.fingerprint), (&*der, boring::sha::sha256(&der)));
    assert!(identity.valid_until <= identity.not_after);
}

#[test]
fn clients_are_told_the_names_of_authorities_where_that_is_wanted_and_they_are_few() {
    let many: Vec<Pair> = (0..250).map(|number| authority(&format!("authority {number}"))).collect();
    let all: Vec<&Pair> = many.iter().collect();
    for (bundle, tells, told) in [(&all[..3], true, 3), (&all[..3], false, 0), (&all[..], true, 0)] {
        let rules = Rules { tells_authorities: tells, ..rules(&[], Mode::Optional, bundle) };
        let mut server = server(vec![rules]);
        assert_eq!(server.try_with(Try::of("a.test")).authorities, told);
    }
    // Who is told nothing is judged like all others.
    let mut server = server(vec![rules(&[], Mode::Required, &all)]);
    assert_eq!(show_one(&mut server, &client(&many[249])).0.alert, None);
}

#[test]
fn a_certificate_that_is_denied_is_refused_in_every_mode_that_asks_and_only_who_is_allowed_passes() {
    let ca = authority("ca");
    let names = b"\x30\x29\x82\x08a.c.test\x86\x0fspiffe://d/w/xy\x81\x06a@a.bc\x82\x04b.bc";
    let pair = Wanted { names, ..Wanted::of("web", &ca) }.issued();
    let denied = vec![[9; 32], boring::sha::sha256(&pair.certificate.to_der().unwrap()), [0; 32]];
    for mode in [Mode::Optional, Mode::Required, Mode::Any] {
        let mut server = server(vec![Rules { denied: denied.clone(), ..rules(&[], mode, &[&ca]) }]);
        assert_eq!((show_one(&mut server, &pair).0.alert, refused(&server, CertificateRefused::Denied)), (Some(49), 1.0), "{mode:?}");
        assert_eq!(show_one(&mut server, &client(&ca)).0.alert, None, "{mode:?}");
    }
    let of = |dns: &str, uri: &str, email: &str, subject: &str| Allowed {
        dns: dns.to_owned(),
        uri: uri.to_owned(),
        email: email.to_owned(),
        subject: subject.to_owned(),
    };
    for (allowed, is_allowed) in [
        (of("a.c.test", "", "", ""), true),
        (of("*.c.test", "", "", ""), true),
        (of("*.test", "", "", ""), false),
        (of("c.test", "", "", ""), false),
        (of("", "spiffe://d/w/xy", "", ""), true),
        (of("", "spiffe://d/w/*", "", ""), true),
        (of("", "spiffe://d/w/xy/*", "", ""), false),
        (of("", "spiffe://d/w", "", ""), false),
        (of("", "", "a@a.bc", ""), true),
        (of("", "", "b@a.bc", ""), false),
        (of("", "", "", "CN=web,O=Example"), true),
        (of("", "", "", "CN=web"), false),
        (of("b.bc", "spiffe://d/*", "a@a.bc", "CN=web,O=Example"), true),
        (of("b.bc", "spiffe://e/*", "a@a.bc", "CN=web,O=Example"), false),
    ] {
        let shown = format!("{} {} {} {}", allowed.dns, allowed.uri, allowed.email, allowed.subject);
        let allowed = vec![of("nobody.test", "", "", ""), allowed];
        let mut server = server(vec![Rules { allowed, ..rules(&[], Mode::Required, &[&ca]) }]);
        let got = show_one(&mut server, &pair).0;
        assert_eq!(got.alert, (!is_allowed).then_some(49), "{shown}");
        assert_eq!(refused(&server, CertificateRefused::NotAllowed), f64::from(u8::from(!is_allowed)), "{shown}");
    }
}

/// A list of an authority that ends so many seconds from now.
fn list(signer: &Pair, serials: &[&[u8]], seconds: i64) -> RevocationList {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    RevocationList {
        signer: boring::sha::sha256(&signer.certificate.to_der().unwrap()),
        next_update: Some(now + seconds),
        serials: serials.iter().flat_map(|serial| [&[serial.len() as u8][..], serial].concat()).collect(),
    }
}

#[test]
fn what_an_authority_has_revoked_is_refused_and_so_is_what_nobody_can_say_it_of_unless_that_is_accepted() {
    let (ca, namesake) = (authority("ca"), authority("ca"));
    let numbered = |issuer: &Pair, serial| Wanted { serial, ..Wanted::of("x", issuer) }.issued();
    let (first, second, of_namesake) = (numbered(&ca, 0x100), numbered(&ca, 0x81), numbered(&namesake, 0x100));
    let with = |lists: Vec<RevocationList>, expired, missing| {
        let rules = Rules {
            lists,
            accepts_expired_lists: expired,
            accepts_missing_lists: missing,
            ..rules(&[], Mode::Required, &[&ca, &namesake])
        };
        server(vec![rules])
    };
    let lists = || vec![list(&ca, &[&[1, 0]], 100), list(&ca, &[&[5]], 200), list(&namesake, &[], 100)];
    let mut both = with(lists(), false, false);
    assert_eq!((show_one(&mut both, &first).0.alert, refused(&both, CertificateRefused::Revoked)), (Some(44), 1.0));
    assert_eq!(show_one(&mut both, &numbered(&ca, 5)).0.alert, Some(44), "of the other list");
    assert_eq!(show_one(&mut both, &of_namesake).0.alert, None, "the number of another authority");
    let until = show_one(&mut both, &second).1.unwrap();
    assert!(until.valid_until < until.not_after, "what spoke for it ends before it does");
    // A list that ran out, and an authority without one.
    for (expired, missing) in [(false, false), (true, true)] {
        let mut old = with(vec![list(&ca, &[&[1, 0]], -1)], expired, missing);
        let unknown = (!expired).then_some(46);
        assert_eq!(show_one(&mut old, &second).0.alert, unknown);
        assert_eq!(show_one(&mut old, &of_namesake).0.alert, unknown);
        assert_eq!(refused(&old, CertificateRefused::RevocationUnknown), if expired { 0.0 } else { 2.0 });
        assert_eq!(show_one(&mut old, &first).0.alert, Some(44), "what it names stays revoked");
    }
    let stray = Rules { lists: vec![list(&authority("other"), &[], 100)], ..rules(&[], Mode::Required, &[&ca]) };
    let refused = both.replace(&certificates().each_ref(), policy(vec![stray])).unwrap_err();
    assert_eq!(refused, "a revocation list is signed by none of the authorities");
}

#[test]
fn an_authority_in_the_middle_that_is_revoked_vouches_for_nobody_whether_it_is_sent_or_trusted() {
    let root = authority("root");
    let middle = Wanted { is_authority: true, serial: 7, ..Wanted::of("middle", &root) }.issued();
    let pair = client(&middle);
    let chain = [pair.certificate.clone(), middle.certificate.clone()];
    for (revoked, sent, trusted) in [(vec![], None, None), (vec![&[7][..]], Some(44), Some(48))] {
        let lists = vec![list(&root, &revoked, 100)];
        let by_root = Rules { lists: lists.clone(), accepts_missing_lists: true, ..rules(&[], Mode::Required, &[&root]) };
        assert_eq!(show(&mut server(vec![by_root]), "a.test", &chain, &pair.key).0.alert, sent);
        let by_both = Rules { lists, accepts_missing_lists: true, ..rules(&[], Mode::Required, &[&root, &middle]) };
        assert_eq!(show_one(&mut server(vec![by_both]), &pair).0.alert, trusted.map(|_| 48));
    }
}

#[test]
fn an_open_connection_is_held_against_what_is_wanted_now() {
    let (old, new) = (authority("ca"), authority("ca"));
    let pair = client(&old);
    let asked = |mode, authorities: &[&Pair]| rules(&[], mode, authorities);
    let denied = vec![boring::sha::sha256(&pair.certificate.to_der().unwrap())];
    let check = |shown: Option<&Pair>, first: Mode, next: Vec<Rules>| {
        let mut server = server(vec![asked(first, &[&old])]);
        let mut got = match shown {
            Some(pair) => {
                server.try_with(Try { shows: std::slice::from_ref(&pair.certificate), key: Some(&pair.key), ..Try::of("a.test") })
            }
            None => server.try_with(Try::of("a.test")),
        };
        let mut auth = handshake::take(got.server.as_mut());
        let before = server.store.clients_version();
        server.replace(&certificates().each_ref(), policy(next)).unwrap();
        let has_changed = server.store.clients_version() != before;
        let ssl: &mut SslRef = got.server.as_mut();
        let result = recheck::recheck(&server.store.clients(), ssl, &mut auth, 0);
        (has_changed, result, auth.and_then(|auth| auth.identity.as_ref().map(|identity| identity.verdict)))
    };
    let verified = Some(Verdict::Verified);
    let required = |authorities: &[&Pair]| vec![asked(Mode::Required, authorities)];
    assert_eq!(check(Some(&pair), Mode::Required, required(&[&old])), (false, Ok(false), verified), "the same again");
    assert_eq!(check(Some(&pair), Mode::Required, required(&[&new, &old])), (true, Ok(true), verified), "a new one beside the old");
    assert_eq!(check(Some(&pair), Mode::Required, required(&[&new])), (true, Err(CertificateRefused::UnknownCa), None), "the old one left");
    assert_eq!(check(Some(&pair), Mode::Optional, required(&[&old])), (true, Ok(true), verified));
    assert_eq!(check(None, Mode::Optional, required(&[&old])), (true, Err(CertificateRefused::Missing), None));
    assert_eq!(check(None, Mode::Off, required(&[&old])), (true, Err(CertificateRefused::Missing), None));
    assert_eq!(check(Some(&pair), Mode::Required, vec![]), (true, Ok(true), None), "nobody is asked any more");
    assert_eq!(check(Some(&pair), Mode::Required, vec![asked(Mode::Any, &[])]), (true, Ok(true), Some(Verdict::Unverified)));
    assert_eq!(check(Some(&pair), Mode::Any, required(&[&old])), (true, Ok(true), verified));
    let denying = Rules { denied, ..asked(Mode::Required, &[&old]) };
    assert_eq!(check(Some(&pair), Mode::Required, vec![denying.clone()]), (true, Err(CertificateRefused::Denied), None));
    let keeping = Rules { keeps_connections: true, ..denying };
    assert_eq!(check(Some(&pair), Mode::Required, vec![keeping]), (true, Ok(true), verified), "a key keeps it");
    let revoking = Rules { lists: vec![list(&old, &[&[1]], 100)], ..asked(Mode::Required, &[&old]) };
    assert_eq!(check(Some(&pair), Mode::Required, vec![revoking]), (true, Err(CertificateRefused::Revoked), None));
    let elsewhere = rules(&["b.test"], Mode::Required, &[&new]);
    assert_eq!(check(Some(&pair), Mode::Required, vec![asked(Mode::Required, &[&old]), elsewhere]), (true, Ok(true), verified));
}

#[test]
fn who_outlives_a_certificate_or_the_list_that_spoke_for_it_does_not_pass_any_more() {
    let ca = authority("ca");
    let pair = client(&ca);
    let asked = Rules { lists: vec![list(&ca, &[], 100)], ..rules(&[], Mode::Required, &[&ca]) };
    let mut server = server(vec![asked]);
    let mut got = server.try_with(Try { shows: std::slice::from_ref(&pair.certificate), key: Some(&pair.key), ..Try::of("a.test") });
    let mut auth = handshake::take(got.server.as_mut());
    let until = auth.as_ref().unwrap().identity.as_ref().unwrap().valid_until;
    let policies = server.store.clients();
    assert_eq!(recheck::recheck(&policies, got.server.as_mut(), &mut auth, until), Ok(false));
    // The clock of the verification is not the test's: it finds the certificate good still, and so
    // it is kept.
    assert_eq!(recheck::recheck(&policies, got.server.as_mut(), &mut auth, until + 1), Ok(true));
    assert!(auth.is_some());
}
