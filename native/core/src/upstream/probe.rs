//! One request over HTTP/3 on a connection of its own, for active health checks. The backend is
//! verified as traffic verifies it (CA, name, pinned keys) and is shown the same certificate. The
//! call blocks until the answer, so it needs a thread of its own.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use boring::rand::rand_bytes;
use boring::ssl::SslRef;
use quiche::h3::{self, Header, NameValue};

use super::config::TlsConfig;
use crate::tls::client::{ClientTlsOptions, Failure, TlsVersion, context_for_quic, prove};

/// How often a waiting call checks for cancellation.
const LOOK: Duration = Duration::from_millis(100);

/// Receive window.
const WINDOW_BYTES: u64 = 256 * 1024;

/// The request.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The backend's address.
    pub address: SocketAddr,
    /// TLS of the backend. A server name that is an IP address is verified and not sent. The
    /// versions are not used: QUIC has TLS 1.3 only.
    pub tls: TlsConfig,
    /// `GET` or `HEAD`.
    pub method: String,
    /// The `:authority`.
    pub authority: String,
    /// Path with query.
    pub path: String,
    /// The `user-agent`.
    pub user_agent: String,
    /// Time for the whole call.
    pub timeout: Duration,
    /// Bytes of the body to be returned.
    pub body_bytes: usize,
}

/// The response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Status of the final response.
    pub status: u16,
    /// The beginning of the body.
    pub body: Vec<u8>,
}

/// Sends the request and waits for the response. The error is one line of text. Returns soon after
/// `is_cancelled` is set.
pub fn run(probe: &Probe, is_cancelled: &AtomicBool) -> Result<Reply, String> {
    let deadline = Instant::now() + probe.timeout;
    let socket = UdpSocket::bind(match probe.address {
        SocketAddr::V4(_) => SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        SocketAddr::V6(_) => SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
    });
    let socket = socket.map_err(text)?;
    socket.connect(probe.address).map_err(text)?;
    let local = socket.local_addr().map_err(text)?;
    let mut client = Client { quic: connect(probe, local)?, http: None, stream: 0, reply: Reply::default() };
    let mut datagram = [0; 65_535];
    loop {
        client.send(&socket)?;
        if client.advance(probe)? {
            client.close(&socket);
            return Ok(client.reply);
        }
        if client.quic.is_closed() {
            return Err(client.fault(probe));
        }
        client.send(&socket)?;
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || is_cancelled.load(Ordering::Relaxed) {
            client.close(&socket);
            return Err(if left.is_zero() { no_answer(probe) } else { "not wanted any more".to_owned() });
        }
        let wait = client.quic.timeout().unwrap_or(LOOK).min(left).min(LOOK).max(Duration::from_millis(1));
        socket.set_read_timeout(Some(wait)).map_err(text)?;
        match socket.recv(&mut datagram) {
            Ok(length) => {
                let info = quiche::RecvInfo { from: probe.address, to: local };
                if client.quic.recv(&mut datagram[..length], info).is_err() {
                    client.send(&socket)?;
                    return Err(client.fault(probe));
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {
                client.quic.on_timeout();
            }
            Err(error) => return Err(text(error)),
        }
    }
}

struct Client {
    quic: quiche::Connection,
    http: Option<h3::Connection>,
    stream: u64,
    reply: Reply,
}

fn connect(probe: &Probe, local: SocketAddr) -> Result<quiche::Connection, String> {
    let context = context_for_quic(&ClientTlsOptions {
        server_name: &probe.tls.server_name,
        host: "",
        is_verified: probe.tls.is_verified,
        ca_pem: &probe.tls.ca_pem,
        credentials: &probe.tls.credentials,
        versions: (TlsVersion::V13, TlsVersion::V13),
        pins: &probe.tls.pins,
    });
    let context = context.map_err(|error| error.to_string())?;
    let mut config = quiche::Config::with_boring_ssl_ctx_builder(quiche::PROTOCOL_VERSION, context).map_err(text)?;
    config.set_application_protos(h3::APPLICATION_PROTOCOL).map_err(text)?;
    config.verify_peer(probe.tls.is_verified);
    config.set_max_idle_timeout(probe.timeout.as_millis() as u64);
    config.set_initial_max_data(2 * WINDOW_BYTES);
    config.set_initial_max_stream_data_bidi_local(WINDOW_BYTES);
    config.set_initial_max_stream_data_uni(WINDOW_BYTES);
    config.set_initial_max_streams_uni(8);
    let mut id = [0; 16];
    rand_bytes(&mut id).map_err(text)?;
    let id = quiche::ConnectionId::from_ref(&id);
    // An IP address is not a server name (RFC 6066 §3).
    let name = Some(&probe.tls.server_name[..]).filter(|name| name.parse::<IpAddr>().is_err());
    let mut quic = quiche::connect(name, &id, local, probe.address, &mut config).map_err(text)?;
    if probe.tls.is_verified {
        let ssl: &mut SslRef = quic.as_mut();
        prove(ssl, &probe.tls.server_name).map_err(text)?;
    }
    Ok(quic)
}

impl Client {
    /// Sends pending packets.
    fn send(&mut self, socket: &UdpSocket) -> Result<(), String> {
        let mut datagram = [0; 1500];
        while let Ok((length, _)) = self.quic.send(&mut datagram) {
            match socket.send(&datagram[..length]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(text(error)),
            }
        }
        Ok(())
    }

    /// Closes the connection, as far as packets can be sent.
    fn close(&mut self, socket: &UdpSocket) {
        let _ = self.quic.close(true, h3::WireErrorCode::NoError as u64, b"");
        let _ = self.send(socket);
    }

    /// Sends the request once the connection is established, and reads; whether the response is
    /// complete.
    fn advance(&mut self, probe: &Probe) -> Result<bool, String> {
        if self.http.is_none() && self.quic.is_established() {
            let config = h3::Config::new().map_err(text)?;
            let mut http = h3::Connection::with_transport(&mut self.quic, &config).map_err(text)?;
            let head = [
                Header::new(b":method", probe.method.as_bytes()),
                Header::new(b":scheme", b"https"),
                Header::new(b":authority", probe.authority.as_bytes()),
                Header::new(b":path", probe.path.as_bytes()),
                Header::new(b"user-agent", probe.user_agent.as_bytes()),
                Header::new(b"accept", b"*/*"),
            ];
            self.stream = http.send_request(&mut self.quic, &head, true).map_err(text)?;
            self.http = Some(http);
        }
        let Some(http) = &mut self.http else { return Ok(false) };
        loop {
            match http.poll(&mut self.quic) {
                Ok((id, event)) if id == self.stream => match event {
                    h3::Event::Headers { list, .. } if self.reply.status == 0 => {
                        let status = list.iter().find(|field| field.name() == b":status");
                        let status = status.and_then(|field| std::str::from_utf8(field.value()).ok()?.parse().ok()).unwrap_or(0);
                        if status >= 200 {
                            self.reply.status = status;
                        }
                    }
                    h3::Event::Data => {
                        let mut part = [0; 16_384];
                        while let Ok(count) = http.recv_body(&mut self.quic, id, &mut part) {
                            let room = probe.body_bytes - self.reply.body.len();
                            self.reply.body.extend_from_slice(&part[..count.min(room)]);
                        }
                    }
                    h3::Event::Finished if self.reply.status == 0 => return Err("the stream ended without a response".to_owned()),
                    h3::Event::Finished => return Ok(true),
                    h3::Event::Reset(code) => return Err(format!("the stream was reset with 0x{code:x}")),
                    _ => {}
                },
                Ok(_) => {}
                Err(h3::Error::Done) => return Ok(self.reply.status != 0 && self.reply.body.len() >= probe.body_bytes),
                Err(error) => return Err(text(error)),
            }
        }
    }

    /// Why the connection ended. Its idle timeout equals the call's timeout, so either may come
    /// first.
    fn fault(&mut self, probe: &Probe) -> String {
        if let Some(error) = self.quic.peer_error() {
            return match Failure::of_quic_alert(error.error_code).filter(|_| !error.is_app) {
                Some(failure) => failure.to_string(),
                None => format!("the backend closed the connection with 0x{:x}", error.error_code),
            };
        }
        let is_over_time = self.quic.is_timed_out();
        let ssl: &mut SslRef = self.quic.as_mut();
        match Failure::of_verification(ssl) {
            Some(failure) => failure.to_string(),
            None if is_over_time => no_answer(probe),
            None => "the connection ended".to_owned(),
        }
    }
}

fn no_answer(probe: &Probe) -> String {
    format!("no answer in {} ms", probe.timeout.as_millis())
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
