/**
 * Events: what changed in the standing of backends, limits and budgets, as one numbered stream for
 * whoever listens: `/v1/events`, the log, and code that embeds the edge. The last of them are kept,
 * so that a listener that lost its connection gets what it missed.
 */

import { reasonByNumber } from '../base/errors.ts';
import { NOTES, type NoteCode } from '../base/notes.ts';
import { upstreamsOf } from '../config/numbering/in-use.ts';
import type { Snapshot } from '../config/snapshot/snapshot.ts';
import { listLimits } from '../lane/admit/rate-limit/table.ts';
import type { LaneEvent } from '../observe/lane-observer.ts';
import type { Logger } from '../observe/log.ts';

/** One event as people and programs see it. */
export interface EdgeEvent {
  /** Grows by one with each event of the process. */
  readonly id: number;
  /** ISO 8601. */
  readonly at: string;
  readonly event: NoteCode;
  readonly upstream?: string;
  readonly backend?: string;
  /** Code of the reason, where one led to it. */
  readonly reason?: string;
  /** What else there is to say: a name or a number, by kind of event. */
  readonly detail?: string | number;
}

export interface Events {
  /** Names of the upstreams that an event can concern. */
  upstreams(): readonly string[];
  /** Takes a note of a lane or of the main thread, with the numbers of the snapshot. */
  note(event: Omit<LaneEvent, 'atMs'> & { readonly atMs?: number }): void;
  /**
   * Calls `listener` for each event from now on, after those kept with an id above `afterId`;
   * returns how to stop.
   */
  subscribe(listener: (event: EdgeEvent) => void, afterId?: number): () => void;
  /** How many there were, by upstream (empty where they concern none) and name. */
  counts(): readonly EventCount[];
}

export interface EventCount {
  readonly upstream: string;
  readonly event: NoteCode;
  readonly count: number;
}

/** Events kept for listeners that come late. */
const KEPT = 1_024;

/** Notes whose detail is the number of a reason. */
const WITH_REASON: ReadonlySet<NoteCode> = new Set([
  'breaker_opened',
  'outlier_ejected',
  'eject_denied',
  'shedding_began',
  'shedding_ended',
  'retried',
  'queued',
  'fallback_used',
  'timed_out',
  'turned_away',
]);

/** Notes whose detail is the number of a rate limit. */
const WITH_LIMIT: ReadonlySet<NoteCode> = new Set(['limit_began', 'limit_ended']);

/** `inForce` gives the snapshot that numbers are of. */
export function createEvents(inForce: () => Snapshot, log: Logger): Events {
  const listeners = new Set<(event: EdgeEvent) => void>();
  const kept: EdgeEvent[] = [];
  const counted = new Map<string, { upstream: string; event: NoteCode; count: number }>();
  let id = 0;

  return {
    upstreams: () => upstreamsOf(inForce()).map(([, { name }]) => name),
    note(raw) {
      const event = describe(inForce(), ++id, raw);
      kept.push(event);
      if (kept.length > KEPT) kept.shift();
      count(event);
      const { id: _, at: __, ...facts } = event;
      log.info(facts, NOTES[raw.note]?.title ?? 'event');
      for (const listener of listeners) tell(listener, event);
    },
    subscribe(listener, afterId = id) {
      for (const event of kept) if (event.id > afterId) tell(listener, event);
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    counts: () => [...counted.values()],
  };

  function count({ upstream = '', event }: EdgeEvent): void {
    const key = `${upstream} ${event}`;
    const known = counted.get(key);
    if (known === undefined) counted.set(key, { upstream, event, count: 1 });
    else known.count += 1;
  }

  /** Someone else's mistake is no reason to keep an event from the others. */
  function tell(listener: (event: EdgeEvent) => void, event: EdgeEvent): void {
    try {
      listener(event);
    } catch (error) {
      log.error({ err: error, event: event.event }, 'an event listener threw');
    }
  }
}

function describe(snapshot: Snapshot, id: number, raw: Parameters<Events['note']>[0]): EdgeEvent {
  const { code } = NOTES[raw.note] ?? NOTES[0];
  const upstream = snapshot.upstreams[raw.upstream]?.name ?? snapshot.backends[raw.slot]?.upstream;
  const backend = snapshot.backends[raw.slot]?.url;
  const hasReason = WITH_REASON.has(code) && raw.detail > 0;
  const limit = WITH_LIMIT.has(code) ? listLimits(snapshot)[raw.detail]?.limit.name : undefined;
  // As a rule 0 says nothing, but as a weight it says most.
  const number = raw.detail === 0 && code !== 'weight_changed' ? undefined : raw.detail;
  const detail = raw.text ?? limit ?? (hasReason ? undefined : number);
  return {
    id,
    at: new Date(raw.atMs ?? Date.now()).toISOString(),
    event: code,
    ...(upstream === undefined ? {} : { upstream }),
    ...(backend === undefined ? {} : { backend }),
    ...(hasReason ? { reason: reasonByNumber(raw.detail).code } : {}),
    ...(detail === undefined ? {} : { detail }),
  };
}
