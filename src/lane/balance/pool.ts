/**
 * Pools: the backends of one upstream, or those with the labels a route asks for, and their
 * balancer. Routes with the same selection share a pool.
 */

import { noteNumber } from '../../base/notes.ts';
import { each, type Steps } from '../../base/steps.ts';
import { aimKey, aimsOf } from '../../config/numbering/aim.ts';
import type { LaneSnapshot } from '../../config/route-table.ts';
import type { BalanceSnapshot } from '../../config/snapshot/balance.ts';
import type { KeySnapshot } from '../../config/snapshot/key.ts';
import type { RouteSnapshot, TargetSnapshot } from '../../config/snapshot/route.ts';
import type { Key } from '../head/key.ts';
import type { Lookups } from '../head/lookups.ts';
import { NO_POOL } from '../memo.ts';
import type { Observer } from '../observer.ts';
import type { Random } from '../random.ts';
import type { Standing } from '../standing/standing.ts';
import type { Backends } from './backends.ts';
import type { Balancer } from './balancer.ts';
import { type Member, Members } from './members.ts';
import { policyOf } from './policies.ts';
import { type Sticky, StickyCookie } from './sticky.ts';
import { slotsOf } from './subset.ts';
import { Tiers } from './tiers.ts';
import { Weights } from './weights.ts';

export interface Pool {
  readonly number: number;
  /** Index in the snapshot's upstreams. */
  readonly upstream: number;
  /** Backends by position. */
  readonly slots: Int32Array;
  readonly balancer: Balancer;
  /** The key that the balancer hashes; undefined if it ignores keys. */
  readonly key: Key | undefined;
  readonly sticky: Sticky | undefined;
}

const HASH_TABLE_BUILT = noteNumber('hash_table_built');

export interface PoolParts {
  readonly snapshot: LaneSnapshot;
  readonly backends: Backends;
  readonly standing: Standing;
  /** Made by `createWeightTable`. */
  readonly weights: SharedArrayBuffer;
  readonly random: Random;
  readonly observer: Observer;
  readonly lookups: Lookups;
}

export interface Pools {
  readonly pools: readonly Pool[];
  /** Pools of a route's targets, then that of its fallback upstream. */
  ofRoute(route: RouteSnapshot): readonly number[];
}

/**
 * Compiles the pools used by the routes of `parts.snapshot`. Throws a RangeError if there are more
 * than a memo can name.
 */
export function* compilePools(parts: PoolParts): Steps<Pools> {
  const { routes, numbering } = parts.snapshot;
  const numbers = new Map<string, number>();
  const weights = new Weights(parts.weights);
  const pools: Pool[] = yield* each(numbering?.pools ?? [], (aim, number) => {
    if (!aim.isUsed) return emptyPool(parts, weights, aim.upstream, number);
    numbers.set(aimKey(aim), number);
    return poolOf(parts, weights, aim, number);
  });
  const ofRoute = (route: RouteSnapshot): readonly number[] => {
    const numbersOfRoute = aimsOf(route).map((target) => {
      const key = aimKey(target);
      let number = numbers.get(key);
      if (number === undefined) {
        number = pools.length;
        numbers.set(key, number);
        pools.push(poolOf(parts, weights, target, number));
      }
      return number;
    });
    return parts.lookups.once('pools of a route', numbersOfRoute, () => numbersOfRoute);
  };
  // Without numbers that outlive the snapshot, pools are numbered in the order of the routes.
  // Removed routes lead nowhere.
  if (numbering === undefined) for (let route = 0; route < routes.length; route++) ofRoute(routes.at(route)!);
  if (pools.length >= NO_POOL) throw new RangeError(`${pools.length} pools of different backends, ${NO_POOL - 1} at most`);
  return { pools, ofRoute };
}

/**
 * Stands in for a pool that no route uses any more: exchanges that went there still have to find
 * its upstream.
 */
function emptyPool({ random }: PoolParts, weights: Weights, upstream: number, number: number): Pool {
  const balancer = new Tiers({ tiers: [], healthyShare: 1, weights, random });
  return { number, upstream, slots: new Int32Array(), balancer, key: undefined, sticky: undefined };
}

function poolOf(parts: PoolParts, weights: Weights, target: Pick<TargetSnapshot, 'upstream' | 'subset'>, number: number): Pool {
  const { snapshot, backends, lookups } = parts;
  const upstream = snapshot.upstreams[target.upstream]!;
  const { balance, name } = upstream;
  const slots = Int32Array.from(slotsOf(snapshot, target));
  const urls = uniqueUrls(snapshot, slots);
  const balancer = balancerOf(parts, weights, target.upstream, slots, urls);
  const keys = keysOf(balance);
  const sticky =
    balance.sticky?.kind === 'cookie'
      ? new StickyCookie({ ...parts, options: balance.sticky, name, upstream: target.upstream, urls, slots, balancer, backends })
      : undefined;
  return {
    number,
    upstream: target.upstream,
    slots,
    balancer,
    key: keys.length === 0 ? undefined : lookups.key(keys, 'first'),
    sticky,
  };
}

function balancerOf(parts: PoolParts, weights: Weights, upstream: number, slots: Int32Array, urls: readonly string[]): Balancer {
  const { snapshot, backends, standing, random, observer } = parts;
  const { balance, locality, slowStartMs } = snapshot.upstreams[upstream]!;
  const byTier = new Map<number, Member[]>();
  for (const [position, slot] of slots.entries()) {
    const { tier, weight } = snapshot.backends[slot]!;
    const members = byTier.get(tier) ?? [];
    members.push({ slot, position, weight, name: urls[position]! });
    byTier.set(tier, members);
  }
  const tiers = [...byTier.entries()]
    .sort(([a], [b]) => a - b)
    .map(([, list]) => {
      const members = new Members(list, { backends, standing, upstream, isStartSlow: slowStartMs > 0 });
      return { members, policy: policyOf(balance, members, random, () => observer.noted(HASH_TABLE_BUILT, upstream, -1, 0)) };
    });
  return new Tiers({ tiers, healthyShare: locality.healthyShare, weights, random });
}

/** What is hashed. Sticky connections are hashed by connection, whatever the policy. */
function keysOf(balance: BalanceSnapshot): readonly KeySnapshot[] {
  if (balance.sticky?.kind === 'connection') return [{ kind: 'connection', name: '', prefix4: 32, prefix6: 128 }];
  return balance.policy === 'ring-hash' || balance.policy === 'maglev' ? balance.keys : [];
}

/** Names that do not change when others come and go. Duplicates of a URL are numbered. */
function uniqueUrls(snapshot: LaneSnapshot, slots: Int32Array): string[] {
  const seen = new Map<string, number>();
  return Array.from(slots, (slot) => {
    const url = snapshot.backends[slot]!.url;
    const count = seen.get(url) ?? 0;
    seen.set(url, count + 1);
    return count === 0 ? url : `${url}#${count}`;
  });
}
