/**
 * What the admin API shows of an upstream: the snapshot's facts beside discovery's answers, the tables that lanes share (load, standing, weights, places) and the
 * shards' sessions.
 */
import { BACKEND_SLOT_BYTES, IN_FLIGHT_WORD, LATENCY_EWMA_F64, SAMPLE_COUNT_WORD } from '../../base/tables.ts';
import { upstreamsOf } from '../../config/numbering.ts';
import type { Snapshot } from '../../config/snapshot/snapshot.ts';
import type { BackendSnapshot } from '../../config/snapshot/upstream.ts';
import { readWeights } from '../../lane/balance/weights.ts';
import type { SharedState } from '../../lane/shared.ts';
import { viewStanding } from '../../lane/standing/view.ts';
import type { BackendView, UpstreamView } from '../admin/parts.ts';
import type { Trust } from '../certificates/trust.ts';
import type { Discovery } from '../discovery/discovery.ts';
import type { HealthStatus } from '../health/checker.ts';
import type { Health } from '../health/health.ts';
import { backendState, isInUse } from './backend-state.ts';
import { type BackendRow, type ShardRows, viewSessions } from './shards.ts';

export interface UpstreamViewParts {
  readonly snapshot: Snapshot;
  readonly shared: Pick<SharedState, 'backends' | 'standing' | 'weights'>;
  readonly discovery: Pick<Discovery, 'status' | 'publication'>;
  readonly health: Pick<Health, 'status'>;
  readonly trust: Pick<Trust, 'view'>;
}

/** Reads the tables as they are now. */
export function viewUpstreams(parts: UpstreamViewParts, answers: readonly ShardRows<BackendRow>[]): UpstreamView[] {
  const { snapshot, shared, discovery, health } = parts;
  const trust = parts.trust.view();
  const words = new Int32Array(shared.backends);
  const floats = new Float64Array(shared.backends);
  const standing = viewStanding(shared.standing, snapshot);
  const weights = readWeights(shared.weights);
  const published = discovery.publication().addresses;
  return upstreamsOf(snapshot).map(([number, { name, balance, slots }]) => {
    const backends = slots.map((slot) => viewBackend(snapshot.backends[slot] as BackendSnapshot));
    const crowd = standing.upstreams[number];
    return {
      name,
      policy: balance.policy,
      inFlight: backends.reduce((sum, { inFlight }) => sum + inFlight, 0),
      admitted: slots.filter((slot) => isInUse(standing.backends[slot], weights.backends[slot] ?? 0, published[slot]?.length ?? 0)).length,
      ejected: crowd?.ejected ?? 0,
      isPanicking: crowd?.isPanicking ?? false,
      trust: trust.get(name) ?? null,
      backends,
    };
  });

  function viewBackend({ slot, url, labels, zone, tier }: BackendSnapshot): BackendView {
    const { resolvedAtMs, failure } = discovery.status(slot);
    const word = (slot * BACKEND_SLOT_BYTES) / 4;
    const isMeasured = Atomics.load(words, word + SAMPLE_COUNT_WORD) !== 0;
    const latencyUs = floats[(slot * BACKEND_SLOT_BYTES) / 8 + LATENCY_EWMA_F64] ?? 0;
    const addresses = published[slot] ?? [];
    const weight = weights.backends[slot] ?? 0;
    const found = standing.backends[slot];
    const failed = found?.lastFailure ?? null;
    const checked = health.status(slot);
    return {
      slot,
      url,
      state: backendState(found, weight, addresses.length),
      weight,
      labels,
      zone,
      tier,
      addresses,
      resolvedAt: timeOf(resolvedAtMs),
      resolveFailure: failure === '' ? null : failure,
      inFlight: Atomics.load(words, word + IN_FLIGHT_WORD),
      latencyMs: isMeasured ? Math.round(latencyUs) / 1_000 : null,
      breaker: found?.state ?? 'closed',
      ejectedAs: found?.ejectedAs ?? null,
      ejectedUntil: timeOf(found?.openUntilMs ?? 0),
      ejections: found?.ejections ?? 0,
      health: found?.health ?? 'unknown',
      check: checked === undefined || checked.checkedAtMs === 0 ? null : viewCheck(checked),
      heldOffUntil: timeOf(found?.heldOffUntilMs ?? 0),
      share: found?.share ?? 1,
      consecutiveFailures: found?.consecutiveFailures ?? 0,
      window: { outcomes: found?.windowOutcomes ?? 0, failures: found?.windowFailures ?? 0 },
      lastFailure: failed === null ? null : { reason: failed.reason, status: failed.status, at: new Date(failed.atMs).toISOString() },
      ...viewSessions(answers, slot),
    };
  }
}

function viewCheck({ checkedAtMs, latencyMs, failure }: HealthStatus): BackendView['check'] {
  return { at: new Date(checkedAtMs).toISOString(), latencyMs: Math.round(latencyMs * 1_000) / 1_000, failure };
}

function timeOf(ms: number): string | null {
  return ms === 0 ? null : new Date(ms).toISOString();
}
