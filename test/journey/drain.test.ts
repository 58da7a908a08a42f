/**
 * SIGTERM: readiness turns false, clients are told by GOAWAY, what is open ends in peace, the exit
 * status is 0.
 */

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { ServerHttp2Stream } from 'node:http2';
import t, { type Test } from 'tap';
import { connectAioquic, getHead, missingAioquic, refusedAioquic } from '../support/client/aioquic.ts';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { answers, isSilent, pourDigest, pours } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

t.test('a drain lets open exchanges end and then exits 0', { skip: missingAddon }, async (t) => {
  const waiting: ServerHttp2Stream[] = [];
  const origin = await startH2Origin(t, (stream) => waiting.push(stream));
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);
  const exchanges = Array.from({ length: 10 }, () => client.exchange());
  await until('all are open', () => waiting.length === 10);

  const exit = edge.stop();
  await until('readiness is false', async () => (await fetch(`${edge.admin}/readyz`)).status === 503);
  await until('GOAWAY', () => client.isGoingAway());
  t.equal(edge.child.exitCode, null, 'it waits');
  for (const stream of waiting) {
    stream.respond({ ':status': 200 });
    stream.end('in peace');
  }

  for (const response of await Promise.all(exchanges)) t.equal(response.text, 'in peace');
  t.equal(await exit, 0);
});

t.test('a drain under load answers every request it took', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, answers('ok'));
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);
  let answered = 0;
  let lost = 0;
  const workers = Array.from({ length: 16 }, async () => {
    for (;;) {
      // After GOAWAY the library refuses to open streams; a stream that was open must be answered
      // or rejected by id.
      const opened = await client.open().catch(() => null);
      if (opened === null) return;
      try {
        for await (const _chunk of opened.stream as AsyncIterable<Buffer>);
        if (Number((await opened.head)[':status']) === 200) answered += 1;
        else lost += 1;
      } catch (error) {
        if ((error as { code?: string }).code !== 'ERR_HTTP3_GOAWAY') lost += 1;
        return;
      }
    }
  });
  await until('the load runs', () => answered > 200);
  t.equal(await edge.stop(), 0);
  await Promise.all(workers);
  t.equal(lost, 0, `${answered} answered`);
});

t.test(
  'a large download under way at SIGTERM ends whole, and who comes new is refused',
  { skip: missingAddon, timeout: 40_000 },
  async (t) => {
    const total = 64 * 1024 * 1024;
    const origin = await startH2Origin(t, pours(total));
    const edge = await startEdge(t, { backends: [origin.url] });
    const client = await connectH3(t, edge.port);
    const { stream } = await client.open();
    const hash = createHash('sha256');
    let bytes = 0;
    let exit: Promise<number | null> | undefined;
    let isRefused: Promise<boolean> | undefined;
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      hash.update(chunk);
      bytes += chunk.length;
      if (exit !== undefined || bytes < total / 8) continue;
      exit = edge.stop();
      await until('readiness is false', async () => (await fetch(`${edge.admin}/readyz`)).status === 503);
      // Shards hear of it a moment later than who asks the admin API.
      isRefused = until('a new connection is refused', () =>
        connectH3(t, edge.port, { connectTimeoutMs: 500 }).then(
          () => false,
          () => true,
        ),
      );
    }
    t.same({ bytes, sha256: hash.digest('hex') }, { bytes: total, sha256: pourDigest(total) }, 'whole');
    t.equal(await exit, 0);
    t.ok(await isRefused, 'a new connection is refused');
  },
);

t.test('idle connections do not hold a drain up', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, answers('ok'));
  const edge = await startEdge(t, { backends: [origin.url] });
  for (let place = 0; place < 3; place += 1) await (await connectH3(t, edge.port)).exchange();
  const beganMs = performance.now();
  t.equal(await edge.stop(), 0);
  const ms = performance.now() - beganMs;
  t.ok(ms < 15_000, `${ms} ms, of the 30 s that exchanges would have`);
});

t.test('a drain whose deadline passes cuts what is left and still exits 0', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, isSilent);
  const edge = await startEdge(t, { backends: [origin.url], config: { drain: { timeout: '300ms' } } });
  const client = await connectH3(t, edge.port);
  const exchange = client.exchange().then(
    (response) => response.status,
    () => 0,
  );
  await until('it is open', () => origin.open === 1);
  t.equal(await edge.stop(), 0);
  t.equal(await exchange, 0);
  await until('the log is read', () => edge.child.stdout?.closed);
  t.match(edge.access(), [{ status: 0, reason: 'shutdown', attempts: 1 }], 'and tells of it');
});

t.test('a second signal closes every connection and ends it at once', { skip: missingAddon || missingAioquic }, async (t) => {
  const origin = await startH2Origin(t, isSilent);
  const edge = await startEdge(t, { backends: [origin.url], shards: 2, isLeakChecked: false });
  const clients = await Promise.all(Array.from({ length: 6 }, () => connectAioquic(t, edge.port)));
  await Promise.all(clients.map((client) => client.request(getHead(edge.port))));
  await until('all are open', () => origin.open === clients.length);
  const ended = once(edge.child, 'exit');
  edge.child.kill('SIGTERM');
  await until('it drains', async () => (await fetch(`${edge.admin}/readyz`)).status === 503);
  edge.child.kill('SIGTERM');
  t.same((await ended)[0], 143);
  // H3_NO_ERROR, from the application (no frame type): not the silence of a process that is gone.
  for (const client of clients) t.match(await client.wait('closed'), { code: 0x100, frame: null });
  await until('the log is read', () => edge.child.stdout?.closed);
  t.match(
    edge.access(),
    clients.map(() => ({ status: 0, reason: 'shutdown' })),
  );
});

t.test('a second signal closes the connections of a shard whose worker hangs', { skip: missingAddon || missingAioquic }, async (t) => {
  const origin = await startH2Origin(t, isSilent);
  const env = { LYCHGATE_TEST_FAULTS: '1' };
  const config = { shards: { stall_timeout: '1m' } };
  const edge = await startEdge(t, { backends: [origin.url], shards: 1, isLeakChecked: false, env, config });
  const client = await connectAioquic(t, edge.port);
  await client.request(getHead(edge.port));
  await until('it is open', () => origin.open === 1);
  const body = JSON.stringify({ shard: 0, fault: 'loop', at: 'now' });
  await fetch(`${edge.admin}/v1/test/fault`, { method: 'POST', body, headers: { 'content-type': 'application/json' } });
  const ended = once(edge.child, 'exit');
  edge.child.kill('SIGTERM');
  await until('it drains', async () => (await fetch(`${edge.admin}/readyz`)).status === 503);
  edge.child.kill('SIGTERM');
  t.same((await ended)[0], 143);
  t.match(await client.wait('closed'), { code: 0x100, frame: null });
});

t.test('who comes new while it drains is refused at once', { skip: missingAddon || missingAioquic }, async (t) => {
  const { edge, client, stream, waiting } = await holdRequest(t);
  const exit = edge.stop();
  await client.wait('goaway');
  t.match(await refusedAioquic(t, edge.port), { code: 0x2, frame: 0 });
  t.ok((await edge.metrics()).sum('lychgate_connections_refused_total', { reason: 'draining' }) > 0);
  waiting[0]?.respond({ ':status': 204 });
  waiting[0]?.end();
  t.equal(await client.status(stream), 204);
  t.equal(await exit, 0);
});

t.test('who comes beyond max_connections of all shards is refused at once', { skip: missingAddon || missingAioquic }, async (t) => {
  const origin = await startH2Origin(t, answers('ok'));
  const edge = await startEdge(t, { backends: [origin.url], shards: 2, listener: { max_connections: 2 } });
  const clients = [await connectAioquic(t, edge.port), await connectAioquic(t, edge.port)];
  for (let place = 0; place < 4; place += 1) t.match(await refusedAioquic(t, edge.port), { code: 0x2, frame: 0 });
  for (const client of clients) t.equal(await client.status(await client.request(getHead(edge.port))), 200);
  t.ok((await edge.metrics()).sum('lychgate_connections_refused_total', { reason: 'connection_limit' }) >= 4);
});

t.test('GOAWAY names a stream that was not taken', { skip: missingAddon || missingAioquic }, async (t) => {
  const { edge, client, stream, waiting } = await holdRequest(t);
  const exit = edge.stop();
  await until('the last GOAWAY names the next stream', () =>
    client.events.some((one) => one.event === 'goaway' && one.last !== undefined && one.last > stream),
  );
  waiting[0]?.respond({ ':status': 204 });
  waiting[0]?.end();
  t.equal(await client.status(stream), 204);
  t.equal(await exit, 0);
});

/** An edge with one request under way, which its backend answers when the test does. */
async function holdRequest(t: Test) {
  const waiting: ServerHttp2Stream[] = [];
  const origin = await startH2Origin(t, (stream) => waiting.push(stream));
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectAioquic(t, edge.port);
  const stream = await client.request(getHead(edge.port));
  await until('it is open', () => origin.open === 1);
  return { edge, client, stream, waiting };
}
