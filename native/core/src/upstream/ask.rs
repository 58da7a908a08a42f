//! One question over HTTP/3, on a connection of its own: what active health asks of a backend. The
//! backend is held against what traffic holds it against (authorities, name, pinned keys) and is
//! shown the same certificate. It waits for the answer, and so is for a thread of its own.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use boring::rand::rand_bytes;
use boring::ssl::SslRef;
use quiche::h3::{self, Header, NameValue};

use super::config::TlsConfig;
use crate::tls::client::{ClientTlsOptions, Failure, TlsVersion, context_for_quic, prove};

/// How often somebody who waits looks whether the answer is still wanted.
const LOOK: Duration = Duration::from_millis(100);

/// Bytes that a backend may send ahead of us.
const WINDOW_BYTES: u64 = 256 * 1024;

/// What is asked, and of whom.
#[derive(Clone, Debug)]
pub struct Question {
    /// Where the backend is.
    pub address: SocketAddr,
    /// What it has to prove, and what it is shown. An address as server name is proven, and not sent. QUIC
    /// has TLS 1.3 only, whatever the versions are.
    pub tls: TlsConfig,
    /// `GET` or `HEAD`.
    pub method: String,
    /// Who is asked for.
    pub authority: String,
    /// With its query.
    pub path: String,
    /// Who asks.
    pub user_agent: String,
    /// How long all of it may take.
    pub timeout: Duration,
    /// Bytes of the body that are wanted.
    pub body_bytes: usize,
}

/// What was answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Of the final response.
    pub status: u16,
    /// As much of the body as was wanted.
    pub body: Vec<u8>,
}

/// Asks, and waits for the answer; what went wrong is said in one line. Once `is_cancelled` it ends
/// within a moment.
pub fn ask(question: &Question, is_cancelled: &AtomicBool) -> Result<Reply, String> {
    let deadline = Instant::now() + question.timeout;
    let socket = UdpSocket::bind(match question.address {
        SocketAddr::V4(_) => SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        SocketAddr::V6(_) => SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
    });
    let socket = socket.map_err(words)?;
    socket.connect(question.address).map_err(words)?;
    let local = socket.local_addr().map_err(words)?;
    let mut asking = Asking { quic: connect(question, local)?, http: None, stream: 0, reply: Reply::default() };
    let mut datagram = [0; 65_535];
    loop {
        asking.send(&socket)?;
        if asking.advance(question)? {
            asking.close(&socket);
            return Ok(asking.reply);
        }
        if asking.quic.is_closed() {
            return Err(asking.fault(question));
        }
        asking.send(&socket)?;
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || is_cancelled.load(Ordering::Relaxed) {
            asking.close(&socket);
            return Err(if left.is_zero() { no_answer(question) } else { "not wanted any more".to_owned() });
        }
        let wait = asking.quic.timeout().unwrap_or(LOOK).min(left).min(LOOK).max(Duration::from_millis(1));
        socket.set_read_timeout(Some(wait)).map_err(words)?;
        match socket.recv(&mut datagram) {
            Ok(length) => {
                let info = quiche::RecvInfo { from: question.address, to: local };
                if asking.quic.recv(&mut datagram[..length], info).is_err() {
                    asking.send(&socket)?;
                    return Err(asking.fault(question));
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {
                asking.quic.on_timeout();
            }
            Err(error) => return Err(words(error)),
        }
    }
}

struct Asking {
    quic: quiche::Connection,
    http: Option<h3::Connection>,
    stream: u64,
    reply: Reply,
}

fn connect(question: &Question, local: SocketAddr) -> Result<quiche::Connection, String> {
    let context = context_for_quic(&ClientTlsOptions {
        server_name: &question.tls.server_name,
        host: "",
        is_verified: question.tls.is_verified,
        ca_pem: &question.tls.ca_pem,
        credentials: &question.tls.credentials,
        versions: (TlsVersion::V13, TlsVersion::V13),
        pins: &question.tls.pins,
    });
    let context = context.map_err(|error| error.to_string())?;
    let mut config = quiche::Config::with_boring_ssl_ctx_builder(quiche::PROTOCOL_VERSION, context).map_err(words)?;
    config.set_application_protos(h3::APPLICATION_PROTOCOL).map_err(words)?;
    config.verify_peer(question.tls.is_verified);
    config.set_max_idle_timeout(question.timeout.as_millis() as u64);
    config.set_initial_max_data(2 * WINDOW_BYTES);
    config.set_initial_max_stream_data_bidi_local(WINDOW_BYTES);
    config.set_initial_max_stream_data_uni(WINDOW_BYTES);
    config.set_initial_max_streams_uni(8);
    let mut id = [0; 16];
    rand_bytes(&mut id).map_err(words)?;
    let id = quiche::ConnectionId::from_ref(&id);
    // An address is no server name (RFC 6066 §3).
    let name = Some(&question.tls.server_name[..]).filter(|name| name.parse::<IpAddr>().is_err());
    let mut quic = quiche::connect(name, &id, local, question.address, &mut config).map_err(words)?;
    if question.tls.is_verified {
        let ssl: &mut SslRef = quic.as_mut();
        prove(ssl, &question.tls.server_name).map_err(words)?;
    }
    Ok(quic)
}

impl Asking {
    /// Sends what is to be sent.
    fn send(&mut self, socket: &UdpSocket) -> Result<(), String> {
        let mut datagram = [0; 1500];
        while let Ok((length, _)) = self.quic.send(&mut datagram) {
            match socket.send(&datagram[..length]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(words(error)),
            }
        }
        Ok(())
    }

    /// Says goodbye, as far as it goes.
    fn close(&mut self, socket: &UdpSocket) {
        let _ = self.quic.close(true, h3::WireErrorCode::NoError as u64, b"");
        let _ = self.send(socket);
    }

    /// Asks as soon as it can, and takes what has come; whether that is all that is wanted.
    fn advance(&mut self, question: &Question) -> Result<bool, String> {
        if self.http.is_none() && self.quic.is_established() {
            let config = h3::Config::new().map_err(words)?;
            let mut http = h3::Connection::with_transport(&mut self.quic, &config).map_err(words)?;
            let head = [
                Header::new(b":method", question.method.as_bytes()),
                Header::new(b":scheme", b"https"),
                Header::new(b":authority", question.authority.as_bytes()),
                Header::new(b":path", question.path.as_bytes()),
                Header::new(b"user-agent", question.user_agent.as_bytes()),
                Header::new(b"accept", b"*/*"),
            ];
            self.stream = http.send_request(&mut self.quic, &head, true).map_err(words)?;
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
                            let room = question.body_bytes - self.reply.body.len();
                            self.reply.body.extend_from_slice(&part[..count.min(room)]);
                        }
                    }
                    h3::Event::Finished if self.reply.status == 0 => return Err("the stream ended without a response".to_owned()),
                    h3::Event::Finished => return Ok(true),
                    h3::Event::Reset(code) => return Err(format!("the stream was reset with 0x{code:x}")),
                    _ => {}
                },
                Ok(_) => {}
                Err(h3::Error::Done) => return Ok(self.reply.status != 0 && self.reply.body.len() >= question.body_bytes),
                Err(error) => return Err(words(error)),
            }
        }
    }

    /// Why the connection is over. Its idle timeout is the question's timeout, so either may come first.
    fn fault(&mut self, question: &Question) -> String {
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
            None if is_over_time => no_answer(question),
            None => "the connection ended".to_owned(),
        }
    }
}

fn no_answer(question: &Question) -> String {
    format!("no answer in {} ms", question.timeout.as_millis())
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}
