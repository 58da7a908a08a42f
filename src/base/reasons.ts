// Made by `npm run records` from native/core/src/base/reason/reasons.yaml, not by hand.
/** The registry of reasons: numbers that stand in records, codes, and what follows from each. */

/** Whose failure it was. */
export type Side = 'none' | 'downstream' | 'upstream' | 'internal' | 'config';

/**
 * May another attempt be made: never, only when nothing was sent, or whenever the request is safe
 * to repeat (RFC 9110 §9.2.2).
 */
export type Retry = 'never' | 'if-unsent' | 'safe';

/** One row. */
export interface Reason {
  /** In records; below 128. */
  readonly number: number;
  /** Stable name in logs, metrics and answers. */
  readonly code: string;
  readonly side: Side;
  /** HTTP status a client gets; 0 when none follows from the code. */
  readonly status: number;
  readonly retry: Retry;
  /** What a gRPC client is told. */
  readonly grpcStatus: number;
  /** One line for people. */
  readonly title: string;
}

/** Every reason, ordered by number. */
export const REASONS = [
  reason(0, 'none', 'none', 0, 'never', 2, 'Nothing went wrong'),
  reason(1, 'request_malformed', 'downstream', 400, 'never', 13, 'The request head breaks RFC 9114 or RFC 9110'),
  reason(2, 'request_head_too_large', 'downstream', 431, 'never', 2, 'The request head has too many or too large fields'),
  reason(3, 'request_body_too_large', 'downstream', 413, 'never', 2, 'The request body is larger than the route allows'),
  reason(4, 'request_length_mismatch', 'downstream', 400, 'never', 13, 'The request body differs from its content-length'),
  reason(5, 'connect_not_supported', 'downstream', 501, 'never', 2, 'CONNECT is not supported'),
  reason(6, 'client_reset', 'downstream', 499, 'never', 2, 'The client reset the stream'),
  reason(7, 'client_gone', 'downstream', 499, 'never', 2, 'The connection of the client ended'),
  reason(8, 'client_slow', 'downstream', 408, 'never', 2, 'The client made no progress in time'),
  reason(9, 'expectation_failed', 'downstream', 417, 'never', 2, 'The expectation of the request cannot be met'),
  reason(10, 'client_protocol_error', 'downstream', 400, 'never', 13, 'The client broke the protocol on its stream'),
  reason(11, 'path_not_canonical', 'downstream', 400, 'never', 13, 'The path or authority has no canonical form'),
  reason(12, 'client_below_rate', 'downstream', 408, 'never', 2, 'The client took or sent fewer bytes a second than it has to'),
  reason(13, 'misdirected', 'downstream', 421, 'never', 2, 'The certificate of the connection does not name the authority of the request'),
  reason(16, 'route_not_found', 'config', 404, 'never', 12, 'No route matches the request'),
  reason(17, 'backend_not_available', 'upstream', 503, 'never', 14, 'The upstream has no backend that could be tried'),
  reason(18, 'fixed_response', 'config', 0, 'never', 2, 'The route answers by itself'),
  reason(19, 'access_denied', 'config', 403, 'never', 7, 'The access list of the route does not admit the client'),
  reason(20, 'rate_limited', 'downstream', 429, 'never', 14, 'The client or its tenant sent more than its rate allows'),
  reason(21, 'redirected', 'config', 0, 'never', 2, 'The route sends the client elsewhere'),
  reason(
    22,
    'rate_limit_not_available',
    'internal',
    503,
    'never',
    14,
    'The shared rate limit could not be asked, and the configuration refuses then',
  ),
  reason(23, 'fallback_response', 'config', 0, 'never', 2, 'No backend could answer, the fallback of the route did'),
  reason(24, 'max_forwards_reached', 'config', 0, 'never', 2, 'The Max-Forwards of OPTIONS or TRACE ended here, the edge answered'),
  reason(32, 'connect_failed', 'upstream', 502, 'if-unsent', 14, 'The backend could not be connected'),
  reason(33, 'connect_timeout', 'upstream', 504, 'if-unsent', 14, 'The backend was not connected in time'),
  reason(
    34,
    'tls_failed',
    'upstream',
    502,
    'if-unsent',
    14,
    'The TLS handshake with the backend failed for a reason that has no code of its own; clients get this code for all of them',
  ),
  reason(35, 'name_not_resolved', 'upstream', 502, 'if-unsent', 14, 'The name of the backend has no address'),
  reason(36, 'sessions_exhausted', 'upstream', 503, 'if-unsent', 14, 'Every session to the backend is full'),
  reason(37, 'backend_refused', 'upstream', 502, 'if-unsent', 14, 'The backend refused the stream before it processed it'),
  reason(38, 'backend_goaway', 'upstream', 502, 'if-unsent', 14, 'The backend is going away and did not take the stream'),
  reason(39, 'backend_reset', 'upstream', 502, 'safe', 14, 'The backend reset the stream'),
  reason(40, 'backend_closed', 'upstream', 502, 'safe', 14, 'The backend closed the session'),
  reason(41, 'backend_protocol_error', 'upstream', 502, 'safe', 14, 'The backend broke the protocol'),
  reason(42, 'backend_head_too_large', 'upstream', 502, 'safe', 14, 'The response head has too many or too large fields'),
  reason(43, 'head_timeout', 'upstream', 504, 'safe', 14, 'The backend sent no response head in time'),
  reason(44, 'idle_timeout', 'upstream', 504, 'never', 14, 'The exchange made no progress in time'),
  reason(45, 'exchange_timeout', 'internal', 504, 'never', 4, 'The exchange lasted longer than its route allows'),
  reason(46, 'response_length_mismatch', 'upstream', 502, 'never', 14, 'The response body differs from its content-length'),
  reason(47, 'response_status', 'upstream', 502, 'safe', 14, 'The backend answered with a status that the route tries again'),
  reason(48, 'attempt_timeout', 'upstream', 504, 'safe', 14, 'The attempt had no response head in its time'),
  reason(
    49,
    'circuit_open',
    'upstream',
    503,
    'never',
    14,
    'Every backend of the upstream is out, and one of them at least is ejected or held off',
  ),
  reason(
    50,
    'tls_issuer_unknown',
    'upstream',
    502,
    'if-unsent',
    14,
    'The certificate of the backend was not issued by anybody who is trusted',
  ),
  reason(51, 'tls_name_mismatch', 'upstream', 502, 'if-unsent', 14, 'The certificate of the backend is for another name'),
  reason(52, 'tls_certificate_expired', 'upstream', 502, 'if-unsent', 14, 'The certificate of the backend has expired'),
  reason(53, 'tls_certificate_not_yet_valid', 'upstream', 502, 'if-unsent', 14, 'The certificate of the backend is not valid yet'),
  reason(
    54,
    'tls_certificate_invalid',
    'upstream',
    502,
    'if-unsent',
    14,
    'The certificate of the backend does not hold for another reason',
  ),
  reason(55, 'tls_plain_text', 'upstream', 502, 'if-unsent', 14, 'The backend does not speak TLS on its port'),
  reason(
    56,
    'tls_not_agreed',
    'upstream',
    502,
    'if-unsent',
    14,
    'The backend and the edge have no version, cipher or group of TLS in common',
  ),
  reason(57, 'tls_alert', 'upstream', 502, 'if-unsent', 14, 'The backend ended the TLS handshake with an alert'),
  reason(58, 'tls_closed', 'upstream', 502, 'if-unsent', 14, 'The backend closed the connection during the TLS handshake'),
  reason(59, 'backends_unhealthy', 'upstream', 503, 'never', 14, 'Every backend of the upstream is down by its health checks'),
  reason(60, 'tls_pin_mismatch', 'upstream', 502, 'if-unsent', 14, 'No certificate of the chain of the backend has a pinned key'),
  reason(61, 'tls_certificate_required', 'upstream', 502, 'if-unsent', 14, 'The backend wants a certificate of the edge, which shows none'),
  reason(65, 'overloaded', 'internal', 503, 'never', 14, 'The edge has no room for another exchange'),
  reason(66, 'lane_failed', 'internal', 500, 'never', 2, 'A rule failed while it decided'),
  reason(67, 'shutdown', 'internal', 503, 'never', 14, 'The edge stopped before the exchange ended'),
  reason(68, 'upstream_full', 'internal', 503, 'never', 14, 'The upstream has as many exchanges in flight and waiting as it may'),
  reason(69, 'route_full', 'internal', 503, 'never', 14, 'The route has as many exchanges in flight and waiting as it may'),
  reason(70, 'tenant_full', 'internal', 503, 'never', 14, 'The tenant has as many exchanges in flight as it may'),
  reason(71, 'queue_timeout', 'internal', 503, 'never', 14, 'The exchange waited too long for a place'),
  reason(72, 'concurrency_limited', 'internal', 503, 'never', 14, 'The upstream is at the limit its latency allows'),
  reason(73, 'brownout', 'internal', 503, 'never', 14, 'The upstream is near its limit and the priority of the request is low'),
  reason(74, 'internal_error', 'internal', 500, 'safe', 2, 'A fault of the edge ended what carried the exchange'),
  reason(
    75,
    'budget_exhausted',
    'internal',
    503,
    'never',
    14,
    'The edge held as many bytes as it may, and the exchange was the slowest to take its own',
  ),
] as const satisfies readonly Reason[];

/** Keeps the code's literal type. */
function reason<const Code extends string>(
  number: number,
  code: Code,
  side: Side,
  status: number,
  retry: Retry,
  grpcStatus: number,
  title: string,
): Reason & { readonly code: Code } {
  return Object.freeze({ number, code, side, status, retry, grpcStatus, title });
}
