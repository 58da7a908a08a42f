/**
 * The configuration of a soak: every part of routing, choosing and surviving at once, with times
 * short enough for a test.
 */

import type { SoakBackend } from './backends.ts';
import type { Wish } from './clients.ts';

const BREAKER = { consecutive: 6, rate: '60%', min_requests: 20, count: 60, window: '2s', eject: '150ms', max_eject: '600ms', probes: 2 };
const BUDGETS = { retry_budget: { ratio: '50%', min_per_second: 50 }, hedge_budget: { ratio: '20%', min_per_second: 20 } };

/** Nine backends: three on a ring with sessions, four by latency, a narrow one, and the spare. */
export const BACKENDS = 9;

export function soakConfiguration(backends: readonly SoakBackend[]): Record<string, unknown> {
  const urls = backends.map(({ url }) => ({ url }));
  return {
    upstreams: {
      ring: {
        backends: urls.slice(0, 3).map((backend, i) => ({ ...backend, labels: { version: i < 2 ? 'stable' : 'canary' } })),
        balance: { policy: 'ring-hash', keys: ['header:x-user'], sticky: { cookie: 'stay', key: '0123456789abcdef0123456789abcdef' } },
        breaker: BREAKER,
        outliers: { enabled: true, interval: '1s', min_backends: 3, min_requests: 20 },
        slow_start: '1s',
        limits: { in_flight: 24, queue: 40, queue_timeout: '300ms', adaptive: { algorithm: 'aimd', initial: 16, target: '150ms' } },
        ...BUDGETS,
      },
      quick: {
        backends: urls.slice(3, 7).map((backend, i) => ({ ...backend, tier: i < 3 ? 0 : 1 })),
        balance: { policy: 'peak-ewma', decay: '1s' },
        breaker: BREAKER,
        outliers: { enabled: true, interval: '1s', min_backends: 3, min_requests: 20 },
        health: { path: '/up', interval: '300ms', failing_interval: '100ms', timeout: '1s', unhealthy_after: 2 },
        limits: { adaptive: { initial: 32, min: 8 } },
        ...BUDGETS,
      },
      narrow: {
        backends: urls.slice(7, 8),
        balance: { policy: 'least-request' },
        breaker: { consecutive: 'none' },
        limits: { in_flight: 3, queue: 200, queue_timeout: '2s' },
      },
      spare: { backends: urls.slice(8, 9), balance: { policy: 'maglev', keys: ['client'] }, breaker: { consecutive: 'none' } },
    },
    tenants: { acme: { header: 'x-tenant', limits: { in_flight: 3, rate: [{ requests: 100_000 }] } } },
    routes: [
      {
        name: 'read',
        match: { path: '/read', methods: ['GET', 'PUT'], headers: { 'x-user': { regex: 'user-[0-9]+' } }, networks: ['127.0.0.0/8'] },
        split: [
          { upstream: 'ring', weight: 60 },
          { upstream: 'quick', weight: 40 },
        ],
        split_by: ['header:x-user'],
        fallback: { upstream: 'spare' },
        retries: { attempts: 2, failures: ['connect', 'refused', 'reset', 'timeout'], statuses: [503], backoff: '5ms', retry_after: '1s' },
        hedge: { percentile: '90%', min_delay: '15ms', max_delay: '60ms' },
        timeouts: { connect: '1s', attempt: '250ms', exchange: '5s', idle: '2s', deadline_header: 'x-deadline-ms', grpc: true },
        limits: {
          in_flight: 48,
          queue: 60,
          queue_timeout: '400ms',
          rate: [
            { name: 'each', by: ['client/32'], requests: 1_000_000 },
            { name: 'user', by: ['header:x-user'], requests: 400, per: '1s' },
          ],
        },
        priority: 'high',
        rewrite: { regex: '^/read(/.*)', replacement: '/r$1' },
        request_headers: { set: { 'x-from': '${client_address}' }, remove: 'x-internal-*' },
        response_headers: { set: { 'x-route': '${route}' } },
        forwarded: { style: 'both' },
      },
      {
        name: 'write',
        match: { path: '/write', methods: ['POST'] },
        upstream: 'quick',
        fallback: { respond: { status: 203, body: 'noted, not done' } },
        retries: { attempts: 2, backoff: 'none' },
        timeouts: { connect: '1s', attempt: '400ms', exchange: '5s', idle: '2s' },
        limits: { rate: [{ name: 'writes', by: ['header:x-user'], requests: 100, per: '1s', burst: 5 }] },
        priority: 'low',
        rewrite: { strip_prefix: '/write' },
      },
      {
        name: 'tenant',
        match: { path: '/read', tenant: 'acme' },
        upstream: 'quick',
        retries: { attempts: 1, statuses: [503] },
        timeouts: { connect: '1s', attempt: '400ms', exchange: '5s', idle: '2s' },
      },
      {
        name: 'queue',
        match: { path: '/queue' },
        upstream: 'narrow',
        retries: { attempts: 3, failures: ['connect', 'refused', 'reset'] },
        timeouts: { connect: '1s', head: '2s', exchange: '5s', idle: '2s' },
        limits: { in_flight: 30, queue: 100, queue_timeout: '2s' },
      },
    ],
  };
}

/** What clients want of it. */
export const WISHES: readonly Wish[] = [
  { name: 'read', method: 'GET', path: '/read', download: 20_000, weight: 40 },
  { name: 'large', method: 'GET', path: '/read', download: 400_000, weight: 4 },
  { name: 'impatient', method: 'GET', path: '/read', download: 100_000, resets: 0.7, weight: 10 },
  {
    name: 'hurried',
    method: 'GET',
    path: '/read',
    headers: (random) => ({ 'x-deadline-ms': ['1', '30', '200', '0', '4294967296', 'x'][random.below(6)]! }),
    weight: 6,
  },
  {
    name: 'grpc-time',
    method: 'GET',
    path: '/read',
    headers: (random) => ({ 'grpc-timeout': ['1n', '99999999H', '50m', '0S', '-1S', '123456789S', 'm', ''][random.below(8)]! }),
    weight: 4,
  },
  { name: 'put', method: 'PUT', path: '/read', upload: 30_000, weight: 8 },
  { name: 'put-large', method: 'PUT', path: '/read', upload: 300_000, resets: 0.1, weight: 3 },
  { name: 'post', method: 'POST', path: '/write', upload: 20_000, weight: 10 },
  { name: 'post-large', method: 'POST', path: '/write', upload: 300_000, resets: 0.1, weight: 3 },
  { name: 'tenant', method: 'GET', path: '/read', headers: () => ({ 'x-tenant': 'acme' }), weight: 6 },
  { name: 'queue', method: 'GET', path: '/queue', weight: 16 },
  { name: 'queue-leaver', method: 'GET', path: '/queue', resets: 0.8, weight: 10 },
  { name: 'fat', method: 'GET', path: '/read', headers: () => ({ cookie: `stay=${'x'.repeat(6_000)}` }), weight: 2 },
];

/** Weather of the nine that lasts for a while; index into it by how far the soak is. */
export const SEASONS = [
  [{ slow: 0.1 }, { slow: 0.3, unavailable: 0.05 }, { breaks: 0.01 }, {}, { slow: 0.2 }, { unavailable: 0.2 }, {}, { slow: 0.05 }, {}],
  [{ resets: 0.1 }, { refuses: 0.2 }, {}, { hangs: 0.05 }, { leaves: 0.05 }, { slow: 0.5 }, {}, { refuses: 0.1 }, {}],
  [{ hangs: 0.05 }, { leaves: 0.05 }, { unavailable: 0.5 }, { resets: 0.3 }, {}, { breaks: 0.02 }, { slow: 0.3 }, { resets: 0.05 }, {}],
  [{}, { slow: 0.9 }, { refuses: 0.5 }, { unavailable: 0.9 }, { refuses: 0.3, leaves: 0.02 }, {}, {}, { leaves: 0.05 }, { slow: 0.1 }],
] as const;
