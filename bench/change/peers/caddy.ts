/**
 * Caddy: everything by a forced reload of its configuration through the admin API, which reads
 * files of certificates again.
 */

import { join } from 'node:path';
import { freePort, launch, versionOf } from '../../chaos/peers/peer.ts';
import { findPeer } from './find.ts';
import { command, type Peer, putFile, type Stage, whenServing } from './peer.ts';

const program = findPeer('caddy', 'CADDY');

export const caddy: Peer = {
  name: 'Caddy',
  source: 'bench/peers.sh, or CADDY',
  version: () => versionOf(program, ['version']),
  ways: { certificates: 'reload --force', routes: 'reload', listeners: 'reload', 'client CAs': 'reload --force' },
  start: async (stage) => {
    const admin = `127.0.0.1:${await freePort()}`;
    const path = join(stage.folder, 'Caddyfile');
    const options = ['--config', path, '--adapter', 'caddyfile'];
    putFile(path, configuration(stage, admin));
    const child = launch('Caddy', stage.folder, [program ?? 'caddy', 'run', ...options]);
    return whenServing(stage, child, 'Caddy', () => {
      putFile(path, configuration(stage, admin));
      return command(program ?? 'caddy', ['reload', '--force', ...options, '--address', admin]);
    });
  },
};

function configuration({ chainPath, keyPath, caPath, kind, port, extraPort, backend, mark }: Stage, admin: string): string {
  const clients = kind === 'client CAs' ? `{\n client_auth {\n mode verify_if_given\n trust_pool file ${caPath}\n }\n }` : '';
  const site = (at: number): string => `https://localhost:${at} {
  bind 127.0.0.1
  tls ${chainPath} ${keyPath} ${clients}
  header x-mark ${mark}
  reverse_proxy h2c://127.0.0.1:${backend.h2Port}
}
`;
  return `{
  admin ${admin}
  auto_https off
  skip_install_trust
  log {
    level WARN
  }
}
${site(port)}${extraPort === 0 ? '' : site(extraPort)}`;
}
