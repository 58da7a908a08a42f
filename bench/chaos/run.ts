/**
 * `make chaos`: how the edge fares beside nginx, HAProxy, Envoy and Caddy while one of its backends
 * misbehaves, and under overload. What is compared is whom they choose and how they survive, not
 * what they cost; see docs/chaos.md.
 *
 *     node bench/chaos/run.ts [--only slow,resets,overload,flood,defaults,calm] [--peers lychgate,envoy] [--seconds 5] [--backends 3] [--reps 1] [--calm 60] [--json FILE] [--page FILE] [--keep]
 *
 * H2LOAD, NGINX, HAPROXY, ENVOY and CADDY name the programs where PATH has none; a proxy that is
 * not found is said to be missing. Nothing is installed. All ports are free ones of loopback. It
 * ends with 1 when the edge itself misses its objective (./objective.ts).
 */

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { writeSection } from '../report.ts';
import { calm } from './calm.ts';
import { missingH2load } from './load.ts';
import { judge } from './objective.ts';
import { overload } from './overload.ts';
import { caddy } from './peers/caddy.ts';
import { envoy } from './peers/envoy.ts';
import { haproxy } from './peers/haproxy.ts';
import { lychgate } from './peers/lychgate.ts';
import { nginx } from './peers/nginx.ts';
import type { Peer } from './peers/peer.ts';
import { play, type Stage } from './play.ts';
import { calmTable, countersLine, overloadTable, type Results, reasonLine, roll, scenarioTable, summary } from './report.ts';
import { scenarios } from './scenarios.ts';

const root = join(import.meta.dirname, '../..');
const everyone: readonly Peer[] = [lychgate, nginx, haproxy, envoy, caddy];
const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    peers: { type: 'string', default: '' },
    seconds: { type: 'string', default: '5' },
    backends: { type: 'string', default: '3' },
    reps: { type: 'string', default: '1' },
    calm: { type: 'string', default: '60' },
    json: { type: 'string', default: join(root, 'bench/results/chaos.json') },
    page: { type: 'string', default: '' },
    keep: { type: 'boolean', default: false },
  },
});
if (missingH2load !== false) {
  console.error(`chaos: ${missingH2load}`);
  process.exit(1);
}

const folder = mkdtempSync(join(tmpdir(), 'lychgate-chaos-'));
execFileSync(join(root, 'certs/make.sh'), [folder], { stdio: 'ignore' });
const stage: Stage = {
  folder,
  chainPath: join(folder, 'dev.pem'),
  keyPath: join(folder, 'dev.key'),
  backendCount: Number(values.backends),
  beforeSeconds: 2,
  faultSeconds: Number(values.seconds),
  afterSeconds: Number(values.seconds),
};
const chosen = isAll(values.only) ? scenarios : scenarios.filter(({ key }) => values.only.split(',').includes(key));
const overloads = (['overload', 'flood', 'defaults'] as const).filter(
  (kind) => isAll(values.only) || values.only.split(',').includes(kind),
);
const isCalmPlayed = isAll(values.only) || values.only.split(',').includes('calm');
const peers = isAll(values.peers) ? everyone : everyone.filter(({ name }) => values.peers.split(',').includes(name));
const results: Results = {};
const repetitions = Number(values.reps);
const busyBefore = loadavg()[0] ?? 0;
for (const peer of peers) {
  const version = peer.version();
  if (version === null) console.error(`  ${peer.name} is missing: ${peer.source}`);
  else results[peer.name] = { version, speaks: peer.speaks, scenarios: {}, overload: {} };
}

try {
  for (let turn = 1; turn <= repetitions; turn += 1) await playAll();
  report();
} finally {
  if (values.keep) console.error(`  configurations and logs: ${folder}`);
  else rmSync(folder, { recursive: true, force: true });
}

/** One repetition of everything. */
async function playAll(): Promise<void> {
  // Proxy after proxy within a scenario: neighbours in time are neighbours in the table.
  for (const scenario of chosen) {
    for (const peer of present()) {
      await attempt(`${scenario.title}: ${peer.name}`, async () => {
        const figures = await play(scenario, peer, stage);
        const result = results[peer.name];
        if (result !== undefined) result.scenarios[scenario.key] = [...(result.scenarios[scenario.key] ?? []), figures];
        return [summary(figures), countersLine(figures.counters)].filter((line) => line !== '').join('\n    ');
      });
    }
  }
  for (const [kind, peer] of overloads.flatMap((kind) => present().map((peer) => [kind, peer] as const))) {
    if (kind === 'flood' && !peer.hasClientLimits) continue;
    await attempt(`${kind}: ${peer.name}`, async () => {
      const figures = await overload(kind, peer, stage);
      const result = results[peer.name];
      if (result !== undefined) result.overload[kind] = [...(result.overload[kind] ?? []), figures];
      return `${(figures.goodShare * 100).toFixed(0)} % of capacity at 5 ×, ${figures.peakPerSecond.toFixed(0)}/s at 1 ×, low-rate client ${(figures.honestShare * 100).toFixed(0)} %`;
    });
  }
  for (const peer of isCalmPlayed ? present() : []) {
    await attempt(`calm: ${peer.name}`, async () => {
      const figures = await calm(peer, stage, Number(values.calm));
      const result = results[peer.name];
      if (result !== undefined) result.calm = [...(result.calm ?? []), figures];
      return `${figures.refused} of ${figures.requests} not served, p99 ${figures.p99Ms.toFixed(0)} ms; ${countersLine(figures.counters)}`;
    });
  }
}

function present(): Peer[] {
  return peers.filter(({ name }) => results[name] !== undefined);
}

/**
 * One cell more; what fails is said and leaves a gap, because the other proxies' figures are worth
 * having.
 */
async function attempt(what: string, act: () => Promise<string>): Promise<void> {
  try {
    console.error(`  ${what.padEnd(24)} ${await act()}`);
  } catch (error) {
    process.exitCode = 1;
    console.error(`  ${what.padEnd(24)} failed: ${(error as Error).message}`);
  }
}

function report(): void {
  const when = new Date().toISOString();
  const machine = `${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${cpus().length} cores, Node ${process.versions.node}`;
  mkdirSync(dirname(values.json), { recursive: true });
  writeFileSync(values.json, `${JSON.stringify({ when, machine, stage: { ...stage, folder: undefined }, results }, null, 2)}\n`);
  const parts = [
    `${machine}; ${when.slice(0, 10)}; ${stage.backendCount} backends, ${stage.faultSeconds} s of fault, ${repetitions} repetition${repetitions === 1 ? '' : 's'}, load average ${busyBefore.toFixed(1)} before and ${(loadavg()[0] ?? 0).toFixed(1)} after.`,
    roll(peers, results),
  ];
  if (chosen.length > 0) parts.push(scenarioTable(chosen, results, repetitions));
  for (const kind of overloads) {
    parts.push(overloadTable(kind, results, repetitions));
    const reasons = reasonLine(kind, results);
    if (reasons !== null) parts.push(reasons);
  }
  if (isCalmPlayed) parts.push(calmTable(results, repetitions));
  if (!judge(results)) process.exitCode = 1;
  const text = parts.join('\n\n');
  console.log(`\n${text}\n`);
  if (values.page !== '' && writeSection(values.page, text)) console.error(`  written to ${values.page}`);
}

function isAll(list: string): boolean {
  return list === '';
}
