/** `lychgate_shard_restarts_total`: the only family that is counted on the main thread, because a dead worker cannot count itself. */
import { Counter, type Registry } from 'prom-client';
import type { Shards } from './shards.ts';

/** Adds the family to `registry`; every shard and cause has a series from the start, so that a first death is an increase. */
export function addRestartMetric(registry: Registry, shards: Pick<Shards, 'restarts'>): void {
  new Counter({
    name: 'lychgate_shard_restarts_total',
    help: 'Workers of a shard that died and were replaced, by cause: throw, exit, memory, stall (its lane or event loop was stuck), start (not ready in time).',
    labelNames: ['shard', 'cause'],
    registers: [registry],
    collect() {
      this.reset();
      for (const { shard, cause, count } of shards.restarts()) this.inc({ shard, cause }, count);
    },
  });
}
