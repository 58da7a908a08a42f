/** Deadlines of an exchange, each with its own reason. */

import { once } from 'node:events';
import { createServer } from 'node:net';
import t from 'tap';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { answers, isSilent } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

t.test('a backend without an answer is given up after the head timeout: 504 head_timeout', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, isSilent);
  const edge = await startEdge(t, { backends: [origin.url], route: { timeouts: { head: '200ms' }, retries: 0 } });
  const client = await connectH3(t, edge.port);
  const response = await client.exchange();
  t.equal(response.status, 504);
  t.match(JSON.parse(response.text), { error: 'head_timeout' });
  await until('the backend is told', () => origin.open === 0);
});

t.test('a body that stands still is given up after the idle timeout', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, (stream) => {
    stream.respond({ ':status': 200 });
    stream.write('some');
  });
  const edge = await startEdge(t, { backends: [origin.url], route: { timeouts: { idle: '200ms' } } });
  const client = await connectH3(t, edge.port);
  await t.rejects(client.exchange());
  t.match(await until('the access line', () => edge.access()[0]), { reason: 'idle_timeout' });
});

t.test('an exchange that moves but never ends is given up after its own timeout', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, (stream) => {
    stream.respond({ ':status': 200 });
    const timer = setInterval(() => stream.write('more'), 20);
    stream.once('close', () => clearInterval(timer));
  });
  const edge = await startEdge(t, { backends: [origin.url], route: { timeouts: { exchange: '300ms' } } });
  const client = await connectH3(t, edge.port);
  await t.rejects(client.exchange());
  t.match(await until('the access line', () => edge.access()[0]), { reason: 'exchange_timeout' });
});

t.test('a backend that accepts and says nothing is given up after the connect timeout', { skip: missingAddon }, async (t) => {
  // TLS that never answers its first flight: connected, and yet no stream can be opened.
  const server = createServer((socket) => {
    socket.on('error', () => {});
    t.teardown(() => socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as { port: number };
  const edge = await startEdge(t, { backends: [`https://localhost:${port}`], route: { timeouts: { connect: '200ms' }, retries: 0 } });
  const client = await connectH3(t, edge.port);
  const response = await client.exchange();
  t.equal(response.status, 504);
  t.match(JSON.parse(response.text), { error: 'connect_timeout' });
});

t.test('a slow backend within its time is waited for', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, (stream, headers) => void setTimeout(() => answers('at last')(stream, headers), 300));
  const edge = await startEdge(t, { backends: [origin.url], route: { timeouts: { head: '5s' } } });
  const client = await connectH3(t, edge.port);
  t.equal((await client.exchange()).text, 'at last');
});
