/**
 * A path reaches the backend as the client spelled it, without dot segments, or not at all, and a
 * response without what belonged to the backend's connection.
 */

import t from 'tap';
import { connectAioquic, getHead, missingAioquic } from '../support/client/aioquic.ts';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { tellsFields } from '../support/origin/behaviours.ts';
import { startH1Origin, startRawOrigin } from '../support/origin/h1.ts';
import { startH2Origin } from '../support/origin/h2.ts';

t.test('an HTTP/2 and an HTTP/1.1 backend see the path as it was spelled, or the canonical one', { skip: missingAddon }, async (t) => {
  const http2 = await startH2Origin(t, tellsFields);
  const http1 = await startH1Origin(t, (request, response) => response.end(JSON.stringify({ ':path': request.url })));
  for (const { url } of [http2, http1]) {
    const edge = await startEdge(t, {
      backends: [url],
      config: {
        routes: [
          { match: { path: '/canonical' }, upstream: 'web', forward: 'canonical' },
          { match: { path: '/old/place' }, upstream: 'web', rewrite: { strip_prefix: '/old/place', replace_prefix: '/new' } },
          { match: { path: '/' }, upstream: 'web' },
        ],
      },
    });
    const client = await connectH3(t, edge.port);
    const seen = async (path: string) => JSON.parse((await client.exchange({ path })).text)[':path'];
    t.equal(await seen('/a/./b/../%7euser//x|y"?q=%2f'), '/a/%7euser//x|y"?q=%2f');
    t.equal(await seen('/canonical/%2e/%7euser//x|y?q=%2f'), '/canonical/~user/x%7Cy?q=%2F');
    t.equal(await seen('//%6fld//place//k%65y?q=|'), '/new//k%65y?q=|', 'a rewrite replaces what it matched, and nothing else');
    t.equal(await seen('/old/place?q'), '/new?q');
    t.equal(await seen('/plain'), '/plain');
  }
});

for (const kind of ['h2', 'h1'] as const) {
  t.test(`OPTIONS of a whole server goes on with its asterisk (${kind})`, { skip: missingAddon || missingAioquic }, async (t) => {
    const seen = Promise.withResolvers<string>();
    const origin =
      kind === 'h1'
        ? await startRawOrigin(t, (socket, head) => {
            seen.resolve(head.split('\r\n')[0] ?? '');
            socket.write('HTTP/1.1 204 No Content\r\n\r\n');
          })
        : await startH2Origin(t, (stream, headers) => {
            seen.resolve(`${headers[':method']} ${headers[':path']}`);
            stream.respond({ ':status': 204 }, { endStream: true });
          });
    const edge = await startEdge(t, { backends: [origin.url] });
    const client = await connectAioquic(t, edge.port);
    const head = getHead(edge.port, '*').map(([name, value]): [string, string] => [name, name === ':method' ? 'OPTIONS' : value]);
    t.equal(await client.status(await client.request(head)), 204);
    t.equal(await seen.promise, kind === 'h1' ? 'OPTIONS * HTTP/1.1' : 'OPTIONS *');
  });
}

t.test('a path without canonical form gets 400 path_not_canonical and reaches no backend', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, tellsFields);
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);
  for (const path of ['/../x', '/a/..%2fx', '/x%00', '/x\\y', '/%zz']) {
    const response = await client.exchange({ path });
    t.equal(response.status, 400, path);
    t.match(JSON.parse(response.text), { error: 'path_not_canonical' });
  }
  t.equal(origin.requests, 0);
});

t.test('a listener that does not normalise passes what came', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, tellsFields);
  const edge = await startEdge(t, { backends: [origin.url], listener: { normalise: { enabled: false } } });
  const client = await connectH3(t, edge.port);
  const { text } = await client.exchange({ path: '/a/../%7e//x' });
  t.equal(JSON.parse(text)[':path'], '/a/../%7e//x');
});

t.test('fields that an HTTP/1.1 backend calls its connection’s own do not pass', { skip: missingAddon }, async (t) => {
  const fields = ['Connection: X-Hop, keep-alive', 'X-Hop: 1', 'Keep-Alive: timeout=5', 'Upgrade: h2c', 'X-End: 2', 'Content-Length: 2'];
  const origin = await startRawOrigin(t, (socket) => socket.write(`HTTP/1.1 200 OK\r\n${fields.join('\r\n')}\r\n\r\nok`));
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);
  const response = await client.exchange();
  t.equal(response.text, 'ok');
  t.equal(response.headers['x-end'], '2');
  for (const name of ['connection', 'x-hop', 'keep-alive', 'upgrade']) t.notOk(name in response.headers, name);
});
