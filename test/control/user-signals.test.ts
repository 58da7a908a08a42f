/**
 * SIGUSR1 and SIGUSR2 on a whole process, from its first moments on: no debugger, no death, a log
 * line.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { configuration, missingAddon } from '../support/edge.ts';
import { isSignalCaught, listeningPorts, plainCommand, plainEnvironment } from '../support/process.ts';
import { until, within } from '../support/wait.ts';

const root = join(import.meta.dirname, '../..');
const skip = missingAddon;
/** Where Node's debugger listens unless it is told otherwise. */
const DEBUGGER_PORT = 9229;

interface Started {
  readonly child: ChildProcess & { readonly pid: number };
  readonly messages: string[];
  readonly errors: string[];
  readonly isReady: () => boolean;
  /** SIGTERM, and how the process ended. */
  readonly stop: () => Promise<unknown[]>;
}

/** Starts an edge and does not wait for anything. */
function start(t: Test, program: string, args: readonly string[], env: Record<string, string> = {}): Started {
  const folder = mkdtempSync(join(tmpdir(), 'lychgate-signal-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'edge.yaml');
  writeFileSync(path, stringify(configuration({ backends: ['h2c://127.0.0.1:9'] })));
  const assignments = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const [command, words] = plainCommand('env', [...assignments, program, ...args, 'run', '--config', path]);
  const child = spawn(command, words, { stdio: ['ignore', 'pipe', 'pipe'], env: plainEnvironment() });
  t.teardown(() => child.kill('SIGKILL'));
  const messages: string[] = [];
  const errors: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => messages.push(String(JSON.parse(line).msg)));
  createInterface({ input: child.stderr }).on('line', (line) => errors.push(line));
  const ended = once(child, 'exit');
  return {
    child: child as Started['child'],
    messages,
    errors,
    isReady: () => {
      if (child.exitCode !== null || child.signalCode !== null) {
        throw new Error(`it ended: ${child.exitCode ?? child.signalCode}; ${errors.join('\n')}`);
      }
      return messages.includes('serving');
    },
    stop: () => {
      child.kill('SIGTERM');
      return within(20_000, 'the edge ends after SIGTERM', ended);
    },
  };
}

const launched = (t: Test, env?: Record<string, string>) => start(t, join(root, 'bin/lychgate'), [], env);
const isNode = (pid: number) => basename(readlinkSync(`/proc/${pid}/exe`)).startsWith('node');

for (const delayMs of [0, 10, 20, 50]) {
  t.test(`SIGUSR1 and SIGUSR2 ${delayMs} ms after Node took the process over neither end it nor open a debugger`, { skip }, async (t) => {
    const { child, isReady, stop } = launched(t);
    while (!isNode(child.pid)) await new Promise(setImmediate);
    if (delayMs > 0) await sleep(delayMs);
    child.kill('SIGUSR1');
    child.kill('SIGUSR2');
    await until('the edge serves', isReady, 20_000);
    t.notOk(listeningPorts(child.pid).includes(DEBUGGER_PORT));
    t.same(await stop(), [0, null]);
  });
}

t.test('SIGUSR2 while the edge still loads does not end it', { skip }, async (t) => {
  const { child, isReady, stop } = launched(t);
  await until('the signal is held', () => isSignalCaught(child.pid, constants.signals.SIGUSR2), 20_000);
  child.kill('SIGUSR2');
  await until('the edge serves', isReady, 20_000);
  t.same(await stop(), [0, null]);
});

for (const [how, begin] of [
  ['by its launcher', launched],
  ['by node', (t: Test) => start(t, process.execPath, [join(root, 'src/main.ts')])],
] as const) {
  t.test(`an edge started ${how} logs SIGUSR1 and SIGUSR2 and goes on without a debugger`, { skip }, async (t) => {
    const { child, messages, isReady, stop } = begin(t);
    await until('the edge serves', isReady, 20_000);
    for (const signal of ['SIGUSR1', 'SIGUSR2'] as const) {
      child.kill(signal);
      await until(`${signal} is logged`, () => messages.some((message) => message.startsWith(`${signal} is ignored`)));
    }
    t.notOk(listeningPorts(child.pid).includes(DEBUGGER_PORT));
    t.same(await stop(), [0, null]);
  });
}

t.test('NODE_OPTIONS and NODE_TLS_REJECT_UNAUTHORIZED are dropped with a warning', { skip }, async (t) => {
  const { errors, isReady, stop } = launched(t, { NODE_OPTIONS: '--no-such-option', NODE_TLS_REJECT_UNAUTHORIZED: '0' });
  await until('the edge serves', isReady, 20_000);
  t.match(errors.join('\n'), /NODE_OPTIONS is dropped.*\n.*NODE_TLS_REJECT_UNAUTHORIZED is dropped/);
  t.same(await stop(), [0, null]);
});
