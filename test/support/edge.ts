/**
 * Runs the edge as a child process, as an operator would: a configuration file, port 0, JSON lines
 * on stdout. At the end of the test it is stopped by SIGTERM and must leave nothing behind; every
 * journey test gets that check without asking for it.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import file, { type Test } from 'tap';
import { stringify } from 'yaml';
import { certificates } from './certificates.ts';
import { Metrics } from './metrics.ts';
import { descriptorCount, plainCommand, plainEnvironment } from './process.ts';
import { until, within } from './wait.ts';

const root = join(import.meta.dirname, '../..');

const arch = process.arch;

/** Why no edge can run here; false when one can. For a test's `skip`. */
export const missingAddon: string | false = existsSync(join(root, `native/lychgate.linux-${arch}-gnu.node`))
  ? false
  : 'the addon is not built (make native)';

/**
 * What differs from the plainest configuration: one listener, one upstream `web` for every path.
 */
export interface EdgeOptions {
  /** Backends of the upstream `web`. */
  readonly backends: readonly string[];
  /** Merged over the listener. */
  readonly listener?: Readonly<Record<string, unknown>>;
  /** Merged over the upstream. */
  readonly upstream?: Readonly<Record<string, unknown>>;
  /** Merged over the route. */
  readonly route?: Readonly<Record<string, unknown>>;
  /** Merged over the whole document, section by section. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly shards?: number;
  /** The file as it stands, in the place of all that. */
  readonly text?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** The command to run; the checkout's own unless told otherwise. */
  readonly bin?: string;
  /** False for a test that ends the edge itself, or whose client leaves without a word. */
  readonly isLeakChecked?: boolean;
}

/** One line of the edge's log. */
export type LogLine = Readonly<Record<string, unknown>>;

/** A running edge. */
export interface Edge {
  readonly pid: number;
  /** UDP port of the listener on 127.0.0.1. */
  readonly port: number;
  /** `https://localhost:port`. */
  readonly origin: string;
  /** Its configuration. */
  readonly file: string;
  /**
   * Puts another configuration in the place of its file, as an editor does; it is not reloaded by
   * that.
   */
  rewrite(options: Partial<EdgeOptions>): void;
  /** Base of the admin API. */
  readonly admin: string;
  readonly log: readonly LogLine[];
  readonly child: ChildProcess;
  metrics(): Promise<Metrics>;
  /** JSON of an admin path. */
  ask(path: string): Promise<unknown>;
  /** Access lines so far: log lines that name a method and a status. */
  access(): LogLine[];
  /** Sends SIGTERM and gives the exit code. */
  stop(): Promise<number | null>;
}

/** Starts an edge and waits until it is ready; it is stopped and checked when the test ends. */
export async function startEdge(t: Test, options: EdgeOptions): Promise<Edge> {
  const folder = mkdtempSync(join(tmpdir(), 'lychgate-edge-'));
  const path = join(folder, 'edge.yaml');
  writeFileSync(path, textOf(options));

  const log: LogLine[] = [];
  const noise: string[] = [];
  // A runner that times a test out kills it without teardowns; the edge must not outlive it.
  const command = ['--pdeathsig', 'KILL', options.bin ?? join(root, 'bin/lychgate'), 'run', '--config', path];
  const child = spawn(...plainCommand('setpriv', command), {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: plainEnvironment(options.env),
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    const read = readLine(line);
    if (read === null) noise.push(line);
    else log.push(read);
  });
  createInterface({ input: child.stderr }).on('line', (line) => noise.push(line));
  const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));

  let isEndExpected = options.isLeakChecked === false;
  const report = (): string => [...noise, ...log.slice(-40).map((line) => JSON.stringify(line))].join('\n');
  const ready = await until(
    'the edge is ready',
    () => {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(`the edge ended while starting\n${report()}`);
      return findAddresses(log);
    },
    20_000,
  ).catch((error: Error) => {
    child.kill('SIGKILL');
    throw new Error(`${error.message}\n${report()}`);
  });

  const edge: Edge = {
    pid: child.pid ?? 0,
    port: ready.port,
    origin: `https://localhost:${ready.port}`,
    admin: `http://${ready.admin}`,
    file: path,
    rewrite(changes) {
      writeFileSync(`${path}.new`, textOf({ ...options, ...changes }));
      renameSync(`${path}.new`, path);
    },
    log,
    child,
    metrics: async () => new Metrics(await get(`${edge.admin}/metrics`)),
    ask: async (what) => JSON.parse(await get(`${edge.admin}${what}`)),
    access: () => log.filter((line) => 'method' in line && 'status' in line),
    stop: async () => {
      isEndExpected = true;
      if (child.exitCode === null) child.kill('SIGTERM');
      const [code] = await within(20_000, 'the edge ends after SIGTERM', ended);
      return code;
    },
  };
  await until('readiness', async () => (await fetch(`${edge.admin}/readyz`)).ok);
  const descriptorsBefore = descriptorCount(edge.pid);

  // A test is over when its teardown runs: it can take no assertion any more, and an exception
  // would keep the other teardowns from running. The file as a whole still can fail.
  t.teardown(async () => {
    const hasEnded = child.exitCode !== null || child.signalCode !== null;
    if (hasEnded && isEndExpected) return;
    try {
      if (hasEnded) throw new Error(`the edge ended by itself: ${child.exitCode ?? child.signalCode}`);
      if (options.isLeakChecked !== false) await checkNothingIsLeft(edge, descriptorsBefore);
      const code = await edge.stop();
      if (code !== 0) throw new Error(`the edge drained and exited with ${code}`);
    } catch (error) {
      file.fail(`${t.name}: ${(error as Error).message}`, { log: report().split('\n') });
    } finally {
      if (child.exitCode === null) child.kill('SIGKILL');
    }
  });
  return edge;
}

/** No exchange and no upstream stream is open, and descriptors are back near where they were. */
async function checkNothingIsLeft(edge: Edge, descriptorsBefore: number): Promise<void> {
  for (const name of ['lychgate_exchanges', 'lychgate_upstream_streams']) {
    await until(`nothing is left open: ${name}`, async () => (await edge.metrics()).sum(name) === 0);
  }
  await until(
    'nothing is held for backends',
    async () => (await edge.metrics()).sum('lychgate_held_bytes', { side: 'upstream' }) === 0,
    5_000,
  );
  // Sessions to backends may stay pooled, and the scrape above has a connection of its own.
  const sessions = (await edge.metrics()).sum('lychgate_upstream_sessions');
  const left = descriptorCount(edge.pid) - descriptorsBefore - sessions;
  if (left > 4) throw new Error(`${left} descriptors are left open`);
}

/** The plainest configuration with the test's wishes laid over it. */
function textOf(options: EdgeOptions): string {
  return options.text ?? stringify(configuration(options));
}

export function configuration(options: EdgeOptions): Record<string, unknown> {
  const { chainPath, keyPath } = certificates();
  return {
    version: 1,
    listeners: [
      {
        name: 'public',
        address: '127.0.0.1:0',
        certificates: [{ names: ['localhost'], chain: chainPath, key: keyPath }],
        ...options.listener,
      },
    ],
    admin: { address: '127.0.0.1:0' },
    upstreams: { web: { backends: options.backends.map((url) => ({ url })), ...options.upstream } },
    routes: [{ match: { path: '/' }, upstream: 'web', ...options.route }],
    shards: { count: options.shards ?? 1 },
    log: { level: 'debug' },
    // Descriptors of the process are looked at from outside, by whoever runs the tests.
    process: { dumpable: true },
    ...options.config,
  };
}

/** Addresses from the ready lines, once both the listener's and the admin API's are there. */
function findAddresses(log: readonly LogLine[]): { port: number; admin: string } | null {
  let port = 0;
  let admin = '';
  for (const line of log) {
    if (line['msg'] !== 'ready' || typeof line['address'] !== 'string') continue;
    if (line['listener'] === 'public') port = Number(line['address'].slice(line['address'].lastIndexOf(':') + 1));
    else if (line['admin'] === true) admin = line['address'].replace(/^https?:\/\//, '');
  }
  return port !== 0 && admin !== '' ? { port, admin } : null;
}

function readLine(line: string): LogLine | null {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}

async function get(url: string): Promise<string> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} answers ${response.status}: ${await response.text()}`);
  return response.text();
}
