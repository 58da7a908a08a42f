/**
 * Interim responses and expectations: 103 is passed on, 100-continue is asked of the backend or
 * answered, other expectations are refused.
 */

import t from 'tap';
import { connectAioquic, getHead, missingAioquic } from '../support/client/aioquic.ts';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { digests, hints } from '../support/origin/behaviours.ts';
import { startH1Origin, startRawOrigin } from '../support/origin/h1.ts';
import { startH2Origin } from '../support/origin/h2.ts';

t.test('103 Early Hints reach the client before the response', { skip: missingAddon || missingAioquic }, async (t) => {
  const origin = await startH2Origin(t, hints(['</a.css>; rel=preload', '</b.js>; rel=preload'], 'page'));
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectAioquic(t, edge.port);
  const stream = await client.request(getHead(edge.port));
  t.equal(await client.status(stream), 200);
  t.equal((await client.wait('data', stream)).text, 'page');
  const interim = client.events.filter((one) => one.event === 'interim').map((one) => Object.fromEntries(one.headers ?? []));
  t.match(interim, [
    { ':status': '103', link: '</a.css>; rel=preload' },
    { ':status': '103', link: '</b.js>; rel=preload' },
  ]);
});

t.test('103 of an HTTP/1.1 backend reaches the client', { skip: missingAddon || missingAioquic }, async (t) => {
  const origin = await startH1Origin(t, (_request, response) => {
    response.writeEarlyHints({ link: '</a.css>; rel=preload' });
    response.end('page');
  });
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectAioquic(t, edge.port);
  const stream = await client.request(getHead(edge.port));
  t.equal(await client.status(stream), 200);
  t.match(Object.fromEntries((await client.wait('interim', stream)).headers ?? []), { ':status': '103', link: '</a.css>; rel=preload' });
});

t.test('a client that expects 100-continue hears it from the backend', { skip: missingAddon || missingAioquic }, async (t) => {
  const origin = await startH2Origin(t, (stream, headers) => {
    t.equal(headers['expect'], '100-continue');
    stream.additionalHeaders({ ':status': 100 });
    digests(stream, headers);
  });
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectAioquic(t, edge.port);
  const head: [string, string][] = [
    [':method', 'POST'],
    ...getHead(edge.port).slice(1),
    ['expect', '100-continue'],
    ['content-length', '4'],
  ];
  const stream = await client.request(head, { fin: false });
  t.match((await client.wait('interim', stream)).headers?.[0], [':status', '100']);
  await client.order('data', { stream, body: 'body', fin: true });
  t.equal(await client.status(stream), 200);
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
