/**
 * What all shards and the main thread see at once: memory that lanes decide by and that each of them changes. Made by the main thread for one snapshot and
 * handed to every shard. What lies in a table is its part's own business; here stands only which tables there are.
 */

import { createBackendTable } from '../base/tables.ts';
import type { Snapshot } from '../config/snapshot.ts';
import { createPlaceTable } from './admit/places.ts';
import { createBucketTable } from './admit/rate-limit/table.ts';
import { createWeightTable } from './balance/weights.ts';
import { createBudgetTable } from './retry/budget.ts';
import { createStandingTable } from './standing/table.ts';

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

export function createSharedState(snapshot: Snapshot): SharedState {
  return {
    backends: createBackendTable(snapshot.backends.length),
    standing: createStandingTable(snapshot),
    weights: createWeightTable(snapshot),
    budgets: createBudgetTable(snapshot),
    places: createPlaceTable(snapshot),
    buckets: createBucketTable(snapshot),
  };
}
