/** HEAD, 204 and 304: no body, whatever content-length says, and the connection stays usable. */

import t from 'tap';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { byPath } from '../support/origin/behaviours.ts';
import { startH1Origin } from '../support/origin/h1.ts';
import { startH2Origin } from '../support/origin/h2.ts';

const KINDS = ['h2', 'h1'] as const;

for (const kind of KINDS) {
  t.test(`HEAD, 204 and 304 have no body (${kind} backend)`, { skip: missingAddon }, async (t) => {
    const origin =
      kind === 'h2'
        ? await startH2Origin(
            t,
            byPath({
              '/head': (stream) => {
                stream.respond({ ':status': 200, 'content-length': '12345' }, { endStream: true });
              },
              '/none': (stream) => {
                stream.respond({ ':status': 204 }, { endStream: true });
              },
              '/same': (stream) => {
                stream.respond({ ':status': 304, etag: '"a"' }, { endStream: true });
              },
            }),
          )
        : await startH1Origin(t, (request, response) => {
            if (request.url === '/head') response.writeHead(200, { 'content-length': '12345' });
            else if (request.url === '/none') response.writeHead(204);
            else response.writeHead(304, { etag: '"a"' });
            response.end();
          });
    const edge = await startEdge(t, { backends: [origin.url] });
    const client = await connectH3(t, edge.port);

    const head = await client.exchange({ method: 'HEAD', path: '/head' });
    t.match(head, { status: 200, headers: { 'content-length': '12345' } });
    t.equal(head.body.length, 0);
    const none = await client.exchange({ path: '/none' });
    t.equal(none.status, 204);
    t.equal(none.headers['content-length'], undefined);
    const same = await client.exchange({ path: '/same', headers: { 'if-none-match': '"a"' } });
    t.match(same, { status: 304, headers: { etag: '"a"' } });
    t.equal(same.body.length, 0);
    t.equal((await client.exchange({ path: '/none' })).status, 204, 'the connection goes on');
  });
}

t.test('an empty response with an empty body is complete', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, (stream) => {
    stream.respond({ ':status': 200, 'content-length': '0' });
    stream.end();
  });
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);
  const response = await client.exchange();
  t.equal(response.status, 200);
  t.equal(response.body.length, 0);
});

t.test('a response shorter than its content-length is a failure the client sees', { skip: missingAddon }, async (t) => {
  const origin = await startH1Origin(t, (_request, response) => {
    response.writeHead(200, { 'content-length': '100' });
    response.write('short');
    setTimeout(() => response.destroy(), 20);
  });
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);
  await t.rejects(client.exchange());
});
