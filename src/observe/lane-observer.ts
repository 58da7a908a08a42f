/**
 * What a shard sees of its own lane: every call of the lane's observer becomes a few additions in
 * the shard's table and, for the exchanges that are logged, an access line. Nothing in here
 * allocates but the line.
 */

import { NOTES, noteNumber } from '../base/notes.ts';
import type { LaneSnapshot } from '../config/route-table.ts';
import type { CompletionReader } from '../record/read.ts';
import { type AccessLog, createAccessLog, LAST_LINES_MS, type LineSink, standardOutput } from './access-log.ts';
import { APPLY_BUCKETS, BATCH_BUCKETS, DECIDE_BUCKETS, DURATION_BUCKETS } from './buckets.ts';
import {
  BACKEND_ATTEMPTS,
  BACKEND_REASONS,
  BACKEND_RETRIES,
  CounterLayout,
  ROUTE_BYTES_IN,
  ROUTE_BYTES_OUT,
  ROUTE_DURATION,
  ROUTE_REASONS,
  ROUTE_STATUS,
  reasonPlace,
  SHARD_APPLY,
  SHARD_BATCH,
  SHARD_DECIDE,
  SHARD_FAILURES,
  STATUS_CLASSES,
} from './counters.ts';
import { type EventLoopWatch, watchEventLoop } from './event-loop.ts';

export interface LaneObserverParts {
  readonly shard: number;
  readonly snapshot: LaneSnapshot;
  /** Made by `createCounters` from the same snapshot. */
  readonly counters: SharedArrayBuffer;
  /** Told of what a rule threw; called at most once a second. */
  readonly onLaneError?: (error: unknown) => void;
  /** Told of notes that are events (`src/base/notes.ts`). */
  readonly onEvent?: (event: LaneEvent) => void;
  /** Where access lines go; default standard output. */
  readonly sink?: LineSink;
}

/** A note that is an event, with the numbers of the snapshot; -1 where it concerns none. */
export interface LaneEvent {
  readonly note: number;
  readonly upstream: number;
  readonly slot: number;
  readonly detail: number;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  /** What a number cannot say. */
  readonly text?: string;
}

/** The lane's `Observer`, and an end. */
export interface LaneObserver {
  attempted(slot: number, isRetry: boolean): void;
  attemptFailed(slot: number, reason: number): void;
  noted(note: number, upstream: number, slot: number, detail: number, text?: string): void;
  laneFailed(error: unknown): void;
  completed(completion: CompletionReader, route: number, slot: number, tenant: number): void;
  turned(records: number, durationMs: number): void;
  /** A configuration was taken, in so many milliseconds. */
  applied(durationMs: number): void;
  /**
   * One for exchanges that are decided by `snapshot`, beside this one; what is not a snapshot's is
   * shared, and closed with the first.
   */
  beside(snapshot: LaneSnapshot): LaneObserver;
  /** Stops the timers; resolves when the access lines that wait are written or lost. */
  close(): Promise<void>;
}

/** Starts observing: opens the access log and watches the event loop of the calling thread. */
export function createLaneObserver(parts: LaneObserverParts): LaneObserver {
  const table = new Float64Array(parts.counters);
  const sink = parts.sink ?? standardOutput(table);
  const shared: Shared = { parts: { ...parts, sink }, table, eventLoop: watchEventLoop(table), toldMs: new Map(), waiting: new Set() };
  return new TableObserver(shared, parts.snapshot);
}

const RETRIED = noteNumber('retried');

const ERROR_INTERVAL_MS = 1_000;

const SAMPLE_MS = 1_000;

/** What observers of one lane have in common. */
interface Shared {
  readonly parts: LaneObserverParts & { readonly sink: LineSink };
  readonly table: Float64Array;
  readonly eventLoop: EventLoopWatch;
  /**
   * When a sampled note was last told of, by its place in the table: one for each upstream and
   * kind.
   */
  readonly toldMs: Map<number, number>;
  /**
   * Access logs, one a snapshot, that have lines to be written. The others live with their
   * snapshot.
   */
  readonly waiting: Set<Pick<AccessLog, 'flush'>>;
}

class TableObserver implements LaneObserver {
  private readonly shared: Shared;
  private readonly table: Float64Array;
  private readonly layout: CounterLayout;
  private readonly accessLog: AccessLog;
  private readonly onLaneError: (error: unknown) => void;
  private readonly onEvent: (event: LaneEvent) => void;
  private errorToldMs = Number.NEGATIVE_INFINITY;

  constructor(shared: Shared, snapshot: LaneSnapshot) {
    const { parts, table } = shared;
    this.shared = shared;
    this.table = table;
    this.layout = new CounterLayout(snapshot);
    if (table.length < this.layout.length) throw new RangeError(`the table has ${table.length} numbers, ${this.layout.length} are needed`);
    this.accessLog = createAccessLog({ ...parts, snapshot, table, waiting: shared.waiting });
    this.onEvent = parts.onEvent ?? (() => {});
    this.onLaneError = parts.onLaneError ?? (() => {});
  }

  attempted(slot: number, isRetry: boolean): void {
    const at = this.layout.backendAt(slot);
    if (at === -1) return;
    this.add(at + BACKEND_ATTEMPTS, 1);
    if (isRetry) this.add(at + BACKEND_RETRIES, 1);
  }

  attemptFailed(slot: number, reason: number): void {
    const at = this.layout.backendAt(slot);
    if (at !== -1) this.add(at + BACKEND_REASONS + reasonPlace(reason), 1);
  }

  noted(note: number, upstream: number, slot: number, detail: number, text?: string): void {
    this.add(this.layout.notesAt(upstream) + note, 1);
    if (note === RETRIED) this.add(this.layout.retriedAt(upstream) + reasonPlace(detail), 1);
    const entry = NOTES[note];
    if (entry?.isEvent !== true) return;
    const atMs = Date.now();
    if (entry.isSampled && !this.mayTell(note, upstream, atMs)) return;
    this.onEvent({ note, upstream, slot, detail, atMs, ...(text === undefined ? {} : { text }) });
  }

  /** Notes that come with every request are told of once a second; all of them are counted. */
  private mayTell(note: number, upstream: number, atMs: number): boolean {
    const place = this.layout.notesAt(upstream) + note;
    const { toldMs } = this.shared;
    if (atMs - (toldMs.get(place) ?? Number.NEGATIVE_INFINITY) < SAMPLE_MS) return false;
    toldMs.set(place, atMs);
    return true;
  }

  laneFailed(error: unknown): void {
    this.add(SHARD_FAILURES, 1);
    const nowMs = performance.now();
    if (nowMs - this.errorToldMs < ERROR_INTERVAL_MS) return;
    this.errorToldMs = nowMs;
    this.onLaneError(error);
  }

  completed(completion: CompletionReader, route: number, slot: number, tenant: number): void {
    const at = this.layout.routeAt(route);
    const statusClass = (completion.status / 100) | 0;
    this.add(at + ROUTE_STATUS + (statusClass < STATUS_CLASSES.length ? statusClass : 0), 1);
    if (completion.bytesIn !== 0) this.add(at + ROUTE_BYTES_IN, completion.bytesIn);
    if (completion.bytesOut !== 0) this.add(at + ROUTE_BYTES_OUT, completion.bytesOut);
    if (completion.reason !== 0) this.add(at + ROUTE_REASONS + reasonPlace(completion.reason), 1);
    DURATION_BUCKETS.observe(this.table, at + ROUTE_DURATION, completion.totalUs);
    this.timePhases(completion, slot);
    this.accessLog.completed(completion, route, slot, tenant);
  }

  applied(durationMs: number): void {
    APPLY_BUCKETS.observe(this.table, SHARD_APPLY, Math.round(durationMs * 1_000));
  }

  turned(records: number, durationMs: number): void {
    BATCH_BUCKETS.observe(this.table, SHARD_BATCH, records);
    DECIDE_BUCKETS.observe(this.table, SHARD_DECIDE, Math.max(0, Math.round(durationMs * 1e6)));
  }

  beside(snapshot: LaneSnapshot): LaneObserver {
    return new TableObserver(this.shared, snapshot);
  }

  close(): Promise<void> {
    this.shared.eventLoop.close();
    for (const log of this.shared.waiting) log.flush();
    return this.shared.parts.sink.drain(LAST_LINES_MS);
  }

  /** A phase that an exchange did not come to has no time and is not counted as a short one. */
  private timePhases(completion: CompletionReader, slot: number): void {
    const at = this.layout.listenerAt(completion.listener);
    if (at === -1) return;
    const { table } = this;
    const stride = DURATION_BUCKETS.stride;
    DURATION_BUCKETS.observe(table, at, completion.decideUs);
    if (slot !== -1) {
      DURATION_BUCKETS.observe(table, at + stride, completion.openUs);
      DURATION_BUCKETS.observe(table, at + stride * 2, completion.sendUs);
      if (completion.backendStatus !== 0) DURATION_BUCKETS.observe(table, at + stride * 3, completion.awaitUs);
    }
    DURATION_BUCKETS.observe(table, at + stride * 4, completion.totalUs);
  }

  private add(place: number, value: number): void {
    this.table[place] = this.table[place]! + value;
  }
}
