/**
 * Shared limits in Redis or Valkey. Questions leave in one turn, their exchanges wait, and the
 * answers wake them in a later one. An exchange without an answer at its timeout goes on as each
 * limit says. A store that failed is left alone for a moment; then one request tries it before all
 * do, so that nobody waits in vain and none longer than the timeout.
 */

import { createHash } from 'node:crypto';
import { noteNumber } from '../../../../base/notes.ts';
import type { RateLimitSnapshot, StoreSnapshot } from '../../../../config/snapshot/limit.ts';
import { WAKE_BYTES } from '../../../../record/layout.ts';
import type { DecisionWriter } from '../../../../record/write.ts';
import type { KeySeed } from '../../../head/key.ts';
import type { Observer } from '../../../observer.ts';
import { ALLOWED, NOT_ASKED, REFUSED, type SharedStore, type StoreAnswer } from '../shared-store.ts';
import { STORE_LOST } from '../table.ts';
import { type ChargeReply, StoreConnection } from './connection.ts';

const LOST = noteNumber('store_lost');
const FOUND = noteNumber('store_found');

/** First pause after a failure; it doubles each time. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;

export interface RedisStoreParts {
  readonly snapshot: StoreSnapshot;
  readonly writer: DecisionWriter;
  readonly kick: () => void;
  readonly observer: Observer;
  /** The bucket table, in which shards report that they miss the store. */
  readonly table: SharedArrayBuffer;
  readonly shard: number;
}

/** The question of one request, until its exchange comes back. */
interface Question {
  readonly exchangeIndex: number;
  readonly exchangeGeneration: number;
  /** Numbers of the limits, and their keys in the store. */
  readonly numbers: number[];
  readonly keys: string[];
  readonly values: (string | number)[];
  answer: StoreAnswer;
  refusing: number;
  waitMs: number;
}

export class RedisStore implements SharedStore {
  readonly timeoutMs: number;
  refusing = 0;
  waitMs = 0;

  private readonly connection: StoreConnection;
  private readonly snapshot: StoreSnapshot;
  private readonly writer: DecisionWriter;
  private readonly kick: () => void;
  private readonly observer: Observer;
  private readonly words: Int32Array;
  private readonly bit: number;
  /** By exchange index, so there are never more than exchanges. */
  private readonly questions = new Map<number, Question>();
  private question: Question | undefined;
  /** Asked before the first connection was up. */
  private early: Question[] = [];
  private isConnecting = true;
  private isLost = false;
  private pauseMs = FIRST_PAUSE_MS;
  private retryAtMs = 0;
  private nowMs = 0;
  private isKickDue = false;

  constructor({ snapshot, writer, kick, observer, table, shard }: RedisStoreParts) {
    this.snapshot = snapshot;
    this.timeoutMs = Math.max(1, Math.ceil(snapshot.timeoutMs));
    this.writer = writer;
    this.kick = kick;
    this.observer = observer;
    this.words = new Int32Array(table);
    this.bit = 1 << (shard % 31);
    // What an earlier worker knew is void.
    Atomics.and(this.words, STORE_LOST, ~this.bit);
    this.connection = new StoreConnection(snapshot, { onReady: () => this.connected(), onLost: () => this.lost() });
  }

  /** The same at every edge that knows the URL, and hard to guess if that has a password. */
  seedOf(limit: string): KeySeed {
    const { prefix, url } = this.snapshot;
    const digest = createHash('sha256')
      .update(`${prefix}\n${limit}\n${new URL(url).password}`)
      .digest();
    return { low: digest.readUInt32LE(0), high: digest.readUInt32LE(4) };
  }

  isMissed(nowMs: number): boolean {
    if (!this.isLost) return false;
    if (nowMs < this.retryAtMs || !this.connection.isReady) return true;
    // This request tries; the others wait for its result.
    this.retryAtMs = nowMs + this.timeoutMs * 2;
    return false;
  }

  begin(exchangeIndex: number, exchangeGeneration: number): void {
    const question: Question = {
      exchangeIndex,
      exchangeGeneration,
      numbers: [],
      keys: [],
      values: [],
      answer: NOT_ASKED,
      refusing: 0,
      waitMs: 0,
    };
    this.question = question;
    this.questions.set(exchangeIndex, question);
  }

  add(number: number, limit: RateLimitSnapshot, low: number, high: number): void {
    const question = this.question!;
    question.numbers.push(number);
    question.keys.push(`${this.snapshot.prefix}${limit.name}:${hex(high)}${hex(low)}`);
    question.values.push((limit.periodMs * 1_000) / limit.requests, limit.burst === 0 ? limit.requests : limit.burst);
  }

  send(nowMs: number): void {
    this.nowMs = nowMs;
    if (this.isConnecting) this.early.push(this.question!);
    else this.ask(this.question!);
    this.question = undefined;
  }

  take(exchangeIndex: number, exchangeGeneration: number, nowMs: number): StoreAnswer {
    const question = this.questions.get(exchangeIndex);
    if (question?.exchangeGeneration !== exchangeGeneration) return NOT_ASKED;
    this.questions.delete(exchangeIndex);
    this.refusing = question.refusing;
    this.waitMs = question.waitMs;
    this.nowMs = nowMs;
    if (question.answer === NOT_ASKED) this.miss();
    return question.answer;
  }

  forget(exchangeIndex: number, exchangeGeneration: number): void {
    if (this.questions.get(exchangeIndex)?.exchangeGeneration === exchangeGeneration) this.questions.delete(exchangeIndex);
  }

  close(): void {
    this.connection.close();
    Atomics.and(this.words, STORE_LOST, ~this.bit);
  }

  private ask(question: Question): void {
    this.connection.charge(question.keys, question.values).then(
      (reply) => this.answered(question, reply),
      () => this.failed(question),
    );
  }

  private answered(question: Question, [by, waitMs]: ChargeReply): void {
    this.found();
    question.answer = by === 0 ? ALLOWED : REFUSED;
    question.refusing = question.numbers[by - 1] ?? 0;
    question.waitMs = waitMs;
    this.wake(question);
  }

  private failed(question: Question): void {
    if (this.questions.get(question.exchangeIndex) !== question) return;
    this.miss();
    this.wake(question);
  }

  /**
   * Wakes the exchange in this turn, unless it is back already. If there is no room for that, it
   * comes back at its timeout.
   */
  private wake(question: Question): void {
    if (this.questions.get(question.exchangeIndex) !== question || !this.writer.hasRoom(WAKE_BYTES)) return;
    this.writer.wake(question.exchangeIndex, question.exchangeGeneration);
    if (this.isKickDue) return;
    this.isKickDue = true;
    // Answers arrive in bunches and are processed together. Never within the reactor's turn, at the
    // end of which microtasks run: a question that fails at once is failed there, and the reactor
    // must not be entered twice.
    setImmediate(() => {
      this.isKickDue = false;
      this.kick();
    });
  }

  private connected(): void {
    this.isConnecting = false;
    this.retryAtMs = 0;
    const early = this.early;
    this.early = [];
    for (const question of early) if (this.questions.get(question.exchangeIndex) === question) this.ask(question);
  }

  /** The connection ended, or could not be made. */
  private lost(): void {
    this.isConnecting = false;
    for (const question of this.early.splice(0)) this.failed(question);
    this.miss();
  }

  private miss(): void {
    // Questions that were sent together fail together: that is one failure.
    if (this.isLost && this.nowMs < this.retryAtMs) return;
    this.retryAtMs = this.nowMs + this.pauseMs;
    this.pauseMs = Math.min(LONGEST_PAUSE_MS, this.pauseMs * 2);
    if (this.isLost) return;
    this.isLost = true;
    if (Atomics.or(this.words, STORE_LOST, this.bit) === 0) this.observer.noted(LOST, -1, -1, 0);
  }

  private found(): void {
    this.pauseMs = FIRST_PAUSE_MS;
    if (!this.isLost) return;
    this.isLost = false;
    if (Atomics.and(this.words, STORE_LOST, ~this.bit) === this.bit) this.observer.noted(FOUND, -1, -1, 0);
  }
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}
