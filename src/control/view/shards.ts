/**
 * What a shard's worker tells of its reactor, put into the admin API's words: names instead of
 * numbers, milliseconds, and the spelling of every other answer. The rows' own shape is the
 * reactor's (`describe_connections`, `describe` of the upstreams).
 */

/** A client's connection as `/v1/connections` shows it. */
export interface ConnectionView {
  /** Unique in the process; access lines name it too. */
  readonly connection: number;
  readonly shard: number;
  readonly listener: string;
  readonly peer: string;
  readonly state: 'handshaking' | 'open' | 'draining';
  readonly ageMs: number;
  readonly rttMs: number;
  readonly exchanges: number;
  readonly packetsReceived: number;
  readonly packetsSent: number;
  readonly packetsLost: number;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  /**
   * Open connections of its client in all shards, this one among them; null where they are not
   * counted (`per_client`).
   */
  readonly clientConnections: number | null;
  /** What the client has shown; null for none. Serial number and subject are cut. */
  readonly clientCertificate: {
    readonly verdict: 'verified' | 'unverified';
    readonly fingerprint: string;
    readonly serial: string;
    readonly subject: string;
  } | null;
}

/** One connection to a backend. */
export interface SessionView {
  readonly shard: number;
  readonly state: string;
  readonly protocol: string;
  /** Attempts on it now, and since it was made. */
  readonly streams: number;
  readonly requests: number;
  readonly ageMs: number;
  /** Bytes the backend has not taken yet. */
  readonly pendingBytes: number;
}

/** A connection as the reactor words it. */
export interface ConnectionRow {
  readonly connection: number;
  /** Place among the listeners. */
  readonly listener: number;
  readonly peer: string;
  readonly age_seconds: number;
  readonly rtt_seconds: number;
  readonly exchanges: number;
  readonly packets_received: number;
  readonly packets_sent: number;
  readonly packets_lost: number;
  readonly bytes_received: number;
  readonly bytes_sent: number;
  readonly is_established: boolean;
  readonly is_draining: boolean;
  /** Of its client, this one among them; null where they are not counted. */
  readonly client_connections: number | null;
  /** Null where the client has shown none. */
  readonly client_certificate: ConnectionView['clientCertificate'];
}

/** A backend with its sessions as the reactor words it. */
export interface BackendRow {
  readonly slot: number;
  /** Attempts that wait for a session. */
  readonly waiting: number;
  /** Why the last session ended or could not be made; empty when none did. */
  readonly last_fault: string;
  readonly sessions: readonly {
    readonly state: string;
    readonly protocol: string;
    readonly streams: number;
    readonly requests: number;
    readonly age_ms: number;
    readonly pending_bytes: number;
  }[];
}

/** The rows of one shard's answer. */
export interface ShardRows<Row> {
  readonly shard: number;
  readonly rows: readonly Row[];
}

/** Connections of all shards. `listeners` are the listeners' names in configured order. */
export function viewConnections(answers: readonly ShardRows<ConnectionRow>[], listeners: readonly string[]): ConnectionView[] {
  return answers.flatMap(({ shard, rows }) =>
    rows.map((row) => ({
      connection: row.connection,
      shard,
      listener: listeners[row.listener] ?? '',
      peer: row.peer,
      state: row.is_draining ? ('draining' as const) : row.is_established ? ('open' as const) : ('handshaking' as const),
      ageMs: milliseconds(row.age_seconds),
      rttMs: milliseconds(row.rtt_seconds),
      exchanges: row.exchanges,
      packetsReceived: row.packets_received,
      packetsSent: row.packets_sent,
      packetsLost: row.packets_lost,
      bytesReceived: row.bytes_received,
      bytesSent: row.bytes_sent,
      clientConnections: row.client_connections,
      clientCertificate: row.client_certificate,
    })),
  );
}

/** What all shards hold to the backend in `slot`. */
export function viewSessions(
  answers: readonly ShardRows<BackendRow>[],
  slot: number,
): { waiting: number; lastFault: string | null; sessions: SessionView[] } {
  const rows = answers.flatMap((answer) => answer.rows.filter((row) => row.slot === slot).map((row) => ({ shard: answer.shard, row })));
  return {
    waiting: rows.reduce((sum, { row }) => sum + row.waiting, 0),
    lastFault: rows.find(({ row }) => row.last_fault !== '')?.row.last_fault ?? null,
    sessions: rows.flatMap(({ shard, row }) =>
      row.sessions.map((session) => ({
        shard,
        state: session.state,
        protocol: session.protocol,
        streams: session.streams,
        requests: session.requests,
        ageMs: session.age_ms,
        pendingBytes: session.pending_bytes,
      })),
    ),
  };
}

/** Seconds to milliseconds, to the microsecond. */
function milliseconds(seconds: number): number {
  return Math.round(seconds * 1e6) / 1e3;
}
