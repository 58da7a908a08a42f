import t from 'tap';
import { formatEvent } from '../../src/cli/events.ts';
import { formatUpstreams } from '../../src/cli/upstreams.ts';
import { formatWeights } from '../../src/cli/weights.ts';
import type { BackendView } from '../../src/control/view/upstreams.ts';

const BACKEND: BackendView = {
  slot: 0,
  url: 'h2c://10.0.0.1:9000',
  state: 'up',
  weight: 100,
  labels: {},
  zone: '',
  tier: 0,
  addresses: ['10.0.0.1:9000'],
  resolvedAt: null,
  resolveFailure: null,
  inFlight: 3,
  latencyMs: 4.256,
  breaker: 'closed',
  ejectedAs: null,
  ejectedUntil: null,
  heldOffUntil: null,
  ejections: 0,
  health: 'unknown',
  check: null,
  share: 1,
  consecutiveFailures: 0,
  window: { outcomes: 0, failures: 0 },
  lastFailure: null,
  waiting: 0,
  lastFault: null,
  sessions: [],
};

t.test('backends stand in columns, with their last failure', async (t) => {
  const at = new Date(Date.now() - 5_000).toISOString();
  const failing: BackendView = {
    ...BACKEND,
    url: 'https://b.example.test:443',
    state: 'ejected',
    latencyMs: null,
    window: { outcomes: 20, failures: 7 },
    lastFailure: { reason: 'connect_failed', status: 0, at },
  };
  const wrong: BackendView = {
    ...failing,
    lastFault: 'tls_certificate_expired: certificate has expired',
    lastFailure: { reason: 'tls_certificate_expired', status: 0, at },
  };
  const text = formatUpstreams([
    {
      name: 'web',
      policy: 'peak-ewma',
      inFlight: 6,
      admitted: 1,
      ejected: 1,
      isPanicking: false,
      trust: null,
      backends: [BACKEND, failing, wrong],
    },
  ]);
  t.strictSame(text.split('\n'), [
    'web: peak-ewma, 6 in flight, 1 of 3 backends in use',
    'BACKEND                     STATE    WEIGHT  IN FLIGHT  LATENCY  SESSIONS  FAILED  LAST FAILURE',
    'h2c://10.0.0.1:9000         up          100          3  4.26 ms         0       0  -',
    'https://b.example.test:443  ejected     100          3        -         0    7/20  connect_failed, 5 s ago',
    'https://b.example.test:443  ejected     100          3        -         0    7/20  tls_certificate_expired: certificate has expired, 5 s ago',
    '',
  ]);
});

t.test('a panic is not to be overlooked', async (t) => {
  const text = formatUpstreams([
    { name: 'web', policy: 'random', inFlight: 0, admitted: 0, ejected: 1, isPanicking: true, trust: null, backends: [BACKEND] },
  ]);
  t.match(text, /PANIC/);
});

t.test('an event is one line', async (t) => {
  const event = {
    id: 7,
    at: '2026-01-01T12:00:00.250Z',
    event: 'breaker_opened',
    upstream: 'web',
    backend: 'h2c://10.0.0.1:9000',
  } as const;
  t.equal(
    formatEvent({ ...event, reason: 'connect_failed' }),
    '12:00:00.250  breaker_opened       web  h2c://10.0.0.1:9000  connect_failed',
  );
});

t.test('weights stand beside those that are configured', async (t) => {
  const text = formatWeights({
    backends: [{ upstream: 'web', backend: 'h2c://10.0.0.1:9000', configured: 100, weight: 0 }],
    routes: [
      {
        route: 'shop',
        targets: [
          { upstream: 'web', subset: {}, configured: 90, weight: 50 },
          { upstream: 'web', subset: { version: 'canary' }, configured: 10, weight: 50 },
        ],
      },
    ],
  });
  t.strictSame(text.split('\n'), [
    'UPSTREAM  BACKEND              WEIGHT  CONFIGURED',
    'web       h2c://10.0.0.1:9000       0         100',
    '',
    'ROUTE  TARGET              WEIGHT  CONFIGURED',
    'shop   web                     50          90',
    '       web version=canary      50          10',
    '',
  ]);
});
