use super::*;
use crate::base::counters::{Id, ServerName, TicketRefused, offset};
use crate::tls::certificate::Certificate;
use crate::tls::store::{Policy, UnknownName};
use crate::tls::tickets::{TicketKey, TicketPolicy};
use boring::asn1::Asn1Time;
use boring::ec::{EcGroup, EcKey};
use boring::hash::MessageDigest;
use boring::nid::Nid;
use boring::pkey::{PKey, Private};
use boring::rsa::Rsa;
use boring::ssl::{SslRef, SslSignatureAlgorithm, SslVerifyMode};
use boring::x509::extension::SubjectAlternativeName;
use boring::x509::{X509, X509Name};
use foreign_types_shared::ForeignTypeRef;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

/// A key of RSA or of ECDSA.
pub(super) fn key(is_rsa: bool) -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    match is_rsa {
        true => PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap(),
        false => PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap(),
    }
}

/// A certificate for a key, valid for some days from now, signed by whose name and key is given, or
/// by itself.
pub(super) fn issued(name: &str, key: &PKey<Private>, (from, until): (i64, i64), issuer: Option<&(X509, PKey<Private>)>) -> X509 {
    let mut subject = X509Name::builder().unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    let subject = subject.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder.set_issuer_name(issuer.map_or(&subject, |issuer| issuer.0.subject_name())).unwrap();
    builder.set_pubkey(key).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    builder.set_not_before(&Asn1Time::from_unix(now + from * 86_400).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::from_unix(now + until * 86_400).unwrap()).unwrap();
    let names = SubjectAlternativeName::new().dns(name).ip("192.0.2.1").build(&builder.x509v3_context(None, None)).unwrap();
    builder.append_extension(&names).unwrap();
    builder.sign(issuer.map_or(key, |issuer| &issuer.1), MessageDigest::sha256()).unwrap();
    builder.build()
}

/// A certificate as configured, which can be made anew: a set takes those that it is given.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) names: Vec<String>,
    pub(super) chain_pem: String,
    pub(super) key_pem: String,
    /// DER, leaf first.
    pub(super) chain: Vec<Vec<u8>>,
}

impl Made {
    pub(super) fn new(names: &[&str], key: &PKey<Private>, chain: &[X509]) -> Made {
        let pem = chain.iter().flat_map(|one| one.to_pem().unwrap()).collect();
        Made {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            chain_pem: String::from_utf8(pem).unwrap(),
            key_pem: String::from_utf8(key.private_key_to_pem_pkcs8().unwrap()).unwrap(),
            chain: chain.iter().map(|one| one.to_der().unwrap()).collect(),
        }
    }

    /// For a name and with a key of its own.
    pub(super) fn simple(name: &str) -> Made {
        Made::lasting(name, false, (0, 1))
    }

    pub(super) fn lasting(name: &str, is_rsa: bool, days: (i64, i64)) -> Made {
        let key = key(is_rsa);
        Made::new(&[name], &key, &[issued(name, &key, days, None)])
    }

    pub(super) fn parse(&self) -> Certificate {
        Certificate::parse(self.names.join(" "), self.names.clone(), &self.chain_pem, &self.key_pem)
            .map_err(|said| said.join(", "))
            .unwrap()
    }
}

pub(super) const PERIOD: Duration = Duration::from_secs(3600);

pub(super) const RULES: UnknownName = UnknownName::Default;

pub(super) fn policy(listener: &str, unknown_name: UnknownName) -> Policy {
    Policy { listener: listener.to_owned(), unknown_name, is_strict: false, tickets: TicketPolicy::Rotating(PERIOD), clients: Vec::new() }
}

/// A listener's store and a shard of it.
pub(super) struct Server {
    pub(super) store: Arc<CertificateStore>,
    pub(super) counters: Arc<Counters>,
    pub(super) config: quiche::Config,
}

/// What a client tries.
pub(super) struct Try<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) group: &'a str,
    pub(super) algorithms: Option<&'a [SslSignatureAlgorithm]>,
    pub(super) session: Option<&'a [u8]>,
    pub(super) asks_for_ocsp: bool,
    /// The server's end is not shed.
    pub(super) is_kept_whole: bool,
    /// What it shows when it is asked, its own first.
    pub(super) shows: &'a [X509],
    pub(super) key: Option<&'a PKey<Private>>,
}

impl<'a> Try<'a> {
    pub(super) fn of(name: &'a str) -> Try<'a> {
        Try {
            name: Some(name),
            group: "X25519",
            algorithms: None,
            session: None,
            asks_for_ocsp: false,
            is_kept_whole: false,
            shows: &[],
            key: None,
        }
    }
}

/// What a client got.
pub(super) struct Got {
    pub(super) chain: Vec<Vec<u8>>,
    pub(super) is_done: bool,
    pub(super) is_resumed: bool,
    pub(super) alert: Option<u64>,
    pub(super) session: Option<Vec<u8>>,
    pub(super) ocsp: Option<Vec<u8>>,
    /// Of the server's end.
    pub(super) is_shed: bool,
    pub(super) group: Option<u16>,
    pub(super) server: quiche::Connection,
    /// Names of authorities that the client was told.
    pub(super) authorities: usize,
}

impl Server {
    pub(super) fn new(certificates: &[&Made], policy: Policy) -> Server {
        Server::around(CertificateStore::new(certificates.iter().map(|one| one.parse()).collect(), policy).unwrap())
    }

    pub(super) fn around(store: CertificateStore) -> Server {
        let store = Arc::new(store);
        let counters = Arc::new(Counters::default());
        let config = configured(context(store.clone(), GROUPS, counters.clone()).unwrap());
        Server { store, counters, config }
    }

    pub(super) fn of(certificates: &[&Made]) -> Server {
        Server::new(certificates, policy("public", RULES))
    }

    pub(super) fn replace(&self, certificates: &[&Made], policy: Policy) -> Result<(), String> {
        self.store.replace(certificates.iter().map(|one| one.parse()).collect(), policy)
    }

    /// A handshake in memory.
    pub(super) fn try_with(&mut self, tried: Try<'_>) -> Got {
        let mut offered = SslContextBuilder::new(SslMethod::tls()).unwrap();
        offered.set_verify(SslVerifyMode::NONE);
        TOLD.set(0);
        // SAFETY: the context lives; the callback wants nothing of its argument.
        unsafe { boring_sys::SSL_CTX_set_cert_cb(offered.as_ptr(), Some(note_told), std::ptr::null_mut()) };
        offered.set_curves_list(tried.group).unwrap();
        if tried.asks_for_ocsp {
            offered.enable_ocsp_stapling();
        }
        if let (Some(key), [own, others @ ..]) = (tried.key, tried.shows) {
            offered.set_certificate(own).unwrap();
            offered.set_private_key(key).unwrap();
            others.iter().for_each(|other| offered.add_extra_chain_cert(other.clone()).unwrap());
        }
        if let Some(algorithms) = tried.algorithms {
            offered.set_verify_algorithm_prefs(algorithms).unwrap();
        }
        let mut client = configured(offered);
        client.verify_peer(false);
        let (near, far) = ("127.0.0.1:1111".parse().unwrap(), "127.0.0.1:2222".parse().unwrap());
        let id = |byte| quiche::ConnectionId::from_vec(vec![byte; 8]);
        let mut asking = quiche::connect(tried.name, &id(1), near, far, &mut client).unwrap();
        if let Some(session) = tried.session {
            asking.set_session(session).unwrap();
        }
        let mut answering = quiche::accept(&id(2), None, far, near, &mut self.config).unwrap();
        let mut packet = [0; 1500];
        for _ in 0..8 {
            while let Ok((length, _)) = asking.send(&mut packet) {
                let _ = answering.recv(&mut packet[..length], quiche::RecvInfo { from: near, to: far });
            }
            if tried.is_kept_whole {
                let ssl: &mut SslRef = answering.as_mut();
                // SAFETY: the connection lives.
                unsafe { boring_sys::SSL_set_shed_handshake_config(ssl.as_ptr(), 0) };
            }
            while let Ok((length, _)) = answering.send(&mut packet) {
                let _ = asking.recv(&mut packet[..length], quiche::RecvInfo { from: far, to: near });
            }
        }
        let chain = asking.peer_cert_chain().unwrap_or_default().into_iter().map(<[u8]>::to_vec).collect();
        let (theirs, ours): (&mut SslRef, &mut SslRef) = (asking.as_mut(), answering.as_mut());
        // SAFETY: the connection lives. What is configured cannot be told any more once it is
        // freed.
        let is_shed = unsafe { boring_sys::SSL_get_max_proto_version(ours.as_ptr()) } == 0;
        let (ocsp, group) = (theirs.ocsp_status().map(<[u8]>::to_vec), ours.curve());
        Got {
            ocsp,
            is_shed,
            group,
            chain,
            is_done: asking.is_established() && answering.is_established(),
            is_resumed: asking.is_resumed(),
            alert: asking.peer_error().map(|error| error.error_code - 0x100),
            session: asking.session().map(<[u8]>::to_vec),
            server: answering,
            authorities: TOLD.get(),
        }
    }

    /// Whether a client that asks for a name gets this certificate's chain.
    pub(super) fn gives(&mut self, name: &str, expected: &Made) -> bool {
        let got = self.try_with(Try::of(name));
        got.is_done && got.chain == expected.chain
    }

    pub(super) fn count(&self, id: Id, found: usize) -> f64 {
        self.counters.copy()[offset(id as usize) + found]
    }
}

thread_local! {
    /// How many names of authorities the last client of this thread was told.
    static TOLD: Cell<usize> = const { Cell::new(0) };
}

extern "C" fn note_told(ssl: *mut boring_sys::SSL, _: *mut std::ffi::c_void) -> i32 {
    // SAFETY: the connection lives, and the list as long as its handshake.
    unsafe {
        let list = boring_sys::SSL_get0_server_requested_CAs(ssl);
        TOLD.set(if list.is_null() { 0 } else { boring_sys::OPENSSL_sk_num(list.cast()) });
    }
    1
}

fn configured(context: SslContextBuilder) -> quiche::Config {
    let mut config = quiche::Config::with_boring_ssl_ctx_builder(quiche::PROTOCOL_VERSION, context).unwrap();
    config.set_application_protos(&[b"h3"]).unwrap();
    config
}

#[test]
fn a_name_gets_its_exact_certificate_then_a_wildcard_then_the_first() {
    let [default, wildcard, exact] = ["default.test", "*.a.test", "b.a.test"].map(Made::simple);
    let mut server = Server::of(&[&default, &wildcard, &exact]);
    for (name, expected) in [
        ("b.a.test", &exact),
        ("B.A.test.", &exact),
        ("c.a.test", &wildcard),
        ("d.c.a.test", &default),
        ("a.test", &default),
        (".a.test", &default),
        ("default.test", &default),
    ] {
        assert!(server.gives(name, expected), "{name}");
    }
    for (found, times) in [(ServerName::Exact, 3.0), (ServerName::Wildcard, 1.0), (ServerName::Unknown, 3.0)] {
        assert_eq!(server.count(Id::ServerNames, found as usize), times, "{found:?}");
    }
}

#[test]
fn names_that_nobody_knows_addresses_and_none_at_all_get_the_default_or_an_alert_and_are_counted() {
    let made = Made::simple("a.test");
    for (unknown_name, is_served) in [(UnknownName::Default, true), (UnknownName::Refuse, false)] {
        let mut server = Server::new(&[&made], policy("public", unknown_name));
        for (name, found, alert) in [
            (None, ServerName::Absent, 109),
            (Some("192.0.2.7"), ServerName::Address, 112),
            (Some("2001:db8::1"), ServerName::Address, 112),
            (Some("b.test"), ServerName::Unknown, 112),
        ] {
            let got = server.try_with(Try { name, ..Try::of("") });
            assert_eq!((got.is_done, got.alert), (is_served, (!is_served).then_some(alert)), "{name:?}");
            assert_eq!(got.chain, if is_served { made.chain.clone() } else { vec![] }, "{name:?}");
            assert!(server.count(Id::ServerNames, found as usize) > 0.0, "{name:?}");
            let refused = server.count(Id::ServerNamesRefused, found as usize - ServerName::Absent as usize);
            assert_eq!(refused > 0.0, !is_served, "{name:?}");
        }
        assert!(server.gives("a.test", &made));
    }
}

#[test]
fn names_of_the_certificate_hold_where_none_are_given() {
    let mut made = Made::simple("a.test");
    made.names.clear();
    assert_eq!(made.parse().names, ["a.test", "192.0.2.1"]);
    assert!(Server::of(&[&Made::simple("b.test"), &made]).gives("a.test", &made));
}

#[test]
fn a_client_gets_the_certificate_whose_signature_it_can_verify_of_both_the_one_that_costs_less() {
    let [rsa, ecdsa] = [true, false].map(|is_rsa| Made::lasting("a.test", is_rsa, (0, 1)));
    let [first, second] = [&[SslSignatureAlgorithm::RSA_PSS_RSAE_SHA256][..], &[SslSignatureAlgorithm::ECDSA_SECP256R1_SHA256][..]];
    for order in [[&rsa, &ecdsa], [&ecdsa, &rsa]] {
        let mut server = Server::of(&order);
        // Also where it is the default that answers.
        for name in ["a.test", "unknown.test"] {
            let mut leaf = |algorithms| server.try_with(Try { algorithms, ..Try::of(name) }).chain;
            assert_eq!(leaf(None), ecdsa.chain, "{name}");
            assert_eq!(leaf(Some(first)), rsa.chain, "{name}");
            assert_eq!(leaf(Some(second)), ecdsa.chain, "{name}");
        }
    }
    let got = Server::of(&[&rsa]).try_with(Try { algorithms: Some(second), ..Try::of("a.test") });
    assert_eq!((got.is_done, got.alert), (false, Some(40)));
}

#[test]
fn of_two_periods_the_present_one_counts_then_the_later_end() {
    let [past, now, longer, future] = [(-9, -1), (-1, 1), (-1, 9), (1, 99)].map(|days| Made::lasting("a.test", false, days));
    assert!(Server::of(&[&past, &future, &now]).gives("a.test", &now));
    assert!(Server::of(&[&now, &past, &longer]).gives("a.test", &longer));
    assert!(Server::of(&[&past, &future]).gives("a.test", &future), "the later end where none is valid");
    // A key that is dearer but valid comes before one that is cheaper but not.
    let rsa = Made::lasting("a.test", true, (-1, 1));
    assert!(Server::of(&[&past, &rsa]).gives("a.test", &rsa));
}

#[test]
fn after_a_swap_the_next_handshake_has_the_new_certificate_and_a_bad_one_changes_nothing() {
    let made: Vec<Made> = (0..4).map(|_| Made::simple("a.test")).collect();
    let mut server = Server::of(&[&made[0]]);
    for round in 0..100 {
        let next = &made[round % made.len()];
        server.replace(&[next], policy("public", RULES)).unwrap();
        assert!(server.gives("a.test", next), "{round}");
    }
    assert_eq!(server.replace(&[], policy("public", RULES)).unwrap_err(), "a listener needs a certificate");
    assert!(server.gives("a.test", &made[99 % made.len()]));
}

#[test]
fn a_ticket_resumes_for_the_names_it_was_given_for_and_under_the_same_rules_only() {
    let [a, b] = ["a.test", "b.test"].map(Made::simple);
    let mut server = Server::of(&[&a, &b]);
    let session = server.try_with(Try::of("a.test")).session.unwrap();
    let resumes = |server: &mut Server, name| {
        let got = server.try_with(Try { session: Some(&session), ..Try::of(name) });
        assert!(got.is_done);
        got.is_resumed
    };
    assert!(resumes(&mut server, "a.test"));
    assert!(!resumes(&mut server, "b.test"), "another certificate's name");
    server.replace(&[&Made::simple("a.test")], policy("public", RULES)).unwrap();
    assert!(resumes(&mut server, "a.test"), "a renewed certificate");
    server.replace(&[&a], policy("public", UnknownName::Refuse)).unwrap();
    assert!(!resumes(&mut server, "a.test"), "other rules");
    assert_eq!(server.count(Id::TicketsRefused, TicketRefused::Rules as usize), 2.0);
    assert_eq!(server.count(Id::TicketsRefused, TicketRefused::UnknownKey as usize), 0.0);
}

#[test]
fn keys_that_are_given_open_the_tickets_of_other_instances_but_not_those_of_another_listener() {
    let a = Made::simple("a.test");
    let keys: Vec<TicketKey> = [vec![1; 48], vec![2; 80], vec![3; 48]].iter().map(|bytes| TicketKey::parse(bytes).unwrap()).collect();
    let with = |listener: &str, keys: &[TicketKey]| Policy { tickets: TicketPolicy::Given(keys.to_vec()), ..policy(listener, RULES) };
    let resumes = |server: &mut Server, session: &[u8]| {
        let got = server.try_with(Try { session: Some(session), ..Try::of("a.test") });
        assert!(got.is_done);
        got.is_resumed
    };
    for first in 0..3 {
        let mut order = keys.clone();
        order.rotate_left(first);
        let mut server = Server::new(&[&a], with("public", &order));
        let session = server.try_with(Try::of("a.test")).session.unwrap();
        assert!(resumes(&mut Server::new(&[&a], with("public", &keys)), &session), "{first} seals");
        assert!(!resumes(&mut Server::new(&[&a], with("other", &keys)), &session));
        assert!(!resumes(&mut Server::new(&[&a], with("public", &order[1..])), &session), "the key has left");
        server.replace(&[&a], with("public", &order[1..])).unwrap();
        assert!(!resumes(&mut server, &session), "the key has left");
        assert_eq!(server.count(Id::TicketsRefused, TicketRefused::UnknownKey as usize), 1.0);
    }
    assert!([0, 47, 49, 79, 81, 96].iter().all(|length| TicketKey::parse(&vec![0; *length]).is_none()));
    let none = Server::new(&[&a], with("public", &[])).try_with(Try::of("a.test"));
    assert!(none.is_done && none.session.is_none(), "without a key there is no ticket");
}

#[test]
fn a_key_seals_for_a_period_and_opens_for_two_more() {
    let a = Made::simple("a.test");
    let mut server = Server::of(&[&a]);
    let resumes = |server: &mut Server, session: &[u8]| server.try_with(Try { session: Some(session), ..Try::of("a.test") }).is_resumed;
    let session = server.try_with(Try::of("a.test")).session.unwrap();
    let mut then = Instant::now();
    for age in 0..4 {
        assert_eq!(resumes(&mut server, &session), age < 3, "{age} periods on");
        // Certificates come and go meanwhile: the keys stay.
        server.replace(&[&a], policy("public", RULES)).unwrap();
        then += PERIOD + Duration::from_secs(1);
        server.store.tickets().advance(then);
    }
    let session = server.try_with(Try::of("a.test")).session.unwrap();
    assert!(resumes(&mut server, &session));
    server.store.tickets().advance(then + 3 * PERIOD);
    assert!(!resumes(&mut server, &session), "after a long silence all keys are new");
}

#[test]
fn a_connection_s_configuration_is_freed_and_what_was_negotiated_stays() {
    let mut server = Server::of(&[&Made::simple("a.test")]);
    let got = server.try_with(Try::of("a.test"));
    assert_eq!((got.is_done, got.is_shed, got.group), (true, true, Some(29)));
}

#[test]
fn the_issuer_s_word_on_revocation_is_given_to_who_asks_for_it() {
    let made = Made::simple("a.test");
    let response = [&[0x30, 5, 0x0a, 1, 0, 0xa0, 0][..]].concat();
    let store = CertificateStore::new(vec![made.parse().with_ocsp(&response).unwrap()], policy("public", RULES)).unwrap();
    let mut server = Server::of(&[&made]);
    assert_eq!(server.try_with(Try { asks_for_ocsp: true, ..Try::of("a.test") }).ocsp, None);
    server = Server::around(store);
    assert_eq!(server.try_with(Try { asks_for_ocsp: true, ..Try::of("a.test") }).ocsp, Some(response));
    assert_eq!(server.try_with(Try::of("a.test")).ocsp, None);
    for other in [&[0x30, 3, 0x0a, 1, 1][..], &[0x30, 4, 0x0a, 1, 0], b"-----BEGIN", &[0x30]] {
        assert!(made.parse().with_ocsp(other).is_err());
    }
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let [a, b] = ["a.test", "b.test"].map(Made::simple);
    let complaints = |chain: &str, key: &str| Certificate::parse(String::new(), vec![], chain, key).err().unwrap();
    assert_eq!(complaints(&a.chain_pem, &b.key_pem), ["the key does not belong to the chain's first certificate"]);
    assert_eq!(complaints("", "").len(), 2);
}

/// Both certificates of one authority have the same intermediate, and those of two have their own.
#[test]
fn every_certificate_comes_with_its_own_intermediates_once_each() {
    for kinds in [[false, false], [true, true], [true, false], [false, true]] {
        for is_shared in [true, false] {
            let root = key(false);
            let root = (issued("root", &root, (0, 1), None), root);
            let issuers = ["first", "second"].map(|name| {
                let key = key(false);
                (issued(name, &key, (0, 1), Some(&root)), key)
            });
            let made = [(0, "a.test"), (1, "b.test")].map(|(place, name)| {
                let issuer = &issuers[if is_shared { 0 } else { place }];
                let key = key(kinds[place]);
                Made::new(&[name], &key, &[issued(name, &key, (0, 1), Some(issuer)), issuer.0.clone()])
            });
            let mut server = Server::of(&[&made[0], &made[1]]);
            for (name, place) in [("a.test", 0), ("b.test", 1), ("c.test", 0)] {
                assert!(server.gives(name, &made[place]), "{name} of {kinds:?}");
            }
        }
    }
}

#[test]
fn a_client_may_choose_the_hybrid_group_or_plain_x25519_and_no_other_kind() {
    let mut server = Server::of(&[&Made::simple("a.test")]);
    for (group, is_taken) in [("X25519MLKEM768", true), ("X25519", true), ("P-256", true), ("P-521", false)] {
        assert_eq!(server.try_with(Try { group, ..Try::of("a.test") }).is_done, is_taken, "{group}");
    }
}

#[test]
fn handshakes_count_for_the_certificate_they_had_across_swaps() {
    let [a, b] = ["a.test", "b.test"].map(Made::simple);
    let mut server = Server::of(&[&a, &b]);
    let session = server.try_with(Try::of("a.test")).session.unwrap();
    server.replace(&[&b, &a], policy("public", RULES)).unwrap();
    assert!(server.try_with(Try { session: Some(&session), ..Try::of("a.test") }).is_resumed);
    server.try_with(Try::of("unknown.test"));
    let (listener, rows) = server.store.handshakes();
    let rows: Vec<_> = rows.iter().map(|(label, counts)| (&label[..], counts.full.load(Relaxed), counts.resumed.load(Relaxed))).collect();
    assert_eq!((&listener[..], &rows[..]), ("public", &[("a.test", 1, 1), ("b.test", 1, 0)][..]));
}

/// Memory and time with many names; and what a connection is spared by being shed.
#[test]
#[ignore = "prints a measurement"]
fn what_many_names_and_idle_connections_cost() {
    // SAFETY: no preconditions.
    let used = || unsafe { libc::mallinfo2() }.uordblks as f64;
    let mut server = Server::of(&[&Made::simple("a.test")]);
    for is_kept_whole in [true, false, true, false] {
        let mut each = || server.try_with(Try { is_kept_whole, ..Try::of("a.test") }).server;
        // What the allocator keeps is used up first.
        let spare: Vec<_> = (0..500).map(|_| each()).collect();
        let before = used();
        let crowd: Vec<_> = (0..4_000).map(|_| each()).collect();
        println!("{} connections, shed: {}: {:.0} bytes each", crowd.len(), !is_kept_whole, (used() - before) / crowd.len() as f64);
        drop((spare, crowd));
    }
    let key = key(false);
    for count in [1, 5_000, 50_000] {
        let certificates = (0..count).map(|number| {
            let name = format!("name-{number}.test");
            Made::new(&[&name], &key, &[issued(&name, &key, (0, 1), None)]).parse()
        });
        let before = used();
        let certificates: Vec<Certificate> = certificates.collect();
        let began = Instant::now();
        let mut server = Server::around(CertificateStore::new(certificates, policy("public", RULES)).unwrap());
        let made = began.elapsed();
        let after = used();
        let began = Instant::now();
        for number in 0..500 {
            let name = format!("name-{}.test", number * 7_919 % count);
            assert!(server.try_with(Try::of(&name)).is_done);
        }
        println!(
            "{count} names: {made:?} to prepare, {:.0} bytes each, {:?} a handshake of both sides",
            (after - before) / count as f64,
            began.elapsed() / 500
        );
    }
}
