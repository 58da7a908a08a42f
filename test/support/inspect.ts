/**
 * Looks into the memory of a running edge, thread by thread, through Node's inspector: what is
 * garbage is collected first, so that two looks can be held against each other. The edge is started
 * by `inspectableBin`.
 */

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { listeningPorts, residentBytes } from './process.ts';
import { within } from './wait.ts';

const root = join(import.meta.dirname, '../..');

/** Bytes of one thread that are in use after a collection. */
export interface ThreadMemory {
  /** `main`, or the name of a worker. */
  readonly thread: string;
  readonly heap: number;
  /** Reserved from the system for the heap. */
  readonly heapTotal: number;
  /** What JavaScript holds outside the heap, buffers included. */
  readonly external: number;
}

/** An edge that is looked into. */
export interface Inspected {
  /** Collects garbage in each thread and tells what is left, main thread first. */
  memory(): Promise<ThreadMemory[]>;
  /** The same of the process: resident bytes, those of the system, after the collection. */
  resident(): number;
  /** Runs an expression in each thread and gives what it says, main thread first. */
  evaluate(expression: string): Promise<unknown[]>;
  /** Writes a heap snapshot of each thread into a folder. */
  snapshots(folder: string): Promise<void>;
  close(): void;
}

/**
 * A command that runs an edge as `bin/lychgate` does, and opens its inspector on a free port of
 * loopback; for `EdgeOptions.bin`.
 */
export function inspectableBin(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'lychgate-inspect-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'lychgate');
  const switches = `--disable-sigusr1 --max-semi-space-size=4 --require='${root}/bin/hold-signals.cjs' --disable-warning=ExperimentalWarning --inspect=127.0.0.1:0`;
  const addon = `${root}/native/lychgate.linux-${process.arch}-gnu.node`;
  writeFileSync(path, `#!/bin/sh\nLD_PRELOAD='${addon}' exec '${process.execPath}' ${switches} '${root}/src/main.ts' "$@"\n`);
  chmodSync(path, 0o700);
  return path;
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
}

const LIMIT_MS = 60_000;

/** One thread's end of the protocol: answers by number. */
class Channel {
  private readonly waiting = new Map<number, PromiseWithResolvers<Record<string, unknown>>>();
  private readonly post: (text: string) => void;
  private last = 0;
  /** What is said without being asked for. */
  onEvent: (method: string, params: Record<string, unknown>) => void = () => {};

  constructor(post: (text: string) => void) {
    this.post = post;
  }

  ask(method: string, params: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    const answer = Promise.withResolvers<Record<string, unknown>>();
    this.last += 1;
    this.waiting.set(this.last, answer);
    this.post(JSON.stringify({ id: this.last, method, params }));
    return within(LIMIT_MS, `the inspector answers ${method}`, answer.promise);
  }

  hear(text: string): void {
    const { id, method, params, result, error } = JSON.parse(text) as Message;
    if (id === undefined) {
      this.onEvent(method ?? '', params ?? {});
      return;
    }
    const answer = this.waiting.get(id);
    this.waiting.delete(id);
    if (error === undefined) answer?.resolve(result ?? {});
    else answer?.reject(new Error(error.message));
  }
}

/** Connects to an edge that was started by `inspectableBin`. */
export async function inspect(t: Test, pid: number): Promise<Inspected> {
  const socket = new WebSocket(await addressOf(pid));
  const opened = Promise.withResolvers<void>();
  socket.addEventListener('open', () => opened.resolve());
  socket.addEventListener('error', () => opened.reject(new Error('the inspector takes no connection')));
  t.teardown(() => socket.close());
  await opened.promise;

  const main = new Channel((text) => socket.send(text));
  socket.addEventListener('message', ({ data }) => main.hear(String(data)));
  const workers = new Map<string, { readonly name: string; readonly channel: Channel }>();
  main.onEvent = (method, params) => {
    const sessionId = String(params['sessionId']);
    if (method === 'NodeWorker.attachedToWorker') {
      const { title, workerId } = params['workerInfo'] as { title: string; workerId: string };
      const channel = new Channel((message) => void main.ask('NodeWorker.sendMessageToWorker', { message, sessionId }).catch(() => {}));
      workers.set(sessionId, { name: `${title} ${workerId}`, channel });
    } else if (method === 'NodeWorker.detachedFromWorker') workers.delete(sessionId);
    else if (method === 'NodeWorker.receivedMessageFromWorker') workers.get(sessionId)?.channel.hear(String(params['message']));
  };
  await main.ask('NodeWorker.enable', { waitForDebuggerOnStart: false });

  const threads = (): { readonly name: string; readonly channel: Channel }[] => [{ name: 'main', channel: main }, ...workers.values()];
  const evaluateIn = async (channel: Channel, expression: string): Promise<unknown> => {
    const { result } = await channel.ask('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true });
    return (result as { value: unknown }).value;
  };
  return {
    async memory() {
      const found: ThreadMemory[] = [];
      for (const { name, channel } of threads()) {
        // What finalizers let go of is gone after the second.
        for (let round = 0; round < 2; round += 1) await channel.ask('HeapProfiler.collectGarbage');
        const { heapUsed, heapTotal, external } = (await evaluateIn(channel, 'process.memoryUsage()')) as NodeJS.MemoryUsage;
        found.push({ thread: name, heap: heapUsed, heapTotal, external });
      }
      return found;
    },
    resident: () => residentBytes(pid),
    evaluate: async (expression) => Promise.all(threads().map(({ channel }) => evaluateIn(channel, expression))),
    async snapshots(folder) {
      for (const { name, channel } of threads()) {
        const chunks: string[] = [];
        const { onEvent } = channel;
        channel.onEvent = (method, params) => {
          if (method === 'HeapProfiler.addHeapSnapshotChunk') chunks.push(String(params['chunk']));
          else onEvent(method, params);
        };
        await channel.ask('HeapProfiler.takeHeapSnapshot', { reportProgress: false });
        channel.onEvent = onEvent;
        writeFileSync(join(folder, `${name.replaceAll(/\W+/g, '-')}.heapsnapshot`), chunks.join(''));
      }
    },
    close: () => socket.close(),
  };
}

/** Of the ports that the process listens on, the one that is an inspector's. */
async function addressOf(pid: number): Promise<string> {
  for (const port of listeningPorts(pid)) {
    const answer = await fetch(`http://127.0.0.1:${port}/json/list`).catch(() => null);
    if (answer?.ok !== true) continue;
    const [target] = (await answer.json()) as { webSocketDebuggerUrl?: string }[];
    if (target?.webSocketDebuggerUrl !== undefined) return target.webSocketDebuggerUrl;
  }
  throw new Error('the edge has no inspector');
}
