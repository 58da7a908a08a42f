/**
 * What a proxy of the table is: found or missing, started before a set of backends, stopped by its
 * own process id.
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { plainEnvironment } from '../../../test/support/process.ts';
import { end } from '../../end.ts';
import { send } from '../load.ts';

/** What a proxy is started with. */
export interface Setup {
  /** A folder of its own for configuration and logs. */
  readonly folder: string;
  readonly chainPath: string;
  readonly keyPath: string;
  /** Ports of the backends on 127.0.0.1. */
  readonly backends: readonly { readonly h2Port: number; readonly h1Port: number }[];
  /** Bounds for the overload scenario; absent elsewhere. */
  readonly overload?: Overload;
  /**
   * Nothing is configured but where it listens and its backends, where the program can do without:
   * what it does by itself is asked.
   */
  readonly isDefault?: boolean;
}

/** What an operator knows of backends that can be overloaded. */
export interface Overload {
  /** Requests a backend works on at once. */
  readonly concurrency: number;
  /** How long a request may wait for its turn. */
  readonly waitMs: number;
  /**
   * Requests a second each client may send, told apart by the field `x-client`, and how many at
   * once; 0 for no limit.
   */
  readonly clientRate: number;
  readonly clientBurst: number;
}

/** A proxy that runs. */
export interface Running {
  readonly port: number;
  /** Base of the admin API, where it is read for figures. */
  readonly admin?: string;
  stop(): Promise<void>;
}

/** A proxy of the table. */
export interface Peer {
  readonly name: string;
  /** Towards clients and towards backends, for the table. */
  readonly speaks: string;
  readonly isHttp3: boolean;
  /** Whether it can limit clients by a field of theirs as it comes. */
  readonly hasClientLimits: boolean;
  /** How to get it, for those who have not. */
  readonly source: string;
  /** Version, or null when it is not to be found. */
  version(): string | null;
  start(setup: Setup): Promise<Running>;
}

const START_LIMIT_MS = 15_000;

/** First line a program prints about its version, or null. */
export function versionOf(program: string | undefined, args: readonly string[]): string | null {
  if (program === undefined) return null;
  const ran = spawnSync(program, args, { encoding: 'utf8', timeout: 20_000 });
  if (ran.error !== undefined) return null;
  const said = `${ran.stdout}\n${ran.stderr}`.trim();
  return /\d+\.\d+\.\d+/.exec(said)?.[0] ?? said.split('\n', 1)[0] ?? null;
}

/**
 * A port free for TCP and UDP just now, for programs that cannot take port 0 and tell which one
 * they got.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const isFree = await isFreeForUdp(port);
    server.close();
    await once(server, 'close');
    if (isFree) return port;
  }
}

async function isFreeForUdp(port: number): Promise<boolean> {
  const socket = createSocket('udp4');
  const bound = once(socket, 'listening').then(
    () => true,
    () => false,
  );
  socket.bind(port, '127.0.0.1');
  const isFree = await bound;
  if (isFree) socket.close();
  return isFree;
}

/** Starts a program with its output in a log of the folder; it does not outlive the runner. */
export function launch(name: string, folder: string, command: readonly string[]): ChildProcess {
  const log = openSync(join(folder, `${name}.log`), 'a');
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...command], {
    stdio: ['ignore', log, log],
    env: plainEnvironment({ HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder }),
    cwd: folder,
  });
  closeSync(log);
  return child;
}

/** Waits until requests come through, and gives the running proxy. */
export async function whenAnswering(peer: Peer, child: ChildProcess, port: number, folder: string, admin?: string): Promise<Running> {
  const running: Running = { port, stop: () => end(child), ...(admin === undefined ? {} : { admin }) };
  const giveUpMs = Date.now() + START_LIMIT_MS;
  while (Date.now() < giveUpMs) {
    if (child.exitCode !== null || child.signalCode !== null) break;
    const { samples } = await send({
      ...{ port, isHttp3: peer.isHttp3, folder, requestsPerSecond: 10, seconds: 0.1, connections: 1, streams: 1, patienceMs: 900 },
    });
    if (samples[0]?.status === 200) return running;
    await sleep(150);
  }
  await running.stop();
  throw new Error(`${peer.name} does not answer:\n${readFileSync(join(folder, `${peer.name}.log`), 'utf8').slice(-3_000)}`);
}
