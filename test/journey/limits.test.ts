/**
 * Limits on what a client may send: 431 for heads, 413 for bodies, and refused streams beyond the
 * count.
 */

import type { ServerHttp2Stream } from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { connectAioquic, getHead, missingAioquic, type RawHeaders } from '../support/client/aioquic.ts';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { answers, digests } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

t.test('a head with too many fields is answered with 431', { skip: missingAddon || missingAioquic }, async (t) => {
  const origin = await startH2Origin(t, answers('ok'));
  const edge = await startEdge(t, { backends: [origin.url], listener: { http: { max_fields: 20 } } });
  const client = await connectAioquic(t, edge.port);
  const fields = (count: number): RawHeaders => Array.from({ length: count }, (_, place): [string, string] => [`x-${place}`, 'v']);
  t.equal(await client.status(await client.request([...getHead(edge.port), ...fields(10)])), 200);
  t.equal(await client.status(await client.request([...getHead(edge.port), ...fields(40)])), 431);
  t.equal(origin.requests, 1);
});

t.test('a head with too many bytes is answered with 431', { skip: missingAddon || missingAioquic }, async (t) => {
  const origin = await startH2Origin(t, answers('ok'));
  const edge = await startEdge(t, { backends: [origin.url], listener: { http: { max_head: '4KiB' } } });
  const client = await connectAioquic(t, edge.port);
  t.equal(await client.status(await client.request([...getHead(edge.port), ['cookie', 'a'.repeat(3000)]])), 200);
  t.equal(await client.status(await client.request([...getHead(edge.port), ['cookie', 'a'.repeat(5000)]])), 431);
});

t.test('a body announced too large is answered with 413 before it is sent', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, digests);
  const edge = await startEdge(t, { backends: [origin.url], route: { max_body: '1KiB' } });
  const client = await connectH3(t, edge.port);
  t.equal((await client.exchange({ body: Buffer.alloc(1024), headers: { 'content-length': '1024' } })).status, 200);
  const opened = await client.open({ method: 'POST', headers: { 'content-length': '1025' } }, false);
  opened.stream.resume();
  t.equal((await opened.head)[':status'], '413');
  t.equal(origin.requests, 1);
});

t.test('a body that grows too large is answered with 413 and the backend is told', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, digests);
  const edge = await startEdge(t, { backends: [origin.url], route: { max_body: '1KiB' } });
  const client = await connectH3(t, edge.port);
  const opened = await client.open({ method: 'POST' }, false);
  opened.stream.resume();
  opened.stream.write(Buffer.alloc(4096));
  t.equal((await opened.head)[':status'], '413');
  await until('the backend is told', () => origin.open === 0);
});

t.test('streams beyond the limit wait for their turn', { skip: missingAddon || missingAioquic }, async (t) => {
  const waiting: ServerHttp2Stream[] = [];
  const origin = await startH2Origin(t, (stream) => waiting.push(stream));
  const edge = await startEdge(t, { backends: [origin.url], listener: { quic: { max_streams: 4 } } });
  const client = await connectAioquic(t, edge.port);
  const streams: number[] = [];
  for (let place = 0; place < 5; place += 1) streams.push(await client.request(getHead(edge.port)));
  await until('four are open', () => waiting.length === 4);
  await sleep(100);
  t.equal(waiting.length, 4, 'the fifth is not');
  origin.behave = answers('done');
  for (const stream of waiting) origin.behave(stream, {});
  for (const stream of streams) t.equal(await client.status(stream), 200);
  t.equal(origin.requests, 5);
});
