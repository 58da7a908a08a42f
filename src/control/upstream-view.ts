/** What the admin API shows of an upstream: the snapshot's facts beside discovery's answers, the load table's figures and the shards' sessions. */
import { BACKEND_SLOT_BYTES, IN_FLIGHT_WORD, LATENCY_EWMA_F64, SAMPLE_COUNT_WORD } from '../base/tables.ts';
import type { BackendSnapshot, Snapshot } from '../config/snapshot.ts';
import type { BackendView, UpstreamView } from './admin/parts.ts';
import type { Discovery } from './discovery/discovery.ts';
import { type BackendRow, type ShardRows, viewSessions } from './shard-view.ts';

/** Reads the tables as they are now. */
export function viewUpstreams(
  snapshot: Snapshot,
  backendTable: SharedArrayBuffer,
  discovery: Pick<Discovery, 'status' | 'publication'>,
  answers: readonly ShardRows<BackendRow>[],
): UpstreamView[] {
  const words = new Int32Array(backendTable);
  const floats = new Float64Array(backendTable);
  const published = discovery.publication().addresses;
  return snapshot.upstreams.map(({ name, balance, slots }) => ({
    name,
    policy: balance.policy,
    backends: slots.map((slot) => viewBackend(snapshot.backends[slot] as BackendSnapshot)),
  }));

  function viewBackend({ slot, url, weight }: BackendSnapshot): BackendView {
    const { resolvedAtMs, failure } = discovery.status(slot);
    const word = (slot * BACKEND_SLOT_BYTES) / 4;
    const isMeasured = Atomics.load(words, word + SAMPLE_COUNT_WORD) !== 0;
    const latencyUs = floats[(slot * BACKEND_SLOT_BYTES) / 8 + LATENCY_EWMA_F64] ?? 0;
    return {
      slot,
      url,
      weight,
      addresses: published[slot] ?? [],
      resolvedAt: resolvedAtMs === 0 ? null : new Date(resolvedAtMs).toISOString(),
      resolveFailure: failure === '' ? null : failure,
      inFlight: Atomics.load(words, word + IN_FLIGHT_WORD),
      latencyMs: isMeasured ? Math.round(latencyUs) / 1_000 : null,
      ...viewSessions(answers, slot),
    };
  }
}
