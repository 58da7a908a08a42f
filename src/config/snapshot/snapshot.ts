/**
 * The frozen form of a configuration: files read, paths absolute, durations in milliseconds, sizes
 * in bytes, every backend numbered. It is plain data, so that it can be posted to a shard. Prepared
 * by `prepareSnapshot`, swapped whole, never changed.
 */

import type { StoreSnapshot } from './limit.ts';
import type { CertificatesSnapshot, ListenerSnapshot } from './listener.ts';
import type {
  AdminSnapshot,
  ClaimsSnapshot,
  DrainSnapshot,
  LimitsSnapshot,
  LogSnapshot,
  ReloadSnapshot,
  ShardsSnapshot,
} from './process.ts';
import type { RouteSnapshot, TargetSnapshot } from './route.ts';
import type { TenantSnapshot } from './tenant.ts';
import type { BackendSnapshot, UpstreamSnapshot } from './upstream.ts';

export interface Snapshot {
  /** SHA-256 of the canonical configuration (`../generation.ts`), hex. */
  readonly generation: string;
  /** Which places of this list and the next are in use says `numbering`. */
  readonly listeners: readonly ListenerSnapshot[];
  readonly certificates: CertificatesSnapshot;
  readonly upstreams: readonly UpstreamSnapshot[];
  /**
   * Every backend of every upstream; its place in this list is its slot. Which places of this list
   * and the next are in use says `numbering`.
   */
  readonly backends: readonly BackendSnapshot[];
  readonly routes: readonly RouteSnapshot[];
  /** In the order in which they are asked for a match. */
  readonly tenants: readonly TenantSnapshot[];
  /** Where shared rate limits are kept; undefined when no limit is shared. */
  readonly claims: ClaimsSnapshot;
  readonly store: StoreSnapshot | undefined;
  readonly shards: ShardsSnapshot;
  readonly admin: AdminSnapshot;
  readonly log: LogSnapshot;
  readonly drain: DrainSnapshot;
  readonly reload: ReloadSnapshot;
  readonly limits: LimitsSnapshot;
  /**
   * Which numbers of the lists are in use; without it every number is, in configured order
   * (`./numbering.ts`).
   */
  readonly numbering?: NumberingSnapshot;
}

/**
 * Numbers that outlive a snapshot: what is in two snapshots one after the other has the same place
 * in the lists of both.
 */
export interface NumberingSnapshot {
  /** For how many of each the tables that lanes share have room. */
  readonly room: RoomSnapshot;
  /**
   * In configured order. The other places of the lists are kept for exchanges that began before
   * what stood there was removed.
   */
  readonly upstreams: readonly number[];
  readonly backends: readonly number[];
  readonly routes: readonly number[];
  readonly tenants: readonly number[];
  readonly listeners: readonly number[];
  /** Fields in which trusted proxies tell the client, by number; empty where nobody knows it. */
  readonly clientFields: readonly string[];
  /** What pools mean, by number. */
  readonly pools: readonly PoolSnapshot[];
}

export interface PoolSnapshot extends Pick<TargetSnapshot, 'upstream' | 'subset'> {
  /** A route uses it. */
  readonly isUsed: boolean;
}

export interface RoomSnapshot {
  readonly upstreams: number;
  readonly backends: number;
  readonly routes: number;
  readonly tenants: number;
  readonly listeners: number;
}
