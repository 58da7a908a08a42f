/**
 * Sockets to a backend: HTTP/2 shares them, HTTP/1.1 has one for each exchange, and who finds all
 * of them taken waits for a place.
 */

import type { ServerHttp2Stream } from 'node:http2';
import t from 'tap';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { startH1Origin } from '../support/origin/h1.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { tcpConnectionsTo } from '../support/process.ts';
import { until } from '../support/wait.ts';

t.test('128 requests in flight use at most two sockets to the backend', { skip: missingAddon }, async (t) => {
  const waiting: ServerHttp2Stream[] = [];
  const origin = await startH2Origin(t, (stream) => {
    waiting.push(stream);
  });
  const edge = await startEdge(t, { backends: [origin.url] });
  const clients = await Promise.all(Array.from({ length: 4 }, () => connectH3(t, edge.port)));

  const exchanges = clients.flatMap((client) => Array.from({ length: 32 }, () => client.exchange()));
  await until('all are open at the backend', () => waiting.length === 128);
  const sockets = tcpConnectionsTo(origin.port);
  t.ok(sockets <= 2, `${sockets} sockets`);
  t.ok(origin.accepted <= 2, `${origin.accepted} sessions ever`);

  for (const stream of waiting) {
    stream.respond({ ':status': 204 });
    stream.end();
  }
  t.ok((await Promise.all(exchanges)).every((response) => response.status === 204));
});

t.test('a backend that allows few streams gets more sessions, up to the cap, and the rest wait', { skip: missingAddon }, async (t) => {
  const waiting: ServerHttp2Stream[] = [];
  const origin = await startH2Origin(t, (stream) => waiting.push(stream), { settings: { maxConcurrentStreams: 5 } });
  const edge = await startEdge(t, { backends: [origin.url], upstream: { pool: { max_sessions: 3 } } });
  const client = await connectH3(t, edge.port);
  // The first session learns the limit before the others are asked for.
  const first = client.exchange();
  await until('the first is open', () => waiting.length === 1);

  const exchanges = [first, ...Array.from({ length: 29 }, () => client.exchange())];
  await until('the sessions are full', () => waiting.length === 15);
  t.equal(origin.sessions.size, 3);
  let answered = 0;
  const timer = setInterval(() => {
    for (; answered < waiting.length; answered += 1) {
      waiting[answered]?.respond({ ':status': 204 });
      waiting[answered]?.end();
    }
  }, 5);
  t.teardown(() => clearInterval(timer));
  const statuses = (await Promise.all(exchanges)).map((response) => response.status);
  t.same(new Set(statuses), new Set([204]), statuses.join(' '));
  t.equal(origin.peak, 15);
});

t.test('slow exchanges with an HTTP/1.1 backend do not keep it from others', { skip: missingAddon }, async (t) => {
  const origin = await startH1Origin(t, (request, response) => {
    if (request.url === '/events') response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 0\n\n');
    else response.end('at once');
  });
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);
  const streams = await Promise.all(Array.from({ length: 20 }, () => client.open({ path: '/events' })));
  for (const { head } of streams) t.equal(Number((await head)[':status']), 200);

  t.equal((await client.exchange({ path: '/' })).text, 'at once');
  t.equal(origin.accepted, 21);
  await client.close();
});

t.test('a backend that allows ten streams a session serves 100 exchanges at once', { skip: missingAddon }, async (t) => {
  const waiting: ServerHttp2Stream[] = [];
  const origin = await startH2Origin(t, (stream) => waiting.push(stream), { settings: { maxConcurrentStreams: 10 } });
  const edge = await startEdge(t, { backends: [origin.url] });
  const clients = await Promise.all(Array.from({ length: 2 }, () => connectH3(t, edge.port)));
  const exchanges = clients.flatMap((client) => Array.from({ length: 50 }, () => client.exchange()));
  await until('all are open at the backend', () => waiting.length === 100);
  for (const stream of waiting) {
    stream.respond({ ':status': 204 });
    stream.end();
  }
  t.ok((await Promise.all(exchanges)).every((response) => response.status === 204));
});
