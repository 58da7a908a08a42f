/** The configuration in force, and what was made of it. */

import { Registry } from 'prom-client';
import type { Config } from '../../config/schema/config.ts';
import type { Snapshot } from '../../config/snapshot/snapshot.ts';
import type { SharedState } from '../../lane/shared.ts';
import type { BindingAddon } from '../../native/binding.ts';
import { createRegistry } from '../../observe/registry.ts';
import type { Discovery } from '../discovery/discovery.ts';
import { addLimitMetrics } from '../metrics/limits.ts';
import { addStandingMetrics } from '../metrics/standing.ts';

export interface InForce {
  readonly snapshot: Snapshot;
  readonly shared: SharedState;
  readonly config: Config | undefined;
  /** Families of what the snapshot names, and those of the process. */
  readonly registry: Registry;
}

/** Holds what is in force; a reload puts another in its place. */
export interface Current {
  now: InForce;
}

export interface InForceParts {
  readonly addon: BindingAddon;
  /** The shards' tables. */
  readonly counters: readonly SharedArrayBuffer[];
  readonly discovery: Pick<Discovery, 'status'>;
  /** Families of the process. */
  readonly processRegistry: Registry;
}

export function inForceOf(parts: InForceParts, snapshot: Snapshot, shared: SharedState, config: Config | undefined): InForce {
  const { addon, counters, discovery, processRegistry } = parts;
  const registry = createRegistry({ addon, snapshot, counters, backendTable: shared.backends });
  addStandingMetrics(registry, { snapshot, shared, addresses: (slot) => discovery.status(slot).addresses.length });
  addLimitMetrics(registry, { snapshot, shared });
  return { snapshot, shared, config, registry: Registry.merge([registry, processRegistry]) };
}
