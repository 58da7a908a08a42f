//! One listening address in a shard: its socket, TLS and transport settings, and output.

pub mod places;
pub mod settings;

use crate::base::counters::Counters;
use crate::base::slab::Key;
use crate::base::timers::Nanos;
use crate::downstream::connection::Connection;
use crate::quic::clients::ClientLimit;
use crate::quic::count::ConnectionCount;
use crate::quic::send::Sender;
use crate::quic::socket;
use crate::tls::server;
use crate::tls::store::CertificateStore;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

pub use settings::ListenerSettings;

/// Connections of a place, counted over all shards. Every socket of the place holds it.
#[derive(Debug, Default)]
pub struct PlaceCount {
    connections: AtomicUsize,
}

impl PlaceCount {
    /// Connections that use its sockets.
    pub fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }
}

/// A socket of a place.
pub struct ListenerSocket {
    fd: OwnedFd,
    count: Arc<PlaceCount>,
}

impl ListenerSocket {
    /// A bound socket.
    pub fn new(fd: OwnedFd, count: &Arc<PlaceCount>) -> ListenerSocket {
        ListenerSocket { fd, count: count.clone() }
    }

    /// Its descriptor.
    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// Options of a listener in one shard.
pub struct ListenerOptions {
    /// Number of its place, the same in all shards: a listener has one for each address.
    pub place: u32,
    /// Number of the listener, as in records.
    pub number: u32,
    /// Whether new connections are refused and open ones drained.
    pub is_retiring: bool,
    /// Bound socket, which the reactor will own. None if the reactor has it already.
    pub socket: Option<ListenerSocket>,
    /// Certificates, shared by all shards.
    pub certificates: Arc<CertificateStore>,
    /// Open connections, counted over all shards.
    pub connections: ConnectionCount,
    /// Limit of one client's connections; none for no limit.
    pub client_limit: Option<ClientLimit>,
    /// Other settings.
    pub settings: ListenerSettings,
}

/// A running listener: a socket and the settings of its connections.
pub struct Listener {
    socket: ListenerSocket,
    /// Number of the listener that it belongs to.
    pub number: u32,
    /// Address it is bound to.
    pub local: SocketAddr,
    /// Certificates, and the requirements for clients.
    pub certificates: Arc<CertificateStore>,
    /// Version of those requirements that its connections were checked against.
    pub clients_version: u64,
    /// Configuration of new connections.
    template: Template,
    /// Outgoing packets.
    pub output: Output,
    /// Datagrams that the socket dropped because its receive buffer was full, modulo 2^32.
    pub overflows: u32,
    /// Open connections of this listener, counted over all shards.
    pub connections: ConnectionCount,
    /// Limit of one client's connections.
    pub client_limit: Option<ClientLimit>,
    /// Connections of this shard that use its socket.
    own: usize,
    /// Whether new connections are refused.
    pub is_retiring: bool,
    /// Whether the socket is closed after its last connection.
    pub is_closing: bool,
    /// Settings.
    pub settings: ListenerSettings,
}

/// Output of a socket.
pub struct Output {
    /// Packets to send.
    pub sender: Sender,
    /// Whether the kernel was full at the last flush.
    pub is_blocked: bool,
    /// Connections that wait for room in the socket.
    pub held_up: Vec<Key>,
}

/// Configuration of new connections.
struct Template {
    config: quiche::Config,
    /// Lifetime of their session tickets.
    ticket_lifetime: Option<Duration>,
    /// Whether their windows stay at the small initial size.
    is_tight: bool,
}

/// The fallible part of setting up or changing a listener.
pub struct Prepared {
    local: SocketAddr,
    /// None to keep the present one.
    config: Option<quiche::Config>,
}

impl Listener {
    /// Does what can fail in setting up a listener, or in changing `present`.
    pub fn prepare(options: &ListenerOptions, present: Option<&Listener>, counters: &Arc<Counters>) -> io::Result<Prepared> {
        let local = match (present, &options.socket) {
            (Some(present), _) => present.local,
            (None, Some(socket)) => socket::local_address(socket.fd.as_raw_fd())?,
            (None, None) => return Err(io::Error::other(format!("there is no socket for place {}", options.place))),
        };
        let is_same = present.is_some_and(|present| {
            Arc::ptr_eq(&present.certificates, &options.certificates)
                && present.template.ticket_lifetime == options.certificates.ticket_lifetime()
                && present.settings.is_config_of(&options.settings)
        });
        if is_same {
            return Ok(Prepared { local, config: None });
        }
        let context =
            server::context(options.certificates.clone(), &options.settings.groups, counters.clone()).map_err(io::Error::other)?;
        Ok(Prepared { local, config: Some(options.settings.quic.config(context).map_err(io::Error::other)?) })
    }

    /// Creates a listener; none if a part is missing that only a new one needs.
    pub fn new(options: ListenerOptions, prepared: Prepared) -> Option<Listener> {
        let (Some(socket), Some(config)) = (options.socket, prepared.config) else { return None };
        let ListenerOptions { number, is_retiring, certificates, connections, client_limit, settings, .. } = options;
        if settings.quic.is_gro_allowed {
            socket::set_gro(&socket.fd, true);
        }
        let is_gso = settings.quic.is_gso_allowed && socket::probe_gso(&socket.fd);
        Some(Listener {
            number,
            local: prepared.local,
            clients_version: certificates.clients_version(),
            template: Template { config, ticket_lifetime: certificates.ticket_lifetime(), is_tight: false },
            output: Output {
                sender: Sender::new(socket.fd.as_raw_fd(), is_gso, prepared.local.ip().is_unspecified()),
                is_blocked: false,
                held_up: Vec::new(),
            },
            socket,
            overflows: 0,
            connections,
            client_limit,
            own: 0,
            is_retiring,
            is_closing: false,
            settings,
            certificates,
        })
    }

    /// Applies other options. Open connections keep what was negotiated.
    pub fn change(&mut self, options: ListenerOptions, prepared: Prepared) {
        let ListenerOptions { number, is_retiring, certificates, connections, client_limit, settings, .. } = options;
        if settings.quic.is_gro_allowed != self.settings.quic.is_gro_allowed {
            socket::set_gro(&self.socket.fd, settings.quic.is_gro_allowed);
        }
        if settings.quic.is_gso_allowed != self.settings.quic.is_gso_allowed {
            self.output.sender.set_gso(settings.quic.is_gso_allowed && socket::probe_gso(&self.socket.fd));
        }
        let buffers = |settings: &ListenerSettings| (settings.quic.receive_buffer, settings.quic.send_buffer);
        if buffers(&settings) != buffers(&self.settings) {
            socket::size_buffers(&self.socket.fd, buffers(&settings));
        }
        if let Some(config) = prepared.config {
            self.template = Template { config, ticket_lifetime: certificates.ticket_lifetime(), is_tight: false };
        }
        (self.is_retiring, self.is_closing) = (is_retiring, false);
        (self.number, self.certificates, self.connections) = (number, certificates, connections);
        (self.client_limit, self.settings) = (client_limit, settings);
    }

    /// Drops pending output; socket and settings stay.
    pub fn start_over(&mut self) {
        let Output { sender, is_blocked, held_up } = &mut self.output;
        *sender = sender.renewed();
        *is_blocked = false;
        held_up.clear();
        self.socket.count.connections.fetch_sub(self.own, Relaxed);
        self.own = 0;
    }

    /// Counts a connection that uses its socket.
    pub fn enter(&mut self) {
        self.own += 1;
        self.socket.count.connections.fetch_add(1, Relaxed);
    }

    /// Subtracts one again.
    pub fn leave(&mut self) {
        self.own -= 1;
        self.socket.count.connections.fetch_sub(1, Relaxed);
    }

    /// Whether its socket is to be closed and no connection uses it any more.
    pub fn is_done(&self) -> bool {
        self.is_closing && self.own == 0
    }

    /// Interval at which clients with open requests are sent a PING; 0 for never.
    pub fn keep_alive(&self) -> Nanos {
        // At most half the idle timeout, so that a lost PING is sent again in time.
        self.settings.quic.keep_alive_ms.min(self.settings.quic.idle_timeout_ms / 2) * 1_000_000
    }

    /// Time limit of handshakes.
    pub fn handshake_timeout(&self) -> Nanos {
        self.settings.quic.handshake_timeout_ms * 1_000_000
    }

    /// Makes a connection wait until the socket has room.
    pub fn hold_up(&mut self, key: Key, connection: &mut Connection) {
        connection.protocol.wait_for_socket();
        if !connection.listed.is_held_up {
            connection.listed.is_held_up = true;
            self.output.held_up.push(key);
        }
    }

    /// Configuration of a new connection. If memory is tight, windows keep their small initial
    /// size; otherwise quiche grows them while data is read quickly.
    pub fn config(&mut self, is_tight: bool) -> &mut quiche::Config {
        let Template { config, is_tight: was_tight, .. } = &mut self.template;
        if is_tight != *was_tight {
            *was_tight = is_tight;
            self.settings.quic.set_windows(config, is_tight);
        }
        config
    }

    /// Whether a connection with this generation of the requirements for clients (0 for none) came
    /// too late to be rechecked with the others.
    pub fn is_late(&self, generation: u64) -> bool {
        let version = self.certificates.clients_version();
        let is_asking = version & 1 == 1;
        if generation == 0 { is_asking } else { generation != version >> 1 }
    }

    /// Its descriptor.
    pub fn fd(&self) -> RawFd {
        self.socket.fd.as_raw_fd()
    }
}
