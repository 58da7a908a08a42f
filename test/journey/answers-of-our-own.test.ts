/**
 * What the edge says itself when there is nobody to say it: status, code, request id, and nothing
 * internal.
 */

import t from 'tap';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { answers } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

t.test('a path without a route is answered with 404 route_not_found', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, answers('never'));
  const edge = await startEdge(t, { backends: [origin.url], route: { match: { path: '/only' } } });
  const client = await connectH3(t, edge.port);

  const response = await client.exchange({ path: '/else' });

  t.equal(response.status, 404);
  t.match(JSON.parse(response.text), { error: 'route_not_found', status: 404, request_id: response.headers['x-request-id'] });
  t.equal(response.headers['content-length'], String(response.body.length));
  t.equal(origin.requests, 0);
  t.equal((await client.exchange({ path: '/only/this' })).status, 200);
});

t.test('a HEAD without a route gets the head of the answer and no body', { skip: missingAddon }, async (t) => {
  const edge = await startEdge(t, { backends: ['h2c://127.0.0.1:1'], route: { match: { path: '/only' } } });
  const client = await connectH3(t, edge.port);
  const response = await client.exchange({ method: 'HEAD', path: '/else' });
  t.equal(response.status, 404);
  t.equal(response.body.length, 0);
});

t.test('a backend that refuses connections is answered with 502 and named only in the log', { skip: missingAddon }, async (t) => {
  const edge = await startEdge(t, { backends: ['h2c://127.0.0.1:1'] });
  const client = await connectH3(t, edge.port);

  const response = await client.exchange();

  t.equal(response.status, 502);
  t.match(JSON.parse(response.text), { error: 'connect_failed', status: 502 });
  t.notMatch(response.text, /127\.0\.0\.1/);
  t.match(await until('the access line', () => edge.access()[0]), { status: 502, reason: 'connect_failed' });
});

t.test('an edge that answers everything by itself needs no upstream', { skip: missingAddon }, async (t) => {
  const edge = await startEdge(t, {
    backends: [],
    config: { upstreams: {}, routes: [{ match: { path: '/' }, respond: { status: 410, body: 'gone' } }] },
  });
  const client = await connectH3(t, edge.port);
  t.match(await client.exchange(), { status: 410, text: 'gone' });
  t.match(await edge.ask('/v1/upstreams'), { upstreams: [] });
  t.equal((await edge.metrics()).sum('lychgate_requests_total'), 1);
});
