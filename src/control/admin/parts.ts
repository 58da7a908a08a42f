/**
 * What the admin API is given to show and to change. Each route group takes the few of these it needs; none of them knows the edge.
 */
import type { Log } from '../../observe/log.ts';
import type { Fault } from '../../shard-port.ts';
import type { ShardStatus } from '../shards.ts';

/** Where the edge is in its life. Ready for traffic only while `serving`. */
export type EdgeState = 'idle' | 'starting' | 'serving' | 'draining' | 'stopping' | 'stopped';

export interface EdgeStatus {
  readonly state: EdgeState;
  readonly version: string;
  readonly pid: number;
  readonly uptimeMs: number;
  /** Hash of the configuration in force. */
  readonly generation: string;
  readonly listeners: readonly { readonly name: string; readonly address: string; readonly isSteered: boolean }[];
  /** Where the admin API itself listens; empty while it does not. */
  readonly adminAddress: string;
  readonly exchanges: number;
  readonly connections: number;
  readonly shards: readonly ShardStatus[];
}

/** A backend as `/v1/upstreams` shows it. */
export interface BackendView {
  readonly slot: number;
  readonly url: string;
  readonly weight: number;
  readonly addresses: readonly string[];
  /** ISO 8601, or null when its name has never resolved. */
  readonly resolvedAt: string | null;
  /** Code of the last failure to resolve, or null. */
  readonly resolveFailure: string | null;
  /** Attempts open now, over all shards. */
  readonly inFlight: number;
  /** Peak-EWMA of the time to the response head; null while nothing was measured. */
  readonly latencyMs: number | null;
}

export interface UpstreamView {
  readonly name: string;
  readonly policy: string;
  readonly backends: readonly BackendView[];
}

export interface AdminParts {
  readonly status: () => EdgeStatus;
  readonly upstreams: () => readonly UpstreamView[];
  /** The text of a scrape and its content type. */
  readonly metrics: () => Promise<{ text: string; contentType: string }>;
  /** Rows of every shard, as the reactor words them. */
  readonly connections: (limit: number) => Promise<{ shard: number; rows: unknown }[]>;
  readonly sessions: () => Promise<{ shard: number; rows: unknown }[]>;
  /** The configuration in force, without secrets. */
  readonly config: () => unknown;
  readonly log: Log;
  /** Hurts a worker; undefined outside of tests, and then the route does not exist. */
  readonly hurt: ((shard: number, fault: Fault, at: 'now' | 'decide') => boolean) | undefined;
}
