/**
 * A real store for shared limits, on a port of its own and without a trace on disk; and a way to it
 * that can be slow or gone.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { Redis } from 'ioredis';
import type { Test } from 'tap';
import { certificates } from './certificates.ts';
import { freePort } from './free-port.ts';
import { findProgram, plainCommand } from './process.ts';
import { until } from './wait.ts';

/** Why there is no store here; false when there is. For a test's `skip`. */
export const missingStore: string | false =
  findProgram('redis-server') === undefined ? 'redis-server is not installed (test/support/install.sh)' : false;

export interface Store {
  readonly port: number;
  readonly url: string;
  /** For looking at what is in it. */
  readonly client: Redis;
  stop(): Promise<void>;
}

/**
 * Starts redis-server; it ends with the test. `over` TLS it has the test's certificate for
 * localhost.
 */
export async function startStore(t: Test, password = '', over: 'tcp' | 'tls' = 'tcp'): Promise<Store> {
  for (let tries = 0; ; tries++) {
    const port = await freePort();
    const options = [...listenOptions(over, port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--requirepass', password];
    // A runner that times a test out kills it without teardowns; the store must not outlive it.
    const child = spawn(...plainCommand('setpriv', ['--pdeathsig', 'KILL', 'redis-server', ...options]), { stdio: 'ignore', cwd: '/' });
    const ended = once(child, 'exit');
    const secret = password === '' ? '' : `:${password}@`;
    const url = over === 'tls' ? `rediss://${secret}localhost:${port}` : `redis://${secret}127.0.0.1:${port}`;
    const client = new Redis(url, { retryStrategy: () => 20, ...(over === 'tls' && { tls: { ca: certificates().ca } }) });
    client.on('error', () => {});
    const stop = async (): Promise<void> => {
      client.disconnect();
      child.kill('SIGKILL');
      await ended;
    };
    t.teardown(stop);
    try {
      await until(
        'the store answers',
        () => (child.exitCode === null ? client.status === 'ready' : Promise.reject(new Error('ended'))),
        5_000,
      );
      return { port, url, client, stop };
    } catch (error) {
      await stop();
      if (tries === 3) throw error;
    }
  }
}

export interface StoreRoad {
  readonly port: number;
  /** What is said either way arrives so much later, milliseconds. */
  delayMs: number;
  /** Ends all connections and takes no more until opened. */
  close(): Promise<void>;
  open(): Promise<void>;
}

/** A port that leads to the store at `port`. */
export async function startStoreRoad(t: Test, port: number): Promise<StoreRoad> {
  const sockets = new Set<Socket>();
  const pass = (from: Socket, to: Socket): void => {
    from.on('data', (bytes) => {
      if (road.delayMs === 0) to.write(bytes);
      else setTimeout(() => to.write(bytes), road.delayMs).unref();
    });
    from.on('close', () => to.destroy());
    from.on('error', () => to.destroy());
    sockets.add(from);
  };
  const server = createServer((socket) => {
    const onward = connect(port, '127.0.0.1');
    pass(socket, onward);
    pass(onward, socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port: own } = server.address() as { port: number };
  const road: StoreRoad = {
    port: own,
    delayMs: 0,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      sockets.clear();
      await closed;
    },
    open: async () => {
      server.listen(own, '127.0.0.1');
      await once(server, 'listening');
    },
  };
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return road;
}

function listenOptions(over: 'tcp' | 'tls', port: number): string[] {
  if (over === 'tcp') return ['--port', String(port)];
  const { chainPath, keyPath } = certificates();
  return ['--port', '0', '--tls-port', String(port), '--tls-cert-file', chainPath, '--tls-key-file', keyPath, '--tls-auth-clients', 'no'];
}
