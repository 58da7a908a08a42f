/** Interim responses and expectations: 103 is passed on, 100-continue is asked of the backend or answered, other expectations are refused. */

import t from 'tap';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { digests, hints } from '../support/origin/behaviours.ts';
import { startH1Origin, startRawOrigin } from '../support/origin/h1.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

t.test('103 Early Hints reach the client before the response', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, hints(['</a.css>; rel=preload', '</b.js>; rel=preload'], 'page'));
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);
  const response = await client.exchange();
  t.same(
    response.interim.map((head) => [head[':status'], head['link']]),
    [
      ['103', '</a.css>; rel=preload'],
      ['103', '</b.js>; rel=preload'],
    ],
  );
  t.equal(response.status, 200);
  t.equal(response.text, 'page');
});

t.test('103 of an HTTP/1.1 backend reaches the client', { skip: missingAddon }, async (t) => {
  const origin = await startH1Origin(t, (_request, response) => {
    response.writeEarlyHints({ link: '</a.css>; rel=preload' });
    response.end('page');
  });
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);
  const response = await client.exchange();
  t.equal(response.interim[0]?.['link'], '</a.css>; rel=preload');
  t.equal(response.text, 'page');
});

t.test('a client that expects 100-continue is told to go on', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, digests);
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);
  const opened = await client.open({ method: 'POST', headers: { expect: '100-continue', 'content-length': '4' } }, false);
  opened.stream.resume();
  await until('100', () => opened.interim.some((head) => head[':status'] === '100'));
  opened.stream.end('body');
  t.equal((await opened.head)[':status'], '200');
});

t.test('an expectation that nobody knows is answered with 417', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, digests);
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);
  t.equal((await client.exchange({ body: 'x', headers: { expect: 'a-miracle' } })).status, 417);
  t.equal(origin.requests, 0);
});

t.test('a backend that switches protocols is not believed', { skip: missingAddon }, async (t) => {
  const origin = await startRawOrigin(t, (socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n');
  });
  const edge = await startEdge(t, { backends: [origin.url], route: { retries: 0 } });
  const client = await connectH3(t, edge.port);
  t.equal((await client.exchange()).status, 502);
});
