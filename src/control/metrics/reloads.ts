/** Metrics of reloads, and which configuration is in force. */

import type { Registry } from 'prom-client';
import type { Family } from '../../observe/families.ts';
import { RELOAD_RESULTS, type Reloader } from '../reload/reload.ts';
import { addFamily } from './add-family.ts';

/** The families as the reference page describes them. */
const RELOAD_FAMILIES = {
  generation: family('lychgate_config_generation', 'gauge', '1 for the generation of the configuration in force.', ['generation']),
  reloads: family('lychgate_config_reloads_total', 'counter', `Reloads by result: ${RELOAD_RESULTS.join(', ')}.`, ['result']),
  success: family(
    'lychgate_config_last_success_timestamp_seconds',
    'gauge',
    'When the configuration was last found in force as it was read: at the start, or by a reload.',
    [],
  ),
  stale: family('lychgate_config_stale', 'gauge', '1 while what was read last is not what is in force.', []),
} as const satisfies Record<string, Family>;

/** Adds the families to `registry`; every result has a series from the start. */
export function addReloadMetrics(registry: Registry, reloader: Omit<Reloader, 'reload'>, generation: () => string): void {
  addFamily(registry, RELOAD_FAMILIES.generation, (put) => put({ generation: generation() }, 1));
  addFamily(registry, RELOAD_FAMILIES.reloads, (put) => {
    for (const [result, count] of Object.entries(reloader.counts())) put({ result }, count);
  });
  addFamily(registry, RELOAD_FAMILIES.success, (put) => put({}, reloader.lastSuccess()));
  addFamily(registry, RELOAD_FAMILIES.stale, (put) => put({}, reloader.status().staleSince === null ? 0 : 1));
}

function family(name: string, kind: 'gauge' | 'counter', help: string, labels: readonly string[]): Family {
  return { name, kind, help, labels };
}
