/**
 * The split of a route between its targets by weight, for canaries and migrations. A request with a
 * key is assigned by weighted rendezvous hashing (Schindelhauer and Schomaker, "Weighted
 * Distributed Hash Tables", 2005): each target draws an exponentially distributed time from the key
 * and its number, with its weight as the rate, and the earliest wins. A target that gains weight
 * takes keys from the others and moves none between them, so a canary that grows from 5 to 10 %
 * takes over just the one key in twenty that it must. A request without a key is assigned by smooth
 * rotation as in `./round-robin.ts`: exact over every hundred requests, not only in the long run.
 */

import type { RouteSnapshot } from '../../config/snapshot/route.ts';
import type { HeadReader } from '../../record/read.ts';
import type { Client } from '../head/client.ts';
import { scatter } from '../head/hash.ts';
import type { Key } from '../head/key.ts';
import type { Lookups } from '../head/lookups.ts';
import type { Weights } from './weights.ts';

export class Split {
  private readonly route: number;
  private readonly pools: readonly number[];
  private readonly count: number;
  private readonly key: Key | undefined;
  private readonly table: Weights;
  /** Where the weights of the targets begin in the table. */
  private readonly at: number;
  /** Weights for the rotation, as read at `version` of the table. */
  private readonly weights: Float64Array;
  private readonly credits: Float64Array;
  private total = 0;
  private version = -1;

  /** `pools` are those of the targets. A fallback's pool behind them is never drawn. */
  constructor(route: RouteSnapshot, number: number, pools: readonly number[], weights: Weights, lookups: Lookups) {
    this.route = number;
    this.pools = pools;
    this.count = route.targets.length;
    this.key = route.splitKeys.length === 0 ? undefined : lookups.key(route.splitKeys, 'first');
    this.table = weights;
    this.at = this.table.wordOfTargets(number);
    this.weights = new Float64Array(this.count);
    this.credits = new Float64Array(this.count);
  }

  /** The pool of the target that gets the request; the first target's if none has weight. */
  choose(head: HeadReader, client: Client, tenant: number): number {
    const key = this.key === undefined ? 0 : this.key.hash(head, client, tenant, this.route);
    return this.pools[key === 0 ? this.rotate() : this.race(key)]!;
  }

  private race(key: number): number {
    const { table, at } = this;
    let first = 0;
    let earliest = Number.POSITIVE_INFINITY;
    for (let target = 0; target < this.count; target++) {
      const weight = table.at(at + target);
      if (weight === 0) continue;
      const uniform = (scatter(key ^ scatter(target + 1)) + 0.5) * 2 ** -32;
      const start = -Math.log(uniform) / weight;
      if (start >= earliest) continue;
      first = target;
      earliest = start;
    }
    return first;
  }

  private rotate(): number {
    if (this.table.version() !== this.version) this.takeWeights();
    const { weights, credits } = this;
    let richest = 0;
    for (let target = 0; target < this.count; target++) {
      credits[target] = credits[target]! + weights[target]!;
      if (credits[target]! > credits[richest]!) richest = target;
    }
    credits[richest] = credits[richest]! - this.total;
    return richest;
  }

  private takeWeights(): void {
    const { table, weights } = this;
    this.version = table.version();
    this.total = 0;
    let isChanged = false;
    for (let target = 0; target < this.count; target++) {
      const weight = table.at(this.at + target);
      if (weight !== weights[target]) isChanged = true;
      weights[target] = weight;
      this.total += weight;
    }
    if (isChanged) this.credits.fill(0);
  }
}
