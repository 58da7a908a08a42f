/**
 * Bytes held for peers: one sum for all shards, shown by side, and what happens when it is all that
 * may be held.
 */

import type { ServerHttp2Stream } from 'node:http2';
import t from 'tap';
import { connectH3, type H3Stream } from '../support/client/h3.ts';
import { type Edge, missingAddon, startEdge } from '../support/edge.ts';
import { answers, digests } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

const skip = missingAddon;
const KIB = 1024;
/** What a stream may hold when it begins, of its client's and of its backend's. */
const WINDOW = 64 * KIB;

t.setTimeout(120_000);

const held = async (edge: Edge, side: string): Promise<number> => (await edge.metrics()).sum('lychgate_held_bytes', { side });
const failures = async (edge: Edge, reason: string): Promise<number> =>
  (await edge.metrics()).sum('lychgate_request_failures_total', { reason });

async function bodyOf(opened: H3Stream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of opened.stream as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

t.test('uploads that do not come are ended when all is held, whichever shard has them', { skip }, async (t) => {
  const origin = await startH2Origin(t, digests);
  const edge = await startEdge(t, { backends: [origin.url], shards: 2, config: { limits: { max_held: '1MiB' } } });
  t.equal((await edge.metrics()).sum('lychgate_held_bytes_limit'), 1024 * KIB);
  // Connections are spread over the shards by chance; the sum is one.
  const clients = await Promise.all(Array.from({ length: 7 }, () => connectH3(t, edge.port)));
  const uploads: H3Stream[] = [];
  for (const client of clients) {
    uploads.push(await client.open({ method: 'POST' }, false));
    await until('it is counted on both sides', async () => {
      const wanted = uploads.length * WINDOW;
      return (await held(edge, 'downstream')) >= wanted && (await held(edge, 'upstream')) >= wanted;
    });
  }
  t.equal(await failures(edge, 'budget_exhausted'), 0, 'seven are fourteen windows of sixteen');
  const bodies = uploads.map(bodyOf);
  const late = await clients[6]!.open({ method: 'POST' }, false);
  await until('one is ended for it', async () => (await failures(edge, 'budget_exhausted')) >= 1);
  for (const { stream } of [...uploads, late]) stream.end();

  t.match(await late.head, { ':status': '200' }, 'the newest stays');
  const heads = await Promise.all(uploads.map(({ head }) => head));
  const ended = heads.filter((head) => head[':status'] === '503' && head['retry-after'] === '1').length;
  t.ok(ended >= 1 && ended <= 2, `${ended} ended: one of each shard at most`);
  await until('all are counted by their reason', async () => (await failures(edge, 'budget_exhausted')) === ended);
  t.equal((await Promise.all(bodies)).filter((body) => /"budget_exhausted"/.test(body)).length, ended);
  t.equal(heads.filter((head) => head[':status'] === '200').length, 7 - ended);
  await until('nothing is held for backends', async () => (await held(edge, 'upstream')) === 0);
  await until('nothing is held for clients', async () => (await held(edge, 'downstream')) === 0);
});

t.test('a new request gets 503 while all is held, and is served when there is room again', { skip }, async (t) => {
  const waiting: ServerHttp2Stream[] = [];
  const origin = await startH2Origin(t, (stream, headers) =>
    headers[':path'] === '/wait' ? waiting.push(stream) : answers('quick')(stream, {}),
  );
  const edge = await startEdge(t, { backends: [origin.url], config: { limits: { max_held: '1MiB' } } });
  const client = await connectH3(t, edge.port);
  const long = Array.from({ length: 16 }, () => client.exchange({ path: '/wait' }));
  await until('all are at the backend', () => waiting.length === 16);
  await until('the windows of their answers are counted', async () => (await held(edge, 'upstream')) === 16 * WINDOW);

  t.match(await client.exchange(), { status: 503, headers: { 'retry-after': '1' }, text: /"overloaded"/ });
  await until('it is counted by its reason', async () => (await failures(edge, 'overloaded')) === 1);
  t.equal(origin.requests, 16);

  for (const stream of waiting) answers('at last')(stream, {});
  t.ok(
    (await Promise.all(long)).every(({ text }) => text === 'at last'),
    'who waits for a backend stays',
  );
  await until('nothing is held', async () => (await held(edge, 'upstream')) === 0);
  t.match(await client.exchange(), { status: 200, text: 'quick' });
});
