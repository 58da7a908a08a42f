/**
 * A backend that dies: before its head another takes over or the client is told; in the body the
 * client sees a reset, never a short success.
 */

import t from 'tap';
import { connectH3, type H3Failure } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { answers, isSilent } from '../support/origin/behaviours.ts';
import { startRawOrigin } from '../support/origin/h1.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

const H3_INTERNAL_ERROR = 0x102;

t.test('a backend killed before its head is answered with 502', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, isSilent);
  const edge = await startEdge(t, { backends: [origin.url], route: { retries: 0 } });
  const client = await connectH3(t, edge.port);

  const exchange = client.exchange();
  await until('the request is there', () => origin.open === 1);
  origin.kill();

  const response = await exchange;
  t.equal(response.status, 502);
  t.match(JSON.parse(response.text), { error: 'backend_closed' });
});

t.test('an idempotent request whose backend dies unanswered goes to another', { skip: missingAddon }, async (t) => {
  const dying = await startH2Origin(t, isSilent);
  const living = await startH2Origin(t, answers('from the other'));
  const edge = await startEdge(t, { backends: [dying.url, living.url], upstream: { balance: { policy: 'round-robin' } } });
  const client = await connectH3(t, edge.port);

  const exchanges = [client.exchange(), client.exchange()];
  await until('one request hangs', () => dying.open === 1);
  dying.kill();

  for (const response of await Promise.all(exchanges)) t.equal(response.text, 'from the other');
});

t.test('a POST that was sent is not sent again', { skip: missingAddon }, async (t) => {
  const dying = await startH2Origin(t, isSilent);
  const living = await startH2Origin(t, answers('must not be asked'));
  const edge = await startEdge(t, { backends: [dying.url, living.url], upstream: { balance: { policy: 'round-robin' } } });
  const client = await connectH3(t, edge.port);

  const exchanges = [0, 1].map((place) => client.exchange({ body: `order ${place}` }));
  await until('one request hangs', () => dying.open === 1);
  dying.kill();

  const statuses = (await Promise.all(exchanges)).map((response) => response.status).sort();
  t.same(statuses, [200, 502]);
  t.equal(living.requests, 1);
});

t.test('a backend killed in mid-body resets the client with H3_INTERNAL_ERROR', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, (stream) => {
    stream.respond({ ':status': 200, 'content-length': '100000' });
    stream.write(Buffer.alloc(1000));
  });
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);

  const opened = await client.open();
  t.equal((await opened.head)[':status'], '200');
  const failed = read(opened.stream);
  origin.kill();

  const failure = await failed;
  t.equal(failure?.h3Code, H3_INTERNAL_ERROR);
  t.match(await until('the access line', () => edge.access()[0]), { status: 200, reason: 'backend_closed' });
});

t.test('an HTTP/1.1 backend killed in mid-body resets the client too', { skip: missingAddon }, async (t) => {
  const origin = await startRawOrigin(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\nsome');
    setTimeout(() => socket.destroy(), 20);
  });
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);
  const opened = await client.open();
  await opened.head;
  t.equal((await read(opened.stream))?.h3Code, H3_INTERNAL_ERROR);
});

async function read(stream: AsyncIterable<Buffer>): Promise<H3Failure | null> {
  try {
    for await (const _chunk of stream);
    return null;
  } catch (error) {
    return error as H3Failure;
  }
}
