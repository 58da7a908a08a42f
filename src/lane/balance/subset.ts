/** The backends of a target: all of its upstream, or those with every label it asks for. */

import type { LaneSnapshot } from '../../config/route-table.ts';
import type { TargetSnapshot } from '../../config/snapshot/route.ts';

type Aim = Pick<TargetSnapshot, 'upstream' | 'subset'>;

/** Slots in configured order. Their index is the backend's position in the target's pool. */
export function slotsOf(snapshot: LaneSnapshot, { upstream, subset }: Aim): readonly number[] {
  const slots = snapshot.upstreams[upstream]?.slots ?? [];
  const labels = Object.entries(subset);
  if (labels.length === 0) return slots;
  return slots.filter((slot) => labels.every(([name, value]) => snapshot.backends[slot]!.labels[name] === value));
}
