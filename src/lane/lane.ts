/**
 * The lane: drains the ring of what the reactor has to tell and answers in kind. Every decision about a request is made below here, in TypeScript and without
 * a byte of body; the reactor waits meanwhile, so nothing in here waits for anybody.
 */

import type { Snapshot } from '../config/snapshot.ts';
import { KIND_ATTEMPT_FAILED, KIND_COMPLETION, KIND_HEAD } from '../record/layout.ts';
import { AttemptFailedReader, CompletionReader, HeadReader } from '../record/read.ts';
import { LaneRing, RecordMemory } from '../record/ring.ts';
import { DecisionWriter } from '../record/write.ts';
import { MAX_ANSWER_BYTES } from './answer.ts';
import { type Compiled, compile } from './compile.ts';
import { complete } from './complete.ts';
import { type DecideParts, decideHead } from './decide.ts';
import type { Observer } from './observer.ts';
import type { Rule } from './policy/rule.ts';
import { Random } from './random.ts';
import { retryOrAnswer } from './retry/retry.ts';
import { TAG_EPOCHS, tagEpoch } from './tag.ts';

/** Who the lane works with. */
export interface LaneParts {
  /** What `reactorAttach` gave. */
  readonly ring: ArrayBuffer;
  readonly snapshot: Snapshot;
  /** Made by `createBackendTable`, shared by all shards and their reactors. */
  readonly backendTable: SharedArrayBuffer;
  readonly observer: Observer;
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
  /** Heads from now on are decided by `snapshot`; exchanges that began before end by theirs. */
  apply(snapshot: Snapshot, backendTable: SharedArrayBuffer, observer: Observer): void;
  /** How many addresses the name of backend `slot` has now; with none it is not picked. To be said again after `apply`: until then all have. */
  setAddresses(slot: number, count: number): void;
  /** Later calls of `decide` take nothing, so that heads stay for a successor. */
  close(): void;
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
  private readonly decideParts: DecideParts;
  private readonly random: Random;
  private readonly nowMs: () => number;
  /** By epoch; older ones end their exchanges, the one before them is overwritten when its number comes round. */
  private readonly epochs: (Compiled | undefined)[] = new Array<Compiled | undefined>(16).fill(undefined);
  private current: Compiled;
  private isClosed = false;

  constructor(parts: LaneParts, options: LaneOptions) {
    const memory = new RecordMemory(parts.ring);
    this.ring = new LaneRing(memory);
    this.words = memory.words;
    this.head = new HeadReader(memory);
    this.attemptFailed = new AttemptFailedReader(memory);
    this.completion = new CompletionReader(memory);
    this.decideParts = { bytes: memory.bytes, writer: new DecisionWriter(memory), rules: options.rules ?? [] };
    this.random = new Random(options.seed ?? Math.floor(Math.random() * 2 ** 32));
    this.nowMs = options.nowMs ?? sharedNowMs;
    this.current = this.adopt(parts, 0);
  }

  decide(): void {
    if (this.isClosed) return;
    const startMs = this.nowMs();
    this.current.backends.begin(startMs);
    let records = 0;
    for (let at = this.ring.peek(); at !== -1; at = this.ring.peek()) {
      const kind = this.words[at + 1]!;
      if (kind === KIND_COMPLETION) {
        this.completion.read(at);
        complete(this.compiledOf(this.completion.tag), this.completion);
      } else {
        if (!this.decideParts.writer.hasRoom(MAX_ANSWER_BYTES)) break;
        if (kind === KIND_HEAD) {
          this.head.read(at);
          decideHead(this.decideParts, this.current, this.head);
        } else if (kind === KIND_ATTEMPT_FAILED) {
          this.attemptFailed.read(at);
          retryOrAnswer(this.decideParts.writer, this.compiledOf(this.attemptFailed.tag), this.attemptFailed);
        }
      }
      this.ring.take(at);
      records += 1;
    }
    this.current.observer.turned(records, this.nowMs() - startMs);
  }

  apply(snapshot: Snapshot, backendTable: SharedArrayBuffer, observer: Observer): void {
    this.current = this.adopt({ snapshot, backendTable, observer }, (this.current.epoch + 1) % TAG_EPOCHS);
  }

  setAddresses(slot: number, count: number): void {
    this.current.backends.setAddresses(slot, count);
  }

  close(): void {
    this.isClosed = true;
  }

  private adopt(parts: Omit<LaneParts, 'ring'>, epoch: number): Compiled {
    const compiled = compile({ ...parts, random: this.random }, epoch);
    this.epochs[epoch] = compiled;
    return compiled;
  }

  /** The snapshot an exchange began with; one that is forgotten, or that a dead worker had, reads as the current. */
  private compiledOf(tag: number): Compiled {
    const epoch = tagEpoch(tag);
    if (epoch === this.current.epoch) return this.current;
    const compiled = this.epochs[epoch] ?? this.current;
    compiled.backends.nowMs = this.current.backends.nowMs;
    return compiled;
  }
}

function sharedNowMs(): number {
  return performance.timeOrigin + performance.now();
}
