/**
 * Gauges of what lanes share: how backends stand, what they weigh, how many of an upstream may be
 * used. Read at the moment of a scrape.
 */

import type { Registry } from 'prom-client';
import { backendsOf, upstreamsOf } from '../../config/numbering/in-use.ts';
import type { Snapshot } from '../../config/snapshot/snapshot.ts';
import { readWeights } from '../../lane/balance/weights.ts';
import type { SharedState } from '../../lane/shared.ts';
import { viewStanding } from '../../lane/standing/view.ts';
import type { Family } from '../../observe/families.ts';
import { BACKEND_STATES, backendState, isInUse } from '../view/backend-state.ts';
import { addFamily, type Put } from './add-family.ts';

/** The families as the reference page describes them. */
const STANDING_FAMILIES = {
  state: gauge('lychgate_backend_state', `1 for the state a backend is in: ${BACKEND_STATES.join(', ')}.`, [
    'upstream',
    'backend',
    'state',
  ]),
  weight: gauge('lychgate_backend_weight', 'Weight of a backend now.', ['upstream', 'backend']),
  ejections: {
    name: 'lychgate_backend_ejections_total',
    kind: 'counter',
    help: 'Times a backend was ejected.',
    labels: ['upstream', 'backend'],
  },
  admitted: gauge('lychgate_upstream_backends_admitted', 'Backends of an upstream that get requests.', ['upstream']),
  panic: gauge('lychgate_upstream_panic', '1 while so few backends are fit that all of them are used.', ['upstream']),
} as const satisfies Record<string, Family>;

export interface StandingMetricParts {
  readonly snapshot: Snapshot;
  readonly shared: Pick<SharedState, 'standing' | 'weights'>;
  /** How many addresses a backend has. */
  readonly addresses: (slot: number) => number;
}

/** Adds the families to `registry`. */
export function addStandingMetrics(registry: Registry, { snapshot, shared, addresses }: StandingMetricParts): void {
  const backends = backendsOf(snapshot).map(({ upstream, url, slot }) => ({ slot, labels: { upstream, backend: url } }));
  const add = (of: Family, collect: (put: Put) => void) => addFamily(registry, of, collect);
  const view = () => viewStanding(shared.standing, snapshot);

  add(STANDING_FAMILIES.state, (set) => {
    const standing = view().backends;
    const weights = readWeights(shared.weights).backends;
    for (const { slot, labels } of backends) {
      const state = backendState(standing[slot], weights[slot] ?? 0, addresses(slot));
      for (const name of BACKEND_STATES) set({ ...labels, state: name }, name === state ? 1 : 0);
    }
  });
  add(STANDING_FAMILIES.weight, (set) => {
    const weights = readWeights(shared.weights).backends;
    for (const { slot, labels } of backends) set(labels, weights[slot] ?? 0);
  });
  add(STANDING_FAMILIES.ejections, (set) => {
    const standing = view().backends;
    for (const { slot, labels } of backends) set(labels, standing[slot]?.ejections ?? 0);
  });
  add(STANDING_FAMILIES.admitted, (set) => {
    const standing = view().backends;
    const weights = readWeights(shared.weights).backends;
    for (const [, { name, slots }] of upstreamsOf(snapshot)) {
      set({ upstream: name }, slots.filter((slot) => isInUse(standing[slot], weights[slot] ?? 0, addresses(slot))).length);
    }
  });
  add(STANDING_FAMILIES.panic, (set) => {
    const standing = view().upstreams;
    for (const [number, { name }] of upstreamsOf(snapshot)) set({ upstream: name }, standing[number]?.isPanicking === true ? 1 : 0);
  });
}

function gauge(name: string, help: string, labels: readonly string[]): Family {
  return { name, kind: 'gauge', help, labels };
}
