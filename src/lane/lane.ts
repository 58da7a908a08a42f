/**
 * The lane: drains the ring of what the reactor has to tell and answers in kind. Every decision about a request is made below here, in TypeScript and without
 * a byte of body; the reactor waits meanwhile, so nothing in here waits for anybody.
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

/** Who the lane works with. */
export interface LaneParts {
  /** What `reactorAttach` gave. */
  readonly ring: ArrayBuffer;
  readonly snapshot: LaneSnapshot;
  /** Made by `createSharedState`, seen by all shards. */
  readonly shared: SharedState;
  /** Has the reactor take what was decided between its turns (`reactorKick`). */
  readonly kick: () => void;
  readonly observer: Observer;
  /** Which of the shards this is; 0 where there is one. */
  readonly shard?: number;
  /**
   * Of the snapshot, where they were made for several lanes; a lane that is alone makes its own.
   */
  readonly tables?: LaneTables;
}

/** How it behaves. */
export interface LaneOptions {
  /** Asked in order in phase 7. Default: none. */
  readonly rules?: readonly Rule[];
  /** Start of the random numbers; default differs from lane to lane. */
  readonly seed?: number;
  /** Milliseconds on a clock that all shards share and that never goes back; for tests. */
  readonly nowMs?: () => number;
}

export interface Lane {
  /** Takes every record there is room to answer. Called by the reactor, once a turn and again while the lane left heads for want of room. */
  decide(): void;
  /**
   * Heads from now on are decided by `snapshot`; exchanges that began before end by theirs, or,
   * when fifteen have followed on it, by the one that has its number by then: numbers that outlive
   * a snapshot (`src/config/numbering/numberer.ts`) are what makes that right.
   */
  apply(snapshot: LaneSnapshot, shared: SharedState, observer: Observer, tables?: LaneTables): void;
  /**
   * Makes what `take` needs to do the same, in steps between which the lane decides as before. One
   * at a time.
   */
  prepare(snapshot: LaneSnapshot, shared: SharedState, observer: Observer, tables?: LaneTables): Steps<Prepared>;
  /** All at once. */
  take(prepared: Prepared): void;
  /**
   * Forgets snapshots that were replaced more than `ageMs` ago: no exchange is open any more that
   * began by them. What says that one was reads as the current, as after fifteen.
   */
  forget(ageMs: number): void;
  /** How many addresses the name of backend `slot` has now; with none it is not picked. To be said again after `apply`: until then all have. */
  setAddresses(slot: number, count: number): void;
  /** Counts the exchanges that have ended already; later calls of `decide` take nothing. What is not decided the reactor offers to a successor. */
  close(): void;
}

/** A snapshot that is ready to be decided by. */
export interface Prepared {
  readonly compiled: Compiled;
  /** Slots at which there is nobody any more, or somebody else. */
  readonly removed: readonly number[];
}

/** A lane over the ring of an attached reactor. */
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
  /** By epoch; older ones end their exchanges, the one before them is overwritten when its number comes round. */
  private readonly epochs: (Compiled | undefined)[] = new Array<Compiled | undefined>(16).fill(undefined);
  /** By epoch, when it was replaced. */
  private readonly replacedMs = new Float64Array(TAG_EPOCHS);
  private readonly book = new PlanBook(TAG_EPOCHS);
  private readonly hedges: Hedges = new Map();
  private current: Compiled;
  /** Room there must be for a decision before a record is taken. */
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
    // Slots of older snapshots are removed already, or what is in them is what the last one has there.
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

  /** Completions wait for company, and those of the last moment would wait for ever. */
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

  /** The snapshot an exchange began with; one that is forgotten, or that a dead worker had, reads as the current. */
  private compiledOf(tag: number): Compiled {
    const epoch = tagEpoch(tag);
    if (epoch === this.current.epoch) return this.current;
    const compiled = this.epochs[epoch] ?? this.current;
    if (compiled.backends.nowMs !== this.current.backends.nowMs) begin(compiled, this.current.backends.nowMs);
    return compiled;
  }
}

/** A new turn for everything that asks for the time. */
function begin(compiled: Compiled, nowMs: number): void {
  compiled.backends.begin(nowMs);
  compiled.standing.begin(nowMs);
  compiled.budgets.begin(nowMs);
  compiled.admission.begin(nowMs);
}

/** Slots of backends that `snapshot` has not, or has others in the place of: nobody is to be sent there by what came before. */
function removedSlots(before: LaneSnapshot, snapshot: LaneSnapshot): number[] {
  const used = new Set(inUse(snapshot, 'backends'));
  const isRemoved = ({ slot, upstream, url }: BackendSnapshot): boolean => {
    const now = snapshot.backends[slot];
    return !used.has(slot) || now?.url !== url || now.upstream !== upstream;
  };
  return before.backends.filter(isRemoved).map(({ slot }) => slot);
}

/** What stands there was removed earlier. */
function unusedSlots(snapshot: LaneSnapshot): number[] {
  const used = new Set(inUse(snapshot, 'backends'));
  return snapshot.backends.filter(({ slot }) => !used.has(slot)).map(({ slot }) => slot);
}

/** Heads that wait for the store are answered by the one that they asked. */
function closeLater({ admission, snapshot: { store } }: Compiled): void {
  if (store === undefined) admission.close();
  else setTimeout(() => admission.close(), store.timeoutMs * 2).unref();
}

const ORIGIN_MS = performance.timeOrigin;

function sharedNowMs(): number {
  return ORIGIN_MS + performance.now();
}
