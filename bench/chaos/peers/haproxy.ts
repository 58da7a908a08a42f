/**
 * HAProxy: active checks, passive observation of answers that marks a server down
 * (`observe layer7`, `on-error`), retries with redispatch. Debian's build has no QUIC, so it is
 * HTTP/2 in; out is HTTP/2 in cleartext, as for lychgate.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram } from '../../../test/support/process.ts';
import { terms } from '../terms.ts';
import { freePort, launch, type Peer, type Setup, versionOf, whenAnswering } from './peer.ts';

const program = process.env['HAPROXY'] || findProgram('haproxy');

export const haproxy: Peer = {
  name: 'haproxy',
  speaks: 'HTTP/2 → h2c',
  isHttp3: false,
  hasClientLimits: true,
  source: 'apt-get install haproxy, or HAPROXY',
  version: () => versionOf(program, ['-v']),
  start: async (setup) => {
    const port = await freePort();
    const path = join(setup.folder, 'haproxy.cfg');
    // One file with chain and key.
    writeFileSync(join(setup.folder, 'both.pem'), readFileSync(setup.chainPath, 'utf8') + readFileSync(setup.keyPath, 'utf8'));
    writeFileSync(path, configuration(setup, port));
    const child = launch('haproxy', setup.folder, [program ?? 'haproxy', '-db', '-f', path]);
    return whenAnswering(haproxy, child, port, setup.folder);
  },
};

function configuration({ folder, backends, overload }: Setup, port: number): string {
  const { intervalMs, timeoutMs, unhealthyAfter, healthyAfter, path } = terms.health;
  // maxconn with the queue before it is what it has for overload: what waits longer than "timeout
  // queue" is answered 503.
  const bound = overload === undefined ? '' : ` maxconn ${overload.concurrency}`;
  // A counter of what was let pass (the ready-made rate of requests counts refused ones too, and a
  // flood would never be served again). It runs over a sliding second, so burst and rate are one.
  const limit =
    overload === undefined || overload.clientRate === 0
      ? ''
      : `  stick-table type string len 32 size 10k expire 10s store gpc0,gpc0_rate(1s)
  http-request track-sc0 req.hdr(x-client)
  http-request deny deny_status 429 if { sc0_gpc0_rate gt ${overload.clientRate} }
  http-request sc-inc-gpc0(0)`;
  const servers = backends.map(({ h2Port }, place) => `  server b${place} 127.0.0.1:${h2Port} proto h2${bound}`);
  return `global
  nbthread 1
  maxconn 4000
  tune.h2.max-concurrent-streams ${terms.maxStreams}
defaults
  mode http
  timeout connect ${terms.connectTimeoutMs}ms
  timeout server ${terms.headTimeoutMs}ms
  timeout client 60s
  timeout check ${timeoutMs}ms
  timeout queue ${overload?.waitMs ?? terms.exchangeTimeoutMs}ms
  http-reuse always
  # Another server already at the first retry, not only at the last.
  option redispatch 1
  retries ${terms.retries}
  retry-on conn-failure empty-response junk-response response-timeout ${terms.badStatuses.join(' ')}
frontend public
  bind 127.0.0.1:${port} ssl crt ${folder}/both.pem alpn h2
${limit}
  default_backend web
backend web
  balance leastconn
  option httpchk
  # HTTP/2 wants to know the host.
  http-check send meth GET uri ${path} ver HTTP/1.1 hdr host localhost
  # Real traffic is watched too: so many bad answers in a row mark a server down until the checks find it well. slowstart gives it its share
  # back by degrees.
  default-server check inter ${intervalMs}ms fastinter ${intervalMs}ms downinter ${intervalMs}ms fall ${unhealthyAfter} rise ${healthyAfter} observe layer7 error-limit ${terms.ejection.consecutiveFailures} on-error mark-down slowstart 1s
${servers.join('\n')}
`;
}
