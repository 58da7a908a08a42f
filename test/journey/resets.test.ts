/**
 * Resets cross the edge in both directions with the code that says the same thing on the other
 * side.
 */

import { constants } from 'node:http2';
import t from 'tap';
import { connectAioquic, getHead, missingAioquic } from '../support/client/aioquic.ts';
import { connectH3, type H3Failure } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { isSilent, resets } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { startScriptedOrigin } from '../support/origin/scripted.ts';
import { until } from '../support/wait.ts';

const H3_REQUEST_CANCELLED = 0x10c;

t.test('a client that resets its request resets the backend with CANCEL', { skip: missingAddon || missingAioquic }, async (t) => {
  let code = -1;
  const origin = await startH2Origin(t, (stream) => {
    stream.once('close', () => {
      code = stream.rstCode;
    });
  });
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectAioquic(t, edge.port);

  const stream = await client.request(getHead(edge.port), { fin: false });
  await until('the request is there', () => origin.open === 1);
  await client.order('reset', { stream, code: H3_REQUEST_CANCELLED });
  // The edge may have ended its direction already: then there is nothing left to stop.
  await client.order('stop', { stream, code: H3_REQUEST_CANCELLED }).catch(() => {});

  await until('the backend is told', () => origin.open === 0);
  t.equal(code, constants.NGHTTP2_CANCEL);
  t.equal(origin.sessions.size, 1, 'the session lives on');
  t.match(await until('the access line', () => edge.access()[0]), { reason: 'client_reset' });
});

t.test('a client that goes away without a word ends its exchanges', { skip: missingAddon || missingAioquic }, async (t) => {
  const origin = await startH2Origin(t, isSilent);
  const edge = await startEdge(t, { backends: [origin.url], listener: { quic: { idle_timeout: '1s' } } });
  const client = await connectAioquic(t, edge.port);
  await client.request(getHead(edge.port));
  await until('the request is there', () => origin.open === 1);
  process.kill(client.pid, 'SIGKILL');
  await until('the backend is told', () => origin.open === 0);
  t.match(await until('the access line', () => edge.access()[0]), { reason: 'client_gone' });
});

t.test('a backend that resets before its head is answered with 502 backend_reset', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, resets());
  const edge = await startEdge(t, { backends: [origin.url], route: { retries: 0 } });
  const client = await connectH3(t, edge.port);
  const response = await client.exchange();
  t.equal(response.status, 502);
  t.match(JSON.parse(response.text), { error: 'backend_reset' });
});

const CODES: readonly [string, number, number][] = [
  ['INTERNAL_ERROR', constants.NGHTTP2_INTERNAL_ERROR, 0x102],
  ['ENHANCE_YOUR_CALM', constants.NGHTTP2_ENHANCE_YOUR_CALM, 0x107],
  ['CANCEL', constants.NGHTTP2_CANCEL, 0x10c],
];

for (const [name, from, to] of CODES) {
  t.test(
    `a backend that resets with ${name} in its body resets the client with 0x${to.toString(16)}`,
    { skip: missingAddon },
    async (t) => {
      const origin = await startScriptedOrigin(t, (peer, stream) => {
        peer.head(stream);
        peer.data(stream, Buffer.from('some'));
        setTimeout(() => peer.reset(stream, from), 100);
      });
      const edge = await startEdge(t, { backends: [origin.url] });
      const client = await connectH3(t, edge.port);
      const opened = await client.open();
      await opened.head;
      const failure = await (async (): Promise<H3Failure | null> => {
        try {
          for await (const _chunk of opened.stream as AsyncIterable<Buffer>);
          return null;
        } catch (error) {
          return error as H3Failure;
        }
      })();
      t.equal(failure?.h3Code, to);
    },
  );
}

t.test('a reset with NO_ERROR after the whole response harms nobody, however slowly it is read', { skip: missingAddon }, async (t) => {
  // RFC 9113 §8.1: a server that has answered in full may so say that it wants no more of the
  // request. node:http2 does it every time.
  const whole = Buffer.alloc(60_000, 'w');
  const origin = await startScriptedOrigin(t, (peer, stream) => {
    peer.head(stream);
    for (let at = 0; at < whole.length; at += 15_000) peer.data(stream, whole.subarray(at, at + 15_000), at === 45_000);
    peer.reset(stream, constants.NGHTTP2_NO_ERROR);
  });
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port, { initialMaxStreamDataBidiLocal: 4_096 });
  for (let turn = 0; turn < 50; turn += 1) t.same((await client.exchange()).body, whole);
  t.equal((await client.exchange({ body: Buffer.alloc(1000) })).body.length, whole.length);
});
