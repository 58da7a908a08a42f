/**
 * nginx with HTTP/3: everything by `-s reload`, which begins new workers; the old ones are to end
 * what they have.
 */

import { join } from 'node:path';
import { launch, versionOf } from '../../chaos/peers/peer.ts';
import { findPeer } from './find.ts';
import { command, logOf, type Peer, putFile, type Stage, type Told, whenServing } from './peer.ts';

const program = findPeer('nginx', 'NGINX');

export const nginx: Peer = {
  name: 'nginx',
  source: 'bench/peers.sh, or NGINX',
  version: () => versionOf(program, ['-v']),
  ways: { certificates: '-s reload', routes: '-s reload', listeners: '-s reload', 'client CAs': '-s reload', 'ticket keys': '-s reload' },
  start: async (stage) => {
    const path = join(stage.folder, 'nginx.conf');
    const options = ['-p', stage.folder, '-e', 'stderr', '-c', path];
    putFile(path, configuration(stage));
    const child = launch('nginx', stage.folder, [program ?? 'nginx', ...options]);
    return whenServing(stage, child, 'nginx', async (): Promise<Told> => {
      putFile(path, configuration(stage));
      const before = logOf(stage, 'nginx').length;
      const told = await command(program ?? 'nginx', [...options, '-s', 'reload']);
      if (stage.serial >= 0 || told.isRefused) return told;
      return { isRefused: false, text: `${told.text} ${logOf(stage, 'nginx').slice(before)}`.trim() };
    });
  },
};

function configuration({ folder, chainPath, keyPath, caPath, ticketPath, kind, port, extraPort, backend, mark }: Stage): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`);
  const clients = kind === 'client CAs' ? `ssl_verify_client optional; ssl_client_certificate ${caPath};` : '';
  const tickets = kind === 'ticket keys' ? `ssl_session_ticket_key ${ticketPath};` : '';
  const server = (at: number): string => `
  server {
    listen 127.0.0.1:${at} quic reuseport;
    ssl_certificate ${chainPath}; ssl_certificate_key ${keyPath}; ${clients} ${tickets}
    location / {
      add_header x-mark ${mark};
      proxy_pass http://127.0.0.1:${backend.h1Port}; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; proxy_read_timeout 300s;
    }
  }`;
  // Without it packets of connections reach whichever worker reads first, and nearly all is lost.
  // It needs root.
  const bpf = process.env['NGINX_QUIC_BPF'] === '0' ? '' : 'quic_bpf on;';
  return `daemon off; user root; worker_processes 1; pid ${folder}/nginx.pid; error_log stderr warn; ${bpf}
events { worker_connections 16384; }
http {
  ${temporary.join(' ')}
  access_log off; keepalive_requests 1000000000; keepalive_timeout 300s; ssl_protocols TLSv1.3;
  ${server(port)}${extraPort === 0 ? '' : server(extraPort)}
}
`;
}
