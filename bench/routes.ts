/**
 * What many routes cost: a fresh edge with two shards and 10, 1,000 and 10,000 of them from its
 * start to `ready`, and then reloads in which one route is another.
 *
 *     node bench/routes.ts [--reps 3] [--routes 10,1000,10000] [--reloads 5] [--page docs/performance.md]
 *
 * CPU is that of the whole process with all its threads, from /proc/PID/stat; memory is the
 * resident set. While it reloads one client after another on each of several connections asks for
 * an answer of the edge's own, so that shards have turns; what they take longest for is told by
 * `lychgate_turn_duration_seconds` (the reactor with the lane) and
 * `lychgate_apply_duration_seconds` (taking a configuration, between turns).
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { connect } from '@currentspace/http3';
import { certificates } from '../test/support/certificates.ts';
import { Metrics } from '../test/support/metrics.ts';
import { writeSection } from './report.ts';
import { routesFile } from './routes-file.ts';

const root = join(import.meta.dirname, '..');
const { values } = parseArgs({
  options: {
    reps: { type: 'string', default: '3' },
    routes: { type: 'string', default: '10,1000,10000' },
    reloads: { type: 'string', default: '5' },
    page: { type: 'string', default: join(root, 'docs/performance.md') },
  },
});

const SHARDS = 2;
const CONNECTIONS = 8;
/** Ticks of /proc/PID/stat in a second. */
const TICKS = 100;

/** What was measured of one edge. */
interface Figures {
  /** Milliseconds of CPU from the start to `ready`, and for each reload. */
  readonly startMs: number;
  readonly reloadMs: number;
  /** Resident, at `ready` and after the reloads. */
  readonly bytes: number;
  readonly bytesAfter: number;
  /** Upper bounds of the buckets in which the longest were, milliseconds. */
  readonly turnMs: number;
  readonly applyMs: number;
}

const counts = values.routes.split(',').map(Number);
const all = new Map<number, Figures[]>(counts.map((count) => [count, []]));
for (let repetition = 0; repetition < Number(values.reps); repetition++) {
  for (const count of counts) {
    const figures = await measure(count);
    all.get(count)?.push(figures);
    process.stderr.write(`${count} routes: ${JSON.stringify(figures)}\n`);
  }
}
const table = tableOf();
process.stdout.write(`${table}\n`);
if (writeSection(values.page, table, 'routes')) process.stderr.write(`written to ${values.page}\n`);

async function measure(count: number): Promise<Figures> {
  const folder = mkdtempSync(join(tmpdir(), 'lychgate-routes-'));
  const file = join(folder, 'edge.yaml');
  const write = (round: number): void => {
    const { chainPath, keyPath } = certificates();
    writeFileSync(`${file}.new`, routesFile({ routes: count, chainPath, keyPath, shards: SHARDS, round }));
    renameSync(`${file}.new`, file);
  };
  write(0);
  const child = spawn(join(root, 'bin/lychgate'), ['run', '--config', file], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const { port, admin } = await addresses(child);
    const pid = child.pid ?? 0;
    const startMs = cpuMs(pid);
    const bytes = residentBytes(pid);
    const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => open(port)));
    const before = new Metrics(await text(`${admin}/metrics`));
    let isOver = false;
    const asking = clients.map(async (session) => {
      while (!isOver) await ask(session, port);
    });
    let spentMs = 0;
    for (let round = 1; round <= Number(values.reloads); round++) {
      write(round);
      spentMs -= cpuMs(pid);
      const response = await fetch(`${admin}/v1/reload`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' });
      if (!response.ok) throw new Error(await response.text());
      await response.text();
      await sleep(200);
      spentMs += cpuMs(pid);
    }
    isOver = true;
    await Promise.all(asking);
    const after = new Metrics(await text(`${admin}/metrics`));
    await Promise.all(clients.map((session) => session.close()));
    return {
      startMs,
      bytes,
      reloadMs: spentMs / Number(values.reloads),
      bytesAfter: residentBytes(pid),
      turnMs: longestMs('lychgate_turn_duration_seconds', before, after),
      applyMs: longestMs('lychgate_apply_duration_seconds', before, after),
    };
  } finally {
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The upper bound of the last bucket that grew. */
function longestMs(family: string, before: Metrics, after: Metrics): number {
  const grew = (le: string): number => after.sum(`${family}_bucket`, { le }) - before.sum(`${family}_bucket`, { le });
  const total = grew('+Inf');
  const seen = [...after.series(`${family}_bucket`)].map(([{ le = '' }]) => le);
  const bounds = [...new Set(seen)].filter((le) => le !== '+Inf').sort((a, b) => Number(a) - Number(b));
  return Number(bounds.find((le) => grew(le) === total) ?? Number.POSITIVE_INFINITY) * 1_000;
}

async function open(port: number) {
  const session = connect({ address: '127.0.0.1', port, servername: 'localhost' }, { ca: certificates().ca, runtimeMode: 'portable' });
  session.on('error', () => {});
  await session.ready();
  return session;
}

async function ask(session: Awaited<ReturnType<typeof open>>, port: number): Promise<void> {
  const head = { ':method': 'GET', ':scheme': 'https', ':authority': `localhost:${port}`, ':path': '/first' };
  const stream = await session.requestAsync(head, { endStream: true });
  stream.resume();
  await once(stream, 'end');
}

async function addresses(child: ChildProcess): Promise<{ port: number; admin: string }> {
  let port = 0;
  let admin = '';
  for await (const line of createInterface({ input: child.stdout! })) {
    const entry = JSON.parse(line) as Record<string, unknown>;
    if (entry['msg'] === 'ready' && entry['listener'] !== undefined) port = Number(String(entry['address']).split(':').at(-1));
    if (entry['msg'] === 'ready' && entry['admin'] === true) admin = `http://${String(entry['address'])}`;
    if (entry['msg'] === 'serving') break;
  }
  child.stdout?.resume();
  if (port === 0 || admin === '') throw new Error('the edge did not become ready');
  return { port, admin };
}

async function text(url: string): Promise<string> {
  return (await fetch(url)).text();
}

function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) / TICKS) * 1_000;
}

function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
}

/** Least and median of each, and what a route costs beside an edge with the fewest. */
function tableOf(): string {
  const least = counts[0] ?? 10;
  const of = (count: number, key: keyof Figures): number[] => (all.get(count) ?? []).map((one) => one[key]).sort((a, b) => a - b);
  const median = (count: number, key: keyof Figures): number => of(count, key)[Math.floor(of(count, key).length / 2)] ?? Number.NaN;
  const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);
  const rows = counts.map((count) => {
    const cells = [
      count.toLocaleString('en'),
      `${(median(count, 'startMs') / 1_000).toFixed(2)} s`,
      count === least ? '–' : `${((median(count, 'startMs') - median(least, 'startMs')) / 1_000).toFixed(2)} s`,
      `${mib(median(count, 'bytes'))} MiB`,
      count === least ? '–' : `${mib(median(count, 'bytes') - median(least, 'bytes'))} MiB`,
      count === least ? '–' : `${((median(count, 'bytes') - median(least, 'bytes')) / (count - least) / 1024).toFixed(1)} KiB`,
      `${median(count, 'reloadMs').toFixed(0)} ms`,
      `≤ ${Math.max(...of(count, 'turnMs'))} ms`,
      `≤ ${Math.max(...of(count, 'applyMs'))} ms`,
      `${mib(median(count, 'bytesAfter'))} MiB`,
    ];
    return `| ${cells.join(' | ')} |`;
  });
  const head =
    '| routes | CPU to ready | more than with few | resident | more | a route | CPU of a reload | longest turn | longest step of taking it, in a shard | resident after |';
  const [cpu] = cpus();
  const made = `${cpu?.model ?? ''}, ${cpus().length} cores, Node ${process.versions.node}; ${new Date().toISOString().slice(0, 10)}; median of ${values.reps}, ${SHARDS} shards, ${values.reloads} reloads that change one route.`;
  return [made, '', head, `|${'---|'.repeat(10)}`, ...rows].join('\n');
}
