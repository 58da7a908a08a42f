/**
 * One life of a shard's worker: from handing the task to piscina until the task has ended for
 * whatever reason. It answers questions over the port while it lives and says once how it ended.
 * Who comes after it is the supervisor's business.
 */
import { MessageChannel } from 'node:worker_threads';
import type { Piscina } from 'piscina';
import type { LaneEvent } from '../../observe/lane-observer.ts';
import type { ShardOrder, ShardQuestion, ShardReport, ShardStart } from '../../shard/port.ts';
import { causeOf, type EndCause, Ended } from './cause.ts';

/** How a life ended. */
export interface WorkerEnd {
  readonly cause: EndCause;
  /** What was thrown, when something was. */
  readonly error: unknown;
}

export interface Worker {
  /** Id of the thread, 0 before it is ready. */
  threadId(): number;
  tell(order: ShardOrder): void;
  /** Asks and waits for the answer's JSON; rejects when the worker ends first. */
  ask(order: ShardQuestion): Promise<string>;
  /**
   * Milliseconds the oldest unanswered ping is old; 0 when none is out. Sends a ping when none is.
   */
  beat(nowMs: number): number;
  /** Ends the thread whatever it does. */
  abort(cause: 'stall' | 'start'): void;
  readonly ended: Promise<WorkerEnd>;
}

interface Waiting {
  resolve(json: string): void;
  reject(error: Error): void;
}

/** What a life has to tell before it ends. */
export interface WorkerEvents {
  /** Once, when the shard has attached to its reactor and taken its snapshot. */
  onReady(): void;
  /** It decides by the terms it was told of. */
  onApplied(serial: number): void;
  /** A rule threw in the lane; text with its stack. */
  onLaneError(error: string): void;
  /** A lane noted something that is an event. */
  onEvent(event: LaneEvent): void;
}

/** Starts a life. */
export function startWorker(pool: Piscina, start: Omit<ShardStart, 'port'>, events: WorkerEvents): Worker {
  const { port1: port, port2: shardPort } = new MessageChannel();
  const controller = new AbortController();
  const waiting = new Map<number, Waiting>();
  let questions = 0;
  let pingedAtMs = 0;
  let threadId = 0;

  port.on('message', (report: ShardReport) => {
    switch (report.kind) {
      case 'ready':
        threadId = report.threadId;
        events.onReady();
        break;
      case 'applied':
        events.onApplied(report.serial);
        break;
      case 'pong':
        pingedAtMs = 0;
        break;
      case 'lane-error':
        events.onLaneError(report.error);
        break;
      case 'event':
        events.onEvent(report.event);
        break;
      case 'answer':
        take(report.question)?.resolve(report.json);
        break;
      case 'refusal':
        take(report.question)?.reject(new Error(report.message));
        break;
    }
  });

  const ended = pool
    .run({ ...start, port: shardPort } satisfies ShardStart, { signal: controller.signal, transferList: [shardPort] })
    .then(
      (): WorkerEnd => ({ cause: 'told', error: undefined }),
      (error: unknown): WorkerEnd => ({ cause: causeOf(error), error }),
    )
    .then((end) => {
      port.close();
      for (const { reject } of waiting.values()) reject(new Error('the worker ended before it answered'));
      waiting.clear();
      return end;
    });

  return {
    threadId: () => threadId,
    tell: (order) => port.postMessage(order),
    ask(order) {
      const question = ++questions;
      return new Promise((resolve, reject) => {
        waiting.set(question, { resolve, reject });
        port.postMessage({ ...order, question } satisfies ShardOrder);
      });
    },
    beat(nowMs) {
      if (pingedAtMs !== 0) return nowMs - pingedAtMs;
      pingedAtMs = nowMs;
      port.postMessage({ kind: 'ping' } satisfies ShardOrder);
      return 0;
    },
    abort: (cause) => controller.abort(new Ended(cause)),
    ended,
  };

  function take(question: number): Waiting | undefined {
    const found = waiting.get(question);
    waiting.delete(question);
    return found;
  }
}
