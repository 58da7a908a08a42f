/** Trailer sections pass both ways, over HTTP/2 and HTTP/1.1. */

import t from 'tap';
import { connectAioquic, missingAioquic } from '../support/client/aioquic.ts';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { trails } from '../support/origin/behaviours.ts';
import { startH1Origin } from '../support/origin/h1.ts';
import { startH2Origin } from '../support/origin/h2.ts';

t.test('trailers of a response reach the client', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, trails('body', { 'x-digest': 'abc', 'server-timing': 'db;dur=5' }));
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);
  const response = await client.exchange();
  t.equal(response.text, 'body');
  t.match(response.trailers, { 'x-digest': 'abc', 'server-timing': 'db;dur=5' });
});

t.test('trailers of an HTTP/1.1 response reach the client', { skip: missingAddon }, async (t) => {
  const origin = await startH1Origin(t, (_request, response) => {
    response.writeHead(200, { trailer: 'x-digest' });
    response.write('body');
    response.addTrailers({ 'x-digest': 'abc' });
    response.end();
  });
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);
  const response = await client.exchange({ headers: { te: 'trailers' } });
  t.equal(response.text, 'body');
  t.match(response.trailers, { 'x-digest': 'abc' });
});

t.test('trailers of a response lose what the route removes from its head', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, trails('body', { 'x-digest': 'abc', 'server-timing': 'db;dur=5', 'x-role': 'db' }));
  const route = { response_headers: { remove: 'server-*', set: { 'x-role': 'edge' } } };
  const edge = await startEdge(t, { backends: [origin.url], route });
  const client = await connectH3(t, edge.port);
  const response = await client.exchange();
  t.equal(response.text, 'body');
  t.equal(response.headers['x-role'], 'edge');
  t.strictSame({ ...response.trailers }, { 'x-digest': 'abc' });
  t.equal((await edge.metrics()).sum('lychgate_trailer_fields_dropped_total', { reason: 'response_edit' }), 2);
  origin.behave = trails('body', { 'server-timing': 'db;dur=5' });
  const bare = await client.exchange();
  t.equal(bare.text, 'body');
  t.notOk('server-timing' in { ...bare.trailers }, 'and the response ends where none is left');
});

t.test('trailers of a request reach the backend', { skip: missingAddon || missingAioquic }, async (t) => {
  const seen = Promise.withResolvers<Record<string, unknown>>();
  const origin = await startH2Origin(t, (stream) => {
    stream.on('trailers', seen.resolve);
    stream.resume();
    stream.on('end', () => {
      stream.respond({ ':status': 204 });
      stream.end();
    });
  });
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectAioquic(t, edge.port);
  const stream = await client.request(
    [
      [':method', 'POST'],
      [':scheme', 'https'],
      [':authority', 'localhost'],
      [':path', '/'],
    ],
    { body: 'some', fin: false },
  );
  await client.order('trailers', { stream, headers: [['x-checksum', '42']] });
  t.equal(await client.status(stream), 204);
  t.match(await seen.promise, { 'x-checksum': '42' });
});
