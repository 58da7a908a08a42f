/**
 * Every kind of backend: HTTP/2 and HTTP/1.1, in the clear and over TLS, by other people's hands.
 */

import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createTlsServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { certificates } from '../support/certificates.ts';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { freePort } from '../support/free-port.ts';
import { answers, tellsFields } from '../support/origin/behaviours.ts';
import { startH1Origin, startRawOrigin } from '../support/origin/h1.ts';
import { startH2Origin, startH2TlsOrigin } from '../support/origin/h2.ts';
import { missingNghttpd, startNghttpd } from '../support/origin/nghttpd.ts';

t.test('an https backend is spoken to in HTTP/2, verified against its CA', { skip: missingAddon }, async (t) => {
  const origin = await startH2TlsOrigin(t, tellsFields);
  const edge = await startEdge(t, { backends: [origin.url], upstream: { tls: { ca: certificates().caPath } } });
  const client = await connectH3(t, edge.port);
  const response = await client.exchange({ path: '/over-tls' });
  t.equal(response.status, 200);
  t.equal(JSON.parse(response.text)[':path'], '/over-tls');
});

t.test('an https backend whose certificate is not trusted is answered with 502 tls_failed', { skip: missingAddon }, async (t) => {
  const origin = await startH2TlsOrigin(t, answers('must not be asked'));
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);
  const response = await client.exchange();
  t.equal(response.status, 502);
  t.match(JSON.parse(response.text), { error: 'tls_failed' });
  t.equal(origin.requests, 0);
});

t.test('an https backend without HTTP/2 is spoken to in HTTP/1.1', { skip: missingAddon }, async (t) => {
  const { chain, key } = certificates();
  const server = createTlsServer({ cert: chain, key }, (request, response) => response.end(`HTTP/${request.httpVersion}`));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as { port: number };
  const edge = await startEdge(t, { backends: [`https://localhost:${port}`], upstream: { tls: { ca: certificates().caPath } } });
  const client = await connectH3(t, edge.port);
  t.equal((await client.exchange()).text, 'HTTP/1.1');
});

t.test('an http backend is kept alive and gets bodies both ways', { skip: missingAddon }, async (t) => {
  const origin = await startH1Origin(t, (request, response) => request.pipe(response));
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);
  const body = Buffer.alloc(300_000, 'b');
  t.same((await client.exchange({ body })).body, body, 'chunked');
  t.same((await client.exchange({ body, headers: { 'content-length': '300000' } })).body, body, 'with a length');
  for (let turn = 0; turn < 10; turn += 1) t.equal((await client.exchange()).status, 200);
  t.equal(origin.accepted, 1, 'one connection served them all');
});

t.test('an http backend that closes after each response costs no request', { skip: missingAddon }, async (t) => {
  const origin = await startH1Origin(t, (_request, response) => {
    response.setHeader('connection', 'close');
    response.end('bye');
  });
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);
  for (let turn = 0; turn < 10; turn += 1) t.equal((await client.exchange()).text, 'bye');
  t.equal(origin.accepted, 10);
});

const HOSTILE: readonly [string, string][] = [
  ['two content-lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc'],
  ['content-length and chunked together', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['a transfer coding that is not chunked', 'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nabc'],
  ['a folded field', 'HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 0\r\n\r\n'],
  ['a bare carriage return in a value', 'HTTP/1.1 200 OK\r\nx: a\rb\r\ncontent-length: 0\r\n\r\n'],
  ['a status line of another protocol', 'ICY 200 OK\r\n\r\n'],
  ['a status that is not a number', 'HTTP/1.1 2x0 OK\r\ncontent-length: 0\r\n\r\n'],
  ['a head without end', `HTTP/1.1 200 OK\r\nx: ${'a'.repeat(100_000)}`],
];

t.test('an HTTP/1.1 answer with a space before a colon is read without it', { skip: missingAddon }, async (t) => {
  const origin = await startRawOrigin(t, (socket) => socket.write('HTTP/1.1 200 OK\r\nx-a : b\r\ncontent-length : 2\r\n\r\nok'));
  const edge = await startEdge(t, { backends: [origin.url] });
  const { status, headers, text } = await (await connectH3(t, edge.port)).exchange();
  t.match([status, headers['x-a'], text], [200, 'b', 'ok']);
});

for (const [what, bytes] of HOSTILE) {
  t.test(`an HTTP/1.1 answer with ${what} is refused with 502`, { skip: missingAddon }, async (t) => {
    const origin = await startRawOrigin(t, (socket) => socket.write(bytes, 'latin1'));
    const edge = await startEdge(t, { backends: [origin.url], route: { retries: 0 } });
    const client = await connectH3(t, edge.port);
    t.equal((await client.exchange()).status, 502);
  });
}

t.test('nghttpd serves a file through the edge', { skip: missingAddon || missingNghttpd }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'lychgate-htdocs-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const bytes = Buffer.alloc(1_000_000, 'file');
  writeFileSync(join(folder, 'file.bin'), bytes);
  const origin = await startNghttpd(t, folder, await freePort());
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);
  t.same((await client.exchange({ path: '/file.bin' })).body, bytes);
  t.equal((await client.exchange({ path: '/none' })).status, 404);
});

t.test('two backends share the requests by their weights', { skip: missingAddon }, async (t) => {
  const heavy = await startH2Origin(t, answers('heavy'));
  const light = await startH2Origin(t, answers('light'));
  const edge = await startEdge(t, {
    backends: [],
    upstream: {
      backends: [
        { url: heavy.url, weight: 3 },
        { url: light.url, weight: 1 },
      ],
      balance: { policy: 'round-robin' },
    },
  });
  const client = await connectH3(t, edge.port);
  for (let turn = 0; turn < 40; turn += 1) await client.exchange();
  t.equal(heavy.requests, 30);
  t.equal(light.requests, 10);
});
