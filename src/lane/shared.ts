/**
 * The memory that all shards and the main thread share. Lanes decide by it and change it. The main
 * thread makes it, hands it to every shard and carries it over from one snapshot to the next. The
 * layout of a table belongs to its own module; this file only lists the tables.
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
  /** Load and latency of backends; reactors write to it too (`src/base/tables.ts`). */
  readonly backends: SharedArrayBuffer;
  /** Breakers, outliers and health of backends. */
  readonly standing: SharedArrayBuffer;
  /** Weights of targets and backends that can be changed at run time. */
  readonly weights: SharedArrayBuffer;
  /** Retry and hedge budgets of upstreams. */
  readonly budgets: SharedArrayBuffer;
  /** Exchanges in flight and waiting, by route, upstream and tenant; concurrency limits. */
  readonly places: SharedArrayBuffer;
  /** Buckets of rate limits. */
  readonly buckets: SharedArrayBuffer;
}

/** A snapshot and the shared memory that goes with it. */
export interface SharedOf {
  readonly snapshot: Snapshot;
  readonly shared: SharedState;
}

/**
 * The memory for the snapshot that follows `from`. Tables whose numbers outlive a snapshot are
 * kept. Weights and buckets are densely packed and get new tables, which `takeOver` fills when the
 * snapshot comes into force.
 */
export function nextSharedState({ snapshot, shared }: SharedOf, next: Snapshot): SharedState {
  const areLimitsTheSame = isDeepStrictEqual(listLimits(snapshot), listLimits(next));
  return {
    ...shared,
    weights: createWeightTable(next),
    buckets: areLimitsTheSame ? shared.buckets : createBucketTable(next),
  };
}

/** Carries state over to the new snapshot, and resets numbers that mean something else now. */
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
