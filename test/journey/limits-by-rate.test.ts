/** Who may come, and how often: access lists and rate limits from the outside. */

import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { answers } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

const skip = missingAddon;

t.test('as many as the burst are answered, the next is told when to come again, and then is', { skip }, async (t) => {
  const origin = await startH2Origin(t, answers('ok'));
  const edge = await startEdge(t, {
    backends: [origin.url],
    route: { limits: { rate: [{ name: 'per-client', by: ['client'], requests: 2, per: '2s', burst: 3 }] } },
  });
  const client = await connectH3(t, edge.port);
  for (let i = 0; i < 3; i++) t.equal((await client.exchange()).status, 200);

  const refused = await client.exchange({ body: 'x'.repeat(100_000) });
  t.match(refused, {
    status: 429,
    headers: { 'retry-after': '1', ratelimit: '"per-client";r=0;t=1', 'ratelimit-policy': '"per-client";q=2;w=2' },
    text: /rate_limited/,
  });
  t.equal(origin.requests, 3);
  t.equal((await edge.metrics()).sum('lychgate_request_failures_total', { reason: 'rate_limited' }), 1);

  await sleep(Number(refused.headers['retry-after']) * 1_000);
  t.equal((await client.exchange()).status, 200);
});

t.test('shards share a bucket, whichever connection a request comes by', { skip }, async (t) => {
  const origin = await startH2Origin(t, answers('ok'));
  const edge = await startEdge(t, {
    backends: [origin.url],
    shards: 2,
    route: { limits: { rate: [{ requests: 20, per: '1h' }] } },
  });
  const clients = await Promise.all(Array.from({ length: 8 }, () => connectH3(t, edge.port)));
  const responses = await Promise.all(clients.flatMap((client) => Array.from({ length: 5 }, () => client.exchange())));
  t.equal(responses.filter(({ status }) => status === 200).length, 20);
  t.equal(responses.filter(({ status }) => status === 429).length, 20);
});

t.test('clients behind a proxy of our own have their own buckets, and their own access', { skip }, async (t) => {
  const origin = await startH2Origin(t, answers('ok'));
  const edge = await startEdge(t, {
    backends: [origin.url],
    listener: { trusted_networks: ['127.0.0.0/8'] },
    route: { limits: { rate: [{ by: ['client/24'], requests: 1, per: '1h' }] }, access: { deny: ['203.0.113.0/24'] } },
  });
  const client = await connectH3(t, edge.port);
  const ask = async (from: string) => (await client.exchange({ headers: { 'x-forwarded-for': from } })).status;
  t.equal(await ask('192.0.2.1'), 200);
  t.equal(await ask('192.0.2.77'), 429, 'the same network');
  t.equal(await ask('198.51.100.1'), 200);
  t.equal(await ask('203.0.113.5'), 403);
  await until(
    'the denial is counted',
    async () => (await edge.metrics()).sum('lychgate_request_failures_total', { reason: 'access_denied' }) === 1,
  );
});

t.test('who is not on the list does not come in, whatever they say of themselves', { skip }, async (t) => {
  const origin = await startH2Origin(t, answers('ok'));
  const edge = await startEdge(t, { backends: [origin.url], route: { access: { allow: ['192.0.2.0/24'] } } });
  const client = await connectH3(t, edge.port);
  t.match(await client.exchange({ headers: { 'x-forwarded-for': '192.0.2.1' } }), { status: 403, text: /access_denied/ });
  t.equal(origin.requests, 0);
});

t.test('a made-up line beside the real one does not get around a limit', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, answers('found'));
  const rate = [{ name: 'per-user', by: 'header:x-user', requests: 3, per: '1h' }];
  const edge = await startEdge(t, { backends: [origin.url], route: { limits: { rate } } });
  const client = await connectH3(t, edge.port);
  const statuses: number[] = [];
  for (let i = 0; i < 8; i++) statuses.push((await client.exchange({ headers: { 'x-user': [`random-${i}`, 'real'] } })).status);
  t.same(statuses, [200, 200, 200, 429, 429, 429, 429, 429]);
  t.equal((await client.exchange({ headers: { 'x-user': 'real' } })).status, 200, 'who sends it once has a key of its own');
});
