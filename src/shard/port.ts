/**
 * What the main thread and a shard say to each other over the shard's MessagePort: how a shard
 * starts, the orders it gets, the reports it sends. Nothing here is per request; the most frequent
 * message is a heartbeat.
 */
import type { MessagePort } from 'node:worker_threads';
import type { PackedRoutes } from '../config/route-table.ts';
import type { Snapshot } from '../config/snapshot/snapshot.ts';
import type { SharedState } from '../lane/shared.ts';
import type { LaneTables } from '../lane/tables.ts';
import type { ListenerPlace } from '../native/convert.ts';
import type { PackedPlans } from '../native/plans.ts';
import type { LaneEvent } from '../observe/lane-observer.ts';

/**
 * Socket addresses of every backend, by slot; `number` grows with each publication of the process.
 */
export interface Publication {
  readonly number: number;
  readonly addresses: readonly (readonly string[])[];
}

/** What a shard decides by: a snapshot, and what belongs to it. */
export interface ShardTerms {
  /** Which of the process's snapshots it is, counted from 1. */
  readonly serial: number;
  /** The same while backends are the same, so that a reactor need not be told of them again. */
  readonly backendsDigest: string;
  /**
   * Without routes, which are packed, and without private keys and tokens, which a lane has no use
   * for.
   */
  readonly snapshot: Snapshot;
  readonly routes: PackedRoutes;
  readonly publication: Publication;
  /** Where its listeners listen; connections elsewhere end. */
  readonly places: readonly ListenerPlace[];
  /** What was made of the routes once for all shards. */
  readonly tables: LaneTables;
  /**
   * Plans that the reactor may not know. They are told before anything is decided by them; until
   * then nobody is sent by their numbers.
   */
  readonly plans: PackedPlans;
  /** Some rule asks what client certificates say. */
  readonly isLaneTold: boolean;
  /** What lanes and the main thread see at once. */
  readonly shared: SharedState;
}

/** The task of a shard's worker. */
export interface ShardStart extends ShardTerms {
  readonly shard: number;
  readonly port: MessagePort;
  /** Counters this shard writes and the main thread reads (`src/observe`). */
  readonly counters: SharedArrayBuffer;
  /** Obey `fault` orders; tests only. */
  readonly areFaultsAllowed: boolean;
}

/** Ways in which a test may hurt a worker. */
export type Fault = 'throw' | 'loop' | 'exit' | 'oom' | 'panic';

/** What a shard is asked. */
export type ShardQuestion =
  | { readonly kind: 'connections'; readonly limit: number }
  | { readonly kind: 'sessions' }
  | { readonly kind: 'oldest' };

/** From the main thread. `question` numbers come back in the answer. */
export type ShardOrder =
  | { readonly kind: 'publish'; readonly publication: Publication }
  /** Heads from now on are decided by these terms; answered by `applied`. */
  | { readonly kind: 'apply'; readonly terms: ShardTerms }
  /** Places that have retired are closed, which are not among these. */
  | { readonly kind: 'listen'; readonly places: readonly ListenerPlace[] }
  | { readonly kind: 'drain' }
  | { readonly kind: 'ping' }
  | { readonly kind: 'connections'; readonly question: number; readonly limit: number }
  | { readonly kind: 'sessions'; readonly question: number }
  /** How old the oldest open exchange is, milliseconds; -1 where none is open. */
  | { readonly kind: 'oldest'; readonly question: number }
  /**
   * `decide` strikes inside the lane's next call, `now` while the order is read; a panic, where the
   * reactor next passes the place.
   */
  | { readonly kind: 'fault'; readonly fault: Fault; readonly at: string }
  | { readonly kind: 'stop' };

/** From the shard. */
export type ShardReport =
  | { readonly kind: 'ready'; readonly threadId: number }
  | { readonly kind: 'applied'; readonly serial: number }
  | { readonly kind: 'pong' }
  /** A rule threw; the exchange was answered and the shard goes on. At most one a second. */
  | { readonly kind: 'lane-error'; readonly error: string }
  /** A note that is an event (`src/base/notes.ts`), with the numbers of the snapshot. */
  | { readonly kind: 'event'; readonly event: LaneEvent }
  | { readonly kind: 'answer'; readonly question: number; readonly json: string }
  | { readonly kind: 'refusal'; readonly question: number; readonly message: string };
