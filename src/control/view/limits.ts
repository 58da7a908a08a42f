/** What the admin API shows of limits: the tables that lanes share, read as they are now. */
import type { Snapshot } from '../../config/snapshot/snapshot.ts';
import type { LimitView } from '../../lane/admit/rate-limit/view.ts';
import { viewLimits, viewStoreLost } from '../../lane/admit/rate-limit/view.ts';
import type { GuardView, PlaceView } from '../../lane/admit/view.ts';
import { viewGuards, viewPlaces } from '../../lane/admit/view.ts';
import type { SharedState } from '../../lane/shared.ts';

/** Limits as `/v1/limits` shows them. */
export interface LimitsView {
  readonly places: readonly PlaceView[];
  readonly guards: readonly GuardView[];
  readonly rateLimits: readonly LimitView[];
  /** Shards that miss the store of shared limits; null where there is none. */
  readonly storeLostShards: number | null;
}

export function viewAllLimits(snapshot: Snapshot, { places, buckets }: Pick<SharedState, 'places' | 'buckets'>): LimitsView {
  return {
    places: viewPlaces(snapshot, places),
    guards: viewGuards(snapshot, places),
    rateLimits: viewLimits(snapshot, buckets),
    storeLostShards: snapshot.store === undefined ? null : viewStoreLost(buckets),
  };
}
