/**
 * Pools: the backends of one upstream, or those of them that have the labels a route asks for, with their balancer. Routes that ask for the same share one.
 */

import type { Snapshot, UpstreamSnapshot } from '../../config/snapshot.ts';
import type { Key } from '../head/key.ts';
import type { Observer } from '../observer.ts';
import type { Random } from '../random.ts';
import type { Standing } from '../standing/standing.ts';
import type { Backends } from './backends.ts';
import { type Balancer, Members } from './balancer.ts';
import { PeakEwma } from './peak-ewma.ts';
import { RoundRobin } from './round-robin.ts';
import type { Sticky } from './sticky.ts';

export interface Pool {
  readonly number: number;
  /** Place in the snapshot's upstreams. */
  readonly upstream: number;
  /** Backends by position. */
  readonly slots: Int32Array;
  readonly balancer: Balancer;
  /** What the balancer hashes; undefined where it takes no notice. */
  readonly key: Key | undefined;
  readonly sticky: Sticky | undefined;
}

export interface PoolParts {
  readonly snapshot: Snapshot;
  readonly backends: Backends;
  readonly standing: Standing;
  /** Made by `createWeightTable`. */
  readonly weights: SharedArrayBuffer;
  readonly random: Random;
  readonly observer: Observer;
  readonly bytes: Uint8Array;
}

export interface Pools {
  readonly pools: readonly Pool[];
  /** By route: its targets' pools, then that of its fallback upstream. */
  readonly ofRoute: readonly (readonly number[])[];
}

export function compilePools(parts: PoolParts): Pools {
  const pools = parts.snapshot.upstreams.map((upstream, number) => poolOf(parts, upstream, number, number));
  const ofRoute = parts.snapshot.routes.map(({ targets, fallback }) => [
    ...targets.map(({ upstream }) => upstream),
    ...(fallback.kind === 'upstream' ? [fallback.target.upstream] : []),
  ]);
  return { pools, ofRoute };
}

function poolOf(parts: PoolParts, upstream: UpstreamSnapshot, upstreamNumber: number, number: number): Pool {
  const { snapshot, backends, standing, random } = parts;
  const members = new Members(
    upstream.slots.map((slot) => ({ slot, weight: snapshot.backends[slot]!.weight })),
    backends,
    standing,
    upstreamNumber,
  );
  const balancer = upstream.balance.policy === 'round-robin' ? new RoundRobin(members) : new PeakEwma(members, random);
  return { number, upstream: upstreamNumber, slots: members.slots, balancer, key: undefined, sticky: undefined };
}
