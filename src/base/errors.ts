/**
 * The error registry: every way in which an exchange, the configuration or the process can fail,
 * with the side that failed, what a client is told, and whether another attempt may help. Reasons
 * are numbers in records (`docs/design/records.md`), codes in logs, metrics and answers;
 * `./reasons.ts` has them, made of the table that the reactor's are made of. An error is made only
 * here, so that every failure can be looked up in one place.
 */

import { REASONS, type Reason, type Retry, type Side } from './reasons.ts';

export type { Reason, Retry, Side };
/** Reasons of exchanges, as they stand in records. */
export { REASONS };

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

/**
 * Failures of the process rather than of an exchange: they end a command or refuse a snapshot and
 * never stand in a record.
 */
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

/** What a number that nobody has reads as. */
const UNKNOWN: Reason = REASONS.find(({ code }) => code === 'lane_failed')!;

/** Dense, so that the lane looks a number up without a branch on holes. */
const BY_NUMBER: readonly Reason[] = denseByNumber();

/**
 * The reason of a record; an unknown number (a newer reactor) reads as `lane_failed`, which is
 * internal and never retried.
 */
export function reasonByNumber(number: number): Reason {
  return BY_NUMBER[number] ?? UNKNOWN;
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

/**
 * The one class of error this project throws. `code` names a row of the registry, whose facts it
 * repeats for those who catch it.
 */
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

/**
 * Makes an error of the registry. `detail` is one line for people and defaults to the row's title.
 */
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

function denseByNumber(): readonly Reason[] {
  const rows = new Array<Reason>(128).fill(UNKNOWN);
  for (const row of REASONS) rows[row.number] = row;
  return Object.freeze(rows);
}
