/** Fallbacks: what answers when the upstream of a route cannot. */

import t from 'tap';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { answers, echoes, isSilent, resets } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

const skip = missingAddon;

t.test('another upstream answers while the first cannot be reached, and the response says so', { skip }, async (t) => {
  const gone = await startH2Origin(t, answers('never'));
  const spare = await startH2Origin(t, answers('from the spare'));
  gone.kill();
  const config = {
    upstreams: { web: { backends: [{ url: gone.url }], breaker: { consecutive: 5 } }, spare: { backends: [{ url: spare.url }] } },
    routes: [{ upstream: 'web', fallback: { upstream: 'spare' } }],
  };
  const edge = await startEdge(t, { backends: [], config });
  const client = await connectH3(t, edge.port);
  // The first few find out by trying; from then on the breaker is open.
  for (let i = 0; i < 12; i++) {
    t.match(await client.exchange(), { status: 200, text: 'from the spare', headers: { 'x-lychgate-fallback': '1' } });
  }
  t.equal((await edge.metrics()).sum('lychgate_fallbacks_total', { upstream: 'web' }), 12);
});

t.test('a fixed answer stands in when every attempt failed', { skip }, async (t) => {
  const broken = await startH2Origin(t, resets());
  const fallback = { respond: { status: 200, headers: { 'content-type': 'text/plain' }, body: 'we are back soon' } };
  const edge = await startEdge(t, { backends: [broken.url], route: { fallback } });
  const client = await connectH3(t, edge.port);
  t.match(await client.exchange(), { status: 200, text: 'we are back soon', headers: { 'x-lychgate-fallback': '1' } });
});

t.test('a client\u2019s own mistake is not hidden by a fallback', { skip }, async (t) => {
  const origin = await startH2Origin(t, answers('not found here', 404));
  const edge = await startEdge(t, { backends: [origin.url], route: { fallback: { respond: { status: 200, body: 'no' } } } });
  const client = await connectH3(t, edge.port);
  t.match(await client.exchange(), { status: 404, text: 'not found here' });
});

t.test('without retries the fallback upstream answers after a reset, and a body goes to it again', { skip }, async (t) => {
  const broken = await startH2Origin(t, resets());
  const spare = await startH2Origin(t, echoes);
  const config = {
    upstreams: { web: { backends: [{ url: broken.url }] }, spare: { backends: [{ url: spare.url }] } },
    routes: [{ upstream: 'web', retries: 0, fallback: { upstream: 'spare' } }],
  };
  const edge = await startEdge(t, { backends: [], config });
  const client = await connectH3(t, edge.port);
  t.match(await client.exchange({ method: 'PUT', body: 'once more' }), {
    status: 200,
    text: 'once more',
    headers: { 'x-lychgate-fallback': '1' },
  });
  t.match(await client.exchange({ method: 'POST', body: 'only once' }), { status: 502 }, 'what may not be repeated is not');
});

t.test('a status of the backend has the fallback answer, its endless body is not read and its stream is freed', { skip }, async (t) => {
  const failing = await startH2Origin(t, (stream) => {
    stream.respond({ ':status': 503 });
    const more = () => void (stream.destroyed || stream.write(Buffer.alloc(65_536), more));
    more();
  });
  const spare = await startH2Origin(t, answers('from the spare'));
  const config = {
    upstreams: { web: { backends: [{ url: failing.url }], breaker: { consecutive: 'none' } }, spare: { backends: [{ url: spare.url }] } },
    routes: [{ upstream: 'web', retries: 0, fallback: { upstream: 'spare', statuses: ['5xx'] } }],
  };
  const edge = await startEdge(t, { backends: [], config });
  const client = await connectH3(t, edge.port);
  for (let i = 0; i < 5; i++)
    t.match(await client.exchange(), { status: 200, text: 'from the spare', headers: { 'x-lychgate-fallback': '1' } });
  await until('no stream is left at the one that failed', () => failing.open === 0);
  t.equal(failing.requests, 5);
});

t.test(
  'the fixed answer stands in at the deadline of the exchange and of its client, and not once a response has begun',
  { skip },
  async (t) => {
    const silent = await startH2Origin(t, isSilent);
    const broken = await startH2Origin(t, resets());
    const begun = await startH2Origin(t, (stream) => {
      stream.respond({ ':status': 200 });
      stream.write('some');
    });
    const upstream = (url: string) => ({ backends: [{ url }] });
    const fallback = { respond: { status: 503, headers: { 'retry-after': '30' }, body: 'too late' } };
    const timeouts = { exchange: '150ms', deadline_header: 'x-deadline-ms' };
    const route = (path: string, to: string, more = {}) => ({ match: { path }, upstream: to, timeouts, fallback, ...more });
    const edge = await startEdge(t, {
      backends: [],
      config: {
        upstreams: { silent: upstream(silent.url), broken: upstream(broken.url), begun: upstream(begun.url) },
        routes: [
          route('/silent', 'silent'),
          route('/client', 'silent', { timeouts: { ...timeouts, exchange: '60s' } }),
          route('/idle', 'silent', { timeouts: { idle: '150ms' } }),
          route('/waiting', 'broken', { retries: { attempts: 1, failures: ['reset'], backoff: '10s', max_backoff: '10s' } }),
          route('/begun', 'begun'),
          { ...route('/none', 'silent'), fallback: undefined },
        ],
      },
    });
    const client = await connectH3(t, edge.port);
    const stoodIn = { status: 503, text: 'too late', headers: { 'retry-after': '30', 'x-lychgate-fallback': '1' } };
    t.match(await client.exchange({ path: '/silent' }), stoodIn);
    t.match(await client.exchange({ path: '/silent', method: 'POST', body: 'for nobody' }), stoodIn, 'nothing is sent again for it');
    t.match(await client.exchange({ path: '/client', headers: { 'x-deadline-ms': '80' } }), stoodIn, 'the deadline of the client');
    t.match(await client.exchange({ path: '/client', headers: { 'x-deadline-ms': '0' } }), stoodIn, 'one that has passed');
    t.match(await client.exchange({ path: '/idle' }), stoodIn, 'silence');
    t.match(await client.exchange({ path: '/waiting' }), stoodIn, 'while a retry is waited for, or in its place');
    await t.rejects(client.exchange({ path: '/begun' }), 'what has begun is reset');
    t.match(await client.exchange({ path: '/none' }), { status: 504, text: /exchange_timeout/ }, 'where there is none');

    const grpc = { 'content-type': 'application/grpc' };
    const late = { 'grpc-status': '4', 'grpc-message': 'fallback_response', 'x-lychgate-fallback': '1' };
    t.match(await client.exchange({ path: '/silent', method: 'POST', headers: grpc, body: 'x' }), { status: 200, headers: late, text: '' });
    const passed = await client.exchange({ path: '/client', method: 'POST', headers: { ...grpc, 'x-deadline-ms': '0' }, body: 'x' });
    t.match(passed, { status: 200, headers: late, text: '' });
    await until('every attempt was taken back', () => silent.open === 0);
    const metrics = await edge.metrics();
    t.equal(metrics.sum('lychgate_fallbacks_total', { upstream: 'silent' }), 7);
    t.equal(metrics.sum('lychgate_backend_ejections_total'), 0, 'no backend is to blame');
  },
);
