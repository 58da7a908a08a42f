/**
 * nginx, open source: passive checks only (`max_fails`, `fail_timeout`), the next upstream on
 * error, timeout and bad status. Debian's build has neither HTTP/3 nor HTTP/2 towards backends, so
 * it is HTTP/2 in and HTTP/1.1 out here.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram } from '../../../test/support/process.ts';
import { terms } from '../terms.ts';
import { freePort, launch, type Peer, type Setup, versionOf, whenAnswering } from './peer.ts';

const program = process.env['NGINX'] || findProgram('nginx');

export const nginx: Peer = {
  name: 'nginx',
  speaks: 'HTTP/2 → HTTP/1.1',
  isHttp3: false,
  hasClientLimits: true,
  source: 'apt-get install nginx, or NGINX',
  version: () => versionOf(program, ['-v']),
  start: async (setup) => {
    const port = await freePort();
    const path = join(setup.folder, 'nginx.conf');
    writeFileSync(path, configuration(setup, port));
    const child = launch('nginx', setup.folder, [program ?? 'nginx', '-p', setup.folder, '-e', 'stderr', '-c', path]);
    return whenAnswering(nginx, child, port, setup.folder);
  },
};

function configuration({ folder, chainPath, keyPath, backends, overload }: Setup, port: number): string {
  const { consecutiveFailures, baseMs } = terms.ejection;
  // max_conns is the only bound on load there is without the commercial queue; what exceeds it on
  // all servers is answered 502 at once.
  const bound = overload === undefined ? '' : ` max_conns=${overload.concurrency}`;
  const servers = backends.map(
    ({ h1Port }) => `server 127.0.0.1:${h1Port} max_fails=${consecutiveFailures} fail_timeout=${baseMs / 1_000}s${bound};`,
  );
  const isLimited = overload !== undefined && overload.clientRate > 0;
  const limitZone = isLimited ? `limit_req_zone $http_x_client zone=clients:1m rate=${overload.clientRate}r/s; limit_req_status 429;` : '';
  const limit = isLimited ? `limit_req zone=clients burst=${overload.clientBurst} nodelay;` : '';
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${folder}/${kind};`);
  return `daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log stderr crit;
events { worker_connections 16384; }
http {
  ${temporary.join(' ')}
  access_log off; keepalive_requests 1000000000; http2_max_concurrent_streams ${terms.maxStreams};
  ${limitZone}
  upstream web {
    # The zone lets all workers count failures together; least_conn, because answers take unequal time. max_fails counts within
    # fail_timeout, not in a row.
    zone web 128k; least_conn;
    ${servers.join('\n    ')}
    keepalive 256; keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port} ssl http2;
    ssl_certificate ${chainPath}; ssl_certificate_key ${keyPath};
    location / {
      ${limit}
      proxy_pass http://web; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_connect_timeout ${terms.connectTimeoutMs}ms; proxy_read_timeout ${terms.headTimeoutMs}ms;
      # A status named here is a failed attempt for max_fails too.
      proxy_next_upstream error timeout invalid_header ${terms.badStatuses.map((status) => `http_${status}`).join(' ')};
      proxy_next_upstream_tries ${terms.retries + 1}; proxy_next_upstream_timeout ${terms.exchangeTimeoutMs}ms;
    }
  }
}
`;
}
