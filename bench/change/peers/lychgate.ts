/**
 * Lychgate, out of this checkout: certificates and ticket keys are watched, all else by a reload.
 * JSON is YAML.
 */

import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { until } from '../../../test/support/wait.ts';
import { freePort, launch, versionOf } from '../../chaos/peers/peer.ts';
import { command, type Peer, putFile, type Stage, type Told, whenServing } from './peer.ts';

const root = join(import.meta.dirname, '../../..');
const program = join(root, 'bin/lychgate');

export const lychgate: Peer = {
  name: 'lychgate',
  source: 'make native',
  version: () => (existsSync(join(root, `native/lychgate.linux-${process.arch}-gnu.node`)) ? versionOf(program, ['--version']) : null),
  ways: {
    certificates: 'watched files',
    routes: 'reload',
    listeners: 'reload',
    'client CAs': 'reload',
    'ticket keys': 'watched file',
  },
  start: async (stage) => {
    const admin = `127.0.0.1:${await freePort()}`;
    const path = join(stage.folder, 'lychgate.yaml');
    const write = (): void => putFile(path, JSON.stringify(configuration(stage, admin)));
    write();
    const child = launch('lychgate', stage.folder, [program, 'run', '--config', path]);
    const running = await whenServing(stage, child, 'lychgate', async (): Promise<Told> => {
      // A command takes a quarter of a second of processor time to begin; its answer is that of the
      // API.
      if (stage.kind === 'certificates' || stage.kind === 'ticket keys') {
        if (stage.serial >= 0) return { isRefused: false, text: '' };
        return command(program, ['cert', 'reload', '--admin', `http://${admin}`]);
      }
      write();
      if (stage.serial < 0) return command(program, ['reload', '--admin', `http://${admin}`]);
      return post(`http://${admin}/v1/reload`);
    });
    // The listener serves before the admin API does.
    await until(
      'the admin API answers',
      () =>
        fetch(`http://${admin}/readyz`).then(
          ({ ok }) => ok,
          () => false,
        ),
      20_000,
    );
    return running;
  },
};

/** On a connection of its own: one that was kept may end as it is used again. */
async function post(url: string): Promise<Told> {
  const headers = { 'content-type': 'application/json', connection: 'close' };
  const sent = request(url, { method: 'POST', headers, agent: false });
  sent.end('{}');
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  const text = (await response.toArray()).join('');
  return { isRefused: response.statusCode !== 200, text };
}

function configuration(stage: Stage, admin: string): object {
  const { chainPath, keyPath, caPath, ticketPath, kind, port, extraPort, backend, mark } = stage;
  const listener = (name: string, at: number): object => ({
    name,
    address: `127.0.0.1:${at}`,
    certificates: [{ names: ['localhost'], chain: chainPath, key: keyPath }],
    tls: {
      ...(kind === 'client CAs' ? { client_certificates: { mode: 'optional', ca: [caPath] } } : {}),
      ...(kind === 'ticket keys' ? { tickets: { keys_file: ticketPath } } : {}),
    },
  });
  return {
    version: 1,
    listeners: [listener('public', port), ...(extraPort === 0 ? [] : [listener('extra', extraPort)])],
    admin: { address: admin },
    upstreams: { web: { backends: [{ url: `h2c://127.0.0.1:${backend.h2Port}` }] } },
    routes: [{ upstream: 'web', response_headers: { set: { 'x-mark': String(mark) } } }],
    shards: { count: 1 },
    log: { access: { enabled: false } },
    drain: { timeout: '1s' },
  };
}
