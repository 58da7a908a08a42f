/**
 * The metric families that the lane's counters and the backend table feed: name, help, kind and
 * labels, in one list that the registry and the reference page (docs/metrics.md) are made from. The
 * reactor describes its own (`native/core/src/base/counters.rs`).
 */

export interface Family {
  readonly name: string;
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
}

/** Every family by what it counts. */
export const FAMILIES = {
  requests: family('lychgate_requests_total', 'counter', 'Exchanges that ended, by route and class of the status sent.', [
    'route',
    'status_class',
  ]),
  requestFailures: family('lychgate_request_failures_total', 'counter', 'Exchanges that ended for a reason, by route and reason.', [
    'route',
    'reason',
  ]),
  requestDuration: family('lychgate_request_duration_seconds', 'histogram', 'Time from request head decoded to end of the exchange.', [
    'route',
  ]),
  routeBytesIn: family(
    'lychgate_route_request_body_bytes_total',
    'counter',
    'Body bytes received from clients, by route, of ended exchanges.',
    ['route'],
  ),
  routeBytesOut: family(
    'lychgate_route_response_body_bytes_total',
    'counter',
    'Body bytes sent to clients, by route, of ended exchanges.',
    ['route'],
  ),
  phases: family(
    'lychgate_phase_duration_seconds',
    'histogram',
    'Time of the phases of exchanges: decide (head to decision), open (decision to stream opened), send (opened to request sent), await (opened to response head), total.',
    ['listener', 'phase'],
  ),
  certificateHandshakes: family(
    'lychgate_certificate_handshakes_total',
    'counter',
    'Handshakes by name of the certificate they had and by outcome: full, resumed, failed after it was chosen. Beyond a thousand names of a listener the rest counts as others.',
    ['listener', 'certificate', 'outcome'],
  ),
  clientCertificatesEnded: family(
    'lychgate_client_certificates_ended_total',
    'counter',
    "Connections ended because their client's certificate did not pass any more, by reason as lychgate_client_certificates_refused_total has them.",
    ['listener', 'reason'],
  ),
  attempts: family('lychgate_attempts_total', 'counter', 'Attempts sent to a backend.', ['upstream', 'backend']),
  retries: family('lychgate_retries_total', 'counter', 'Attempts that were not the first of their exchange.', ['upstream', 'backend']),
  attemptFailures: family('lychgate_attempt_failures_total', 'counter', 'Attempts that failed, by reason.', [
    'upstream',
    'backend',
    'reason',
  ]),
  retriedFailures: family('lychgate_retried_failures_total', 'counter', 'Failures that another attempt was made after, by reason.', [
    'upstream',
    'reason',
  ]),
  retriesDenied: family(
    'lychgate_retries_denied_total',
    'counter',
    'Failures that the route would have tried again, by what forbade it: attempts, unsafe (body gone or not repeatable), budget, backend.',
    ['upstream', 'denial'],
  ),
  hedges: family('lychgate_hedges_total', 'counter', 'Hedges by outcome: sent, won, wasted, denied_budget, denied_backend.', [
    'upstream',
    'outcome',
  ]),
  queued: family('lychgate_requests_queued_total', 'counter', 'Requests that waited for a place.', ['upstream']),
  fallbacks: family('lychgate_fallbacks_total', 'counter', 'Times the fallback of a route was used instead of the upstream.', ['upstream']),
  stickyMoves: family('lychgate_sticky_moves_total', 'counter', 'Sticky sessions that went to another backend.', ['upstream']),
  hashTables: family(
    'lychgate_hash_tables_built_total',
    'counter',
    'Hash rings and Maglev tables built, in all shards: at the start and for a change of weights, never by load.',
    ['upstream'],
  ),
  underscores: family(
    'lychgate_underscore_fields_total',
    'counter',
    'Fields of clients whose name has an underscore that does not pass, by outcome: dropped, refused.',
    ['outcome'],
  ),
  inFlight: family('lychgate_attempts_in_flight', 'gauge', 'Attempts open at a backend now.', ['upstream', 'backend']),
  latency: family(
    'lychgate_backend_latency_seconds',
    'gauge',
    'Peak EWMA of the time to the response head, as the balancer last wrote it.',
    ['upstream', 'backend'],
  ),
  decideDuration: family('lychgate_decide_duration_seconds', 'histogram', 'Time the lane spent in one call.', ['shard']),
  decideRecords: family('lychgate_decide_records', 'histogram', 'Records the lane took in one call: heads, failed attempts, completions.', [
    'shard',
  ]),
  decideFailures: family('lychgate_decide_failures_total', 'counter', 'Rules that threw; each ended its own exchange with lane_failed.', [
    'shard',
  ]),
  applyDuration: family(
    'lychgate_apply_duration_seconds',
    'histogram',
    'Longest time for which nothing else of a shard went on while it took a configuration: of the steps between turns, and of the change at their end.',
    ['shard'],
  ),
  loopDelay: family(
    'lychgate_event_loop_delay_seconds',
    'histogram',
    'How late a timer of the shard came, looked at four times a second.',
    ['shard'],
  ),
  loopUtilization: family(
    'lychgate_event_loop_utilization_ratio',
    'gauge',
    'Share of the last quarter second in which the shard was busy.',
    ['shard'],
  ),
  heap: family('lychgate_lane_heap_bytes', 'gauge', 'JavaScript heap in use in the worker of the shard, four times a second.', ['shard']),
  lines: family('lychgate_access_lines_total', 'counter', 'Access lines written.', ['shard']),
  linesDropped: family(
    'lychgate_access_lines_dropped_total',
    'counter',
    'Access lines that standard output did not take: its reader is slow, the disk is full, the reader has gone (closed), or another error.',
    ['shard', 'reason'],
  ),
} as const satisfies Record<string, Family>;

function family(name: string, kind: Family['kind'], help: string, labels: readonly string[]): Family {
  return { name, kind, help, labels };
}
