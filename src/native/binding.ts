/**
 * The shape of the native addon: every function and record that crosses the border between Node and
 * the reactor. Only types stand here; `native/binding` implements them and `./load.ts` finds the
 * file.
 *
 * Nothing in here is called per request or per packet: the lane and the reactor speak through the
 * ring.
 */

/** Certificate of a listener, already read from disk. PEM text, leaf first. */
export interface BindingCertificate {
  /** What it is called in metrics and complaints. */
  label: string;
  /**
   * DNS names this chain answers for: exact (`a.test`) or one leading wildcard label (`*.a.test`).
   * Those of the leaf where there are none.
   */
  names: string[];
  chainPem: string;
  keyPem: string;
  /**
   * What the issuer says of its revocation: an OCSP response in DER, given to clients that ask for
   * it; empty for none.
   */
  ocsp: Uint8Array;
}

/**
 * Rules of a listener's handshakes. Session tickets are worth nothing under other rules, or at a
 * listener of another name.
 */
export interface BindingTlsPolicy {
  /** Name of the listener. */
  listener: string;
  /**
   * What becomes of clients that ask for no name which a certificate is for: `default` (the first
   * certificate) or `refuse`.
   */
  unknownName: string;
  /** Requests for authorities that the handshake's certificate does not name get 421. */
  isStrict: boolean;
  /**
   * How often a new key of session tickets is made; keys open for two periods more. Only without
   * `ticketKeys`.
   */
  ticketRotationMs: number;
  /** Keys of 48 or 80 bytes: the first seals, all open. */
  ticketKeys: Uint8Array[];
  /** What clients must prove, by server name. */
  clients: BindingClientAuth[];
}

/** A field that tells backends something of a client's certificate. */
export interface BindingForwardField {
  name: string;
  /**
   * `certificate` and `chain` (RFC 9440), `verdict`, `fingerprint`, `serial`, `subject`, `issuer`,
   * `names`.
   */
  fact: string;
}

/** What clients must prove with a certificate of their own. */
export interface BindingClientAuth {
  /** Server names that it is for; none for all others. */
  names: string[];
  /** `off`, `optional`, `required` or `any`. */
  mode: string;
  caPem: string;
  /** Whether clients are told the names of the authorities. */
  tellsAuthorities: boolean;
  /** Certificates between the client's and the authority's. */
  maxDepth: number;
  /** Bytes of what a client shows. */
  maxBytes: number;
  /** In which fields backends are told of it. */
  forward: BindingForwardField[];
  lists: BindingRevocationList[];
  acceptsExpiredLists: boolean;
  acceptsMissingLists: boolean;
  /** SHA-256 of certificates, 32 bytes each. */
  denied: Uint8Array[];
  allowed: BindingAllowed[];
  keepsConnections: boolean;
}

/** A revocation list whose signature was verified. */
export interface BindingRevocationList {
  /** SHA-256 of the certificate of the authority that signed it. */
  signer: Uint8Array;
  /** Seconds since the epoch; Infinity for never. */
  nextUpdate: number;
  /** Serial numbers, each with its length before it. */
  serials: Uint8Array;
}

/** Clients to which all of it that is not empty applies. */
export interface BindingAllowed {
  dns: string;
  uri: string;
  email: string;
  subject: string;
}

/** Connections that were ended because their client's certificate did not pass any more. */
export interface BindingEnded {
  listener: string;
  reason: string;
  count: number;
}

/** Handshakes of the certificates of one label, since the process began or the label came. */
export interface BindingCertificateHandshakes {
  listener: string;
  certificate: string;
  full: number;
  resumed: number;
  /** After the certificate was chosen. */
  failed: number;
}

/** A section of the configuration, by key. Sizes are bytes, times are milliseconds. */
export type BindingSection = Record<string, boolean | number | string>;

/** One UDP listening address as one shard sees it. */
export interface BindingListener {
  /** Number of its socket, opened by `openListener`: another one for each address it has. */
  place: number;
  /** Its own number, as records and `setCertificates` have it. */
  listener: number;
  /** Nobody new is let in, and who is connected is told to go. */
  isRetiring: boolean;
  /** Key exchange in order of preference. */
  groups: string[];
  /** Connections at once in all shards. */
  maxConnections: number;
  /** Those of a client in all shards; 0 for no such limit. */
  maxConnectionsPerClient: number;
  /** Bits of an address that make a client, by family. */
  clientPrefix4: number;
  clientPrefix6: number;
  /** CIDR blocks that have no such limit. */
  exemptNetworks: string[];
  /**
   * Keys of the configuration as they are: the reactor reads each by its name, and complains of one
   * that it does not know.
   */
  quic: BindingSection;
  http: BindingSection;
  normalise: BindingSection;
}

/** What a process-owned reactor is made from, once, on the main thread. */
export interface BindingReactorOptions {
  shard: number;
  shards: number;
  /** 0-255, told apart in connection IDs during an upgrade. */
  processGeneration: number;
  /** 32 bytes that seal connection IDs and stateless-reset tokens; the same for all shards. */
  cidKey: Uint8Array;
  /** Exchanges open at once in this shard. */
  maxExchanges: number;
  /** Answers a second to first datagrams that make no connection. */
  statelessReplies: number;
  /** Bytes that all shards together may hold for peers. */
  maxHeldBytes: number;
  /** Shared table of backend slots (`src/base/tables.ts`); must outlive the reactor. */
  backendTable: Uint8Array;
}

/** One member of an upstream. `slot` is its number in the shared table and in records. */
export interface BindingBackend {
  slot: number;
  /** `h2c`, `http` or `https`. */
  scheme: string;
  /** `host:port` as configured; the Host of HTTP/1.1 health and the name in logs. */
  authority: string;
  /**
   * Resolved socket addresses `ip:port` in order of preference; may be empty (not resolved yet).
   */
  addresses: string[];
  /** TLS server name; empty for none. */
  serverName: string;
  isVerified: boolean;
  /** PEM bundle to trust instead of the system's; empty for the system's. */
  caPem: string;
  /** Certificate chain shown to the backend, and its key; empty for none. */
  clientChainPem: string;
  clientKeyPem: string;
  /** `1.2` or `1.3`. */
  minTlsVersion: string;
  maxTlsVersion: string;
  /** Base64 SHA-256 of public keys, one of which the verified chain must have. */
  pins: string[];
  maxSessions: number;
  /** Streams we open on one HTTP/2 session at most, whatever the peer allows. */
  maxStreamsPerSession: number;
  /** Sessions of its own that a client may have, a shard, where NTLM or Negotiate bound them. */
  maxBound: number;
  /** For how long an idle one is left to its client though others wait. */
  boundIdleMs: number;
  sessionIdleTimeoutMs: number;
  sessionMaxAgeMs: number;
  /** 0 disables. */
  pingIntervalMs: number;
  pingTimeoutMs: number;
  /** Receive window of an upstream stream: bytes of a response body held for the client. */
  streamWindowBytes: number;
  sessionWindowBytes: number;
  /** Limits on response heads. */
  maxHeadBytes: number;
  maxFields: number;
}

/** A question of active health over HTTP/3, on a connection of its own. */
export interface BindingQuestion {
  /** `ip:port`. */
  address: string;
  serverName: string;
  isVerified: boolean;
  /** As for `BindingBackend`. */
  caPem: string;
  clientChainPem: string;
  clientKeyPem: string;
  pins: string[];
  method: string;
  authority: string;
  path: string;
  userAgent: string;
  /** For all of it. */
  timeoutMs: number;
  /** Bytes of the body that are wanted. */
  bodyBytes: number;
}

export interface BindingReply {
  status: number;
  body: Uint8Array;
}

/**
 * Compiled head edits, named in `Forward` records by their index, applied in order. `op`:
 * - `set`: one field instead of all of that name (also `:authority` and `:path` of a request, in
 *   place);
 * - `add`: a field more, whatever is there;
 * - `append`: to the comma-separated list in the field, or sets it;
 * - `remove`: all fields of the name, which may be a glob with `*`;
 * - `prefix`: only `:path`: takes `match` off the front of the path and puts `value` there (segment
 *   borders are kept, the query stays, an empty path is `/`).
 *
 * `value` is literal text with variables replaced by the reactor: `${client_address}`,
 * `${client_port}`, `${scheme}`, `${authority}`, `${path}` (with query, as the client sent it after
 * normalisation), `${method}`, `${request_id}`, `${forwarded_node}`, `${header:NAME}` (the
 * request's; all lines joined by `, `), `${remaining_ms}` and `${remaining_grpc}` (what is left of
 * the exchange's time when the head is sent: milliseconds, and in the form of gRPC's
 * `grpc-timeout`), `${client_certificate_FACT}` (what the client's certificate proves: `verdict`,
 * `fingerprint`, `serial`, `subject`, `issuer`, `names`), `${client_certificate:NAME}` (what the
 * connection's policy has the field NAME say), `${value_0}` to `${value_3}` (brought by the
 * Forward). A `set` or `add` whose value comes out empty writes no field.
 */
export interface BindingEdit {
  op: string;
  /** A pattern where the operation is `remove-regex`. */
  name: string;
  value: string;
  /** Only for `prefix`. */
  match: string;
}

export interface BindingPlan {
  number: number;
  /** Places in `BindingPlans.edits`. */
  request: number[];
  response: number[];
  /** Statuses of responses that a Forward with flag 4 holds for the lane. */
  holdStatuses: number[];
  /** gRPC statuses, where they stand in the response's head (trailers-only). */
  holdGrpcStatuses: number[];
  /** The backend gets the canonical path instead of the client's own spelling. */
  isPathCanonical: boolean;
  /**
   * What becomes of names with an underscore in a request's trailers: `drop`, `refuse` or `pass`.
   */
  underscores: string;
  /** Names that pass all the same. */
  underscoreNames: string[];
}

/** Plans, and the edits that they are made of, each once. */
export interface BindingPlans {
  edits: BindingEdit[];
  plans: BindingPlan[];
}

/** What a reactor obeys until the next one; applied on the reactor's own thread. */
export interface BindingSnapshot {
  generation: number;
  backends: BindingBackend[];
  /** Names of fields that no client may send, beside those of RFC 9440. */
  reservedFields: string[];
  /** Heads tell the lane what client certificates say. */
  isLaneTold: boolean;
  /** Completions tell it for access lines. */
  isLogged: boolean;
}

/** Where the sockets of a place were opened. */
export interface BindingPlace {
  port: number;
  /**
   * Whether the kernel steers by connection ID. Always true with one shard: there is nothing to
   * steer.
   */
  isSteered: boolean;
}

/**
 * One family of the reactor's counters; `offset` is the first value's place in `reactorCounters`.
 */
export interface BindingFamily {
  name: string;
  help: string;
  /** `counter`, `gauge` or `histogram`. */
  kind: string;
  /** One entry a series, `{}` when the family has no labels. Each series takes `stride` values. */
  labels: Record<string, string>[];
  offset: number;
  /** 1, or for histograms buckets + 2: a count for each upper bound, one for +Inf, then the sum. */
  stride: number;
  /**
   * Upper bounds of a histogram, in base units; empty otherwise. Counts are per bucket, not
   * cumulated.
   */
  bounds: number[];
  /**
   * Stored values are multiplied by this to give base units (1e-6 for microseconds kept as
   * integers).
   */
  scale: number;
}

/** A panic of the native side that ended something and nothing more. */
export interface BindingPanic {
  shard: number;
  /** What it ended: `connection`, `session` (to a backend), `shard`. */
  owner: string;
  /** File, line and column. */
  place: string;
  message: string;
}

/** `complaint` is empty when there is a canonical form. */
export interface BindingNormal {
  authority: string;
  path: string;
  complaint: string;
}

export interface BindingReason {
  number: number;
  code: string;
  grpcStatus: number;
}

export interface BindingAddon {
  version(): string;
  /**
   * Main thread: opens the sockets of a place, one for each shard, which share an address by
   * SO_REUSEPORT, and has the kernel steer by connection ID where it does that. All or none: throws
   * with the address and errno in the message. Each is kept until its reactor is told to listen
   * there.
   */
  openListener(
    place: number,
    address: string,
    shards: number,
    receiveBufferBytes: number,
    sendBufferBytes: number,
    cidKey: Uint8Array,
  ): BindingPlace;
  /** Main thread: closes the sockets of a place that no reactor has taken, and forgets it. */
  closeListener(place: number): void;
  /** Any thread: sockets of a place that are open, those that reactors have with them. */
  listenerSockets(place: number): number;
  /** Any thread: connections that send by the sockets of a place, in all shards. */
  placeConnections(place: number): number;
  /** Any thread: open connections of a listener in all shards. */
  listenerConnections(listener: number): number;
  /** Throws what is wrong with the settings of a listener. */
  checkListener(listener: BindingListener): void;
  /**
   * Main thread: lets it take a signal that Node was told to leave blocked (`--disable-sigusr1`).
   * Throws for what is no signal.
   */
  unblockSignal(signal: number): void;
  /**
   * Whether a crash may leave the memory of the process behind, and other processes of its user may
   * read it (PR_SET_DUMPABLE).
   */
  setDumpable(isDumpable: boolean): void;
  /**
   * The canonical form of an authority and a path (with query), or the complaint; the same code
   * that reactors use. For the CLI's `routes test`.
   */
  normalise(authority: string, path: string, scheme: string, areSlashesMerged: boolean, escapedSlashes: string): BindingNormal;
  /**
   * Asks, and rejects with what went wrong in one line. `number` is the caller's own, by which
   * `cancelH3` ends it within a moment.
   */
  askH3(number: number, question: BindingQuestion): Promise<BindingReply>;
  cancelH3(number: number): void;
  /**
   * Parses certificates without using them. Returns a list of complaints, empty when all is well.
   */
  checkCertificate(certificate: BindingCertificate): string[];
  /**
   * Main thread: gives a listener its certificates, in all shards at once; `listener` is its place
   * number. Handshakes that begin afterwards get them, open connections keep
   * what they have. Throws what is wrong with which certificate, a line each, and has changed
   * nothing then. Every listener has to have some before a reactor is told of it.
   */
  setCertificates(listener: number, certificates: BindingCertificate[], policy: BindingTlsPolicy): void;
  /** Main thread: forgets the certificates of a listener that no reactor is told of any more. */
  removeCertificates(listener: number): void;
  /** Any thread: handshakes by listener and certificate, of all shards. */
  certificateHandshakes(): BindingCertificateHandshakes[];
  /** Any thread: by listener and reason, of all shards; every reason has a row. */
  clientCertificatesEnded(): BindingEnded[];
  /**
   * Makes the reactor of a shard, which listens nowhere yet; it belongs to the process until
   * `reactorDestroy`. Main thread.
   */
  reactorCreate(options: BindingReactorOptions): void;
  reactorDestroy(shard: number): void;
  /**
   * Worker thread: puts the shard's reactor on this thread's event loop. `decide` is called once a
   * turn when records wait for the lane. Returns the ring's memory. When the worker dies the
   * reactor is detached by an environment cleanup hook; a successor attaches again and is offered
   * every undecided head anew.
   */
  reactorAttach(shard: number, decide: () => void): ArrayBuffer;
  reactorDetach(shard: number): void;
  /** Worker thread of the shard only. */
  reactorApply(shard: number, snapshot: BindingSnapshot): void;
  /**
   * Worker thread: further plans, or others under their numbers. Exchanges keep the plan they were
   * decided with.
   */
  reactorLearnPlans(shard: number, plans: BindingPlans): void;
  /**
   * Worker thread of the shard only: listens where `listeners` say and nowhere else, and obeys what
   * else they say. Connections to listeners that are not among them, or have left their address,
   * are told to go and cut after `drainMs`; sockets are closed after their last connection. When it
   * throws nothing has changed, and the same call may be made again.
   */
  reactorListen(shard: number, listeners: BindingListener[], drainMs: number): void;
  /**
   * Worker thread of the shard only: other limits of exchanges open at once, and of answers a
   * second to first datagrams that make no connection.
   */
  reactorLimit(shard: number, maxExchanges: number, statelessReplies: number): void;
  /** Main thread: another limit of what all shards hold for peers. */
  limitHeld(bytes: number): void;
  /** Worker thread, between turns: takes the decisions that stand in the ring now. */
  reactorKick(shard: number): void;
  /**
   * Worker thread, last of all: ends every exchange that is left, with completions in the ring, and
   * every connection.
   */
  reactorClose(shard: number): void;
  /** Worker thread: sends GOAWAY everywhere, refuses new connections and requests. */
  reactorDrain(shard: number): void;
  /** Worker thread: JSON text of connections (at most `limit`), for the admin API. */
  reactorConnections(shard: number, limit: number): string;
  /** Worker thread: JSON text of upstream sessions. */
  reactorSessions(shard: number): string;
  /**
   * Sends a datagram to the Unix socket at `address` (a path, or `@` and an abstract name), and
   * does not wait. Throws when it is not taken.
   */
  notifyService(address: string, text: string): void;
  /** Worker thread: milliseconds since the oldest open exchange began, -1 where none is open. */
  reactorOldestExchange(shard: number): number;
  /** Any thread: a copy of the reactor's counters, laid out by `families`. */
  reactorCounters(shard: number): Float64Array;
  families(): BindingFamily[];
  /**
   * Any thread: milliseconds the lane's current call has been running; 0 when it is not running.
   */
  reactorLaneBusyMs(shard: number): number;
  /** Any thread: open exchanges. */
  reactorExchanges(shard: number): number;
  /**
   * Any thread: panics since the last call, 64 at most; all are counted in `lychgate_panics_total`.
   */
  takePanics(): BindingPanic[];
  /**
   * Test only: a panic that strikes where this thread next passes a place. Throws in a release
   * build, which has no such places.
   */
  plantPanic(place: string): void;
  /**
   * The registry of reasons as the reactor knows it; a test holds it against `src/base/errors.ts`.
   */
  reasons(): BindingReason[];
  /**
   * Test only: writes one record of each kind towards the lane into `memory` with given values,
   * returns bytes.
   */
  recordSamples(memory: Uint8Array): number;
  /** Test only: decodes records towards the reactor from `memory`; JSON text. */
  recordDecode(memory: Uint8Array): string;
}
