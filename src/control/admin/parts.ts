/**
 * What the admin API is given to show and to change. Each route group takes the few of these it needs; none of them knows the edge.
 */
import type { LimitView } from '../../lane/admit/rate-limit/view.ts';
import type { GuardView, PlaceView } from '../../lane/admit/view.ts';
import type { HealthState } from '../../lane/standing/health.ts';
import type { BreakerState } from '../../lane/standing/view.ts';
import type { Log } from '../../observe/log.ts';
import type { Fault } from '../../shard/port.ts';
import type { Rotation } from '../certificates/rotation.ts';
import type { TrustView } from '../certificates/trust.ts';
import type { Events } from '../events.ts';
import type { ListenerView } from '../listen/endpoint.ts';
import type { Reloader, ReloadStatus } from '../reload/reload.ts';
import type { ShardStatus } from '../shards/shards.ts';
import type { BackendState } from '../view/backend-state.ts';
import type { WeightControl } from '../weights.ts';

/** Where the edge is in its life. Ready for traffic only while `serving`. */
export type EdgeState = 'idle' | 'starting' | 'serving' | 'draining' | 'stopping' | 'stopped';

export interface EdgeStatus {
  readonly state: EdgeState;
  readonly version: string;
  readonly pid: number;
  readonly uptimeMs: number;
  /** Hash of the configuration in force. */
  readonly generation: string;
  /** What became of the last reloads; null where the configuration came from no file. */
  readonly reload: ReloadStatus | null;
  readonly listeners: readonly ListenerView[];
  /** Where the admin API itself listens; empty while it does not. */
  readonly adminAddress: string;
  /** Where the probes have an address of their own; empty where they have none. */
  readonly probesAddress: string;
  readonly exchanges: number;
  readonly connections: number;
  readonly shards: readonly ShardStatus[];
}

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

/** A backend as `/v1/upstreams` shows it. */
export interface BackendView {
  readonly slot: number;
  readonly url: string;
  /** The one word for all that follows. */
  readonly state: BackendState;
  readonly weight: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly zone: string;
  readonly tier: number;
  readonly addresses: readonly string[];
  /** ISO 8601, or null when its name has never resolved. */
  readonly resolvedAt: string | null;
  /** Code of the last failure to resolve, or null. */
  readonly resolveFailure: string | null;
  /** Attempts open now, over all shards. */
  readonly inFlight: number;
  /** Peak-EWMA of the time to the response head; null while nothing was measured. */
  readonly latencyMs: number | null;
  readonly breaker: BreakerState;
  readonly ejectedAs: 'breaker' | 'outlier' | null;
  /** ISO 8601 times, or null. */
  readonly ejectedUntil: string | null;
  readonly heldOffUntil: string | null;
  readonly ejections: number;
  readonly health: HealthState;
  /** The last active check, and what was wrong with it (null when nothing was); null where none was made. */
  readonly check: { readonly at: string; readonly latencyMs: number; readonly failure: string | null } | null;
  /** Share of its weight that it may have: less than 1 while it starts slowly. */
  readonly share: number;
  readonly consecutiveFailures: number;
  /** Of the breaker's sliding window; zeros where neither a rate nor a count is looked at. */
  readonly window: { readonly outcomes: number; readonly failures: number };
  /** The last failure that counted; `status` is 0 unless it was an answer. */
  readonly lastFailure: { readonly reason: string; readonly status: number; readonly at: string } | null;
  /** Attempts that wait for a session, over all shards. */
  readonly waiting: number;
  /**
   * Why the last session ended or could not be made, with what more is known (`tls_alert:
   * unrecognized_name`), or null.
   */
  readonly lastFault: string | null;
  readonly sessions: readonly SessionView[];
}

export interface UpstreamView {
  readonly name: string;
  readonly policy: string;
  /** Attempts open at its backends now. */
  readonly inFlight: number;
  /** Backends that get requests, and those that are ejected. */
  readonly admitted: number;
  readonly ejected: number;
  readonly isPanicking: boolean;
  /** What its backends are held against and shown; null where no file says so. */
  readonly trust: TrustView | null;
  readonly backends: readonly BackendView[];
}

/** Limits as `/v1/limits` shows them. */
export interface LimitsView {
  readonly places: readonly PlaceView[];
  readonly guards: readonly GuardView[];
  readonly rateLimits: readonly LimitView[];
  /** Shards that miss the store of shared limits; null where there is none. */
  readonly storeLostShards: number | null;
}

export interface AdminParts {
  readonly status: () => EdgeStatus;
  readonly upstreams: () => Promise<readonly UpstreamView[]>;
  /** The text of a scrape and its content type. */
  readonly metrics: () => Promise<{ text: string; contentType: string }>;
  /** At most `limit` from each shard. */
  readonly connections: (limit: number) => Promise<readonly ConnectionView[]>;
  /** The configuration in force, without secrets. */
  readonly config: () => unknown;
  readonly events: Pick<Events, 'subscribe' | 'upstreams'>;
  readonly weights: WeightControl;
  readonly limits: () => LimitsView;
  readonly certificates: Pick<Rotation, 'view' | 'reload'>;
  readonly log: Log;
  /** Reads the configuration again; undefined where it came from no file. */
  readonly reload: Reloader['reload'] | undefined;
  /** Hurts a worker; undefined outside of tests, and then the route does not exist. */
  readonly hurt: ((shard: number, fault: Fault, at: string) => boolean) | undefined;
}
