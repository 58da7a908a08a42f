/**
 * Decisions, written straight into the ring towards the reactor. The lane asks for room before it
 * reads a head (`hasRoom`): a head is only taken when its decision can be written, whatever it
 * turns out to be, and the reactor offers the rest again.
 */

import {
  COMMIT_BYTES,
  FORWARD_WORDS,
  KIND_COMMIT,
  KIND_FORWARD,
  KIND_RESET,
  KIND_RESPOND,
  KIND_WAIT,
  KIND_WAKE,
  MAX_VALUES,
  NONE,
  RESET_BYTES,
  RESPOND_WORDS,
  WAIT_BYTES,
  WAITING_WORD,
  WAKE_BYTES,
} from './layout.ts';
import { padded, ReactorRing, type RecordMemory } from './ring.ts';
import {
  type GivenForward,
  type SubjectWords,
  writeCommit,
  writeForward,
  writeReset,
  writeRespond,
  writeWait,
  writeWake,
} from './words.ts';

/** Of a Forward without values. */
const FORWARD_BYTES = FORWARD_WORDS * 4;

/**
 * The exchange a decision is about, and what comes back with its next record. One object lives as
 * long as the lane and is filled anew.
 */
export class Subject implements SubjectWords {
  exchangeIndex = 0;
  exchangeGeneration = 0;
  tag = NONE;
  memo0 = 0;
  memo1 = 0;
  memo2 = 0;
}

/**
 * What is asked of one attempt. One object lives as long as the lane and is filled anew; times are
 * milliseconds.
 */
export class Forward implements GivenForward {
  plan = 0;
  slot = 0;
  /** FORWARD_… bits. */
  flags = 0;
  /** While a session is on its way. */
  connectTimeoutMs = 0;
  /** While the backend's pool is full. */
  placeTimeoutMs = 0;
  /** From the request sent to the response head. */
  headTimeoutMs = 0;
  idleTimeoutMs = 0;
  /** From the head decoded to the end; 0 for none, NONE for what an earlier attempt brought. */
  exchangeTimeoutMs = 0;
  /** From the decision to the response head; 0 for none. */
  attemptTimeoutMs = 0;
  /** From the decision to a Late record; 0 for none. */
  hedgeDelayMs = 0;
  /** -1 for none. */
  maxBodyBytes = -1;
  /** Bytes of the request body kept for another attempt. */
  replayBytes = 0;
  /**
   * Network of the client that a trusted proxy named, two words as `Client` writes them; zeros
   * leave the exchange's as it is, at first the peer's.
   */
  clientLow = 0;
  clientHigh = 0;
  /** How many of `values` the edits of the plan may use; 0 keeps those of an earlier attempt. */
  valueCount = 0;
  /** Latin-1 text for `${value_0}` and so on; undefined keeps that of an earlier attempt. */
  readonly values: (string | undefined)[] = new Array<string>(MAX_VALUES).fill('');
}

/** Status, fields and body of an answer that the edge gives itself. Text is Latin-1. */
export interface Answer {
  readonly status: number;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

/** Bytes that an Answer takes as a record. */
export function respondBytes(answer: Answer): number {
  let text = answer.body.length;
  for (const [name, value] of answer.fields) text += name.length + value.length;
  return padded((RESPOND_WORDS + answer.fields.length) * 4 + text);
}

/** Bytes that a Forward takes as a record whose values have so many bytes together. */
export function maxForwardBytes(valueBytes: number): number {
  return padded((FORWARD_WORDS + MAX_VALUES) * 4 + valueBytes);
}

/** Bytes that a Forward with values takes as a record. */
function forwardBytes(forward: Forward): number {
  let text = 0;
  for (let i = 0; i < forward.valueCount; i++) text += forward.values[i]?.length ?? 0;
  return padded((FORWARD_WORDS + forward.valueCount) * 4 + text);
}

export class DecisionWriter {
  private readonly memory: RecordMemory;
  private readonly ring: ReactorRing;

  constructor(memory: RecordMemory) {
    this.memory = memory;
    this.ring = new ReactorRing(memory);
  }

  /** Can a record of `bytes` be written now? */
  hasRoom(bytes: number): boolean {
    return this.ring.hasRoom(bytes);
  }

  /** Sends the exchange to a backend. */
  forward(subject: Subject, forward: Forward): void {
    const { words, text } = this.memory;
    const count = forward.valueCount;
    const at = this.ring.begin(count === 0 ? FORWARD_BYTES : forwardBytes(forward), KIND_FORWARD);
    writeForward(this.memory, at, subject, forward);
    if (count > 0) {
      let byte = (at + FORWARD_WORDS + count) << 2;
      for (let i = 0; i < count; i++) {
        const value = forward.values[i];
        words[at + FORWARD_WORDS + i] = value === undefined ? NONE : value.length;
        if (value !== undefined) byte += text.write(value, byte, 'latin1');
      }
      text.fill(0, byte, (at << 2) + words[at]!);
    }
    this.ring.publish(at);
  }

  /** Answers the exchange from here. `plan` lends its response edits, `NONE` for none. */
  respond(subject: Subject, reason: number, plan: number, answer: Answer): void {
    const { words, text } = this.memory;
    const fields = answer.fields;
    const at = this.ring.begin(respondBytes(answer), KIND_RESPOND);
    writeRespond(this.memory, at, subject, answer.status, reason, fields.length, answer.body.length, plan);
    let byte = (at + RESPOND_WORDS + fields.length) << 2;
    for (let i = 0; i < fields.length; i++) {
      const [name, value] = fields[i]!;
      words[at + RESPOND_WORDS + i] = name.length | (value.length << 16);
      byte += text.write(name, byte, 'latin1');
      byte += text.write(value, byte, 'latin1');
    }
    byte += text.write(answer.body, byte, 'latin1');
    text.fill(0, byte, (at << 2) + words[at]!);
    this.ring.publish(at);
  }

  /**
   * Has the exchange offered again after `waitMs`; `reason` answers it should its own deadline pass
   * meanwhile.
   */
  wait(subject: Subject, waitMs: number, reason: number): void {
    const at = this.ring.begin(WAIT_BYTES, KIND_WAIT);
    writeWait(this.memory, at, subject, waitMs, reason);
    this.ring.publish(at);
  }

  /** Passes the held response on; `reason` goes into the completion. */
  commit(subject: Subject, reason: number): void {
    const at = this.ring.begin(COMMIT_BYTES, KIND_COMMIT);
    writeCommit(this.memory, at, subject, reason);
    this.ring.publish(at);
  }

  /** Has an exchange that waits offered again in this turn. */
  wake(exchangeIndex: number, exchangeGeneration: number): void {
    const at = this.ring.begin(WAKE_BYTES, KIND_WAKE);
    writeWake(this.memory, at, exchangeIndex, exchangeGeneration);
    this.ring.publish(at);
  }

  /**
   * While `count` is not 0 the lane is called in the turn in which an exchange ends, as its end may
   * free a place for one that waits.
   */
  setWaiting(count: number): void {
    this.memory.words[WAITING_WORD] = count;
  }

  /** The same by difference, for those who each know of their own. */
  addWaiting(by: number): void {
    const words = this.memory.words;
    words[WAITING_WORD] = Math.max(0, words[WAITING_WORD]! + by);
  }

  /** Resets the client's stream with an HTTP/3 error code (RFC 9114 §8.1). */
  reset(exchangeIndex: number, exchangeGeneration: number, errorCode: number, reason: number): void {
    const at = this.ring.begin(RESET_BYTES, KIND_RESET);
    writeReset(this.memory, at, exchangeIndex, exchangeGeneration, errorCode, reason);
    this.ring.publish(at);
  }
}
