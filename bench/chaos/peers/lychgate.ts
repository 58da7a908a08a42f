/** Lychgate, out of this checkout. HTTP/3 in, HTTP/2 in cleartext out. JSON is YAML. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { terms } from '../terms.ts';
import { launch, type Peer, type Setup, versionOf, whenAnswering } from './peer.ts';

const root = join(import.meta.dirname, '../../..');
const program = join(root, 'bin/lychgate');

export const lychgate: Peer = {
  name: 'lychgate',
  speaks: 'HTTP/3 → h2c',
  isHttp3: true,
  hasClientLimits: true,
  source: 'make native',
  version: () => (existsSync(join(root, `native/lychgate.linux-${process.arch}-gnu.node`)) ? versionOf(program, ['--version']) : null),
  start: async (setup) => {
    const path = join(setup.folder, 'lychgate.yaml');
    writeFileSync(path, JSON.stringify(configuration(setup), null, 2));
    const child = launch('lychgate', setup.folder, [program, 'run', '--config', path]);
    const { port, admin } = await addresses(join(setup.folder, 'lychgate.log'), () => child.exitCode === null && child.signalCode === null);
    return whenAnswering(lychgate, child, port, setup.folder, `http://${admin}`);
  },
};

function configuration({ chainPath, keyPath, backends }: Setup): object {
  return {
    version: 1,
    listeners: [
      {
        name: 'public',
        address: '127.0.0.1:0',
        certificates: [{ names: ['localhost'], chain: chainPath, key: keyPath }],
        quic: { max_streams: terms.maxStreams },
      },
    ],
    admin: { address: '127.0.0.1:0' },
    upstreams: { web: { backends: backends.map(({ h2Port }) => ({ url: `h2c://127.0.0.1:${h2Port}` })) } },
    routes: [
      {
        match: { path: '/' },
        upstream: 'web',
        retries: terms.retries,
        timeouts: {
          connect: `${terms.connectTimeoutMs}ms`,
          head: `${terms.headTimeoutMs}ms`,
          exchange: `${terms.exchangeTimeoutMs}ms`,
        },
      },
    ],
    shards: { count: 1 },
    log: { access: { enabled: false } },
    drain: { timeout: '1s' },
  };
}

/** Where it listens, from the ready lines of its log. */
async function addresses(path: string, isAlive: () => boolean): Promise<{ port: number; admin: string }> {
  for (let turn = 0; turn < 200 && isAlive(); turn += 1) {
    let port = 0;
    let admin = '';
    for (const line of readFileSync(path, 'utf8').split('\n')) {
      if (!line.includes('"ready"')) continue;
      const { listener, address } = JSON.parse(line) as { listener?: string; address?: string };
      if (address === undefined) continue;
      if (listener === 'public') port = Number(address.slice(address.lastIndexOf(':') + 1));
      else admin = address.replace(/^https?:\/\//, '');
    }
    if (port !== 0 && admin !== '') return { port, admin };
    await sleep(50);
  }
  throw new Error(`lychgate did not become ready:\n${readFileSync(path, 'utf8').slice(-3_000)}`);
}
