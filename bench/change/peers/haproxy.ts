/**
 * HAProxy with QUIC: certificates, client CAs and ticket keys by its runtime API, which needs no
 * reload; all else by a reload through the socket of its master.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { launch, versionOf } from '../../chaos/peers/peer.ts';
import { findPeer } from './find.ts';
import { askSocket, type Peer, putFile, type Stage, type Told, whenServing } from './peer.ts';

const program = findPeer('haproxy', 'HAPROXY');

export const haproxy: Peer = {
  name: 'HAProxy',
  source: 'bench/peers.sh, or HAPROXY',
  version: () => versionOf(program, ['-v']),
  ways: {
    certificates: 'set ssl cert',
    routes: 'reload',
    listeners: 'reload',
    'client CAs': 'set ssl ca-file',
    'ticket keys': 'set ssl tls-key',
  },
  start: async (stage) => {
    const path = join(stage.folder, 'haproxy.cfg');
    const [master, worker] = [join(stage.folder, 'master'), join(stage.folder, 'worker')];
    const both = join(stage.folder, 'both.pem');
    putFile(both, pemOf(stage));
    putFile(path, configuration(stage, worker));
    const child = launch('HAProxy', stage.folder, [program ?? 'haproxy', '-W', '-S', master, '-f', path]);
    return whenServing(stage, child, 'HAProxy', async (): Promise<Told> => {
      if (stage.kind === 'certificates') return transact(worker, 'cert', both, pemOf(stage));
      if (stage.kind === 'client CAs') return transact(worker, 'ca-file', stage.caPath, readFileSync(stage.caPath, 'utf8'));
      if (stage.kind === 'ticket keys') {
        const last = readFileSync(stage.ticketPath, 'utf8').trim().split('\n').at(-1);
        const text = await askSocket(worker, `set ssl tls-key ${stage.ticketPath} ${last}`);
        return { isRefused: !/updated/i.test(text), text };
      }
      putFile(path, configuration(stage, worker));
      const text = await askSocket(master, 'reload');
      return { isRefused: !text.includes('Success=1'), text };
    });
  },
};

async function transact(socket: string, what: string, path: string, text: string): Promise<Told> {
  const set = await askSocket(socket, `set ssl ${what} ${path} <<\n${text.replaceAll(/\n+/g, '\n')}`);
  if (!/transaction (created|updated)/i.test(set)) return { isRefused: true, text: set };
  const committed = await askSocket(socket, `commit ssl ${what} ${path}`);
  const isRefused = !committed.includes('Success!');
  if (isRefused) await askSocket(socket, `abort ssl ${what} ${path}`);
  return { isRefused, text: committed };
}

function pemOf({ chainPath, keyPath }: Stage): string {
  return readFileSync(chainPath, 'utf8') + readFileSync(keyPath, 'utf8');
}

function configuration({ folder, caPath, ticketPath, kind, port, extraPort, backend, mark }: Stage, socket: string): string {
  const clients = kind === 'client CAs' ? ` ca-file ${caPath} verify optional` : '';
  const tickets = kind === 'ticket keys' ? ` tls-ticket-keys ${ticketPath}` : '';
  const bind = (at: number): string => `  bind quic4@127.0.0.1:${at} ssl crt ${folder}/both.pem alpn h3${clients}${tickets}`;
  return `global
  nbthread 1
  maxconn 4000
  stats socket ${socket} level admin expose-fd listeners
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
frontend public
${bind(port)}
${extraPort === 0 ? '' : bind(extraPort)}
  http-response set-header x-mark ${mark}
  default_backend web
backend web
  server one 127.0.0.1:${backend.h2Port} proto h2
`;
}
