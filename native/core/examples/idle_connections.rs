//! Opens many HTTP/3 connections, asks once on each, leaves them idle, and asks again: what an edge
//! with many quiet clients sees.
//!
//!     idle_connections ADDRESS COUNT IDLE_SECONDS
//!
//! Prints a line of JSON after each step. No certificate is checked: it is for loopback tests.

use quiche::h3::{self, NameValue};
use quiche::{Config, Connection, ConnectionId, RecvInfo};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Connections share sockets, so that their number is not bound by descriptors.
const SOCKETS: usize = 64;
/// Handshakes under way at once: more would only time out in the server's queue.
const AT_ONCE: usize = 200;
const ID_BYTES: usize = 8;
/// A crowd that is not served by then fails.
const GIVE_UP: Duration = Duration::from_secs(90);

struct Client {
    quic: Connection,
    http: Option<h3::Connection>,
    socket: usize,
    answers: usize,
    has_asked: bool,
}

struct Crowd {
    peer: SocketAddr,
    sockets: Vec<UdpSocket>,
    clients: Vec<Client>,
    config: Config,
    http: h3::Config,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, address, count, idle] = &arguments[..] else {
        eprintln!("usage: idle_connections ADDRESS COUNT IDLE_SECONDS");
        std::process::exit(2);
    };
    let peer: SocketAddr = address.parse().expect("an address ip:port");
    let count: usize = count.parse().expect("a number of connections");
    let idle: u64 = idle.parse().expect("a number of seconds");
    assert!(peer.ip().is_loopback(), "for loopback only");
    let mut crowd = Crowd::new(peer);
    let began = Instant::now();
    while crowd.answered(1) < count && began.elapsed() < GIVE_UP {
        while crowd.clients.len() < count && crowd.clients.len() - crowd.answered(1) < AT_ONCE {
            crowd.open();
        }
        crowd.turn();
    }
    println!("{{\"step\":\"opened\",\"answered\":{},\"seconds\":{:.1}}}", crowd.answered(1), began.elapsed().as_secs_f64());
    let quiet = Instant::now();
    while quiet.elapsed() < Duration::from_secs(idle) {
        crowd.turn();
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("{{\"step\":\"idle\",\"open\":{}}}", crowd.clients.iter().filter(|client| !client.quic.is_closed()).count());
    let again = Instant::now();
    for place in 0..crowd.clients.len() {
        crowd.clients[place].has_asked = false;
        if place % AT_ONCE == 0 {
            crowd.turn();
        }
    }
    while crowd.answered(2) < count && again.elapsed() < GIVE_UP {
        crowd.turn();
    }
    println!("{{\"step\":\"again\",\"answered\":{},\"seconds\":{:.1}}}", crowd.answered(2), again.elapsed().as_secs_f64());
    for client in &mut crowd.clients {
        let _ = client.quic.close(true, 0x100, b"");
    }
    crowd.turn();
}

impl Crowd {
    fn new(peer: SocketAddr) -> Crowd {
        let sockets = (0..SOCKETS).map(|_| {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            socket.set_nonblocking(true).expect("a socket that does not block");
            socket
        });
        let mut config = Config::new(quiche::PROTOCOL_VERSION).expect("a configuration");
        config.set_application_protos(h3::APPLICATION_PROTOCOL).expect("ALPN");
        config.verify_peer(false);
        config.set_max_idle_timeout(120_000);
        config.set_initial_max_data(1 << 20);
        config.set_initial_max_stream_data_bidi_local(1 << 16);
        config.set_initial_max_stream_data_uni(1 << 14);
        config.set_initial_max_streams_uni(8);
        let http = h3::Config::new().expect("an HTTP/3 configuration");
        Crowd { peer, sockets: sockets.collect(), clients: Vec::new(), config, http }
    }

    fn open(&mut self) {
        let place = self.clients.len();
        let socket = place % SOCKETS;
        // The ID says which client a packet is for.
        let id = (place as u64).to_be_bytes();
        let local = self.sockets[socket].local_addr().expect("an address");
        let quic =
            quiche::connect(Some("localhost"), &ConnectionId::from_ref(&id), local, self.peer, &mut self.config).expect("a connection");
        self.clients.push(Client { quic, http: None, socket, answers: 0, has_asked: false });
        self.flush(place);
    }

    fn answered(&self, times: usize) -> usize {
        self.clients.iter().filter(|client| client.answers >= times).count()
    }

    fn turn(&mut self) {
        let mut bytes = [0u8; 2048];
        for socket in 0..SOCKETS {
            while let Ok((length, from)) = self.sockets[socket].recv_from(&mut bytes) {
                let to = self.sockets[socket].local_addr().expect("an address");
                let at = if bytes[0] & 0x80 == 0 { 1 } else { 6 };
                let Some(id) = bytes[at..length].first_chunk::<ID_BYTES>() else { continue };
                let place = u64::from_be_bytes(*id) as usize;
                let Some(client) = self.clients.get_mut(place) else { continue };
                let _ = client.quic.recv(&mut bytes[..length], RecvInfo { from, to });
                self.serve(place);
                self.flush(place);
            }
        }
        for place in 0..self.clients.len() {
            let is_due = self.clients[place].quic.timeout().is_some_and(|left| left.is_zero());
            if is_due {
                self.clients[place].quic.on_timeout();
            }
            if !self.clients[place].has_asked && self.clients[place].quic.is_established() {
                self.serve(place);
            }
            if is_due || self.clients[place].has_asked {
                self.flush(place);
            }
        }
    }

    fn serve(&mut self, place: usize) {
        let client = &mut self.clients[place];
        if !client.quic.is_established() {
            return;
        }
        if client.http.is_none() {
            client.http = h3::Connection::with_transport(&mut client.quic, &self.http).ok();
        }
        let Some(http) = &mut client.http else { return };
        if !client.has_asked {
            let head = [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/")];
            let head: Vec<h3::Header> = head.iter().map(|(name, value)| h3::Header::new(name.as_bytes(), value.as_bytes())).collect();
            client.has_asked = http.send_request(&mut client.quic, &head, true).is_ok();
        }
        let mut body = [0u8; 4096];
        while let Ok((stream, event)) = http.poll(&mut client.quic) {
            match event {
                h3::Event::Headers { list, .. } => {
                    let is_ok = list.iter().any(|field| field.name() == b":status" && field.value() == b"200");
                    client.answers += usize::from(is_ok);
                }
                h3::Event::Data => while http.recv_body(&mut client.quic, stream, &mut body).is_ok() {},
                _ => {}
            }
        }
    }

    fn flush(&mut self, place: usize) {
        let client = &mut self.clients[place];
        let mut packet = [0u8; 1400];
        while let Ok((length, info)) = client.quic.send(&mut packet) {
            // A full buffer loses the packet, and QUIC sends it again.
            let _ = self.sockets[client.socket].send_to(&packet[..length], info.to);
        }
    }
}
