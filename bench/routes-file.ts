/**
 * A configuration of many routes as a large site has them, written the way people and generators
 * write: host by host, with the same few policies again and again.
 */

import { stringify } from 'yaml';

export interface FileWish {
  readonly routes: number;
  readonly chainPath: string;
  readonly keyPath: string;
  readonly shards: number;
  /** Set on the first route, so that one route changes from reload to reload. */
  readonly round?: number;
}

/** Routes of one host, and backends of one upstream. */
const ROUTES_A_HOST = 10;
const BACKENDS_A_UPSTREAM = 5;

/**
 * YAML text. A fiftieth of the routes are upstreams, each with five backends; there are three
 * shapes of upstreams.
 */
export function routesFile({ routes, chainPath, keyPath, shards, round = 0 }: FileWish): string {
  const upstreams = Math.max(1, Math.round(routes / 50));
  const head = {
    version: 1,
    listeners: [{ name: 'public', address: '127.0.0.1:0', certificates: [{ names: ['localhost'], chain: chainPath, key: keyPath }] }],
    admin: { address: '127.0.0.1:0' },
    shards: { count: shards },
    log: { level: 'info', access: { enabled: false } },
    upstreams: Object.fromEntries(Array.from({ length: upstreams }, (_, place) => [`team-${place}`, upstreamOf(place)])),
    routes: [{ name: 'first', match: { path: '/first' }, respond: { status: 200, body: `round ${round}` } }],
  };
  // The yaml package is slow to write what a few templates say as well.
  return `${stringify(head)}${Array.from({ length: routes - 1 }, (_, place) => routeOf(place, upstreams)).join('')}`;
}

function upstreamOf(place: number): unknown {
  const backends = Array.from({ length: BACKENDS_A_UPSTREAM }, (_, backend) => {
    const number = place * BACKENDS_A_UPSTREAM + backend;
    return { url: `h2c://127.${1 + (number >> 16)}.${(number >> 8) & 0xff}.${number & 0xff}:9000` };
  });
  if (place % 3 === 0) return { backends };
  if (place % 3 === 1) return { backends, balance: { policy: 'least-request' }, breaker: { consecutive: 10 } };
  return { backends, limits: { in_flight: 1_000, queue: 100 }, pool: { max_sessions: 4 } };
}

/**
 * Of ten routes of a host six are plain prefixes, and the others have a pattern, edits, limits,
 * retries or conditions.
 */
function routeOf(place: number, upstreams: number): string {
  const host = `host-${Math.floor(place / ROUTES_A_HOST)}.example.org`;
  const kind = place % ROUTES_A_HOST;
  const upstream = `team-${Math.floor(place / ROUTES_A_HOST) % upstreams}`;
  const begin = (match: string): string => `  - name: route-${place}\n    match:\n      host: ${host}\n${match}    upstream: ${upstream}\n`;
  const path = `      path: /service-${kind}/v1\n`;
  switch (kind) {
    case 5:
      return `${begin(`      path_regex: /items/[0-9]+/part-${kind}/.*\n`)}    priority: high\n`;
    case 6:
      return `${begin(path)}    rewrite:\n      strip_prefix: /service-${kind}\n    request_headers:\n      set:\n        x-route: "\${route}"\n        x-real-ip: "\${client_address}"\n      remove: [x-internal-*]\n`;
    case 7:
      return `${begin(path)}    limits:\n      in_flight: 500\n      rate:\n        - requests: 100\n          per: 1s\n          by: client\n          max_keys: 100\n`;
    case 8:
      return `${begin(path)}    timeouts:\n      head: 10s\n      exchange: 30s\n    retries:\n      attempts: 2\n      statuses: [502, 503]\n`;
    case 9:
      return `${begin(`${path}      methods: [GET, HEAD]\n      headers:\n        x-version: beta\n`)}    response_headers:\n      set:\n        cache-control: no-store\n`;
    default:
      return begin(path);
  }
}
