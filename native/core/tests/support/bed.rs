//! The bed a test lies in: shards driven by their descriptors in the test's own thread, clients, an
//! origin, and a teardown that notices what was left behind.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use lychgate_core::base::budget::Budget;
use lychgate_core::base::counters::{Id, offset};
use lychgate_core::base::panics;
use lychgate_core::plan::Plan;
use lychgate_core::quic::cid::CidKey;
use lychgate_core::quic::clients::{ClientCounts, ClientLimit};
use lychgate_core::quic::count::ConnectionCount;
use lychgate_core::quic::socket as udp;
use lychgate_core::reactor::listener::settings::{Congestion, EscapedSlashes, Http, Normalise, Quic};
use lychgate_core::reactor::listener::{ListenerOptions, ListenerSettings, ListenerSocket, PlaceCount};
use lychgate_core::reactor::{Reactor, ReactorOptions, Snapshot, switchboard};
use lychgate_core::relay::BackendTable;
use lychgate_core::tls::store::CertificateStore;
use lychgate_core::upstream::{BackendConfig, Scheme, SessionLimits, TlsConfig};

use super::certificate;
use super::client::{self, Client, Kind, Received, Request};
use super::lane::Lane;
use super::origin::Origin;

/// Patience of every wait.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of a backend's slot in the shared table.
const SLOT_BYTES: usize = 64;
/// What is left of connections whose listener has gone is cut after this, in nanoseconds.
pub const DRAIN: u64 = 60_000_000_000;
/// Slots of the shared table.
const SLOTS: usize = 4;

/// What a test may want otherwise.
#[derive(Clone, Debug)]
pub struct Setup {
    pub shards: u8,
    pub idle_timeout_ms: u64,
    pub keep_alive_ms: u64,
    pub handshake_timeout_ms: u64,
    pub max_connections: usize,
    /// Connections that a client may have, an address of IPv4 or a /64; 0 for no such limit.
    pub max_per_client: u32,
    /// Blocks of addresses that have no such limit.
    pub exempt: &'static [&'static str],
    pub max_exchanges: usize,
    /// Bytes that all shards together may hold for peers.
    pub max_held: u64,
    pub stateless_replies: u32,
    pub max_head_bytes: usize,
    pub max_fields: usize,
    /// Bytes a second that a client has to move, and the time over which that is measured.
    pub min_rate: u64,
    pub min_rate_period_ms: u64,
    /// Names of the certificate beside `localhost`.
    pub certificate_names: usize,
    /// Key exchange in order of preference.
    pub groups: &'static str,
    /// Congestion control of what is sent.
    pub congestion: Congestion,
    /// Whether packets wait for their release time.
    pub is_paced: bool,
    pub max_cookie_crumbs: usize,
    /// How heads are made canonical.
    pub normalise: Normalise,
    /// Request bytes that wait for a backend, a stream.
    pub request_window: u64,
    /// Response bytes that wait for a client, a stream.
    pub response_window: u32,
    /// What the kernel keeps of packets that nobody has taken yet.
    pub receive_buffer: usize,
    /// What the kernel keeps of packets on their way out.
    pub send_buffer: usize,
    /// Plans of the snapshot.
    pub plans: Vec<Plan>,
    /// Sessions that a shard may have to a backend.
    pub max_sessions: u32,
    /// Streams that may be open on one.
    pub max_streams: u32,
    /// Whether backend 0 is where nobody listens.
    pub has_dead_backend: bool,
    /// Whether there are three backends more: 1 is another origin, 2 takes connections and says
    /// nothing, 3 does not even take them.
    pub has_others: bool,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            shards: 1,
            idle_timeout_ms: 30_000,
            keep_alive_ms: 10_000,
            handshake_timeout_ms: 10_000,
            max_connections: 100,
            max_per_client: 0,
            exempt: &[],
            max_exchanges: 1_000,
            max_held: 1 << 30,
            stateless_replies: 1_000,
            max_head_bytes: 16_384,
            max_fields: 64,
            min_rate: 100,
            min_rate_period_ms: 60_000,
            certificate_names: 0,
            groups: lychgate_core::tls::server::GROUPS,
            congestion: Congestion::Bbr,
            is_paced: true,
            max_cookie_crumbs: 512,
            normalise: Normalise { is_on: true, are_slashes_merged: true, escaped_slashes: EscapedSlashes::Keep },
            request_window: 64 * 1024,
            response_window: 64 * 1024,
            receive_buffer: 1 << 20,
            send_buffer: 1 << 20,
            plans: Vec::new(),
            max_sessions: 4,
            max_streams: 100,
            has_dead_backend: false,
            has_others: false,
        }
    }
}

pub struct Shard {
    pub reactor: Reactor,
    pub lane: Lane,
}

impl Shard {
    /// A counter without labels.
    pub fn count(&self, id: Id) -> u64 {
        self.reactor.counters().get(id)
    }

    /// One series of a counter.
    pub fn count_of(&self, id: Id, series: usize) -> u64 {
        self.reactor.counters().copy()[offset(id as usize) + series] as u64
    }
}

pub struct Bed {
    pub shards: Vec<Shard>,
    pub clients: Vec<Client>,
    pub origin: Origin,
    /// Backend 1, where the setup has one.
    other: Option<Origin>,
    /// Connections of all shards.
    pub connections: ConnectionCount,
    /// The same by client.
    pub by_client: ClientCounts,
    /// Certificates of all shards.
    pub certificates: Arc<CertificateStore>,
    /// Backends of the snapshot.
    known: Vec<BackendConfig>,
    _silent: TcpListener,
    _deaf: Deaf,
    pub address: SocketAddr,
    table: Box<[u64; SLOTS * SLOT_BYTES / 8]>,
    /// Bytes that the shards hold.
    pub budget: Arc<Budget>,
    /// By place: what its sockets count.
    counts: BTreeMap<u32, Arc<PlaceCount>>,
    /// What the shards were told last: where they listen, with the number of the listener, and
    /// whether the place retires.
    told: BTreeMap<u32, (u32, bool)>,
    /// Addresses of the places where the shards listen.
    places: BTreeMap<u32, SocketAddr>,
    pub setup: Setup,
}

impl Bed {
    pub fn new() -> Bed {
        Bed::with(Setup::default())
    }

    pub fn with(setup: Setup) -> Bed {
        let origin = Origin::start();
        let other = setup.has_others.then(Origin::start);
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let deaf = Deaf::new();
        let table = Box::new([0u64; SLOTS * SLOT_BYTES / 8]);
        let (ports, inboxes) = switchboard::connect(setup.shards as usize).unwrap();
        let cid_key = CidKey::new(&[0x6b; 32]);
        let budget = Arc::new(Budget::new(setup.max_held));
        let mut address = SocketAddr::from(([127, 0, 0, 1], 0));
        let connections = ConnectionCount::default();
        let by_client = ClientCounts::default();
        let first = vec![certificate::localhost(setup.certificate_names)];
        let certificates = Arc::new(CertificateStore::new(first, certificate::policy()).unwrap());
        let count = Arc::default();
        let mut shards = Vec::new();
        let mut known = Vec::new();
        for (shard, inbox) in inboxes.into_iter().enumerate() {
            let socket = udp::open(address, setup.receive_buffer, setup.send_buffer).unwrap();
            address = udp::local_address(socket.as_raw_fd()).unwrap();
            let options = ReactorOptions {
                shard: shard as u8,
                generation: 0,
                cid_key,
                max_exchanges: setup.max_exchanges,
                stateless_replies: setup.stateless_replies,
                // SAFETY: the bed drops its shards before its table.
                table: unsafe { BackendTable::new(table.as_ptr().cast(), size_of_val(&*table)) },
                ports: ports.clone(),
                inbox,
                budget: budget.clone(),
            };
            let mut reactor = Reactor::new(options).unwrap();
            let socket = ListenerSocket::new(socket, &count);
            let mut listeners = vec![listener(0, 0, Some(socket), &setup, &connections, &by_client, certificates.clone())];
            reactor.listen(&mut listeners, DRAIN).unwrap();
            let first = if setup.has_dead_backend { SocketAddr::from(([127, 0, 0, 1], 1)) } else { origin.address };
            let mut backends = vec![backend(0, first, &setup)];
            if let Some(other) = &other {
                backends.extend([
                    backend(1, other.address, &setup),
                    backend(2, silent.local_addr().unwrap(), &setup),
                    backend(3, deaf.address, &setup),
                ]);
            }
            reactor.apply(Snapshot { backends: backends.clone(), reserved: Default::default(), telling: Default::default() });
            reactor.learn_plans((0..).zip(setup.plans.clone()));
            known = backends;
            let lane = Lane::new(reactor.region());
            shards.push(Shard { reactor, lane });
        }
        Bed {
            shards,
            clients: Vec::new(),
            origin,
            other,
            known,
            connections,
            by_client,
            certificates,
            _silent: silent,
            _deaf: deaf,
            address,
            table,
            budget,
            counts: BTreeMap::from([(0, count)]),
            told: BTreeMap::from([(0, (0, false))]),
            places: BTreeMap::from([(0, address)]),
            setup,
        }
    }

    /// The origin that is backend 1.
    pub fn other(&self) -> &Origin {
        self.other.as_ref().expect("a setup with others")
    }

    /// The first shard.
    pub fn shard(&mut self) -> &mut Shard {
        &mut self.shards[0]
    }

    // ---- listeners

    /// Has every shard listen in these places, each with the number of its listener, and lets the
    /// others retire, whose sockets are closed after the last connection. Sockets are opened where
    /// there is none yet; their addresses are the answer, by place.
    pub fn listen(&mut self, places: &[(u32, u32)], drain: u64) -> Vec<SocketAddr> {
        let mut wanted: BTreeMap<u32, (u32, bool)> = self.told.iter().map(|(place, (number, _))| (*place, (*number, true))).collect();
        wanted.extend(places.iter().map(|(place, number)| (*place, (*number, false))));
        self.tell(wanted, drain);
        places.iter().map(|(place, _)| self.places[place]).collect()
    }

    fn tell(&mut self, wanted: BTreeMap<u32, (u32, bool)>, drain: u64) {
        let fresh: Vec<u32> = wanted.keys().copied().filter(|place| !self.told.contains_key(place)).collect();
        for place in &fresh {
            self.places.insert(*place, SocketAddr::from(([127, 0, 0, 1], 0)));
            self.counts.insert(*place, Arc::default());
        }
        for shard in 0..self.shards.len() {
            let mut options = Vec::new();
            for (place, (number, is_retiring)) in &wanted {
                let socket = fresh.contains(place).then(|| {
                    let socket = udp::open(self.places[place], self.setup.receive_buffer, self.setup.send_buffer).unwrap();
                    self.places.insert(*place, udp::local_address(socket.as_raw_fd()).unwrap());
                    ListenerSocket::new(socket, &self.counts[place])
                });
                options.push(ListenerOptions { is_retiring: *is_retiring, ..self.option(*place, *number, socket) });
            }
            self.shards[shard].reactor.listen(&mut options, drain).unwrap();
        }
        self.told = wanted;
    }

    /// What the main thread does: places that retired and have no connection any more are closed.
    fn sweep(&mut self) {
        let is_done = |bed: &Bed, place: &u32, is_retiring: bool| is_retiring && bed.counts[place].connections() == 0;
        let left: BTreeMap<_, _> = self.told.clone().into_iter().filter(|(place, (_, retires))| !is_done(self, place, *retires)).collect();
        if left.len() < self.told.len() {
            self.tell(left, DRAIN);
        }
    }

    /// What a shard is told of a place.
    pub fn option(&self, place: u32, number: u32, socket: Option<ListenerSocket>) -> ListenerOptions {
        listener(place, number, socket, &self.setup, &self.connections, &self.by_client, self.certificates.clone())
    }

    /// The same with another setup for all that listens.
    pub fn resettle(&mut self, setup: Setup, places: &[(u32, u32)]) {
        self.setup = setup;
        self.listen(places, DRAIN);
    }

    /// Sockets of listeners that are open in all shards.
    pub fn open_sockets(&self) -> usize {
        self.counts.values().map(|count| Arc::strong_count(count) - 1).sum()
    }

    // ---- clients

    /// A client whose handshake is done; its place among the clients.
    pub fn connect(&mut self, kind: Kind) -> usize {
        self.connect_from(kind, client::socket(), 1 << 20)
    }

    /// The same from a socket of the test's, with a window for each response.
    pub fn connect_from(&mut self, kind: Kind, socket: UdpSocket, stream_window: u64) -> usize {
        self.adopt(Client::new(kind, self.address, socket, stream_window))
    }

    /// Takes a client of the test's and waits for its handshake.
    pub fn adopt(&mut self, client: Client) -> usize {
        self.clients.push(client);
        let place = self.clients.len() - 1;
        self.until("a handshake", |bed| bed.clients[place].is_ready());
        place
    }

    /// A client at another address than the first listener's.
    pub fn connect_to(&mut self, kind: Kind, address: SocketAddr) -> usize {
        self.adopt(Client::new(kind, address, client::socket(), 1 << 20))
    }

    /// A client of which only the first flight has been sent; its place among the clients.
    pub fn approach(&mut self, socket: UdpSocket) -> usize {
        self.approach_at(self.address, socket)
    }

    /// The same at another address.
    pub fn approach_at(&mut self, address: SocketAddr, socket: UdpSocket) -> usize {
        let mut client = Client::new(Kind::Bare, address, socket, 1 << 20);
        client.drive();
        self.clients.push(client);
        self.clients.len() - 1
    }

    /// Waits for the code with which a client is refused by the transport.
    pub fn refusal(&mut self, client: usize) -> u64 {
        self.until("the refusal", |bed| bed.clients[client].quic.peer_error().is_some());
        let error = self.clients[client].quic.peer_error().unwrap();
        assert!(!error.is_app && error.reason.is_empty());
        error.error_code
    }

    /// Waits for a stream's end or reset.
    pub fn finish(&mut self, client: usize, stream: u64) -> Received {
        self.until("the end of a stream", |bed| bed.clients[client].streams[&stream].is_over());
        self.clients[client].streams[&stream].clone()
    }

    /// A whole request.
    pub fn fetch(&mut self, client: usize, request: Request<'_>) -> Received {
        let stream = self.clients[client].request(request);
        self.finish(client, stream)
    }

    /// A whole GET.
    pub fn get(&mut self, client: usize, path: &str) -> Received {
        self.fetch(client, Request { path, ..Request::default() })
    }

    /// A whole request by hand.
    pub fn send(&mut self, client: usize, bytes: &[u8]) -> Received {
        let stream = self.clients[client].open(bytes, true);
        self.finish(client, stream)
    }

    /// Waits for the code with which the server closes a connection.
    pub fn close_code(&mut self, client: usize) -> u64 {
        self.until("the connection's close", |bed| bed.clients[client].closed_with().is_some());
        self.clients[client].closed_with().unwrap()
    }

    // ---- time

    /// Drives everything until something holds; panics with `what` when it takes too long.
    pub fn until(&mut self, what: &str, mut holds: impl FnMut(&mut Bed) -> bool) {
        let began = Instant::now();
        while !holds(self) {
            assert!(began.elapsed() < PATIENCE, "waited too long for {what}");
            self.step();
        }
    }

    /// Drives everything that is ready.
    pub fn turn(&mut self) {
        self.step();
    }

    /// Drives everything for a while.
    pub fn rest(&mut self, time: Duration) {
        let began = Instant::now();
        self.until("time to pass", |_| began.elapsed() >= time);
    }

    /// Waits for what is readable and lets whoever it concerns act: a shard that forgets to ask for
    /// a turn does not get one.
    fn step(&mut self) {
        let fds: Vec<RawFd> = self.shards.iter().map(|shard| shard.reactor.fd()).chain(self.clients.iter().flat_map(Client::fds)).collect();
        let mut polls: Vec<_> = fds.into_iter().map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 }).collect();
        // SAFETY: the list is valid for its length.
        unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, 2) };
        for (shard, poll) in self.shards.iter_mut().zip(&polls) {
            if poll.revents != 0 && panics::guard_shard(|| shard.reactor.turn(|| shard.lane.call())).is_err() {
                // What the process does: a fresh start, and a successor for the worker.
                shard.reactor.start_over();
                shard.lane = Lane::new(shard.reactor.region());
                shard.reactor.take_over();
                shard.reactor.apply(Snapshot { backends: self.known.clone(), reserved: Default::default(), telling: Default::default() });
            }
        }
        self.clients.iter_mut().for_each(Client::drive);
        self.sweep();
    }

    // ---- leaks

    /// Attempts in flight according to the shared table.
    pub fn in_flight(&self) -> i32 {
        let slots = self.table.as_ptr().cast::<AtomicI32>();
        // SAFETY: all words lie inside the table.
        (0..SLOTS).map(|slot| unsafe { (*slots.add(slot * SLOT_BYTES / 4)).load(Relaxed) }).sum()
    }

    /// A new worker takes over, as one does after another's death.
    pub fn take_over(&mut self) {
        let shard = self.shard();
        shard.lane = Lane::new(shard.reactor.region());
        shard.reactor.take_over();
    }

    /// What is left of exchanges, or nothing.
    fn leftovers(&self) -> Option<String> {
        let open: usize = self.shards.iter().map(|shard| shard.reactor.relay.exchanges.len()).sum();
        let streams: u64 = self.shards.iter().map(|shard| shard.count(Id::StreamsOpen) + shard.count(Id::StreamsWaiting)).sum();
        let at_origin: usize =
            [Some(&self.origin), self.other.as_ref()].into_iter().flatten().map(|origin| origin.notes.open.load(Relaxed)).sum();
        let in_flight = self.in_flight();
        let untold = self.shards.iter().any(|shard| {
            let told = |head: &super::lane::Head| shard.lane.completions.iter().filter(|end| end.exchange == head.exchange).count() == 1;
            !shard.lane.heads.iter().all(told)
        });
        let held = self.budget.held();
        let is_clean = open == 0 && streams == 0 && at_origin == 0 && in_flight == 0 && held == 0 && !untold;
        (!is_clean).then(|| {
            format!(
                "{open} exchanges, {streams} upstream streams, {at_origin} at the origin, {in_flight} in flight, {held} bytes held, untold: {untold}"
            )
        })
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let began = Instant::now();
        while let Some(left) = self.leftovers() {
            assert!(began.elapsed() < PATIENCE, "left behind: {left}");
            self.step();
        }
    }
}

/// A listener whose queue of connections is full: the kernel drops whoever asks for one more.
struct Deaf {
    address: SocketAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl Deaf {
    fn new() -> Deaf {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // SAFETY: a listening socket; listening again changes the length of its queue.
        unsafe { libc::listen(listener.as_raw_fd(), 0) };
        let address = listener.local_addr().unwrap();
        let queue = vec![TcpStream::connect(address).unwrap()];
        Deaf { address, _listener: listener, _queue: queue }
    }
}

fn listener(
    place: u32,
    number: u32,
    socket: Option<ListenerSocket>,
    setup: &Setup,
    connections: &ConnectionCount,
    by_client: &ClientCounts,
    certificates: Arc<CertificateStore>,
) -> ListenerOptions {
    let exempt = setup.exempt.iter().map(|text| text.parse().unwrap()).collect();
    ListenerOptions {
        place,
        number,
        is_retiring: false,
        socket,
        certificates,
        connections: connections.clone(),
        client_limit: (setup.max_per_client > 0).then(|| ClientLimit {
            max: setup.max_per_client,
            prefix4: 32,
            prefix6: 64,
            exempt,
            counts: by_client.clone(),
        }),
        settings: ListenerSettings {
            groups: setup.groups.to_owned(),
            max_connections: setup.max_connections,
            quic: Quic {
                idle_timeout_ms: setup.idle_timeout_ms,
                keep_alive_ms: setup.keep_alive_ms,
                handshake_timeout_ms: setup.handshake_timeout_ms,
                congestion: setup.congestion,
                max_streams: 100,
                stream_window: setup.request_window,
                connection_window: (16 * setup.request_window).min(8 << 20),
                max_udp_payload: 1_452,
                is_gso_allowed: true,
                is_gro_allowed: true,
                is_paced: setup.is_paced,
                receive_buffer: setup.receive_buffer,
                send_buffer: setup.send_buffer,
            },
            http: Http {
                max_head_bytes: setup.max_head_bytes,
                max_fields: setup.max_fields,
                max_cookie_crumbs: setup.max_cookie_crumbs,
                min_rate: setup.min_rate,
                min_rate_period_ms: setup.min_rate_period_ms,
            },
            normalise: setup.normalise.clone(),
        },
    }
}

/// A backend without TLS.
pub fn backend(slot: u32, address: SocketAddr, setup: &Setup) -> BackendConfig {
    BackendConfig {
        slot,
        scheme: Scheme::H2c,
        authority: address.to_string(),
        addresses: vec![address],
        tls: TlsConfig::default(),
        limits: SessionLimits {
            max_sessions: setup.max_sessions,
            max_streams: setup.max_streams,
            idle_timeout_ms: 60_000,
            max_age_ms: 0,
            ping_interval_ms: 0,
            ping_timeout_ms: 5_000,
            max_bound: 4,
            bound_idle_ms: 1_000,
            stream_window_bytes: setup.response_window,
            session_window_bytes: 1 << 20,
            max_head_bytes: 65_536,
            max_fields: 200,
        },
    }
}
