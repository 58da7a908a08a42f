/**
 * Attempts after the first: which responses are held back, what is sent again, and what the client
 * gets when nothing helps.
 */

import { createHash } from 'node:crypto';
import t from 'tap';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { answers, digests, isSilent } from '../support/origin/behaviours.ts';
import { startH1Origin } from '../support/origin/h1.ts';
import { type Behaviour, startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

const skip = missingAddon;

/** In turn and without pauses or breakers, so that a test knows who is asked. */
const UPSTREAM = { balance: { policy: 'round-robin' }, breaker: { consecutive: 'none' } };
const RETRY_503 = { attempts: 1, statuses: [503], backoff: 'none' };

t.test(
  'a status that the route tries again is answered by the other backend, and the client sees nothing of the first',
  { skip },
  async (t) => {
    const bad = await startH2Origin(t, answers('come back later', 503, { 'x-from': 'bad' }));
    const good = await startH2Origin(t, answers('here you are', 200, { 'x-from': 'good' }));
    const edge = await startEdge(t, { backends: [bad.url, good.url], upstream: UPSTREAM, route: { retries: RETRY_503 } });
    const client = await connectH3(t, edge.port);

    for (let i = 0; i < 10; i++) {
      const response = await client.exchange();
      t.match(response, { status: 200, text: 'here you are', headers: { 'x-from': 'good' } });
    }
    t.ok(bad.requests > 0, 'the bad one was asked');
    const metrics = await edge.metrics();
    t.equal(metrics.sum('lychgate_retried_failures_total', { reason: 'response_status' }), bad.requests);
  },
);

t.test('a POST of the only route is tried at every backend that cannot be reached until it comes to one that can', { skip }, async (t) => {
  const good = await startH2Origin(t, digests);
  const backends = ['h2c://127.0.0.1:1', 'h2c://127.0.0.1:2', 'h2c://127.0.0.1:3', good.url];
  const retries = { attempts: 3, backoff: 'none' };
  const edge = await startEdge(t, { backends, upstream: UPSTREAM, route: { retries } });
  const client = await connectH3(t, edge.port);

  for (let i = 0; i < 10; i++) t.match(await client.exchange({ method: 'POST', body: Buffer.from('once') }), { status: 200 }, `POST ${i}`);
  t.equal(good.requests, 10);
});

t.test('when every backend answers with it, the last answer is passed on whole', { skip }, async (t) => {
  const body = 'x'.repeat(200_000);
  const origins = await Promise.all([0, 1].map((place) => startH2Origin(t, answers(`${place}${body}`, 503, { 'x-place': `${place}` }))));
  const edge = await startEdge(t, { backends: origins.map(({ url }) => url), upstream: UPSTREAM, route: { retries: RETRY_503 } });
  const client = await connectH3(t, edge.port);

  const response = await client.exchange();
  t.equal(response.status, 503);
  t.equal(response.text, `${response.headers['x-place']}${body}`);
  t.strictSame(
    origins.map(({ requests }) => requests),
    [1, 1],
  );
});

t.test('a held answer that may not be tried again goes on as if it had never been held', { skip }, async (t) => {
  const body = 'y'.repeat(300_000);
  const slowly: Behaviour = (stream) => {
    stream.resume();
    stream.respond({ ':status': 503, 'x-kept': 'yes', trailer: 'x-sum' }, { waitForTrailers: true });
    stream.once('wantTrailers', () => stream.sendTrailers({ 'x-sum': 'fin' }));
    stream.end(body);
  };
  const origin = await startH2Origin(t, slowly);
  // The budget forbids every retry, which the lane finds out when the answer is held already.
  const upstream = { ...UPSTREAM, retry_budget: { ratio: '0%', min_per_second: 0 } };
  const edge = await startEdge(t, { backends: [origin.url], upstream, route: { retries: RETRY_503 } });
  const client = await connectH3(t, edge.port);

  const response = await client.exchange();
  t.match(response, { status: 503, headers: { 'x-kept': 'yes' }, trailers: { 'x-sum': 'fin' } });
  t.equal(response.text, body);
  t.equal((await edge.metrics()).sum('lychgate_retries_denied_total', { denial: 'budget' }), 1);
});

t.test('HTTP/1.1 backends are tried again and their held answers passed on in the same way', { skip }, async (t) => {
  let asked = 0;
  const ill = await startH1Origin(t, (request, response) => {
    asked += 1;
    request.resume();
    response.writeHead(503, { 'x-kept': 'yes' }).end('z'.repeat(150_000));
  });
  const well = await startH1Origin(t, (request, response) => {
    request.resume();
    response.end('well');
  });
  const edge = await startEdge(t, { backends: [ill.url, well.url], upstream: UPSTREAM, route: { retries: RETRY_503 } });
  const client = await connectH3(t, edge.port);
  for (let i = 0; i < 6; i++) t.match(await client.exchange(), { status: 200, text: 'well' });
  t.ok(asked > 0, 'the ill one was asked');

  const alone = await startEdge(t, {
    backends: [ill.url],
    upstream: { ...UPSTREAM, retry_budget: { ratio: '0%', min_per_second: 0 } },
    route: { retries: RETRY_503 },
  });
  const other = await connectH3(t, alone.port);
  const held = await other.exchange();
  t.match(held, { status: 503, headers: { 'x-kept': 'yes' } });
  t.equal(held.text, 'z'.repeat(150_000));
});

t.test('a request body is sent again byte for byte, when its method may be repeated', { skip }, async (t) => {
  const seen: string[] = [];
  const refusing: Behaviour = (stream, headers) => {
    seen.push(String(headers[':method']));
    answers('no', 503)(stream, headers);
  };
  const bad = await startH2Origin(t, refusing);
  const good = await startH2Origin(t, digests);
  const edge = await startEdge(t, {
    backends: [bad.url, good.url],
    upstream: UPSTREAM,
    route: { retries: { ...RETRY_503, buffer: '64KiB' } },
  });
  const client = await connectH3(t, edge.port);
  const body = Buffer.alloc(40_000, 'lychgate');
  const sha256 = createHash('sha256').update(body).digest('hex');

  const puts = await Promise.all([0, 1].map(() => client.exchange({ method: 'PUT', body })));
  for (const response of puts) t.match(JSON.parse(response.text), { bytes: body.length, sha256 });
  const posts = await Promise.all([0, 1].map(() => client.exchange({ method: 'POST', body })));
  t.strictSame(posts.map(({ status }) => status).sort(), [200, 503], 'a POST is not repeated');
  t.strictSame(seen, ['PUT', 'POST']);
});

t.test('a POST is repeated where the operator says so', { skip }, async (t) => {
  const bad = await startH2Origin(t, answers('no', 503));
  const good = await startH2Origin(t, digests);
  const route = { retries: { ...RETRY_503, methods: ['POST'] } };
  const edge = await startEdge(t, { backends: [bad.url, good.url], upstream: UPSTREAM, route });
  const client = await connectH3(t, edge.port);
  for (let i = 0; i < 4; i++) t.equal((await client.exchange({ body: 'once more' })).status, 200);
});

t.test('a body beyond the buffer is not repeated once some of it was sent', { skip }, async (t) => {
  const takesAll: Behaviour = (stream) => {
    stream.resume();
    stream.once('end', () => {
      stream.respond({ ':status': 503 });
      stream.end('no');
    });
  };
  const bad = await startH2Origin(t, takesAll);
  const good = await startH2Origin(t, digests);
  const route = { retries: { ...RETRY_503, buffer: '4KiB' } };
  const edge = await startEdge(t, { backends: [bad.url, good.url], upstream: UPSTREAM, route });
  const client = await connectH3(t, edge.port);

  const answered = await Promise.all([0, 1].map(() => client.exchange({ method: 'PUT', body: Buffer.alloc(50_000) })));
  t.strictSame(answered.map(({ status }) => status).sort(), [200, 503]);
  t.equal((await edge.metrics()).sum('lychgate_retries_denied_total', { denial: 'unsafe' }), 1);
});

t.test('an attempt that takes longer than its own time is made at another backend', { skip }, async (t) => {
  const silent = await startH2Origin(t, isSilent);
  const good = await startH2Origin(t, answers('in time'));
  const route = { retries: { attempts: 1, failures: ['timeout'], backoff: 'none' }, timeouts: { attempt: '60ms' } };
  const edge = await startEdge(t, { backends: [silent.url, good.url], upstream: UPSTREAM, route });
  const client = await connectH3(t, edge.port);

  for (let i = 0; i < 4; i++) t.match(await client.exchange(), { status: 200, text: 'in time' });
  t.ok(silent.requests > 0);
  await until('the attempts were taken back', () => silent.open === 0);
  t.equal((await edge.metrics()).sum('lychgate_attempt_failures_total', { reason: 'attempt_timeout' }), silent.requests);
});

t.test('retries end with the budget, so that they never become the load', { skip }, async (t) => {
  const origins = await Promise.all([0, 1].map(() => startH2Origin(t, answers('no', 503))));
  const upstream = { ...UPSTREAM, retry_budget: { ratio: '20%', min_per_second: 0, window: '1m' } };
  const edge = await startEdge(t, { backends: origins.map(({ url }) => url), upstream, route: { retries: RETRY_503 } });
  const client = await connectH3(t, edge.port);

  for (let i = 0; i < 100; i++) await client.exchange();
  const asked = origins.reduce((sum, { requests }) => sum + requests, 0);
  t.equal(asked, 120, '100 requests and a fifth more');
  t.equal((await edge.metrics()).sum('lychgate_retries_denied_total', { denial: 'budget' }), 80);
});

t.test('a pause between attempts ends with the client that leaves', { skip }, async (t) => {
  const origin = await startH2Origin(t, answers('no', 503));
  const route = { retries: { attempts: 5, statuses: [503], backoff: '10s', max_backoff: '1m' } };
  const edge = await startEdge(t, { backends: [origin.url], upstream: UPSTREAM, route });
  const client = await connectH3(t, edge.port);
  const opened = await Promise.all(Array.from({ length: 8 }, () => client.open()));
  for (const { stream, head } of opened) {
    stream.on('error', () => {});
    head.catch(() => {});
  }
  await until('every attempt was answered', () => origin.requests >= 8);
  await client.close();
  await until('nothing is open', async () => (await edge.metrics()).sum('lychgate_exchanges') === 0);
});

t.test('killing one of two backends under load loses no GET', { skip }, async (t) => {
  const origins = await Promise.all([0, 1].map((place) => startH2Origin(t, answers(`from ${place}`))));
  const edge = await startEdge(t, { backends: origins.map(({ url }) => url) });
  const client = await connectH3(t, edge.port);
  const statuses: number[] = [];
  const load = async (count: number) => {
    for (let i = 0; i < count; i++) statuses.push((await client.exchange()).status);
  };
  const loads = Array.from({ length: 16 }, () => load(150));
  await until('the load runs', () => statuses.length > 300);
  origins[0]!.kill();
  await Promise.all(loads);
  t.equal(statuses.length, 2_400);
  t.strictSame([...new Set(statuses)], [200]);
});
