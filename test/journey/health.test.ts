/**
 * Active health: who is down gets no traffic, whatever it would answer; checks have connections of
 * their own.
 */

import t from 'tap';
import { certificates } from '../support/certificates.ts';
import { connectH3 } from '../support/client/h3.ts';
import { type Edge, missingAddon, startEdge } from '../support/edge.ts';
import { answers, byPath } from '../support/origin/behaviours.ts';
import { startH2Origin, startH2TlsOrigin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

const FAST = { path: '/healthz', interval: '100ms', failing_interval: '100ms', timeout: '1s' };

interface Shown {
  readonly state: string;
  readonly health: string;
  readonly check: { readonly failure: string | null } | null;
}

async function backends(edge: Edge): Promise<readonly Shown[]> {
  const { upstreams } = (await edge.ask('/v1/upstreams')) as { upstreams: { backends: Shown[] }[] };
  return upstreams[0]?.backends ?? [];
}

t.test('a backend whose checks fail gets no traffic until they succeed', { skip: missingAddon }, async (t) => {
  const well = byPath({ '/healthz': answers('ok'), '/': answers('first') });
  const first = await startH2Origin(t, byPath({ '/healthz': answers('no', 503), '/': answers('first') }));
  const second = await startH2Origin(t, byPath({ '/healthz': answers('ok'), '/': answers('second') }));
  const edge = await startEdge(t, {
    backends: [first.url, second.url],
    upstream: { balance: { policy: 'round-robin' }, health: FAST },
  });
  await until('it is down', async () => (await backends(edge))[0]?.state === 'down');
  t.match((await backends(edge))[0], { health: 'down', check: { failure: 'status 503' } });
  const client = await connectH3(t, edge.port);
  for (let i = 0; i < 10; i++) t.equal((await client.exchange()).text, 'second');

  first.behave = well;
  await until('it is up', async () => (await backends(edge))[0]?.state === 'up');
  const texts = await Promise.all(Array.from({ length: 10 }, async () => (await client.exchange()).text));
  t.equal(texts.filter((text) => text === 'first').length, 5);
  t.match(
    edge.log.filter((line) => String(line['event']).startsWith('health_')),
    [
      { event: 'health_down', backend: first.url, detail: 'status 503' },
      { event: 'health_up', backend: first.url },
    ],
  );
});

t.test('where checks found every backend down the answer says so, and when one may be up again', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, byPath({ '/healthz': answers('no', 503), '/': answers('never') }));
  const health = { ...FAST, interval: '20s', failing_interval: '20s', healthy_after: 2, jitter: '0%' };
  const edge = await startEdge(t, { backends: [origin.url], upstream: { health, panic_below: 'none' } });
  await until('it is down', async () => (await backends(edge))[0]?.state === 'down');
  const client = await connectH3(t, edge.port);
  const refused = await client.exchange();
  t.match(refused, { status: 503, text: /backends_unhealthy/ });
  const seconds = Number(refused.headers['retry-after']);
  t.ok(seconds > 20 && seconds <= 40, `the next check and one more: ${seconds} s`);
  t.match(await until('the access line', () => edge.access()[0]), { reason: 'backends_unhealthy', status: 503 });
  t.equal((await edge.metrics()).sum('lychgate_request_failures_total', { reason: 'backends_unhealthy' }), 1);
});

t.test('checks succeed while every stream to the backend is taken by traffic', { skip: missingAddon }, async (t) => {
  let checks = 0;
  const held: (() => void)[] = [];
  const origin = await startH2Origin(t, (stream, headers) => {
    if (headers['user-agent'] === 'lychgate-health') checks += 1;
    const answer = () => answers('ok')(stream, headers);
    if (headers[':path'] === '/healthz') answer();
    else held.push(answer);
  });
  const edge = await startEdge(t, {
    backends: [origin.url],
    upstream: { health: FAST, pool: { max_sessions: 1, max_streams: 2 } },
    route: { retries: 0 },
  });
  const client = await connectH3(t, edge.port);
  const hanging = Array.from({ length: 8 }, () => client.exchange());
  await until('the pool is full', () => held.length === 2);
  const before = checks;
  await until('checks go on', () => checks >= before + 5);
  t.match(await backends(edge), [{ health: 'up', check: { failure: null } }]);
  t.equal(held.length, 2, 'and traffic waits');
  const release = setInterval(() => {
    for (const answer of held.splice(0)) answer();
  }, 5);
  await Promise.all(hanging);
  clearInterval(release);
});

t.test('a backend may be asked over HTTP/3', { skip: missingAddon }, async (t) => {
  // An edge that answers by itself is the HTTP/3 server.
  const asked = await startEdge(t, {
    backends: ['h2c://127.0.0.1:1'],
    config: { routes: [{ match: { path: '/healthz' }, respond: { status: 200, body: 'I am well.' } }] },
    isLeakChecked: false,
  });
  const origin = await startH2TlsOrigin(t, answers('served'));
  const edge = await startEdge(t, {
    backends: [`https://localhost:${origin.port}`],
    upstream: {
      tls: { ca: certificates().caPath },
      health: { ...FAST, protocol: 'h3', host: 'localhost', port: asked.port, body: 'well' },
    },
  });
  await until('it is up', async () => (await backends(edge))[0]?.health === 'up');
  await asked.stop();
  await until('it is down', async () => (await backends(edge))[0]?.health === 'down', 20_000);
});
