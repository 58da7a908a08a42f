/**
 * `lychgate_shard_restarts_total`: counted on the main thread, because a dead worker cannot count
 * itself.
 */
import type { Registry } from 'prom-client';
import type { Family } from '../../observe/families.ts';
import type { Shards } from '../shards/shards.ts';
import { addFamily } from './add-family.ts';

/** The family as the reference page describes it. */
const RESTART_FAMILY: Family = {
  name: 'lychgate_shard_restarts_total',
  kind: 'counter',
  help: 'Workers that died and were replaced, by cause: throw, exit, memory, stall (lane or event loop stuck), start (not ready in time).',
  labels: ['shard', 'cause'],
};

/**
 * Adds the family to `registry`; every shard and cause has a series from the start, so that a first
 * death is an increase.
 */
export function addRestartMetric(registry: Registry, shards: Pick<Shards, 'restarts'>): void {
  addFamily(registry, RESTART_FAMILY, (put) => {
    for (const { shard, cause, count } of shards.restarts()) put({ shard: String(shard), cause }, count);
  });
}
