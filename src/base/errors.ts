/**
 * The error registry: every way in which an exchange, the configuration or the process can fail, with the side that failed, what a client is
 * told, and whether another attempt may help. Reasons are numbers in records (`docs/design/records.md`), codes in logs, metrics and answers;
 * `native/core/src/base/reason.rs` holds the same list and a test compares them. An error is made only here, so that every failure can
 * be looked up in one place.
 */

/** Whose failure it was. */
export type Side = 'none' | 'downstream' | 'upstream' | 'internal' | 'config';

/** May another attempt be made: never, only when nothing was sent, or whenever the request is safe to repeat (RFC 9110 §9.2.2). */
export type Retry = 'never' | 'if-unsent' | 'safe';

/** One row of the registry. */
export interface ErrorEntry {
  /** Stable number: below 128 it travels in records, from 128 on it stays in the main thread. */
  readonly number: number;
  /** Stable name in logs, metrics and answers. */
  readonly code: string;
  readonly side: Side;
  /** HTTP status a client gets; 0 when none follows from the code. */
  readonly status: number;
  readonly retry: Retry;
  /** One line for people. */
  readonly title: string;
}

/** Reasons of exchanges, as they stand in records. Ordered by number; numbers are never used again. */
export const REASONS = [
  entry(0, 'none', 'none', 0, 'never', 'Nothing went wrong'),
  entry(1, 'request_malformed', 'downstream', 400, 'never', 'The request head breaks RFC 9114 or RFC 9110'),
  entry(2, 'request_head_too_large', 'downstream', 431, 'never', 'The request head has too many or too large fields'),
  entry(3, 'request_body_too_large', 'downstream', 413, 'never', 'The request body is larger than the route allows'),
  entry(4, 'request_length_mismatch', 'downstream', 400, 'never', 'The request body differs from its content-length'),
  entry(5, 'connect_not_supported', 'downstream', 501, 'never', 'CONNECT is not supported'),
  entry(6, 'client_reset', 'downstream', 499, 'never', 'The client reset the stream'),
  entry(7, 'client_gone', 'downstream', 499, 'never', 'The connection of the client ended'),
  entry(8, 'client_slow', 'downstream', 408, 'never', 'The client made no progress in time'),
  entry(9, 'expectation_failed', 'downstream', 417, 'never', 'The expectation of the request cannot be met'),
  entry(10, 'client_protocol_error', 'downstream', 400, 'never', 'The client broke the protocol on its stream'),
  entry(11, 'path_not_canonical', 'downstream', 400, 'never', 'The path or authority has no canonical form'),
  entry(12, 'client_below_rate', 'downstream', 408, 'never', 'The client took or sent fewer bytes a second than it has to'),
  entry(13, 'misdirected', 'downstream', 421, 'never', 'The certificate of the connection does not name the authority of the request'),
  entry(16, 'route_not_found', 'config', 404, 'never', 'No route matches the request'),
  entry(17, 'backend_not_available', 'upstream', 503, 'never', 'The upstream has no backend that could be tried'),
  entry(18, 'fixed_response', 'config', 0, 'never', 'The route answers by itself'),
  entry(19, 'access_denied', 'config', 403, 'never', 'The access list of the route does not admit the client'),
  entry(20, 'rate_limited', 'downstream', 429, 'never', 'The client or its tenant sent more than its rate allows'),
  entry(21, 'redirected', 'config', 0, 'never', 'The route sends the client elsewhere'),
  entry(
    22,
    'rate_limit_not_available',
    'internal',
    503,
    'never',
    'The shared rate limit could not be asked, and the configuration refuses then',
  ),
  entry(23, 'fallback_response', 'config', 0, 'never', 'No backend could answer, the fallback of the route did'),
  entry(24, 'max_forwards_reached', 'config', 0, 'never', 'The Max-Forwards of OPTIONS or TRACE ended here, the edge answered'),
  entry(32, 'connect_failed', 'upstream', 502, 'if-unsent', 'The backend could not be connected'),
  entry(33, 'connect_timeout', 'upstream', 504, 'if-unsent', 'The backend was not connected in time'),
  entry(
    34,
    'tls_failed',
    'upstream',
    502,
    'if-unsent',
    'The TLS handshake with the backend failed for a reason that has no code of its own; clients get this code for all of them',
  ),
  entry(35, 'name_not_resolved', 'upstream', 502, 'if-unsent', 'The name of the backend has no address'),
  entry(36, 'sessions_exhausted', 'upstream', 503, 'if-unsent', 'Every session to the backend is full'),
  entry(37, 'backend_refused', 'upstream', 502, 'if-unsent', 'The backend refused the stream before it processed it'),
  entry(38, 'backend_goaway', 'upstream', 502, 'if-unsent', 'The backend is going away and did not take the stream'),
  entry(39, 'backend_reset', 'upstream', 502, 'safe', 'The backend reset the stream'),
  entry(40, 'backend_closed', 'upstream', 502, 'safe', 'The backend closed the session'),
  entry(41, 'backend_protocol_error', 'upstream', 502, 'safe', 'The backend broke the protocol'),
  entry(42, 'backend_head_too_large', 'upstream', 502, 'safe', 'The response head has too many or too large fields'),
  entry(43, 'head_timeout', 'upstream', 504, 'safe', 'The backend sent no response head in time'),
  entry(44, 'idle_timeout', 'upstream', 504, 'never', 'The exchange made no progress in time'),
  entry(45, 'exchange_timeout', 'internal', 504, 'never', 'The exchange lasted longer than its route allows'),
  entry(46, 'response_length_mismatch', 'upstream', 502, 'never', 'The response body differs from its content-length'),
  entry(47, 'response_status', 'upstream', 502, 'safe', 'The backend answered with a status that the route tries again'),
  entry(48, 'attempt_timeout', 'upstream', 504, 'safe', 'The attempt had no response head in its time'),
  entry(
    49,
    'circuit_open',
    'upstream',
    503,
    'never',
    'Every backend of the upstream is out, and one of them at least is ejected or held off',
  ),
  entry(50, 'tls_issuer_unknown', 'upstream', 502, 'if-unsent', 'The certificate of the backend was not issued by anybody who is trusted'),
  entry(51, 'tls_name_mismatch', 'upstream', 502, 'if-unsent', 'The certificate of the backend is for another name'),
  entry(52, 'tls_certificate_expired', 'upstream', 502, 'if-unsent', 'The certificate of the backend has expired'),
  entry(53, 'tls_certificate_not_yet_valid', 'upstream', 502, 'if-unsent', 'The certificate of the backend is not valid yet'),
  entry(54, 'tls_certificate_invalid', 'upstream', 502, 'if-unsent', 'The certificate of the backend does not hold for another reason'),
  entry(55, 'tls_plain_text', 'upstream', 502, 'if-unsent', 'The backend does not speak TLS on its port'),
  entry(56, 'tls_not_agreed', 'upstream', 502, 'if-unsent', 'The backend and the edge have no version, cipher or group of TLS in common'),
  entry(57, 'tls_alert', 'upstream', 502, 'if-unsent', 'The backend ended the TLS handshake with an alert'),
  entry(58, 'tls_closed', 'upstream', 502, 'if-unsent', 'The backend closed the connection during the TLS handshake'),
  entry(59, 'backends_unhealthy', 'upstream', 503, 'never', 'Every backend of the upstream is down by its health checks'),
  entry(60, 'tls_pin_mismatch', 'upstream', 502, 'if-unsent', 'No certificate of the chain of the backend has a pinned key'),
  entry(61, 'tls_certificate_required', 'upstream', 502, 'if-unsent', 'The backend wants a certificate of the edge, which shows none'),
  entry(65, 'overloaded', 'internal', 503, 'never', 'The edge has no room for another exchange'),
  entry(66, 'lane_failed', 'internal', 500, 'never', 'A rule failed while it decided'),
  entry(67, 'shutdown', 'internal', 503, 'never', 'The edge stopped before the exchange ended'),
  entry(68, 'upstream_full', 'internal', 503, 'never', 'The upstream has as many exchanges in flight and waiting as it may'),
  entry(69, 'route_full', 'internal', 503, 'never', 'The route has as many exchanges in flight and waiting as it may'),
  entry(70, 'tenant_full', 'internal', 503, 'never', 'The tenant has as many exchanges in flight as it may'),
  entry(71, 'queue_timeout', 'internal', 503, 'never', 'The exchange waited too long for a place'),
  entry(72, 'concurrency_limited', 'internal', 503, 'never', 'The upstream is at the limit its latency allows'),
  entry(73, 'brownout', 'internal', 503, 'never', 'The upstream is near its limit and the priority of the request is low'),
  entry(74, 'internal_error', 'internal', 500, 'safe', 'A fault of the edge ended what carried the exchange'),
  entry(
    75,
    'budget_exhausted',
    'internal',
    503,
    'never',
    'The edge held as many bytes as it may, and the exchange was the slowest to take its own',
  ),
] as const satisfies readonly ErrorEntry[];

/** Failures of the process rather than of an exchange: they end a command or refuse a snapshot and never stand in a record. */
export const PROCESS_ERRORS = [
  entry(128, 'config_not_readable', 'config', 0, 'never', 'The configuration file cannot be read'),
  entry(129, 'config_not_valid', 'config', 0, 'never', 'The configuration has mistakes'),
  entry(130, 'usage_not_valid', 'config', 0, 'never', 'The command line is not understood'),
  entry(131, 'listen_failed', 'config', 0, 'never', 'A listening address cannot be opened'),
  entry(132, 'addon_not_loaded', 'internal', 0, 'never', 'The native addon is missing or does not fit'),
  entry(133, 'shard_not_started', 'internal', 0, 'never', 'A shard did not become ready'),
  entry(134, 'admin_failed', 'internal', 0, 'never', 'The admin API cannot be started'),
  entry(135, 'pki_failed', 'config', 0, 'never', 'The folder of a development CA is not as it should be, or cannot be written'),
] as const satisfies readonly ErrorEntry[];

/** Refusals of the admin API: `error` in the body of its answers. They never stand in a record. */
export const ADMIN_ERRORS = [
  entry(160, 'request_not_readable', 'downstream', 400, 'never', 'The request is no valid HTTP/1.1 or its URL cannot be read'),
  entry(
    161,
    'value_not_valid',
    'downstream',
    400,
    'never',
    'A value of the body or the query is not acceptable; `detail` names it and what is expected',
  ),
  entry(162, 'body_not_json', 'downstream', 400, 'never', 'The body is empty or no JSON'),
  entry(163, 'token_required', 'downstream', 401, 'never', 'The token is missing or wrong'),
  entry(164, 'not_found', 'downstream', 404, 'never', 'There is no such path, or not for this method'),
  entry(165, 'backend_not_found', 'downstream', 404, 'never', 'No upstream of that name has a backend of that URL'),
  entry(166, 'split_not_found', 'downstream', 404, 'never', 'No route of that name has more than one target'),
  entry(167, 'request_timeout', 'downstream', 408, 'never', 'The request was not complete in time'),
  entry(168, 'shard_not_ready', 'internal', 409, 'never', 'The shard has no worker now'),
  entry(169, 'body_too_large', 'downstream', 413, 'never', 'The body is larger than any that is expected'),
  entry(170, 'media_type_not_supported', 'downstream', 415, 'never', 'A POST must say that it carries application/json'),
  entry(171, 'host_not_allowed', 'downstream', 421, 'never', 'Host does not name loopback, where the API listens'),
  entry(172, 'head_too_large', 'downstream', 431, 'never', 'The head of the request is too large'),
  entry(173, 'internal', 'internal', 500, 'never', 'The API failed; the log says how'),
  entry(174, 'too_many_listeners', 'internal', 503, 'never', 'As many listen to events as may'),
  entry(
    175,
    'admin_busy',
    'internal',
    503,
    'never',
    'As many requests are under way as may; the places that are left are those of /healthz and /readyz',
  ),
  entry(176, 'reload_not_valid', 'internal', 422, 'never', 'The configuration has mistakes; the one in force stays'),
  entry(177, 'restart_needed', 'internal', 409, 'never', 'Something changed that only a restart can change; nothing was done'),
  entry(178, 'no_room', 'internal', 409, 'never', 'There is no room for so much more; a restart makes it'),
  entry(179, 'reload_under_way', 'internal', 409, 'never', 'A reload is under way'),
  entry(180, 'not_serving', 'internal', 409, 'never', 'The edge starts or ends'),
  entry(181, 'certificate_refused', 'internal', 422, 'never', 'Something is wrong with files of certificates; those in use stay in use'),
  entry(182, 'cannot_listen', 'internal', 409, 'never', 'An address of a listener or of the admin API cannot be opened; nothing was done'),
] as const satisfies readonly ErrorEntry[];

/** Codes of the admin API's refusals. */
export type AdminErrorCode = (typeof ADMIN_ERRORS)[number]['code'];

/** Codes that stand in records. */
export type ReasonCode = (typeof REASONS)[number]['code'];
/** Every code of the registry. */
export type ErrorCode = ReasonCode | (typeof PROCESS_ERRORS)[number]['code'] | AdminErrorCode;

/** Facts that belong to a failure: addresses, paths, counts. Never secrets, never bodies. */
export type ErrorContext = Readonly<Record<string, string | number | boolean>>;

const BY_CODE: ReadonlyMap<string, ErrorEntry> = new Map([...REASONS, ...PROCESS_ERRORS, ...ADMIN_ERRORS].map((row) => [row.code, row]));

/** Dense, so that the lane looks a number up without a branch on holes. */
const BY_NUMBER: readonly ErrorEntry[] = denseByNumber();

/** The reason of a record; an unknown number (a newer reactor) reads as `lane_failed`, which is internal and never retried. */
export function reasonByNumber(number: number): ErrorEntry {
  return BY_NUMBER[number] ?? errorEntry('lane_failed');
}

/** The registry's row of a code. */
export function errorEntry(code: ErrorCode): ErrorEntry {
  const found = BY_CODE.get(code);
  if (found === undefined) throw new TypeError(`no error code ${code}`);
  return found;
}

/** The number of a reason, for records. */
export function reasonNumber(code: ReasonCode): number {
  return errorEntry(code).number;
}

/** The one class of error this project throws. `code` names a row of the registry, whose facts it repeats for those who catch it. */
export class LychgateError extends Error {
  override readonly name: string = 'LychgateError';
  readonly code: ErrorCode;
  readonly side: Side;
  readonly retry: Retry;
  readonly status: number;
  readonly context: ErrorContext;

  constructor(code: ErrorCode, detail: string, context: ErrorContext, cause: unknown) {
    super(detail, cause === undefined ? undefined : { cause });
    const row = errorEntry(code);
    this.code = code;
    this.side = row.side;
    this.retry = row.retry;
    this.status = row.status;
    this.context = context;
  }
}

/** Makes an error of the registry. `detail` is one line for people and defaults to the row's title. */
export function createError(code: ErrorCode, detail?: string, context: ErrorContext = {}, cause?: unknown): LychgateError {
  return new LychgateError(code, detail ?? errorEntry(code).title, context, cause);
}

/** Keeps the code's literal type, from which `ErrorCode` is made. */
function entry<const Code extends string>(
  number: number,
  code: Code,
  side: Side,
  status: number,
  retry: Retry,
  title: string,
): ErrorEntry & { readonly code: Code } {
  return Object.freeze({ number, code, side, status, retry, title });
}

function denseByNumber(): readonly ErrorEntry[] {
  const unknown = errorEntry('lane_failed');
  const rows = new Array<ErrorEntry>(128).fill(unknown);
  for (const row of REASONS) rows[row.number] = row;
  return Object.freeze(rows);
}
