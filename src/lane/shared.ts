/**
 * What all shards and the main thread see at once: memory that lanes decide by and that each of
 * them changes. Made by the main thread, handed to every shard, and taken over from one snapshot to
 * the next. What lies in a table is its part's own business; here stands only which tables there
 * are.
 */

import { isDeepStrictEqual } from 'node:util';
import { createBackendTable, forgetBackend } from '../base/tables.ts';
import { roomOf } from '../config/numbering/in-use.ts';
import type { Numbered } from '../config/numbering/numberer.ts';
import type { Snapshot } from '../config/snapshot/snapshot.ts';
import { beginLimits, createPlaceTable, forgetPlaces, placeOfRoute, placeOfTenant, placeOfUpstream } from './admit/places.ts';
import { carryBuckets, createBucketTable, listLimits } from './admit/rate-limit/table.ts';
import { carryWeights, createWeightTable } from './balance/weights.ts';
import { createBudgetTable, forgetBudgets } from './retry/budget.ts';
import { createStandingTable, forgetStanding } from './standing/table.ts';

export interface SharedState {
  /** Load and latency of backends; reactors write in it too (`src/base/tables.ts`). */
  readonly backends: SharedArrayBuffer;
  /** Breakers, outliers, health of backends. */
  readonly standing: SharedArrayBuffer;
  /** Weights of targets and backends that can be changed at run time. */
  readonly weights: SharedArrayBuffer;
  /** Retry and hedge budgets of upstreams. */
  readonly budgets: SharedArrayBuffer;
  /** Exchanges in flight and waiting, of routes, upstreams and tenants; concurrency limits. */
  readonly places: SharedArrayBuffer;
  /** Buckets of rate limits. */
  readonly buckets: SharedArrayBuffer;
}

/** A snapshot and the memory that lanes decide by under it. */
export interface SharedOf {
  readonly snapshot: Snapshot;
  readonly shared: SharedState;
}

/**
 * Memory for the snapshot that follows on `from`. What is counted by numbers that outlive a
 * snapshot stays where it is. Weights and buckets lie closely packed and get tables of their own,
 * which are filled when the snapshot comes into force (`takeOver`).
 */
export function nextSharedState({ snapshot, shared }: SharedOf, next: Snapshot): SharedState {
  const areLimitsTheSame = isDeepStrictEqual(listLimits(snapshot), listLimits(next));
  return {
    ...shared,
    weights: createWeightTable(next),
    buckets: areLimitsTheSame ? shared.buckets : createBucketTable(next),
  };
}

/**
 * What is known under the old snapshot is known under the new one, and what was known under numbers
 * that mean something else now is forgotten.
 */
export function takeOver(from: SharedOf, to: SharedOf, fresh: Numbered['fresh']): void {
  const { snapshot, shared } = to;
  for (const slot of fresh.backends) forgetBackend(shared.backends, slot);
  forgetStanding(shared.standing, snapshot, fresh.backends, fresh.upstreams);
  for (const upstream of fresh.upstreams) forgetBudgets(shared.budgets, upstream);
  const places = [
    ...fresh.routes.map((route) => placeOfRoute(route)),
    ...fresh.upstreams.map((upstream) => placeOfUpstream(snapshot, upstream)),
    ...fresh.tenants.map((tenant) => placeOfTenant(snapshot, tenant)),
  ];
  forgetPlaces(shared.places, snapshot, places, fresh.upstreams);
  beginLimits(shared.places, snapshot);
  carryWeights({ snapshot: from.snapshot, weights: from.shared.weights }, { snapshot, weights: shared.weights });
  if (from.shared.buckets !== shared.buckets)
    carryBuckets({ snapshot: from.snapshot, buckets: from.shared.buckets }, { snapshot, buckets: shared.buckets });
}

export function createSharedState(snapshot: Snapshot): SharedState {
  return {
    backends: createBackendTable(roomOf(snapshot).backends),
    standing: createStandingTable(snapshot),
    weights: createWeightTable(snapshot),
    budgets: createBudgetTable(snapshot),
    places: createPlaceTable(snapshot),
    buckets: createBucketTable(snapshot),
  };
}
