/**
 * What is lost while a proxy is changed: certificates once a second, then routes, listeners, client
 * CAs and keys of session tickets, the edge beside its peers, each by the best way that it has.
 * Over HTTP/3, on loopback.
 *
 *     node bench/change/run.ts [--peers lychgate,Caddy] [--kinds certificates,routes] [--changes 20] [--interval 1000] [--json FILE] [--add FILE] [--page FILE] [--keep]
 *
 * `--add` begins with the figures of an earlier file.
 *
 * `bench/peers.sh` gets the peers; CADDY, ENVOY, TRAEFIK, NGINX, HAPROXY and NGHTTPX name others.
 * One that is not found is said to be missing. It ends with 1 when the edge loses anything.
 */

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { writeSection } from '../report.ts';
import { caddy } from './peers/caddy.ts';
import { envoy } from './peers/envoy.ts';
import { PEERS_BIN } from './peers/find.ts';
import { haproxy } from './peers/haproxy.ts';
import { lychgate } from './peers/lychgate.ts';
import { nghttpx } from './peers/nghttpx.ts';
import { nginx } from './peers/nginx.ts';
import { KINDS, type Kind, type Peer } from './peers/peer.ts';
import { traefik } from './peers/traefik.ts';
import { play } from './play.ts';
import { certificatesTable, changesTable, isNothingLost, type Results, summary } from './report.ts';

/** Set where the run has a network namespace of its own. */
const INSIDE = 'LYCHGATE_BENCH_NAMESPACE';
const root = join(import.meta.dirname, '../..');
const everyone: readonly Peer[] = [lychgate, caddy, envoy, traefik, haproxy, nginx, nghttpx];
const { values } = parseArgs({
  options: {
    peers: { type: 'string', default: '' },
    kinds: { type: 'string', default: '' },
    changes: { type: 'string', default: '20' },
    interval: { type: 'string', default: '1000' },
    json: { type: 'string', default: join(root, 'bench/results/change.json') },
    add: { type: 'string', default: '' },
    page: { type: 'string', default: '' },
    keep: { type: 'boolean', default: false },
  },
});
// On a loopback of its own, whose packets are as long as those of a network: our clients find out
// how long packets may be, and Envoy ends a connection on which one is longer than 1,500 bytes.
if (process.env[INSIDE] === undefined) {
  const words = process.getuid?.() === 0 ? ['--net'] : ['--map-root-user', '--net'];
  const inside = ['sh', '-c', 'ip link set lo mtu 1500 up && exec "$0" "$@"', process.execPath, ...process.argv.slice(1)];
  const { status, error } = spawnSync('unshare', [...words, ...inside], { stdio: 'inherit', env: { ...process.env, [INSIDE]: '1' } });
  if (error !== undefined) console.error(`change: no network namespace: ${error.message}`);
  process.exit(status ?? 1);
}
// HAProxy's master begins itself anew by its name.
process.env['PATH'] = `${PEERS_BIN}${delimiter}${process.env['PATH'] ?? ''}`;
const kinds = values.kinds === '' ? KINDS : KINDS.filter((kind) => values.kinds.split(',').includes(kind));
const peers = values.peers === '' ? everyone : everyone.filter(({ name }) => values.peers.split(',').includes(name));
const folder = mkdtempSync(join(tmpdir(), 'lychgate-change-'));
const results: Results = values.add === '' ? [] : (JSON.parse(readFileSync(values.add, 'utf8')) as { results: Results }).results;
const busyBefore = loadavg()[0] ?? 0;

try {
  for (const peer of peers) {
    const version = peer.version();
    if (version === null) {
      console.error(`  ${peer.name} is missing: ${peer.source}`);
      figuresOf(peer, version);
      continue;
    }
    const figures = figuresOf(peer, version);
    for (const kind of kinds) {
      if (peer.ways[kind] === undefined) continue;
      try {
        figures[kind] = await play(peer, kind as Kind, {
          folder,
          changes: Number(values.changes),
          intervalMs: Number(values.interval),
          afterSeconds: 10,
        });
        console.error(`  ${`${peer.name}: ${kind}`.padEnd(24)} ${summary(figures[kind])}`);
      } catch (error) {
        process.exitCode = 1;
        console.error(`  ${`${peer.name}: ${kind}`.padEnd(24)} failed: ${(error as Error).message}`);
      }
    }
  }
} finally {
  if (values.keep) console.error(`  configurations and logs: ${folder}`);
  else rmSync(folder, { recursive: true, force: true });
}

/** Where those of a proxy go; with those of an earlier run. */
function figuresOf({ name }: Peer, version: string | null): Results[number]['figures'] {
  const known = results.find((one) => one.name === name);
  if (known !== undefined) return known.figures;
  const figures = {};
  results.push({ name, version, figures });
  return figures;
}

const when = new Date().toISOString();
const machine = `${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${cpus().length} cores, Node ${process.versions.node}`;
mkdirSync(dirname(values.json), { recursive: true });
writeFileSync(values.json, `${JSON.stringify({ when, machine, results }, null, 2)}\n`);
const text = [
  `${machine}; ${when.slice(0, 10)}; a change every ${Number(values.interval) / 1_000} s; load average ${busyBefore.toFixed(1)} before and ${(loadavg()[0] ?? 0).toFixed(1)} after.`,
  certificatesTable(results),
  changesTable(
    results,
    kinds.filter((kind) => kind !== 'certificates'),
  ),
]
  .filter((part) => part !== '')
  .join('\n\n');
console.log(`\n${text}\n`);
if (values.page !== '' && writeSection(values.page, text)) console.error(`  written to ${values.page}`);
if (!isNothingLost(results)) process.exitCode = 1;
process.exit();
