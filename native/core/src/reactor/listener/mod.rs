//! One listening address as a shard sees it: its socket, its TLS and transport settings, what is ready to be sent.

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

/// What all shards count of a place together. It is held by every socket of the place, beside
/// whoever asks.
#[derive(Debug, Default)]
pub struct PlaceCount {
    connections: AtomicUsize,
}

impl PlaceCount {
    /// Connections that send by its sockets.
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

/// A shard's part of a listener.
pub struct ListenerOptions {
    /// Number of its socket in all shards: a listener has another one for every address that it
    /// gets.
    pub place: u32,
    /// Number of the listener, which records tell.
    pub number: u32,
    /// Nobody new is let in, and who is connected is told to go.
    pub is_retiring: bool,
    /// Bound socket, owned from now on. None where the reactor has it.
    pub socket: Option<ListenerSocket>,
    /// Its certificates, which all shards share.
    pub certificates: Arc<CertificateStore>,
    /// Connections that are open, in all shards.
    pub connections: ConnectionCount,
    /// How many of them a client may have; none for as many as there are.
    pub client_limit: Option<ClientLimit>,
    /// The rest.
    pub settings: ListenerSettings,
}

/// A listener at work: a socket, and what becomes of who comes to it.
pub struct Listener {
    socket: ListenerSocket,
    /// Number of the listener it is a socket of.
    pub number: u32,
    /// Address it is bound to.
    pub local: SocketAddr,
    /// Its certificates, and what clients must prove.
    pub certificates: Arc<CertificateStore>,
    /// Version of the latter that its connections were held against.
    pub clients_version: u64,
    /// What new connections are made with.
    template: Template,
    /// What leaves by its socket.
    pub output: Output,
    /// Datagrams that its socket is known to have dropped because its receive buffer was full, modulo 2^32.
    pub overflows: u32,
    /// Connections of this listener that are open, in all shards.
    pub connections: ConnectionCount,
    /// Limit of those of one client.
    pub client_limit: Option<ClientLimit>,
    /// Connections of this shard that send by its socket.
    own: usize,
    /// Nobody new is let in.
    pub is_retiring: bool,
    /// The socket is closed after the last connection.
    pub is_closing: bool,
    /// What it does.
    pub settings: ListenerSettings,
}

/// What leaves by a socket.
pub struct Output {
    /// Packets on their way out.
    pub sender: Sender,
    /// Whether the kernel took no more at the last flush.
    pub is_blocked: bool,
    /// Connections that wait for its room.
    pub held_up: Vec<Key>,
}

/// What new connections are made with.
struct Template {
    config: quiche::Config,
    /// How long their tickets live.
    ticket_lifetime: Option<Duration>,
    /// Whether they keep their first windows, which are small.
    is_tight: bool,
}

/// What a listener is set up or changed with once nothing can fail any more.
pub struct Prepared {
    local: SocketAddr,
    /// None where the present one stays.
    config: Option<quiche::Config>,
}

impl Listener {
    /// What can fail of setting a listener up, or of changing `present`.
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

    /// Sets a listener up; none without what only a new one needs.
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

    /// Obeys other options. Connections that are open keep what was agreed with their clients.
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

    /// Forgets what was under way; socket and settings stay.
    pub fn start_over(&mut self) {
        let Output { sender, is_blocked, held_up } = &mut self.output;
        *sender = sender.renewed();
        *is_blocked = false;
        held_up.clear();
        self.socket.count.connections.fetch_sub(self.own, Relaxed);
        self.own = 0;
    }

    /// A connection sends by its socket from now on.
    pub fn enter(&mut self) {
        self.own += 1;
        self.socket.count.connections.fetch_add(1, Relaxed);
    }

    /// One does no more.
    pub fn leave(&mut self) {
        self.own -= 1;
        self.socket.count.connections.fetch_sub(1, Relaxed);
    }

    /// Whether its socket is to be closed, and no connection is left that sends by it.
    pub fn is_done(&self) -> bool {
        self.is_closing && self.own == 0
    }

    /// How often clients with open requests are asked whether they are still there; 0 for never.
    pub fn keep_alive(&self) -> Nanos {
        // Half, so that a PING which is lost is sent again in time.
        self.settings.quic.keep_alive_ms.min(self.settings.quic.idle_timeout_ms / 2) * 1_000_000
    }

    /// Handshakes that take longer are given up.
    pub fn handshake_timeout(&self) -> Nanos {
        self.settings.quic.handshake_timeout_ms * 1_000_000
    }

    /// A connection waits until the socket has room.
    pub fn hold_up(&mut self, key: Key, connection: &mut Connection) {
        connection.protocol.wait_for_socket();
        if !connection.listed.is_held_up {
            connection.listed.is_held_up = true;
            self.output.held_up.push(key);
        }
    }

    /// What a new connection is made with. Where memory is tight its windows stay as small as they
    /// begin; otherwise quiche lets them grow while what comes is taken quickly.
    pub fn config(&mut self, is_tight: bool) -> &mut quiche::Config {
        let Template { config, is_tight: was_tight, .. } = &mut self.template;
        if is_tight != *was_tight {
            *was_tight = is_tight;
            self.settings.quic.set_windows(config, is_tight);
        }
        config
    }

    /// Whether a connection that obeys this generation of what clients must prove, zero for none,
    /// came too late to be held against the present one with the others.
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
