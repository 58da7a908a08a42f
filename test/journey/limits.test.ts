/** Limits on what a client may send: 431 for heads, 413 for bodies, and refused streams beyond the count. */

import t from 'tap';
import { connectAioquic, getHead, missingAioquic, type RawHeaders } from '../support/client/aioquic.ts';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { answers, digests, isSilent } from '../support/origin/behaviours.ts';
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

t.test('streams beyond the limit wait for their turn', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, isSilent);
  const edge = await startEdge(t, { backends: [origin.url], listener: { quic: { max_streams: 4 } } });
  const client = await connectH3(t, edge.port);
  const exchanges = Array.from({ length: 4 }, () => client.exchange());
  await until('four are open', () => origin.open === 4);
  const fifth = client.exchange();
  origin.behave = answers('later');
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.equal(origin.requests, 4);
  for (const session of origin.sessions) session.destroy();
  await Promise.allSettled(exchanges);
  t.equal((await fifth).text, 'later');
});
