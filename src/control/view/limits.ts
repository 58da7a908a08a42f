/** What the admin API shows of limits: the tables that lanes share, read as they are now. */
import type { Snapshot } from '../../config/snapshot/snapshot.ts';
import { viewLimits, viewStoreLost } from '../../lane/admit/rate-limit/view.ts';
import { viewGuards, viewPlaces } from '../../lane/admit/view.ts';
import type { SharedState } from '../../lane/shared.ts';
import type { LimitsView } from '../admin/parts.ts';

export function viewAllLimits(snapshot: Snapshot, { places, buckets }: Pick<SharedState, 'places' | 'buckets'>): LimitsView {
  return {
    places: viewPlaces(snapshot, places),
    guards: viewGuards(snapshot, places),
    rateLimits: viewLimits(snapshot, buckets),
    storeLostShards: snapshot.store === undefined ? null : viewStoreLost(buckets),
  };
}
