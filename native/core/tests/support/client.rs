//! A client: quiche's QUIC, and either quiche's HTTP/3 or bytes on streams as the test wants them.

use std::collections::{BTreeMap, HashMap};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Instant;

use boring::pkey::{PKeyRef, Private};
use boring::ssl::{SslContextBuilder, SslMethod};
use boring::x509::X509Ref;
use quiche::h3::{self, NameValue};
use quiche::{ConnectionId, RecvInfo, Shutdown};

use super::wire;

/// How a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// HTTP/3 by quiche.
    Http3,
    /// By hand, with a proper control stream.
    Raw,
    /// By hand, without any stream opened for the test.
    Bare,
}

/// What came on a request stream.
#[derive(Clone, Debug, Default)]
pub struct Received {
    pub interim: Vec<u16>,
    /// Fields of the interim responses.
    pub hints: Vec<Vec<(String, String)>>,
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
    pub is_finished: bool,
    pub reset: Option<u64>,
}

impl Received {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.0 == name).map(|field| &field.1[..])
    }

    /// A field of every interim response that has it, in their order.
    pub fn hinted(&self, name: &str) -> Vec<&str> {
        self.hints.iter().flatten().filter(|field| field.0 == name).map(|field| &field.1[..]).collect()
    }

    pub fn is_over(&self) -> bool {
        self.is_finished || self.reset.is_some()
    }

    fn take_head(&mut self, fields: Vec<(String, String)>) {
        if self.status >= 200 {
            self.trailers = fields;
            return;
        }
        let status = fields.iter().find(|field| field.0 == ":status").map_or(0, |field| field.1.parse().unwrap());
        if status < 200 {
            self.interim.push(status);
            self.hints.push(fields);
        } else {
            self.status = status;
            self.fields = fields;
        }
    }
}

/// A request for quiche's HTTP/3.
#[derive(Clone, Default)]
pub struct Request<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub fields: &'a [(&'a str, &'a str)],
    pub body: Vec<u8>,
    pub trailers: &'a [(&'a str, &'a str)],
    /// The stream is left open after the body.
    pub is_unfinished: bool,
}

struct Upload {
    bytes: Vec<u8>,
    sent: usize,
    trailers: Vec<h3::Header>,
    is_fin: bool,
}

pub struct Client {
    pub quic: quiche::Connection,
    http: Option<h3::Connection>,
    kind: Kind,
    server: SocketAddr,
    /// Sockets by the local address that quiche takes them for.
    paths: Vec<(SocketAddr, UdpSocket)>,
    uploads: HashMap<u64, Upload>,
    pub streams: HashMap<u64, Received>,
    /// Bytes of streams read by hand.
    pub raw: BTreeMap<u64, Vec<u8>>,
    /// While false, no response is read, and so no credit is given.
    pub is_reading: bool,
    /// While true, nothing is sent and nothing received.
    pub is_silent: bool,
    /// Longest datagram the path to it carries: longer ones vanish.
    pub carried: usize,
    /// Longest datagram that came.
    pub longest: usize,
    /// Of so many datagrams to come every second one is lost on the way to the edge.
    pub lossy: usize,
    is_greeted: bool,
    next_stream: u64,
}

pub fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// A connection ID that no other client of this process has.
fn id_of(socket: &UdpSocket, number: u8) -> [u8; 16] {
    let mut id = [number; 16];
    id[..2].copy_from_slice(&socket.local_addr().unwrap().port().to_be_bytes());
    id
}

/// Settings of a client; `stream_window` is what it lets a response send ahead of its reading.
pub fn config(stream_window: u64) -> quiche::Config {
    configure(quiche::Config::new(quiche::PROTOCOL_VERSION).unwrap(), stream_window)
}

/// The same for a client that offers these groups, and does not read the certificates of the
/// system.
pub fn config_with_groups(stream_window: u64, groups: &str) -> quiche::Config {
    let mut tls = SslContextBuilder::new(SslMethod::tls()).unwrap();
    tls.set_curves_list(groups).unwrap();
    configure(quiche::Config::with_boring_ssl_ctx_builder(quiche::PROTOCOL_VERSION, tls).unwrap(), stream_window)
}

/// The same for a client that shows a certificate to who asks for one.
pub fn config_with_certificate(stream_window: u64, own: &X509Ref, key: &PKeyRef<Private>) -> quiche::Config {
    let mut tls = SslContextBuilder::new(SslMethod::tls()).unwrap();
    tls.set_certificate(own).unwrap();
    tls.set_private_key(key).unwrap();
    configure(quiche::Config::with_boring_ssl_ctx_builder(quiche::PROTOCOL_VERSION, tls).unwrap(), stream_window)
}

fn configure(mut config: quiche::Config, stream_window: u64) -> quiche::Config {
    config.set_application_protos(&[b"h3"]).unwrap();
    config.verify_peer(false);
    config.set_max_recv_udp_payload_size(1_500);
    config.set_max_send_udp_payload_size(1_350);
    config.set_initial_max_data(4 * stream_window);
    config.set_max_connection_window(4 * stream_window);
    config.set_initial_max_stream_data_bidi_local(stream_window);
    config.set_max_stream_window(stream_window);
    config.set_initial_max_stream_data_uni(64 * 1024);
    config.set_initial_max_streams_uni(8);
    config.set_active_connection_id_limit(4);
    config.set_disable_active_migration(false);
    config
}

impl Client {
    pub fn new(kind: Kind, server: SocketAddr, socket: UdpSocket, stream_window: u64) -> Client {
        let id = id_of(&socket, 0);
        Client::with_id(kind, server, socket, stream_window, &id)
    }

    /// A client with a connection ID of the test's choice; browsers have one of no bytes.
    pub fn with_id(kind: Kind, server: SocketAddr, socket: UdpSocket, stream_window: u64, id: &[u8]) -> Client {
        Client::with_config(kind, server, socket, &mut config(stream_window), id)
    }

    /// A client with an idle timeout of its own.
    pub fn with_idle_timeout(kind: Kind, server: SocketAddr, socket: UdpSocket, idle_timeout_ms: u64) -> Client {
        let mut config = config(1 << 20);
        config.set_max_idle_timeout(idle_timeout_ms);
        let id = id_of(&socket, 0);
        Client::with_config(kind, server, socket, &mut config, &id)
    }

    /// A client that logs its secrets.
    pub fn with_key_log(kind: Kind, server: SocketAddr, socket: UdpSocket) -> Client {
        let mut config = config(1 << 20);
        config.log_keys();
        let id = id_of(&socket, 0);
        Client::with_config(kind, server, socket, &mut config, &id)
    }

    /// A client that lets all responses together send less ahead than each of them.
    pub fn with_connection_window(kind: Kind, server: SocketAddr, socket: UdpSocket, stream_window: u64, connection_window: u64) -> Client {
        let mut config = config(stream_window);
        config.set_initial_max_data(connection_window);
        config.set_max_connection_window(connection_window);
        let id = id_of(&socket, 0);
        Client::with_config(kind, server, socket, &mut config, &id)
    }

    /// A client with settings of the test's own, see [`config`].
    pub fn with_config(kind: Kind, server: SocketAddr, socket: UdpSocket, config: &mut quiche::Config, id: &[u8]) -> Client {
        let local = socket.local_addr().unwrap();
        let quic = quiche::connect(Some("localhost"), &ConnectionId::from_ref(id), local, server, config).unwrap();
        Client {
            quic,
            http: None,
            kind,
            server,
            paths: vec![(local, socket)],
            uploads: HashMap::new(),
            streams: HashMap::new(),
            raw: BTreeMap::new(),
            is_reading: true,
            is_silent: false,
            carried: usize::MAX,
            longest: 0,
            lossy: 0,
            is_greeted: false,
            next_stream: 0,
        }
    }

    pub fn fds(&self) -> impl Iterator<Item = RawFd> {
        self.paths.iter().map(|path| path.1.as_raw_fd())
    }

    /// Address of its first path.
    pub fn local(&self) -> SocketAddr {
        self.paths[0].0
    }

    /// Whether requests can be made.
    pub fn is_ready(&self) -> bool {
        self.is_greeted
    }

    /// Takes, does and sends what there is.
    pub fn drive(&mut self) {
        if self.is_silent {
            return;
        }
        self.receive();
        self.take_timeout();
        if self.quic.is_established() && !self.is_greeted {
            self.greet();
        }
        if self.is_greeted {
            self.upload();
            self.read();
        }
        self.transmit();
    }

    /// Sends what is due, and again what may be lost, but takes nothing.
    pub fn insist(&mut self) {
        self.take_timeout();
        self.transmit();
    }

    fn take_timeout(&mut self) {
        if self.quic.timeout_instant().is_some_and(|at| at <= Instant::now()) {
            self.quic.on_timeout();
        }
    }

    /// Takes what there is and answers nothing.
    pub fn hear(&mut self) {
        self.receive();
        self.read();
    }

    fn receive(&mut self) {
        let mut bytes = [0; 2048];
        for (local, socket) in &self.paths {
            while let Ok((length, from)) = socket.recv_from(&mut bytes) {
                if length > self.carried {
                    continue;
                }
                self.longest = self.longest.max(length);
                let _ = self.quic.recv(&mut bytes[..length], RecvInfo { from, to: *local });
            }
        }
    }

    /// Sends what is due.
    pub fn transmit(&mut self) {
        let mut bytes = [0; 1_500];
        // Not all at once, where much is due: the edge's socket would lose more than the path.
        for _ in 0..256 {
            let Ok((length, info)) = self.quic.send(&mut bytes) else { return };
            if self.lossy > 0 {
                self.lossy -= 1;
                if self.lossy.is_multiple_of(2) {
                    continue;
                }
            }
            let path = self.paths.iter().find(|path| path.0 == info.from).expect("a path of ours");
            let _ = path.1.send_to(&bytes[..length], info.to);
        }
    }

    fn greet(&mut self) {
        self.is_greeted = true;
        // Spare IDs, without which the server cannot follow to another address (RFC 9000 §9.5).
        for number in 1..=self.quic.scids_left() as u128 {
            let id = id_of(&self.paths[0].1, number as u8);
            let _ = self.quic.new_scid(&ConnectionId::from_ref(&id), number, false);
        }
        match self.kind {
            Kind::Http3 => self.http = Some(h3::Connection::with_transport(&mut self.quic, &h3::Config::new().unwrap()).unwrap()),
            Kind::Raw => self.write(2, &[&[0][..], &wire::frame(wire::SETTINGS, &[])].concat(), false),
            Kind::Bare => {}
        }
    }

    // ---- requests

    /// Begins a request by quiche's HTTP/3.
    pub fn request(&mut self, request: Request<'_>) -> u64 {
        self.try_request(request).expect("room for a request")
    }

    /// The same; none while windows have no room for it.
    pub fn try_request(&mut self, request: Request<'_>) -> Option<u64> {
        let method = if request.method.is_empty() { "GET" } else { request.method };
        let list = |fields: &[(&str, &str)]| -> Vec<h3::Header> {
            fields.iter().map(|(name, value)| h3::Header::new(name.as_bytes(), value.as_bytes())).collect()
        };
        let head = list(&wire::head(method, request.path, request.fields));
        let has_more = !request.body.is_empty() || !request.trailers.is_empty() || request.is_unfinished;
        let stream = match self.http.as_mut()?.send_request(&mut self.quic, &head, !has_more) {
            Err(h3::Error::StreamBlocked) => return None,
            sent => sent.unwrap(),
        };
        if has_more {
            let (trailers, is_fin) = (list(request.trailers), !request.is_unfinished);
            self.uploads.insert(stream, Upload { bytes: request.body, sent: 0, trailers, is_fin });
        }
        self.streams.insert(stream, Received::default());
        Some(stream)
    }

    pub fn get(&mut self, path: &str) -> u64 {
        self.request(Request { path, ..Request::default() })
    }

    /// Begins a request stream with bytes of the test's own.
    pub fn open(&mut self, bytes: &[u8], is_fin: bool) -> u64 {
        let stream = self.next_stream;
        self.next_stream += 4;
        self.streams.insert(stream, Received::default());
        self.write(stream, bytes, is_fin);
        stream
    }

    /// Bytes for any stream; what the windows do not take goes later.
    pub fn write(&mut self, stream: u64, bytes: &[u8], is_fin: bool) {
        let upload = self.uploads.entry(stream).or_insert(Upload { bytes: Vec::new(), sent: 0, trailers: Vec::new(), is_fin });
        upload.bytes.extend_from_slice(bytes);
        upload.is_fin = is_fin;
        self.upload();
    }

    /// RESET_STREAM.
    pub fn reset(&mut self, stream: u64, code: u64) {
        self.uploads.remove(&stream);
        self.quic.stream_shutdown(stream, Shutdown::Write, code).unwrap();
    }

    /// STOP_SENDING; of a stream that has ended already nothing is said.
    pub fn stop(&mut self, stream: u64, code: u64) {
        let _ = self.quic.stream_shutdown(stream, Shutdown::Read, code);
        self.streams.entry(stream).or_default().reset = Some(code);
    }

    /// Bytes that still wait for a stream's window.
    pub fn waiting(&self, stream: u64) -> usize {
        self.uploads.get(&stream).map_or(0, |upload| upload.bytes.len() - upload.sent)
    }

    fn upload(&mut self) {
        let Client { quic, http, uploads, .. } = self;
        uploads.retain(|&stream, upload| {
            let rest = &upload.bytes[upload.sent..];
            let is_fin = upload.is_fin && upload.trailers.is_empty();
            if !rest.is_empty() || is_fin {
                let sent = match http {
                    Some(http) => http.send_body(quic, stream, rest, is_fin).map_err(|error| error != h3::Error::Done),
                    None => quic.stream_send(stream, rest, is_fin).map_err(|error| error != quiche::Error::Done),
                };
                match sent {
                    Ok(count) => upload.sent += count,
                    // Stopped by the server: nothing more can be said here.
                    Err(true) => return false,
                    Err(false) => return true,
                }
                if upload.sent < upload.bytes.len() {
                    return true;
                }
            }
            let Some(http) = http else { return false };
            upload.is_fin
                && !upload.trailers.is_empty()
                && http.send_additional_headers(quic, stream, &upload.trailers, true, true).is_err()
        });
    }

    // ---- responses

    fn read(&mut self) {
        if !self.is_reading {
            return;
        }
        if self.http.is_some() { self.read_http() } else { self.read_raw() }
    }

    fn read_http(&mut self) {
        let Client { quic, http: Some(http), streams, .. } = self else { return };
        let mut bytes = [0; 16 * 1024];
        while let Ok((stream, event)) = http.poll(quic) {
            let received = streams.entry(stream).or_default();
            match event {
                h3::Event::Headers { list, .. } => {
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    received.take_head(list.iter().map(|field| (text(field.name()), text(field.value()))).collect());
                }
                h3::Event::Data => {
                    while let Ok(length) = http.recv_body(quic, stream, &mut bytes) {
                        received.body.extend_from_slice(&bytes[..length]);
                    }
                }
                h3::Event::Finished => received.is_finished = true,
                h3::Event::Reset(code) => received.reset = Some(code),
                h3::Event::PriorityUpdate | h3::Event::GoAway => {}
            }
        }
    }

    fn read_raw(&mut self) {
        let mut bytes = [0; 16 * 1024];
        let streams: Vec<u64> = self.quic.readable().collect();
        for stream in streams {
            let received = self.streams.entry(stream).or_default();
            loop {
                match self.quic.stream_recv(stream, &mut bytes) {
                    Ok((length, is_end)) => {
                        self.raw.entry(stream).or_default().extend_from_slice(&bytes[..length]);
                        received.is_finished |= is_end;
                    }
                    Err(quiche::Error::StreamReset(code)) => {
                        received.reset = Some(code);
                        break;
                    }
                    Err(_) => break,
                }
            }
            if received.is_finished && received.status == 0 {
                for (kind, payload) in wire::frames(&self.raw[&stream]) {
                    match kind {
                        wire::HEADERS => received.take_head(wire::fields(&payload)),
                        wire::DATA => received.body.extend_from_slice(&payload),
                        _ => {}
                    }
                }
            }
        }
    }

    /// Stream IDs of the server's GOAWAY frames.
    pub fn goaways(&self) -> Vec<u64> {
        wire::goaways(self.raw.get(&3).map_or(&[], |bytes| bytes))
    }

    /// Code of the CONNECTION_CLOSE the server sent, if it is one of HTTP/3.
    pub fn closed_with(&self) -> Option<u64> {
        self.quic.peer_error().filter(|error| error.is_app).map(|error| error.error_code)
    }

    // ---- the network

    /// Loses a datagram that waits; false when none does.
    pub fn lose(&self) -> bool {
        self.paths.iter().any(|path| path.1.recv(&mut [0; 2048]).is_ok())
    }

    /// Makes the packets that are due and loses them.
    pub fn send_into_the_void(&mut self) {
        while self.quic.send(&mut [0; 1_500]).is_ok() {}
    }

    /// Takes what waits except for the last datagram, which is lost.
    pub fn lose_last(&mut self) {
        let mut datagrams = Vec::new();
        let mut bytes = [0; 2048];
        for (local, socket) in &self.paths {
            while let Ok((length, from)) = socket.recv_from(&mut bytes) {
                datagrams.push((bytes[..length].to_vec(), RecvInfo { from, to: *local }));
            }
        }
        datagrams.pop().expect("a datagram to lose");
        for (mut bytes, info) in datagrams {
            let _ = self.quic.recv(&mut bytes, info);
        }
    }

    /// Sends from another port without knowing it, as behind an address translator that forgot.
    pub fn rebind(&mut self, socket: UdpSocket) {
        self.paths[0].1 = socket;
    }

    /// Moves to another port knowingly: the new path is probed, then used (RFC 9000 §9).
    pub fn migrate(&mut self) {
        let socket = socket();
        let local = socket.local_addr().unwrap();
        self.paths.push((local, socket));
        self.quic.migrate(local, self.server).unwrap();
    }
}
