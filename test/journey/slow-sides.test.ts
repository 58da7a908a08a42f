/**
 * Slow clients and slow backends: each holds up its own exchange, within bounded memory, and nobody
 * else's.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { connectAioquic, getHead, missingAioquic } from '../support/client/aioquic.ts';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { answers, byPath, digests, POUR_BLOCK } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { residentBytes } from '../support/process.ts';
import { until } from '../support/wait.ts';

const MIB = 1024 * 1024;

t.test('a client that stops reading stops the backend, and only for itself', { skip: missingAddon || missingAioquic }, async (t) => {
  const total = 64 * MIB;
  let written = 0;
  const origin = await startH2Origin(
    t,
    byPath({
      '/quick': answers('quick'),
      '/long': (stream) => {
        stream.respond({ ':status': 200 });
        const more = (): void => {
          while (written < total && !stream.destroyed) {
            written += POUR_BLOCK.length;
            if (!stream.write(POUR_BLOCK)) {
              stream.once('drain', more);
              return;
            }
          }
          stream.end();
        };
        more();
      },
    }),
  );
  const edge = await startEdge(t, { backends: [origin.url] });
  const slow = await connectAioquic(t, edge.port, { window: 65_536 });
  const before = residentBytes(edge.pid);

  await slow.order('pause');
  const stream = await slow.request(getHead(edge.port, '/long'));
  t.equal(await slow.status(stream), 200);
  let seen = -1;
  await until('the backend is stopped', async () => {
    const isStill = seen === written;
    seen = written;
    await sleep(200);
    return isStill && seen === written;
  });
  t.ok(written < 4 * MIB, `the backend wrote ${(written / MIB).toFixed(1)} MiB into the void`);
  t.ok(residentBytes(edge.pid) - before < 4 * MIB, 'the edge holds little of it');

  const quick = await connectH3(t, edge.port);
  t.equal((await quick.exchange({ path: '/quick' })).text, 'quick', 'others are served meanwhile');

  await slow.order('resume');
  await until('it goes on', () => written > 8 * MIB, 20_000);
  await slow.order('stop', { stream, code: 0x10c });
  await until('the backend is told', () => origin.open === 0);
});

t.test('a client that sends slowly is waited for', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, digests);
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);
  const opened = await client.open({ method: 'POST' }, false);
  for (let part = 0; part < 20; part += 1) {
    opened.stream.write(Buffer.alloc(100, part));
    await sleep(20);
  }
  opened.stream.end();
  const chunks: Buffer[] = [];
  for await (const chunk of opened.stream as AsyncIterable<Buffer>) chunks.push(chunk);
  t.equal(JSON.parse(Buffer.concat(chunks).toString()).bytes, 2000);
});

t.test('a client that neither sends nor reads is cut off after the idle timeout', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, digests);
  const edge = await startEdge(t, { backends: [origin.url], route: { timeouts: { idle: '300ms' } } });
  const client = await connectH3(t, edge.port);
  const opened = await client.open({ method: 'POST' }, false);
  opened.stream.write('some');
  opened.stream.resume();
  const status = await opened.head.then(
    (head) => Number(head[':status']),
    () => 0,
  );
  t.ok([0, 408, 504].includes(status), `ended with ${status === 0 ? 'a reset' : status}`);
  await until('the backend is told', () => origin.open === 0);
});

t.test('a backend that takes no body stops the client', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, (stream) => {
    stream.pause();
    setTimeout(() => {
      digests(stream, {});
      stream.resume();
    }, 1_500);
  });
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);
  const before = residentBytes(edge.pid);
  const opened = await client.open({ method: 'POST' }, false);
  const total = 32 * MIB;
  let sent = 0;
  const sending = (async () => {
    for (; sent < total; sent += POUR_BLOCK.length) {
      if (!opened.stream.write(POUR_BLOCK)) await new Promise((resolve) => opened.stream.once('drain', resolve));
    }
    opened.stream.end();
  })();
  await sleep(1_000);
  const held = residentBytes(edge.pid) - before;
  t.comment(`${(held / MIB).toFixed(1)} MiB held`);
  // A stream's window of the 32 MiB, and what it takes to hold it.
  t.ok(held < 8 * MIB, 'the edge holds little of it');
  await sending;
  const chunks: Buffer[] = [];
  for await (const chunk of opened.stream as AsyncIterable<Buffer>) chunks.push(chunk);
  t.equal(JSON.parse(Buffer.concat(chunks).toString()).bytes, total);
});
