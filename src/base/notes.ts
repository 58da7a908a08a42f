/**
 * The registry of notes: every decision of a lane that is not the plain one, and every change of a
 * backend's standing. Reasons (`./errors.ts`) say how an exchange ended; notes say what happened on
 * the way. Each is counted by upstream or route; those that are events also go to whoever listens
 * at `/v1/events`.
 */

/** One row of the registry. */
export interface NoteEntry {
  /** Stable place in counters. */
  readonly number: number;
  /** Stable name in metrics, events and logs. */
  readonly code: string;
  /** Rare and worth a line of its own: published as an event. The others are only counted. */
  readonly isEvent: boolean;
  /**
   * Comes with every request when things are bad: an event at most once a second, of a shard and
   * upstream.
   */
  readonly isSampled: boolean;
  /** One line for people. */
  readonly title: string;
}

/** Ordered by number without holes; numbers are never used again. */
export const NOTES = [
  sampled(0, 'retried', 'Another attempt was made'),
  note(1, 'retry_denied_attempts', false, 'No other attempt: as many were made as the route allows'),
  note(2, 'retry_denied_unsafe', false, 'No other attempt: the request may have been acted on, or its body is not at hand any more'),
  note(3, 'retry_denied_budget', false, 'No other attempt: the retry budget of the upstream is spent'),
  note(4, 'retry_denied_backend', false, 'No other attempt: there is no backend to make it at'),
  note(5, 'hedge_sent', false, 'A second attempt was sent beside a slow one'),
  note(6, 'hedge_won', false, 'The hedge answered first'),
  note(7, 'hedge_wasted', false, 'The first attempt answered before its hedge'),
  note(8, 'hedge_denied_budget', false, 'No hedge: its budget is spent'),
  note(9, 'hedge_denied_backend', false, 'No hedge: there is no other backend'),
  note(10, 'breaker_opened', true, 'The breaker of a backend opened: it gets no requests'),
  note(11, 'breaker_half_opened', true, 'The breaker of a backend lets probes through'),
  note(12, 'breaker_closed', true, 'The breaker of a backend closed: it gets requests again'),
  note(13, 'outlier_ejected', true, 'A backend did worse than the others and gets no requests for a time'),
  note(14, 'eject_denied', true, 'A backend would be ejected, but as many of its upstream are as may be'),
  note(15, 'panic_began', true, 'So few backends are fit that all of them get requests'),
  note(16, 'panic_ended', true, 'Enough backends are fit again'),
  note(17, 'health_down', true, 'Active health checks found a backend unhealthy'),
  note(18, 'health_up', true, 'Active health checks found a backend healthy'),
  note(19, 'backend_held_off', true, 'A backend asked to be left alone for a time (Retry-After)'),
  sampled(20, 'queued', 'A request waited for a place'),
  sampled(21, 'fallback_used', 'The fallback of a route was used'),
  note(22, 'sticky_moved', false, 'A sticky session went to another backend, because its own could not be had'),
  note(23, 'limit_began', true, 'A rate limit began to refuse'),
  note(24, 'limit_ended', true, 'A rate limit has refused nothing for a while'),
  note(25, 'store_lost', true, 'The store of shared limits does not answer'),
  note(26, 'store_found', true, 'The store of shared limits answers again'),
  note(27, 'budget_spent', true, 'The retry budget of an upstream is spent'),
  note(28, 'budget_restored', true, 'The retry budget of an upstream allows retries again'),
  note(29, 'shedding_began', true, 'An upstream is over its limit and sheds requests'),
  note(30, 'shedding_ended', true, 'An upstream has shed nothing for a while'),
  note(31, 'weight_changed', true, 'The weight of a target or backend was changed'),
  note(32, 'underscore_dropped', false, 'A field whose name has an underscore was dropped'),
  note(33, 'underscore_refused', false, 'A field whose name has an underscore had its request refused'),
  note(
    34,
    'underscore_met',
    true,
    'A field name with an underscore that does not pass came for the first time; of the first 64 names of a shard',
  ),
  sampled(35, 'timed_out', 'An attempt had no connection or no response in its time'),
  sampled(36, 'turned_away', 'A request had no place in a bulkhead, or none in time'),
  note(37, 'hash_table_built', false, 'A hash ring or a Maglev table was built'),
  note(38, 'connection_auth', true, 'A backend of an upstream asked for NTLM or Negotiate for the first time, as a shard saw it'),
  note(39, 'certificate_changed', true, 'Another certificate is in use: its files changed'),
  note(40, 'certificate_refused', true, 'The files of a certificate changed and something is wrong with them; the one before stays in use'),
  note(41, 'client_certificates_ended', true, 'Connections were ended because the certificates of their clients do not pass any more'),
] as const satisfies readonly NoteEntry[];

/** Names of notes. */
export type NoteCode = (typeof NOTES)[number]['code'];

const BY_CODE: ReadonlyMap<string, number> = new Map(NOTES.map(({ code, number }) => [code, number]));

/** The number of a note, for counters. */
export function noteNumber(code: NoteCode): number {
  return BY_CODE.get(code) as number;
}

/** Keeps the code's literal type, from which `NoteCode` is made. */
function note<const Code extends string>(number: number, code: Code, isEvent: boolean, title: string): NoteEntry & { readonly code: Code } {
  return Object.freeze({ number, code, isEvent, isSampled: false, title });
}

/** An event that is told at most once a second. */
function sampled<const Code extends string>(number: number, code: Code, title: string): NoteEntry & { readonly code: Code } {
  return Object.freeze({ number, code, isEvent: true, isSampled: true, title });
}
