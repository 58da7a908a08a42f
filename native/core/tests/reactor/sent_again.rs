//! What quiche sends again: the hunks of `native/quiche.patch` about its queue of streams, with a
//! connection in memory, because on a network the case is a matter of chance.

use boring::asn1::Asn1Time;
use boring::pkey::PKey;
use boring::rsa::Rsa;
use boring::ssl::{SslContextBuilder, SslMethod};
use boring::x509::X509;
use quiche::{Config, Connection, ConnectionId, RecvInfo};
use std::net::SocketAddr;
use std::time::Duration;

const CONTROL: u64 = 3;
const REQUEST: u64 = 0;

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn config(tls: SslContextBuilder) -> Config {
    let mut config = Config::with_boring_ssl_ctx_builder(quiche::PROTOCOL_VERSION, tls).unwrap();
    config.set_application_protos(&[b"h3"]).unwrap();
    config.verify_peer(false);
    config.set_initial_max_data(1 << 40);
    config.set_initial_max_stream_data_bidi_local(1 << 40);
    config.set_initial_max_stream_data_bidi_remote(1 << 40);
    config.set_initial_max_stream_data_uni(1 << 40);
    config.set_initial_max_streams_bidi(1 << 20);
    config.set_initial_max_streams_uni(8);
    config
}

fn server_tls() -> SslContextBuilder {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut certificate = X509::builder().unwrap();
    certificate.set_pubkey(&key).unwrap();
    certificate.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    certificate.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    certificate.sign(&key, boring::hash::MessageDigest::sha256()).unwrap();
    let mut tls = SslContextBuilder::new(SslMethod::tls()).unwrap();
    tls.set_private_key(&key).unwrap();
    tls.set_certificate(&certificate.build()).unwrap();
    tls
}

/// Both ends of a connection, and what is on its way to the server.
struct Pair {
    client: Connection,
    server: Connection,
}

impl Pair {
    fn new(accepting: &mut Config) -> Pair {
        let client = quiche::connect(
            None,
            &ConnectionId::from_ref(&[1; 16]),
            address(1),
            address(2),
            &mut config(SslContextBuilder::new(SslMethod::tls()).unwrap()),
        );
        let server = quiche::accept(&ConnectionId::from_ref(&[2; 16]), None, address(2), address(1), accepting);
        let mut pair = Pair { client: client.unwrap(), server: server.unwrap() };
        for _ in 0..10 {
            let flight = sent(&mut pair.client);
            pair.deliver_to_server(flight);
            let flight = sent(&mut pair.server);
            pair.deliver_to_client(flight);
        }
        assert!(pair.server.is_established() && pair.client.is_established());
        pair
    }

    fn deliver_to_server(&mut self, flight: Vec<Vec<u8>>) {
        for mut datagram in flight {
            self.server.recv(&mut datagram, RecvInfo { from: address(1), to: address(2) }).unwrap();
        }
    }

    fn deliver_to_client(&mut self, flight: Vec<Vec<u8>>) {
        for mut datagram in flight {
            self.client.recv(&mut datagram, RecvInfo { from: address(2), to: address(1) }).unwrap();
        }
    }
}

fn sent(quic: &mut Connection) -> Vec<Vec<u8>> {
    let mut flight = Vec::new();
    let mut bytes = [0; 1_500];
    while let Ok((length, _)) = quic.send(&mut bytes) {
        flight.push(bytes[..length].to_vec());
    }
    flight
}

#[test]
fn a_stream_whose_bytes_were_acknowledged_before_they_were_sent_again_does_not_hold_up_the_others() {
    let mut config = config(server_tls());
    // The last packet of a burst may be no longer than the first: there is room for a PING then,
    // and none for the stream.
    for room in 38..56 {
        let (length, answer) = answer_after_a_probe(&mut config, room);
        assert!(length <= room);
        assert_eq!(answer, Ok((6, true)), "with room for {room} bytes");
    }
}

fn answer_after_a_probe(config: &mut Config, room: usize) -> (usize, quiche::Result<(usize, bool)>) {
    let mut pair = Pair::new(config);
    pair.client.stream_send(REQUEST, b"ask", true).unwrap();
    let flight = sent(&mut pair.client);
    pair.deliver_to_server(flight);
    let mut bytes = [0; 100];
    assert_eq!(pair.server.stream_recv(REQUEST, &mut bytes), Ok((3, true)));

    pair.server.stream_send(CONTROL, b"settings", false).unwrap();
    let flight = sent(&mut pair.server);
    pair.deliver_to_client(flight);
    let acknowledgement = sent(&mut pair.client);
    assert!(!acknowledgement.is_empty());

    // The acknowledgement is late: the probe timeout puts the bytes into the queue again, where
    // they wait because a packet had no room for them.
    std::thread::sleep(pair.server.timeout().unwrap() + Duration::from_millis(2));
    pair.server.on_timeout();
    let (length, _) = pair.server.send(&mut vec![0; room]).unwrap();
    pair.deliver_to_server(acknowledgement);

    pair.server.stream_send(REQUEST, b"answer", true).unwrap();
    let flight = sent(&mut pair.server);
    pair.deliver_to_client(flight);
    (length, pair.client.stream_recv(REQUEST, &mut bytes))
}
