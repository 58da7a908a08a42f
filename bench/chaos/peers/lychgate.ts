/**
 * Lychgate, out of this checkout: active checks, breakers, retries within a budget, hedging, a
 * limit of exchanges in flight that follows the latency. HTTP/3 in, HTTP/2 in cleartext out. JSON
 * is YAML.
 */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { terms } from '../terms.ts';
import { launch, type Overload, type Peer, type Setup, versionOf, whenAnswering } from './peer.ts';

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
    writeFileSync(path, JSON.stringify(setup.isDefault === true ? asItComes(setup) : configuration(setup), null, 2));
    const child = launch('lychgate', setup.folder, [program, 'run', '--config', path]);
    const { port, admin } = await addresses(join(setup.folder, 'lychgate.log'), () => child.exitCode === null && child.signalCode === null);
    return whenAnswering(lychgate, child, port, setup.folder, `http://${admin}`);
  },
};

function configuration({ chainPath, keyPath, backends, overload }: Setup) {
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
    upstreams: { web: upstream(backends, overload) },
    routes: [route(overload)],
    shards: { count: 1 },
    log: { access: { enabled: false } },
    drain: { timeout: '1s' },
  };
}

/** What must be said, and one shard for the two cores of the bench. */
function asItComes(setup: Setup): object {
  const { shards, log, admin, drain, listeners, version } = configuration(setup);
  const backends = setup.backends.map(({ h2Port }) => ({ url: `h2c://127.0.0.1:${h2Port}` }));
  return { version, listeners, admin, shards, log, drain, upstreams: { web: { backends } }, routes: [{ upstream: 'web' }] };
}

function upstream(backends: Setup['backends'], overload: Overload | undefined): object {
  const { path, intervalMs, timeoutMs, unhealthyAfter, healthyAfter } = terms.health;
  const { consecutiveFailures, baseMs, maxShare } = terms.ejection;
  return {
    backends: backends.map(({ h2Port }) => ({ url: `h2c://127.0.0.1:${h2Port}` })),
    health: {
      path,
      interval: ms(intervalMs),
      failing_interval: ms(intervalMs),
      timeout: ms(timeoutMs),
      unhealthy_after: unhealthyAfter,
      healthy_after: healthyAfter,
    },
    // Failures in a row, and for a backend that fails only now and then their share: the standard
    // deviation of three says nothing. As many probes must succeed before it is back as failures
    // ejected it, or every second answer would be enough.
    breaker: {
      statuses: terms.badStatuses,
      consecutive: consecutiveFailures,
      rate: 0.3,
      min_requests: 10,
      window: '2s',
      eject: ms(baseMs),
      max_eject: ms(baseMs * 5),
      successes: consecutiveFailures,
    },
    max_ejected: maxShare,
    slow_start: '1s',
    // No queue in the edge: the limit leaves one at the backends that is as long as the tolerance
    // for latency.
    ...(overload === undefined ? {} : { limits: { adaptive: { algorithm: 'gradient', initial: overload.concurrency * backends.length } } }),
  };
}

function route(overload: Overload | undefined): object {
  const limit = { name: 'clients', by: ['header:x-client'], requests: overload?.clientRate, burst: overload?.clientBurst };
  return {
    match: { path: '/' },
    upstream: 'web',
    timeouts: {
      connect: ms(terms.connectTimeoutMs),
      head: ms(terms.headTimeoutMs),
      exchange: ms(terms.exchangeTimeoutMs),
    },
    // Another backend is asked, so there is little to wait for.
    retries: { attempts: terms.retries, failures: ['connect', 'refused', 'reset', 'timeout'], statuses: terms.badStatuses },
    hedge: { delay: '100ms' },
    ...(overload === undefined || overload.clientRate === 0 ? {} : { limits: { rate: [limit] } }),
  };
}

function ms(value: number): string {
  return `${value}ms`;
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
