/**
 * Keeps one shard staffed. Its reactor belongs to the process and lives on when a worker dies; the
 * supervisor's work is to have a successor attach soon, but not in a storm. A shard is always in
 * exactly one of the states below, and `enter` is the only way from one to the next.
 */
import { createError } from '../../base/errors.ts';
import type { Logger } from '../../observe/log.ts';
import type { ShardOrder } from '../../shard/port.ts';
import type { EndCause } from './cause.ts';
import { createRestartDelay } from './restart-delay.ts';
import type { Worker, WorkerEnd } from './worker.ts';

/** How long a worker may take from its start to its report that it is ready. */
const START_TIMEOUT_MS = 30_000;

type State =
  | { readonly name: 'idle' }
  | { readonly name: 'starting'; readonly worker: Worker; readonly sinceMs: number }
  | { readonly name: 'ready'; readonly worker: Worker; readonly sinceMs: number }
  | { readonly name: 'waiting'; readonly timer: NodeJS.Timeout }
  | { readonly name: 'stopping'; readonly worker: Worker }
  | { readonly name: 'stopped' };

export type SupervisorState = State['name'];

export interface SupervisorParts {
  readonly shard: number;
  /** Starts a worker's life with what is published now. */
  hire(onReady: () => void): Worker;
  /** Milliseconds the lane's present call has lasted. */
  laneBusyMs(): number;
  /** A worker became ready; orders it must have had before are repeated here. */
  onReady(): void;
  onDeath(cause: Exclude<EndCause, 'told'>): void;
  readonly log: Logger;
  /** Monotonic clock, milliseconds. */
  nowMs(): number;
}

export interface Supervisor {
  /**
   * Resolves when the first worker is ready; rejects with `shard_not_started` when it died before.
   */
  start(): Promise<void>;
  /** Passes an order on; false when nobody is there to take it. */
  tell(order: ShardOrder): boolean;
  ask(order: Parameters<Worker['ask']>[0]): Promise<string>;
  /**
   * Ends the worker when its lane or its event loop has been stuck for longer than
   * `stallTimeoutMs`.
   */
  watch(stallTimeoutMs: number): void;
  stop(): Promise<void>;
  status(): { state: SupervisorState; threadId: number; sinceMs: number };
}

export function createSupervisor(parts: SupervisorParts): Supervisor {
  const { shard, log, nowMs } = parts;
  const delay = createRestartDelay();
  let state: State = { name: 'idle' };
  let first: { resolve(): void; reject(error: unknown): void } | undefined;

  return {
    start() {
      return new Promise((resolve, reject) => {
        first = { resolve, reject };
        hire();
      });
    },
    tell(order) {
      if (state.name !== 'ready') return false;
      state.worker.tell(order);
      return true;
    },
    ask(order) {
      if (state.name !== 'ready') return Promise.reject(new Error(`shard ${shard} has no worker at the moment`));
      return state.worker.ask(order);
    },
    watch(stallTimeoutMs) {
      const now = nowMs();
      if (state.name === 'starting' && now - state.sinceMs > START_TIMEOUT_MS) state.worker.abort('start');
      if (state.name !== 'ready') return;
      if (parts.laneBusyMs() > stallTimeoutMs || state.worker.beat(now) > stallTimeoutMs) state.worker.abort('stall');
    },
    async stop() {
      if (state.name === 'waiting') clearTimeout(state.timer);
      if (state.name === 'stopping') {
        await state.worker.ended;
        return;
      }
      if (state.name !== 'ready' && state.name !== 'starting') {
        enter({ name: 'stopped' });
        return;
      }
      const { worker } = state;
      enter({ name: 'stopping', worker });
      worker.tell({ kind: 'stop' });
      await worker.ended;
    },
    status: () => ({
      state: state.name,
      threadId: state.name === 'ready' ? state.worker.threadId() : 0,
      sinceMs: state.name === 'ready' || state.name === 'starting' ? Math.round(nowMs() - state.sinceMs) : 0,
    }),
  };

  function enter(next: State): void {
    state = next;
  }

  function hire(): void {
    const sinceMs = nowMs();
    const worker: Worker = parts.hire(() => {
      if (state.name !== 'starting' || state.worker !== worker) return;
      enter({ name: 'ready', worker, sinceMs: nowMs() });
      log.info({ shard, threadId: worker.threadId(), ms: Math.round(nowMs() - sinceMs) }, 'shard ready');
      parts.onReady();
      first?.resolve();
      first = undefined;
    });
    enter({ name: 'starting', worker, sinceMs });
    void worker.ended.then((end) => bury(worker, end));
  }

  function bury(worker: Worker, end: WorkerEnd): void {
    if (state.name === 'stopping' && state.worker === worker) enter({ name: 'stopped' });
    if ((state.name !== 'ready' && state.name !== 'starting') || state.worker !== worker) return;
    // A task that returned without an order has failed as much as one that threw.
    const cause = end.cause === 'told' ? 'exit' : end.cause;
    if (first !== undefined) {
      enter({ name: 'stopped' });
      first.reject(
        createError('shard_not_started', `the worker of shard ${shard} ended (${cause}) before it was ready`, { shard, cause }, end.error),
      );
      first = undefined;
      return;
    }
    const livedMs = state.name === 'ready' ? nowMs() - state.sinceMs : 0;
    const waitMs = delay.next(livedMs);
    parts.onDeath(cause);
    log.error({ shard, cause, livedMs: Math.round(livedMs), restartInMs: waitMs, err: end.error }, 'shard worker died and is replaced');
    if (waitMs === 0) hire();
    else enter({ name: 'waiting', timer: setTimeout(hire, waitMs) });
  }
}
