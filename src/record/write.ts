/**
 * Decisions, written straight into the ring towards the reactor. The lane asks for room before it reads a head (`hasRoom`): a head is only
 * taken when its decision can be written, whatever it turns out to be, and the reactor offers the rest again.
 */

import { FORWARD_BYTES, KIND_FORWARD, KIND_RESET, KIND_RESPOND, padded, RESET_BYTES, RESPOND_LENGTHS_WORD } from './layout.ts';
import { ReactorRing, type RecordMemory } from './ring.ts';

/** What a route says about every attempt it makes; one frozen object a route, so that a decision carries one reference. */
export interface ForwardTerms {
  /** FORWARD_… bits. */
  readonly flags: number;
  readonly connectTimeoutMs: number;
  readonly headTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** 0 for none. */
  readonly exchangeTimeoutMs: number;
  /** -1 for none. */
  readonly maxBodyBytes: number;
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
  return padded((RESPOND_LENGTHS_WORD + answer.fields.length) * 4 + text);
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

  /** Forwards the exchange to backend `slot` with the edits of `plan`. `tag` comes back with failures and the completion. */
  forward(exchangeIndex: number, exchangeGeneration: number, plan: number, slot: number, tag: number, terms: ForwardTerms): void {
    const words = this.memory.words;
    const at = this.ring.begin(FORWARD_BYTES, KIND_FORWARD);
    words[at + 2] = exchangeIndex;
    words[at + 3] = exchangeGeneration;
    words[at + 4] = plan;
    words[at + 5] = slot;
    words[at + 6] = tag;
    words[at + 7] = terms.flags;
    words[at + 8] = terms.connectTimeoutMs;
    words[at + 9] = terms.headTimeoutMs;
    words[at + 10] = terms.idleTimeoutMs;
    words[at + 11] = terms.exchangeTimeoutMs;
    this.memory.floats[(at + 12) >>> 1] = terms.maxBodyBytes;
    this.ring.publish(at);
  }

  /** Answers the exchange from here. `plan` lends its response edits, `NONE` for none. */
  respond(exchangeIndex: number, exchangeGeneration: number, reason: number, tag: number, plan: number, answer: Answer): void {
    const { words, text } = this.memory;
    const fields = answer.fields;
    const at = this.ring.begin(respondBytes(answer), KIND_RESPOND);
    words[at + 2] = exchangeIndex;
    words[at + 3] = exchangeGeneration;
    words[at + 4] = answer.status;
    words[at + 5] = reason;
    words[at + 6] = tag;
    words[at + 7] = fields.length;
    words[at + 8] = answer.body.length;
    words[at + 9] = plan;
    let byte = (at + RESPOND_LENGTHS_WORD + fields.length) << 2;
    for (let i = 0; i < fields.length; i++) {
      const [name, value] = fields[i]!;
      words[at + RESPOND_LENGTHS_WORD + i] = name.length | (value.length << 16);
      byte += text.write(name, byte, 'latin1');
      byte += text.write(value, byte, 'latin1');
    }
    byte += text.write(answer.body, byte, 'latin1');
    text.fill(0, byte, (at << 2) + words[at]!);
    this.ring.publish(at);
  }

  /** Resets the client's stream with an HTTP/3 error code (RFC 9114 §8.1). */
  reset(exchangeIndex: number, exchangeGeneration: number, errorCode: number, reason: number): void {
    const words = this.memory.words;
    const at = this.ring.begin(RESET_BYTES, KIND_RESET);
    words[at + 2] = exchangeIndex;
    words[at + 3] = exchangeGeneration;
    words[at + 4] = errorCode;
    words[at + 5] = reason;
    this.ring.publish(at);
  }
}
