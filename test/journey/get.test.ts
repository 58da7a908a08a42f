/**
 * One request through everything: HTTP/3 in, HTTP/2 out, and what the edge adds and takes away on
 * the way.
 */

import t from 'tap';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { answers, tellsFields } from '../support/origin/behaviours.ts';
import { startH1Origin } from '../support/origin/h1.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

t.test('a GET over HTTP/3 is answered by an HTTP/2 backend', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, answers('from the backend', 200, { 'x-backend': 'one' }));
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);

  const response = await client.exchange({ path: '/a?b=c' });

  t.equal(response.status, 200);
  t.equal(response.text, 'from the backend');
  t.equal(response.headers['x-backend'], 'one');
  t.match(response.headers['x-request-id'], /^[0-9a-f]{32}$/, 'the request id is echoed');
  t.equal(origin.requests, 1);
  const line = await until('the access line', () => edge.access()[0]);
  t.match(line, { method: 'GET', path: '/a?b=c', status: 200, id: response.headers['x-request-id'] });
});

t.test('the backend sees the request as it was, and who asked', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, tellsFields);
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);

  const response = await client.exchange({
    path: '/deep/path?q=1&q=2',
    headers: { accept: 'text/html', 'x-forwarded-for': '6.6.6.6', cookie: ['a=1', 'b=2'], te: 'trailers' },
  });

  const seen = JSON.parse(response.text) as Record<string, string>;
  t.equal(seen[':path'], '/deep/path?q=1&q=2');
  t.equal(seen[':authority'], `localhost:${edge.port}`);
  t.equal(seen['accept'], 'text/html');
  t.equal(seen['x-forwarded-for'], '127.0.0.1', 'what the client claims to have forwarded is dropped');
  t.equal(seen['x-forwarded-proto'], 'https');
  t.equal(seen['x-forwarded-host'], `localhost:${edge.port}`);
  t.equal(seen['cookie'], 'a=1; b=2');
  t.equal(seen['x-request-id'], response.headers['x-request-id']);
});

for (const [kind, version] of [
  ['h2', '2'],
  ['h1', '1.1'],
] as const) {
  t.test(`Via goes on with what the edge is called, both ways (${kind})`, { skip: missingAddon }, async (t) => {
    const origin =
      kind === 'h2'
        ? await startH2Origin(t, (stream, headers) => {
            stream.respond({ ':status': 200, via: '1.0 deep' });
            stream.end(`${headers['via']}`);
          })
        : await startH1Origin(t, (request, response) => {
            response.writeHead(200, { via: '1.0 deep' });
            response.end(`${request.headers.via}`);
          });
    const edge = await startEdge(t, { backends: [origin.url], route: { via: 'edge.test' } });
    const client = await connectH3(t, edge.port);
    const response = await client.exchange({ headers: { via: '2 near' } });
    t.equal(response.text, '2 near, 3 edge.test');
    t.equal(response.headers['via'], `1.0 deep, ${version} edge.test`);
    t.equal((await client.exchange()).text, '3 edge.test');
  });
}

t.test('exchanges of one connection share a session to the backend', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, answers('ok'));
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);

  for (let turn = 0; turn < 20; turn += 1) t.equal((await client.exchange()).status, 200);

  t.equal(origin.requests, 20);
  t.equal(origin.accepted, 1);
});
