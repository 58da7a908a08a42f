/**
 * The lane: takes records from the reactor's ring and answers them. Every decision about a request
 * is made below here, in TypeScript and without the body. The reactor waits meanwhile, so nothing
 * in here may block.
 */

import { finish, type Steps } from '../base/steps.ts';
import { inUse } from '../config/numbering/in-use.ts';
import type { LaneSnapshot } from '../config/route-table.ts';
import type { BackendSnapshot } from '../config/snapshot/upstream.ts';
import { KIND_ATTEMPT_FAILED, KIND_COMPLETION, KIND_HEAD, KIND_LATE } from '../record/layout.ts';
import { AttemptFailedReader, CompletionReader, HeadReader, LateReader } from '../record/read.ts';
import { LaneRing, RecordMemory } from '../record/ring.ts';
import { DecisionWriter, Forward, Subject } from '../record/write.ts';
import { Lives } from './admit/life.ts';
import type { Rule } from './admit/rule.ts';
import { MAX_ANSWER_BYTES } from './answer/answer.ts';
import { type Compiled, compile, type Hedges } from './compile.ts';
import { complete } from './complete.ts';
import { type DecideParts, decideHead } from './decide.ts';
import type { Observer } from './observer.ts';
import { PlanBook } from './plan/book.ts';
import { Random } from './random.ts';
import { hedge } from './retry/hedge.ts';
import { retryOrAnswer } from './retry/retry.ts';
import type { SharedState } from './shared.ts';
import { type LaneTables, tablesOf } from './tables.ts';
import { TAG_EPOCHS, tagEpoch } from './tag.ts';

/** What a lane is made from. */
export interface LaneParts {
  /** As returned by `reactorAttach`. */
  readonly ring: ArrayBuffer;
  readonly snapshot: LaneSnapshot;
  /** Made by `createSharedState`; shared by all shards. */
  readonly shared: SharedState;
  /** Makes the reactor read what was decided between its turns (`reactorKick`). */
  readonly kick: () => void;
  readonly observer: Observer;
  /** Number of this shard; 0 if there is only one. */
  readonly shard?: number;
  /** Tables of the snapshot, if shared by several lanes. Otherwise the lane makes its own. */
  readonly tables?: LaneTables;
}

/** Options of a lane. */
export interface LaneOptions {
  /** Asked in order in phase 7. Default: none. */
  readonly rules?: readonly Rule[];
  /** Seed of the random numbers; the default differs from lane to lane. */
  readonly seed?: number;
  /** A monotonic clock shared by all shards, in milliseconds; for tests. */
  readonly nowMs?: () => number;
}

export interface Lane {
  /**
   * Answers as many records as there is room for. The reactor calls it once per turn, and again
   * while heads were left for lack of room.
   */
  decide(): void;
  /**
   * Decides heads by `snapshot` from now on. Exchanges that began earlier end by their own snapshot
   * or, once fifteen others have followed, by the one that then has its number. Numbers that
   * outlive a snapshot (`src/config/numbering/numberer.ts`) make that safe.
   */
  apply(snapshot: LaneSnapshot, shared: SharedState, observer: Observer, tables?: LaneTables): void;
  /**
   * Prepares `take` in steps, between which the lane decides as before. Only one preparation may
   * run at a time.
   */
  prepare(snapshot: LaneSnapshot, shared: SharedState, observer: Observer, tables?: LaneTables): Steps<Prepared>;
  /** Switches to a prepared snapshot. */
  take(prepared: Prepared): void;
  /**
   * Forgets snapshots that were replaced more than `ageMs` ago, when no exchange that began by them
   * is open any more. A tag that still names one reads as the current snapshot.
   */
  forget(ageMs: number): void;
  /**
   * Sets how many addresses the name of backend `slot` resolves to; with none it is not picked.
   * Repeat after `apply`, which assumes that all have some.
   */
  setAddresses(slot: number, count: number): void;
  /**
   * Counts the exchanges that have ended. Later calls of `decide` take nothing; the reactor offers
   * undecided records to a successor.
   */
  close(): void;
}

/** A compiled snapshot, ready for `take`. */
export interface Prepared {
  readonly compiled: Compiled;
  /** Slots whose backend was removed or replaced. */
  readonly removed: readonly number[];
}

/** Creates a lane over the ring of an attached reactor. */
export function createLane(parts: LaneParts, options: LaneOptions = {}): Lane {
  return new RingLane(parts, options);
}

class RingLane implements Lane {
  private readonly ring: LaneRing;
  private readonly words: Uint32Array;
  private readonly head: HeadReader;
  private readonly attemptFailed: AttemptFailedReader;
  private readonly completion: CompletionReader;
  private readonly late: LateReader;
  private readonly bytes: Uint8Array;
  private readonly decideParts: DecideParts;
  private readonly random: Random;
  private readonly nowMs: () => number;
  private readonly kick: () => void;
  private readonly lives: Lives;
  /**
   * By epoch. Older snapshots stay until their exchanges end; the oldest is overwritten when its
   * number is reused.
   */
  private readonly epochs: (Compiled | undefined)[] = new Array<Compiled | undefined>(16).fill(undefined);
  /** When the snapshot of each epoch was replaced. */
  private readonly replacedMs = new Float64Array(TAG_EPOCHS);
  private readonly book = new PlanBook(TAG_EPOCHS);
  private readonly hedges: Hedges = new Map();
  private current: Compiled;
  /** Free bytes required before a record is taken. */
  private roomBytes = MAX_ANSWER_BYTES;
  private isClosed = false;

  constructor(parts: LaneParts, options: LaneOptions) {
    const memory = new RecordMemory(parts.ring);
    this.ring = new LaneRing(memory);
    this.words = memory.words;
    this.head = new HeadReader(memory);
    this.attemptFailed = new AttemptFailedReader(memory);
    this.completion = new CompletionReader(memory);
    this.late = new LateReader(memory);
    this.bytes = memory.bytes;
    this.decideParts = {
      writer: new DecisionWriter(memory),
      subject: new Subject(),
      forward: new Forward(),
      rules: options.rules ?? [],
    };
    this.random = new Random(options.seed ?? Math.floor(Math.random() * 2 ** 32));
    this.nowMs = options.nowMs ?? sharedNowMs;
    this.kick = parts.kick;
    this.lives = new Lives(parts.shard ?? 0);
    this.decideParts.writer.setWaiting(0);
    this.current = finish(this.compile(parts, 0));
    this.enter(this.current);
  }

  decide(): void {
    if (this.isClosed) return;
    const startMs = this.nowMs();
    const { ring, decideParts } = this;
    begin(this.current, startMs);
    let records = 0;
    for (let at = ring.peek(); at !== -1; at = ring.peek()) {
      const kind = this.words[at + 1]!;
      if (kind === KIND_COMPLETION) {
        this.completion.read(at);
        complete(this.compiledOf(this.completion.tag), this.completion);
      } else {
        if (!decideParts.writer.hasRoom(this.roomBytes)) break;
        if (kind === KIND_HEAD) {
          this.head.read(at);
          decideHead(decideParts, this.head.hasWaited ? this.compiledOf(this.head.tag) : this.current, this.head);
        } else if (kind === KIND_ATTEMPT_FAILED) {
          this.attemptFailed.read(at);
          retryOrAnswer(decideParts, this.compiledOf(this.attemptFailed.tag), this.attemptFailed);
        } else if (kind === KIND_LATE) {
          this.late.read(at);
          hedge(decideParts, this.compiledOf(this.late.tag), this.late);
        }
      }
      ring.take(at);
      records += 1;
    }
    this.current.observer.turned(records, this.nowMs() - startMs);
  }

  apply(snapshot: LaneSnapshot, shared: SharedState, observer: Observer, tables?: LaneTables): void {
    this.take(finish(this.prepare(snapshot, shared, observer, tables)));
  }

  *prepare(snapshot: LaneSnapshot, shared: SharedState, observer: Observer, tables?: LaneTables): Steps<Prepared> {
    const before = this.current;
    const parts = { snapshot, shared, observer, kick: this.kick };
    const compiled = yield* this.compile(tables === undefined ? parts : { ...parts, tables }, (before.epoch + 1) % TAG_EPOCHS);
    const removed = removedSlots(before.snapshot, snapshot);
    yield;
    return { compiled, removed };
  }

  take({ compiled, removed }: Prepared): void {
    const before = this.current;
    // In older snapshots these slots are removed already, or hold what the latest one has there.
    for (const older of this.epochs) for (const slot of removed) older?.backends.remove(slot);
    this.replacedMs[before.epoch] = this.nowMs();
    this.enter(compiled);
    this.current = compiled;
    for (const slot of unusedSlots(compiled.snapshot)) compiled.backends.remove(slot);
    closeLater(before);
  }

  forget(ageMs: number): void {
    const untilMs = this.nowMs() - ageMs;
    for (let epoch = 0; epoch < TAG_EPOCHS; epoch++) {
      if (epoch !== this.current.epoch && this.replacedMs[epoch]! < untilMs) this.epochs[epoch] = undefined;
    }
  }

  setAddresses(slot: number, count: number): void {
    for (const compiled of this.epochs) compiled?.backends.setAddresses(slot, count);
  }

  close(): void {
    if (!this.isClosed) this.takeCompletions();
    this.isClosed = true;
    this.current.admission.close();
  }

  /**
   * Completions are batched; this takes the last ones, which would never be delivered otherwise.
   */
  private takeCompletions(): void {
    const { ring } = this;
    begin(this.current, this.nowMs());
    for (let at = ring.peek(); at !== -1; at = ring.peek()) {
      if (this.words[at + 1]! === KIND_COMPLETION) {
        this.completion.read(at);
        complete(this.compiledOf(this.completion.tag), this.completion);
      }
      ring.take(at);
    }
  }

  private compile(parts: Omit<LaneParts, 'ring'>, epoch: number): Steps<Compiled> {
    const { random, bytes, lives, hedges } = this;
    const writer = this.decideParts.writer;
    const tables = parts.tables ?? tablesOf(parts.snapshot, this.book);
    return compile({ ...parts, tables, random, bytes, lives, hedges, nowMs: this.nowMs(), writer }, epoch);
  }

  private enter(compiled: Compiled): void {
    this.epochs[compiled.epoch] = compiled;
    this.roomBytes = Math.max(this.roomBytes, compiled.maxDecisionBytes);
  }

  /**
   * The snapshot an exchange began with. A forgotten one, or one of a dead worker, reads as the
   * current.
   */
  private compiledOf(tag: number): Compiled {
    const epoch = tagEpoch(tag);
    if (epoch === this.current.epoch) return this.current;
    const compiled = this.epochs[epoch] ?? this.current;
    if (compiled.backends.nowMs !== this.current.backends.nowMs) begin(compiled, this.current.backends.nowMs);
    return compiled;
  }
}

/** Begins a turn for every part that uses the time. */
function begin(compiled: Compiled, nowMs: number): void {
  compiled.backends.begin(nowMs);
  compiled.standing.begin(nowMs);
  compiled.budgets.begin(nowMs);
  compiled.admission.begin(nowMs);
}

/**
 * Slots whose backend `snapshot` has removed or replaced. Older snapshots must no longer pick them.
 */
function removedSlots(before: LaneSnapshot, snapshot: LaneSnapshot): number[] {
  const used = new Set(inUse(snapshot, 'backends'));
  const isRemoved = ({ slot, upstream, url }: BackendSnapshot): boolean => {
    const now = snapshot.backends[slot];
    return !used.has(slot) || now?.url !== url || now.upstream !== upstream;
  };
  return before.backends.filter(isRemoved).map(({ slot }) => slot);
}

/** Slots that were removed earlier. */
function unusedSlots(snapshot: LaneSnapshot): number[] {
  const used = new Set(inUse(snapshot, 'backends'));
  return snapshot.backends.filter(({ slot }) => !used.has(slot)).map(({ slot }) => slot);
}

/** Heads that wait for the store are answered by the store connection they asked. */
function closeLater({ admission, snapshot: { store } }: Compiled): void {
  if (store === undefined) admission.close();
  else setTimeout(() => admission.close(), store.timeoutMs * 2).unref();
}

const ORIGIN_MS = performance.timeOrigin;

function sharedNowMs(): number {
  return ORIGIN_MS + performance.now();
}
