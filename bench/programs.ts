/** The programs a run needs: who they are, how they are started and pinned, how they are ended. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findProgram } from '../test/support/process.ts';

/** Cores of a run: the proxy has one for itself, load and backend share the other. */
export const PROXY_CORE = 0;
export const LOAD_CORE = 1;

/** What every program of a run is told. */
export interface Place {
  /** Folder of the run: certificates, documents, configurations, logs. */
  readonly folder: string;
  readonly chainPath: string;
  readonly keyPath: string;
  readonly backendPort: number;
}

/** A contender: a proxy under measurement: HTTP/3 on 127.0.0.1, h2c to the backend, one worker. */
export interface Contender {
  readonly name: string;
  readonly port: number;
  readonly command: (place: Place) => string[];
}

const root = join(import.meta.dirname, '..');

/**
 * h2load with HTTP/3 and nghttpx: from the environment, else PATH; undefined where there is none.
 */
export const programs: Readonly<Record<'h2load' | 'nghttpx' | 'nghttpd', string | undefined>> = {
  h2load: process.env['H2LOAD'] || findProgram('h2load'),
  nghttpx: process.env['NGHTTPX'] || findProgram('nghttpx'),
  nghttpd: process.env['NGHTTPD'] || findProgram('nghttpd'),
};

/** The edge with one shard, all metrics on, the access log sampled at 1 %. */
export const lychgate: Contender = {
  name: 'lychgate',
  port: 19_443,
  command: ({ folder, chainPath, keyPath, backendPort }) => {
    const path = join(folder, 'lychgate.yaml');
    const listener = {
      name: 'public',
      address: `127.0.0.1:${lychgate.port}`,
      certificates: [{ names: ['localhost'], chain: chainPath, key: keyPath }],
      quic: { idle_timeout: '300s', max_streams: 256 },
    };
    // JSON is YAML.
    writeFileSync(
      path,
      JSON.stringify({
        version: 1,
        listeners: [listener],
        admin: { address: '127.0.0.1:19901' },
        upstreams: { web: { backends: [{ url: `h2c://127.0.0.1:${backendPort}` }] } },
        routes: [{ match: { path: '/' }, upstream: 'web' }],
        shards: { count: 1 },
        // Its memory is measured, by whoever runs this.
        process: { dumpable: true },
        log: { level: 'info', access: { sample: 0.01 } },
      }),
    );
    return [join(root, 'bin/lychgate'), 'run', '--config', path];
  },
};

/** nghttpx, the peer: the same road, one worker, logs off as by default. */
export const nghttpx: Contender = {
  name: 'nghttpx',
  port: 19_444,
  command: ({ chainPath, keyPath, backendPort }) => [
    programs.nghttpx ?? 'nghttpx',
    '--conf=/dev/null',
    `-f127.0.0.1,${nghttpx.port};quic`,
    `-f127.0.0.1,${nghttpx.port}`,
    `-b127.0.0.1,${backendPort};;proto=h2`,
    '--workers=1',
    '--frontend-http3-max-concurrent-streams=256',
    '--frontend-quic-idle-timeout=300s',
    '--frontend-http3-idle-timeout=300s',
    keyPath,
    chainPath,
  ],
};

/** The backend: nghttpd before a folder of documents. */
export function backendCommand({ folder, backendPort }: Place): string[] {
  const documents = join(folder, 'documents');
  return [programs.nghttpd ?? 'nghttpd', '--no-tls', '-a127.0.0.1', `-d${documents}`, '-m1000', '-w20', '-W24', String(backendPort)];
}

/** Starts a program on one core with its output in a log of the run's folder. */
export function start(place: Place, name: string, core: number, command: readonly string[]): ChildProcess {
  const log = openSync(join(place.folder, `${name}.log`), 'a');
  const child = spawn('sh', ['-c', 'ulimit -n 65536 2>/dev/null; exec taskset -c "$0" "$@"', String(core), ...command], {
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  return child;
}

/** Ends a program; by force when it has not gone after five seconds. */
export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const isGone = await Promise.race([ended.then(() => true), sleep(5_000, false)]);
  if (isGone) return;
  child.kill('SIGKILL');
  await ended;
}
