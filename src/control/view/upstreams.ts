/**
 * What the admin API shows of an upstream: the snapshot's facts beside discovery's answers, the
 * tables that lanes share (load, standing, weights, places) and the shards' sessions.
 */
import { floatOf, IN_FLIGHT_WORD, LATENCY_EWMA_F64, SAMPLE_COUNT_WORD, wordOf } from '../../base/tables.ts';
import { upstreamsOf } from '../../config/numbering/in-use.ts';
import type { Snapshot } from '../../config/snapshot/snapshot.ts';
import type { BackendSnapshot } from '../../config/snapshot/upstream.ts';
import { readWeights } from '../../lane/balance/weights.ts';
import type { SharedState } from '../../lane/shared.ts';
import type { HealthState } from '../../lane/standing/health.ts';
import type { BreakerState } from '../../lane/standing/view.ts';
import { viewStanding } from '../../lane/standing/view.ts';
import type { Trust, TrustView } from '../certificates/trust.ts';
import type { Discovery } from '../discovery/discovery.ts';
import type { HealthStatus } from '../health/checker.ts';
import type { Health } from '../health/health.ts';
import type { BackendState } from './backend-state.ts';
import { backendState, isInUse } from './backend-state.ts';
import type { SessionView } from './shards.ts';
import { type BackendRow, type ShardRows, viewSessions } from './shards.ts';

/** A backend as `/v1/upstreams` shows it. */
export interface BackendView {
  readonly slot: number;
  readonly url: string;
  /** The one word for all that follows. */
  readonly state: BackendState;
  readonly weight: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly zone: string;
  readonly tier: number;
  readonly addresses: readonly string[];
  /** ISO 8601, or null when its name has never resolved. */
  readonly resolvedAt: string | null;
  /** Code of the last failure to resolve, or null. */
  readonly resolveFailure: string | null;
  /** Attempts open now, over all shards. */
  readonly inFlight: number;
  /** Peak-EWMA of the time to the response head; null while nothing was measured. */
  readonly latencyMs: number | null;
  readonly breaker: BreakerState;
  readonly ejectedAs: 'breaker' | 'outlier' | null;
  /** ISO 8601 times, or null. */
  readonly ejectedUntil: string | null;
  readonly heldOffUntil: string | null;
  readonly ejections: number;
  readonly health: HealthState;
  /**
   * The last active check, and what was wrong with it (null when nothing was); null where none was
   * made.
   */
  readonly check: { readonly at: string; readonly latencyMs: number; readonly failure: string | null } | null;
  /** Share of its weight that it may have: less than 1 while it starts slowly. */
  readonly share: number;
  readonly consecutiveFailures: number;
  /** Of the breaker's sliding window; zeros where neither a rate nor a count is looked at. */
  readonly window: { readonly outcomes: number; readonly failures: number };
  /** The last failure that counted; `status` is 0 unless it was an answer. */
  readonly lastFailure: { readonly reason: string; readonly status: number; readonly at: string } | null;
  /** Attempts that wait for a session, over all shards. */
  readonly waiting: number;
  /**
   * Why the last session ended or could not be made, with what more is known (`tls_alert:
   * unrecognized_name`), or null.
   */
  readonly lastFault: string | null;
  readonly sessions: readonly SessionView[];
}

export interface UpstreamView {
  readonly name: string;
  readonly policy: string;
  /** Attempts open at its backends now. */
  readonly inFlight: number;
  /** Backends that get requests, and those that are ejected. */
  readonly admitted: number;
  readonly ejected: number;
  readonly isPanicking: boolean;
  /** What its backends are held against and shown; null where no file says so. */
  readonly trust: TrustView | null;
  readonly backends: readonly BackendView[];
}

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
    const isMeasured = Atomics.load(words, wordOf(slot, SAMPLE_COUNT_WORD)) !== 0;
    const latencyUs = floats[floatOf(slot, LATENCY_EWMA_F64)] ?? 0;
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
      inFlight: Atomics.load(words, wordOf(slot, IN_FLIGHT_WORD)),
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
