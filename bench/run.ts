/**
 * `make bench`: what the edge costs beside nghttpx. Both stand before the same backend and take
 * turns within one run, because the same program moves by a third between runs of a shared machine
 * and only ratios of neighbours hold. The proxy has one core for itself, load and backend share the
 * other; what counts is CPU over all threads of the proxy, not the clock.
 *
 *     node bench/run.ts [--reps 3] [--scale 1] [--only get,large] [--idle 10000] [--alone] [--json FILE] [--page docs/performance.md]
 *
 * H2LOAD and NGHTTPX name the programs where PATH has none built with HTTP/3; nghttpd is Debian's
 * nghttp2-server.
 */

import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { cases } from './cases.ts';
import { spinMs } from './cpu.ts';
import { load } from './load.ts';
import { backendCommand, type Contender, LOAD_CORE, lychgate, nghttpx, type Place, PROXY_CORE, programs, start, stop } from './programs.ts';
import { compare, type Figures, table, writeSection } from './report.ts';

const root = join(import.meta.dirname, '..');
const { values } = parseArgs({
  options: {
    reps: { type: 'string', default: '3' },
    scale: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    idle: { type: 'string', default: '10000' },
    alone: { type: 'boolean', default: false },
    json: { type: 'string', default: join(root, 'bench/results/latest.json') },
    page: { type: 'string', default: join(root, 'docs/performance.md') },
  },
});

const missing = (['h2load', 'nghttpd', ...(values.alone ? [] : (['nghttpx'] as const))] as const).filter(
  (name) => programs[name] === undefined,
);
if (missing.length > 0) {
  console.error(
    `bench: not found: ${missing.join(', ')}. Set ${missing.map((name) => name.toUpperCase()).join(', ')} or put them on PATH;`,
  );
  console.error('       h2load and nghttpx must be built with HTTP/3, nghttpd is in nghttp2-server (Debian).');
  process.exit(1);
}
if (availableParallelism() < 2) console.error('bench: one core only; proxy and load disturb each other, figures are of little worth');

const folder = mkdtempSync(join(tmpdir(), 'lychgate-bench-'));
const place: Place = prepare();
const chosen = values.only === '' ? cases : cases.filter((one) => values.only.split(',').includes(one.key));
const proxies = values.alone ? [lychgate] : [lychgate, nghttpx];
const figures: Figures = Object.fromEntries(proxies.map(({ name }) => [name, Object.fromEntries(chosen.map(({ key }) => [key, []]))]));
const size = { scale: Number(values.scale), idleConnections: Number(values.idle), folder };
const spins: number[] = [];

const backend = start(place, 'nghttpd', LOAD_CORE, backendCommand(place));
try {
  await sleep(300);
  for (let turn = 1; turn <= Number(values.reps); turn += 1) {
    // Who goes first changes, so that a machine that slows down favours nobody.
    for (const proxy of turn % 2 === 1 ? proxies : proxies.toReversed()) await measureAll(proxy, turn);
  }
} finally {
  await stop(backend);
}
report();

/** One repetition of every case on a fresh process. */
async function measureAll(proxy: Contender, turn: number): Promise<void> {
  const child = start(place, proxy.name, PROXY_CORE, proxy.command(place));
  const running = { pid: child.pid ?? 0, port: proxy.port };
  try {
    await untilAnswering(proxy, running);
    for (const one of chosen) {
      const figure = await one.measure(running, size);
      figures[proxy.name]?.[one.key]?.push(figure);
      console.error(
        `  ${turn}/${values.reps} ${proxy.name.padEnd(9)} ${one.title}: ${figure === null ? 'no figure' : `${figure.toFixed(2)} ${one.unit}`}`,
      );
    }
    spins.push(spinMs());
  } finally {
    await stop(child);
  }
}

async function untilAnswering(proxy: Contender, running: { pid: number; port: number }): Promise<void> {
  for (let turn = 0; turn < 40; turn += 1) {
    const { ok } = await load(running, '/1k', ['-c1', '-n1', '-N1s']);
    if (ok === 1) {
      // The first thousand requests pay for the compiler and for buffers that grow.
      await load(running, '/1k', ['-c2', '-m10', '-n2000']);
      return;
    }
    await sleep(200);
  }
  throw new Error(`${proxy.name} does not answer over HTTP/3:\n${readFileSync(join(folder, `${proxy.name}.log`), 'utf8').slice(-2_000)}`);
}

function prepare(): Place {
  const documents = join(folder, 'documents');
  mkdirSync(documents);
  for (const [name, bytes] of [
    ['1k', 1_024],
    ['100k', 102_400],
    ['10m', 10 * 1_048_576],
  ] as const) {
    writeFileSync(join(documents, name), randomBytes(bytes));
  }
  execFileSync(join(root, 'certs/make.sh'), [folder], { stdio: 'ignore' });
  return { folder, chainPath: join(folder, 'dev.pem'), keyPath: join(folder, 'dev.key'), backendPort: 19_080 };
}

function report(): void {
  const rows = compare(chosen, figures, lychgate.name, nghttpx.name);
  const text = table(rows, lychgate.name, nghttpx.name);
  const machine = `${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${cpus().length} cores, Node ${process.versions.node}`;
  const peer = programs.nghttpx === undefined ? '' : spawnSync(programs.nghttpx, ['--version'], { encoding: 'utf8' }).stdout.trim();
  const decide = values.only === '' ? decideAlone() : null;
  const when = new Date().toISOString();
  mkdirSync(dirname(values.json), { recursive: true });
  writeFileSync(
    values.json,
    `${JSON.stringify({ when, machine, peer, reps: Number(values.reps), scale: size.scale, spins, rows, figures, decide }, null, 2)}\n`,
  );
  console.log(`\n${text}\n`);
  if (decide !== null) console.log(`${decide}\n`);
  // A quick look must not replace the page's figures.
  const isFull = values.only === '' && !values.alone && size.scale >= 1;
  const section = `${machine}; ${peer}; ${when.slice(0, 10)}; ${values.reps} repetitions each.\n\n${text}${decide === null ? '' : `\n\n\`\`\`text\n${decide}\n\`\`\``}`;
  if (isFull && writeSection(values.page, section)) console.log(`written to ${values.page}`);
  rmSync(folder, { recursive: true, force: true });
}

/** decide() by itself; see bench/decide.ts. */
function decideAlone(): string | null {
  const ran = spawnSync(process.execPath, [join(root, 'bench/decide.ts')], { encoding: 'utf8' });
  return ran.status === 0 ? ran.stdout.trim() : null;
}
