/**
 * `make run`: two demo backends, the edge before them with config/minimal.yaml, a few requests over
 * HTTP/3 through it, and then everything stays up until Ctrl-C, which drains it. What is printed is
 * what a newcomer needs to go on alone.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, relative } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { startBackend } from './backend.ts';

const root = join(import.meta.dirname, '../..');
const bin = join(root, 'bin/lychgate');
const config = join(root, 'config/minimal.yaml');
const ca = join(root, 'certs/ca.pem');
const origin = 'https://localhost:8443';
const admin = 'http://127.0.0.1:9901';

const backends = await Promise.all([startBackend('demo backend one', 9000), startBackend('demo backend two', 9001)]);
title('two HTTP/2 backends on 127.0.0.1:9000 and 127.0.0.1:9001');

title(`lychgate run --config ${relative(root, config)}`);
// In a process group of its own: Ctrl-C reaches this script alone, which then asks the edge once,
// politely.
let lastShown = '';
const edge = spawn(bin, ['run', '--config', config], { cwd: root, stdio: ['ignore', 'pipe', 'inherit'], detached: true });
createInterface({ input: edge.stdout }).on('line', showLogLine);

const ended = once(edge, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
let isStopping = false;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
// Whoever reads has gone (`make run | head`): the edge, in its group of its own, must not stay
// behind.
process.stdout.on('error', () => edge.kill('SIGTERM'));

if (await isReady()) {
  await show('-i', '-s', `${origin}/hello?from=make-run`);
  await show('-d', 'what goes in comes back\n', `${origin}/echo`);
  await show('--repeat', '50', `${origin}/bytes?n=10`);
  explain();
}

const [code] = await ended;
await Promise.all(backends.map((backend) => backend.stop()));
title(`the edge ended with ${code}`);
process.exit(isStopping ? (code ?? 1) : 1);

/** Waits for readiness, at most ten seconds; false when the edge ended before. */
async function isReady(): Promise<boolean> {
  for (let turn = 0; turn < 100 && edge.exitCode === null && !isStopping; turn += 1) {
    const answer = await fetch(`${admin}/readyz`).catch(() => null);
    if (answer?.ok === true) return true;
    await sleep(100);
  }
  return false;
}

/** Runs `lychgate get` and shows the command as one would type it. */
async function show(...args: string[]): Promise<void> {
  title(`bin/lychgate get --ca certs/ca.pem ${args.map((arg) => (/^[\w:/?=.-]+$/.test(arg) ? arg : JSON.stringify(arg))).join(' ')}`);
  const get = spawn(bin, ['get', '--ca', ca, ...args], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  await once(get, 'exit');
  process.stdout.write('\n');
}

function explain(): void {
  title('it stays up; from another terminal:');
  console.log(`  bin/lychgate get --ca certs/ca.pem ${origin}/events     a server-sent event each second
  curl ${admin}/metrics                               what it counts
  curl ${admin}/v1/upstreams                          what it thinks of its backends
  docs/life-of-a-request.md, docs/configuration.md              where to read on
  Ctrl-C                                                        drains and ends it\n`);
}

function stop(): void {
  if (isStopping) {
    edge.kill('SIGKILL');
    return;
  }
  isStopping = true;
  title('draining');
  edge.kill('SIGTERM');
}

/**
 * Log lines pass as they are, dimmed; of the access log, which would drown them here, only what is
 * essential and no repetition.
 */
function showLogLine(line: string): void {
  const { target, method, path, status, backend } = JSON.parse(line) as Record<string, unknown>;
  const text = target === 'access' ? `access: ${method} ${path} ${status} ${backend}` : line;
  if (text === lastShown) return;
  lastShown = text;
  console.log(`\x1b[2m${text}\x1b[0m`);
}

function title(text: string): void {
  console.log(`\x1b[1m== ${text}\x1b[0m`);
}
