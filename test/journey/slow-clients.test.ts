/**
 * The floor under what clients move: who drips is ended, who is slow by nature is not. Times are
 * those of the issue, scaled by the key.
 */

import { setTimeout as wait } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { type AioquicClient, connectAioquic, missingAioquic, type RawHeaders } from '../support/client/aioquic.ts';
import { type Edge, missingAddon, startEdge } from '../support/edge.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

const skip = missingAddon || missingAioquic;

/**
 * A floor of 100 bytes a second over so many milliseconds, which stand for the minute of the
 * default.
 */
const PERIOD_MS = 2_000;
const LISTENER = { http: { min_rate: 100, min_rate_period: `${PERIOD_MS}ms` } };

/** The time that stands for so many seconds under the default. */
const scaled = (seconds: number): number => (seconds / 60) * PERIOD_MS;

function post(edge: Edge, type: string): RawHeaders {
  return [
    [':method', 'POST'],
    [':scheme', 'https'],
    [':authority', `localhost:${edge.port}`],
    [':path', '/'],
    ['content-type', type],
  ];
}

/** An edge before a backend that answers an upload at its end with its length. */
async function startSink(t: Test): Promise<{ edge: Edge; client: AioquicClient }> {
  const origin = await startH2Origin(t, (stream) => {
    let bytes = 0;
    stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    stream.on('end', () => {
      if (stream.destroyed) return;
      stream.respond({ ':status': 200 });
      stream.end(`${bytes}`);
    });
    stream.on('error', () => {});
  });
  const edge = await startEdge(t, { backends: [origin.url], listener: LISTENER });
  return { edge, client: await connectAioquic(t, edge.port) };
}

/** The reason of the first access line; a request that went well has none. */
async function reasonOf(edge: Edge): Promise<unknown> {
  const line = await until('the access line', () => edge.access()[0]);
  return line['reason'];
}

t.test('an upload that drips byte by byte gets 408 client_below_rate, which is counted', { skip }, async (t) => {
  const { edge, client } = await startSink(t);
  const stream = await client.request(post(edge, 'application/octet-stream'), { fin: false });
  while (!client.events.some((one) => one.event === 'headers')) {
    await client.order('data', { stream, body: 'x' });
    await wait(100);
  }
  t.equal(await client.status(stream), 408);
  t.equal(await reasonOf(edge), 'client_below_rate');
  await until(
    'the count',
    async () => (await edge.metrics()).sum('lychgate_request_failures_total', { reason: 'client_below_rate' }) === 1,
  );
});

t.test('a gRPC stream with a message every 50 seconds lives', { skip }, async (t) => {
  const { edge, client } = await startSink(t);
  const stream = await client.request(post(edge, 'application/grpc'), { fin: false });
  for (let sent = 0; sent < 4; sent += 1) {
    await wait(scaled(50));
    await client.order('data', { stream, body: 'message' });
  }
  await client.order('data', { stream, body: '', fin: true });
  t.equal(await client.status(stream), 200);
  t.equal(await reasonOf(edge), undefined);
});

t.test('an event stream with a comment every 30 seconds lives', { skip }, async (t) => {
  const origin = await startH2Origin(t, async (stream) => {
    stream.on('error', () => {});
    stream.respond({ ':status': 200, 'content-type': 'text/event-stream' });
    for (let sent = 0; sent < 6; sent += 1) {
      await wait(scaled(30));
      stream.write(':\n\n');
    }
    stream.end('data: last\n\n');
  });
  const edge = await startEdge(t, { backends: [origin.url], listener: LISTENER });
  const client = await connectAioquic(t, edge.port);
  const stream = await client.request(post(edge, 'text/plain'));
  await until('the last event', () => client.events.some((one) => one.stream === stream && one.text?.includes('last')), 20_000);
  t.equal(await reasonOf(edge), undefined);
});

t.test('a client that reads nothing of a response is reset', { skip }, async (t) => {
  const origin = await startH2Origin(t, (stream) => {
    stream.on('error', () => {});
    stream.respond({ ':status': 200 });
    stream.end(Buffer.alloc(4 << 20));
  });
  const edge = await startEdge(t, { backends: [origin.url], listener: LISTENER });
  const client = await connectAioquic(t, edge.port, { window: 65_536 });
  await client.order('pause');
  const stream = await client.request(post(edge, 'text/plain'));
  t.equal((await client.wait('reset', stream, 20_000)).code, 0x10c);
  t.equal(await reasonOf(edge), 'client_below_rate');
});
