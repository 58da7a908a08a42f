/**
 * The one word that says how a backend stands, from all that is known of it: for tables, the admin
 * API and a gauge.
 */

import type { BackendStanding } from '../../lane/standing/view.ts';

/** From the strongest to the weakest: the first that fits is a backend's state. */
export const BACKEND_STATES = ['unresolved', 'drained', 'down', 'ejected', 'probing', 'held-off', 'starting', 'up'] as const;

export type BackendState = (typeof BACKEND_STATES)[number];

/**
 * `unresolved`: its name has no address; `drained`: weight 0; `down`: health checks failed;
 * `ejected`: by its breaker or as an outlier; `probing`: half-open; `held-off`: it asked for a
 * pause (Retry-After); `starting`: back, with less than its share; `up`.
 */
export function backendState(standing: BackendStanding | undefined, weight: number, addresses: number): BackendState {
  if (addresses === 0) return 'unresolved';
  if (weight === 0) return 'drained';
  if (standing === undefined) return 'up';
  if (standing.health === 'down') return 'down';
  if (standing.state === 'open') return 'ejected';
  if (standing.state === 'half-open') return 'probing';
  if (standing.heldOffUntilMs > 0) return 'held-off';
  return standing.share < 1 ? 'starting' : 'up';
}

/**
 * Does it get requests: it can be reached, has a weight, and nothing bars it? Probes of a half-open
 * breaker do not count.
 */
export function isInUse(standing: BackendStanding | undefined, weight: number, addresses: number): boolean {
  return addresses > 0 && weight > 0 && standing?.isAdmitted !== false;
}
