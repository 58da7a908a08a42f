/**
 * Places at a backend: who waits for one, for how long, who is next, and that shards share them.
 */

import type { ServerResponse } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { startH1Origin } from '../support/origin/h1.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { tcpConnectionsTo } from '../support/process.ts';
import { until } from '../support/wait.ts';

t.test('waiting in vain for a place in a full pool is no failure of the backend', { skip: missingAddon }, async (t) => {
  const waiting: ServerHttp2Stream[] = [];
  const origin = await startH2Origin(t, (stream) => waiting.push(stream));
  const edge = await startEdge(t, {
    backends: [origin.url],
    upstream: { pool: { max_sessions: 1, max_streams: 2 }, breaker: { consecutive: 1 } },
    route: { timeouts: { place: '200ms' }, retries: 0 },
  });
  const client = await connectH3(t, edge.port);
  const held = [client.exchange(), client.exchange()];
  await until('the pool is full', () => waiting.length === 2);

  for (let place = 0; place < 3; place += 1) {
    const response = await client.exchange();
    t.match(response, { status: 503, headers: { 'retry-after': '1' } });
    t.match(response.text, 'sessions_exhausted');
  }
  for (const stream of waiting) {
    stream.respond({ ':status': 204 });
    stream.end();
  }
  t.ok((await Promise.all(held)).every((response) => response.status === 204));
});

t.test('a place is waited for as long as `timeouts.place` says, however short the time to connect', { skip: missingAddon }, async (t) => {
  const waiting: ServerHttp2Stream[] = [];
  const origin = await startH2Origin(t, (stream) => waiting.push(stream));
  const edge = await startEdge(t, {
    backends: [origin.url],
    upstream: { pool: { max_sessions: 1, max_streams: 1 } },
    route: { timeouts: { connect: '50ms', place: '10s' }, retries: 0 },
  });
  const client = await connectH3(t, edge.port);
  const first = client.exchange();
  await until('the place is taken', () => waiting.length === 1);
  const second = client.exchange();
  await sleep(300);
  for (let place = 0; place < 2; place += 1) {
    await until('the request', () => waiting.length === place + 1);
    waiting[place]!.respond({ ':status': 204 });
    waiting[place]!.end();
  }
  t.strictSame([(await first).status, (await second).status], [204, 204]);
});

t.test('one connection that keeps a backend full does not keep another client out', { skip: missingAddon }, async (t) => {
  const asked: { path: string; stream: ServerHttp2Stream }[] = [];
  const origin = await startH2Origin(t, (stream, headers) => asked.push({ path: String(headers[':path']), stream }));
  const edge = await startEdge(t, {
    backends: [origin.url],
    shards: 1,
    upstream: { pool: { max_sessions: 1, max_streams: 4 } },
    route: { timeouts: { place: '30s' } },
  });
  const waiting = async () => (await edge.metrics()).sum('lychgate_upstream_waiting');
  const greedy = await connectH3(t, edge.port);
  const all = Array.from({ length: 24 }, () => greedy.exchange({ path: '/greedy' }));
  await until('the pool is full and the rest waits', async () => asked.length === 4 && (await waiting()) === 20);
  const modest = await connectH3(t, edge.port);
  const other = modest.exchange({ path: '/modest' });
  await until('the other waits too', async () => (await waiting()) === 21);

  const answer = (place: number): void => {
    asked[place]!.stream.respond({ ':status': 204 });
    asked[place]!.stream.end();
  };
  answer(0);
  await until('the next request', () => asked.length === 5);
  t.equal(asked[4]!.path, '/modest', 'who has less than his share is next');
  for (let place = 1; place < 25; place += 1) {
    await until('the request', () => asked.length > place);
    answer(place);
  }
  t.equal((await other).status, 204);
  t.ok((await Promise.all(all)).every(({ status }) => status === 204));
});

t.test('all shards together keep to `pool.max_connections` of an HTTP/1.1 backend', { skip: missingAddon }, async (t) => {
  const waiting: ServerResponse[] = [];
  const origin = await startH1Origin(t, (_request, response) => void waiting.push(response));
  const edge = await startEdge(t, {
    backends: [origin.url],
    shards: 2,
    upstream: { pool: { max_connections: 4 } },
    route: { timeouts: { place: '60s' } },
  });
  const clients = await Promise.all(Array.from({ length: 8 }, () => connectH3(t, edge.port)));
  const exchanges = clients.flatMap((client) => Array.from({ length: 4 }, () => client.exchange()));
  for (let answered = 0; answered < exchanges.length; ) {
    const expected = Math.min(4, exchanges.length - answered);
    await until('the next requests', () => waiting.length >= 1);
    t.ok(tcpConnectionsTo(origin.port) <= 4);
    t.ok(waiting.length <= expected, `${waiting.length} at once`);
    for (const response of waiting.splice(0)) {
      response.end('done');
      answered += 1;
    }
  }
  t.ok((await Promise.all(exchanges)).every(({ text }) => text === 'done'));
});
