/**
 * Metrics of what lanes share about limits: places and those who wait for one, limits that follow
 * the latency, rate limits. Read at the moment of a scrape.
 */

import type { Registry } from 'prom-client';
import type { Snapshot } from '../../config/snapshot/snapshot.ts';
import { viewLimits, viewStoreLost } from '../../lane/admit/rate-limit/view.ts';
import { viewGuards, viewPlaces } from '../../lane/admit/view.ts';
import type { SharedState } from '../../lane/shared.ts';
import type { Family } from '../../observe/families.ts';
import { addFamily, type Put } from './add-family.ts';

const PLACE = ['kind', 'name'];
const LIMIT = ['kind', 'name', 'limit'];

/** The families as the reference page describes them. */
const LIMIT_FAMILIES = {
  inFlight: family('lychgate_places_taken', 'gauge', 'Exchanges in flight of a route, upstream or tenant that has a limit of them.', PLACE),
  waiting: family('lychgate_places_waited_for', 'gauge', 'Exchanges that wait for a place there.', PLACE),
  refused: family('lychgate_places_refused_total', 'counter', 'Exchanges turned away because there was no place, or none in time.', PLACE),
  shed: family(
    'lychgate_shed_total',
    'counter',
    'Exchanges shed before an overloaded upstream: by its guard, at its adaptive limit, by brownout.',
    ['upstream'],
  ),
  guard: family(
    'lychgate_guard_limit',
    'gauge',
    'Exchanges that may be in flight at an upstream while a queue stands there, of all shards that see one; 0 while none does.',
    ['upstream'],
  ),
  adaptive: family('lychgate_adaptive_limit', 'gauge', 'Exchanges in flight that the latency of an upstream allows now.', ['upstream']),
  base: family('lychgate_adaptive_base_seconds', 'gauge', 'Time to the response head without a queue, as far as known.', ['upstream']),
  keys: family('lychgate_rate_limit_keys', 'gauge', 'Keys that a rate limit holds buckets of.', LIMIT),
  limited: family('lychgate_rate_limited_total', 'counter', 'Requests that a rate limit refused.', LIMIT),
  held: family('lychgate_held_bytes_limit', 'gauge', 'Bytes that may be held for peers, by all shards together.', []),
  store: family('lychgate_store_lost_shards', 'gauge', 'Shards that miss the store of shared limits.', []),
} as const;

export interface LimitMetricParts {
  readonly snapshot: Snapshot;
  readonly shared: Pick<SharedState, 'places' | 'buckets'>;
}

/** Adds the families to `registry`. */
export function addLimitMetrics(registry: Registry, { snapshot, shared }: LimitMetricParts): void {
  const add = (of: Family, collect: (put: Put) => void) => addFamily(registry, of, collect);
  const places = () => viewPlaces(snapshot, shared.places);
  const guards = () => viewGuards(snapshot, shared.places);
  const limits = () => viewLimits(snapshot, shared.buckets);

  add(LIMIT_FAMILIES.held, (set) => set({}, snapshot.limits.maxHeldBytes));
  add(LIMIT_FAMILIES.inFlight, (set) => {
    for (const { kind, name, inFlight } of places()) set({ kind, name }, inFlight);
  });
  add(LIMIT_FAMILIES.waiting, (set) => {
    for (const { kind, name, waiting } of places()) set({ kind, name }, waiting);
    for (const { upstream, waiting } of guards()) set({ kind: 'upstream', name: upstream }, waiting);
  });
  add(LIMIT_FAMILIES.refused, (set) => {
    for (const { kind, name, refused } of places()) set({ kind, name }, refused);
  });
  add(LIMIT_FAMILIES.shed, (set) => {
    for (const { adaptive, name, shed } of places()) if (adaptive !== undefined) set({ upstream: name }, shed);
    for (const { upstream, shed } of guards()) set({ upstream }, shed);
  });
  add(LIMIT_FAMILIES.guard, (set) => {
    for (const { upstream, limit } of guards()) set({ upstream }, limit);
  });
  add(LIMIT_FAMILIES.adaptive, (set) => {
    for (const { adaptive, name } of places()) if (adaptive !== undefined) set({ upstream: name }, adaptive.limit);
  });
  add(LIMIT_FAMILIES.base, (set) => {
    for (const { adaptive, name } of places()) if (adaptive !== undefined) set({ upstream: name }, adaptive.baseUs / 1e6);
  });
  add(LIMIT_FAMILIES.keys, (set) => {
    for (const { owner, of, name, keys } of limits()) set({ kind: owner, name: of, limit: name }, keys);
  });
  add(LIMIT_FAMILIES.limited, (set) => {
    for (const { owner, of, name, refused } of limits()) set({ kind: owner, name: of, limit: name }, refused);
  });
  add(LIMIT_FAMILIES.store, (set) => {
    if (snapshot.store !== undefined) set({}, viewStoreLost(shared.buckets));
  });
}

function family(name: string, kind: 'gauge' | 'counter', help: string, labels: readonly string[]): Family {
  return { name, kind, help, labels };
}
