/**
 * What the parts tell those who count and log. Codes are those of the edge's registries of notes
 * and reasons (`docs/events.md`, `docs/errors.md`), so that a service and the edge before it speak
 * of the same thing by the same name.
 */

import type { ReasonCode } from '../base/errors.ts';
import type { NoteCode } from '../base/notes.ts';

/** Every code an event can have. */
export type ResilienceEventCode = Extract<
  NoteCode | ReasonCode,
  | 'breaker_opened'
  | 'breaker_half_opened'
  | 'breaker_closed'
  | 'circuit_open'
  | 'limit_began'
  | 'limit_ended'
  | 'rate_limited'
  | 'queued'
  | 'route_full'
  | 'queue_timeout'
  | 'retried'
  | 'retry_denied_attempts'
  | 'retry_denied_unsafe'
  | 'retry_denied_budget'
  | 'exchange_timeout'
>;

export interface ResilienceEvent {
  readonly event: ResilienceEventCode;
  /** Of the breaker, limit, bulkhead or budget that it happened at; empty where it has none. */
  readonly name: string;
  /** On the part's clock. */
  readonly atMs: number;
  /** What made the breaker open, or an attempt fail. */
  readonly error?: unknown;
  /** Of a rate limit: who was refused. */
  readonly key?: string;
  /** Of `retried`: the pause before the next attempt. */
  readonly waitMs?: number;
}

export type OnEvent = (event: ResilienceEvent) => void;

/**
 * Tells `listener`. What it throws is thrown where nobody's work is broken by it, as an uncaught
 * exception of its own.
 */
export function tell(listener: OnEvent | undefined, event: ResilienceEvent): void {
  if (listener === undefined) return;
  try {
    listener(event);
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
  }
}
