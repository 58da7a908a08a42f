/**
 * Heads that no client should send (RFC 9114 §4.1.2 to §4.3): each is refused on its own stream,
 * reaches no backend, and harms no other.
 */

import t from 'tap';
import { type AioquicClient, connectAioquic, getHead, missingAioquic, type RawHeaders } from '../support/client/aioquic.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { answers } from '../support/origin/behaviours.ts';
import { startH1Origin } from '../support/origin/h1.ts';
import { startH2Origin } from '../support/origin/h2.ts';

const H3_MESSAGE_ERROR = 0x10e;

const [method, scheme, authority, path] = getHead(443) as [[string, string], [string, string], [string, string], [string, string]];

/**
 * What is wrong, and the head. All of them are answered with 400 or reset with H3_MESSAGE_ERROR.
 */
const HEADS: readonly [string, RawHeaders][] = [
  ['no :method', [scheme, authority, path]],
  ['no :scheme', [method, authority, path]],
  ['no :path', [method, scheme, authority]],
  ['neither :authority nor host', [method, scheme, path]],
  ['an empty :authority', [method, scheme, [':authority', ''], path]],
  ['an empty :path', [method, scheme, authority, [':path', '']]],
  ['a :path that does not begin with a slash', [method, scheme, authority, [':path', 'a']]],
  ['a space in :path', [method, scheme, authority, [':path', '/a b']]],
  ['a fragment in :path', [method, scheme, authority, [':path', '/a#b']]],
  ['two :path', [method, scheme, authority, path, [':path', '/b']]],
  ['two :method', [method, method, scheme, authority, path]],
  ['an unknown pseudo-header', [method, scheme, authority, path, [':secret', '1']]],
  ['a :status in a request', [method, scheme, authority, path, [':status', '200']]],
  ['a pseudo-header after a field', [method, scheme, ['accept', '*/*'], authority, path]],
  ['an upper-case name', [method, scheme, authority, path, ['Accept', '*/*']]],
  ['an empty name', [method, scheme, authority, path, ['', 'x']]],
  ['a space in a name', [method, scheme, authority, path, ['a b', 'x']]],
  ['a colon in a name', [method, scheme, authority, path, ['a:b', 'x']]],
  ['a NUL in a value', [method, scheme, authority, path, ['x', 'a\0b']]],
  ['a line feed in a value', [method, scheme, authority, path, ['x', 'a\nb: c']]],
  ['a carriage return in a value', [method, scheme, authority, path, ['x', 'a\rb']]],
  ['a connection field', [method, scheme, authority, path, ['connection', 'close']]],
  ['a transfer-encoding field', [method, scheme, authority, path, ['transfer-encoding', 'chunked']]],
  ['a keep-alive field', [method, scheme, authority, path, ['keep-alive', 'timeout=5']]],
  ['an upgrade field', [method, scheme, authority, path, ['upgrade', 'websocket']]],
  ['a proxy-connection field', [method, scheme, authority, path, ['proxy-connection', 'close']]],
  ['te with something else than trailers', [method, scheme, authority, path, ['te', 'gzip']]],
  ['host and :authority that differ', [method, scheme, authority, path, ['host', 'other.test']]],
  ['two content-lengths that differ', [method, scheme, authority, path, ['content-length', '1'], ['content-length', '2']]],
  ['a content-length that is not a number', [method, scheme, authority, path, ['content-length', '+1']]],
  ['a content-length below nought', [method, scheme, authority, path, ['content-length', '-1']]],
  ['userinfo in :authority', [method, scheme, [':authority', 'me@localhost'], path]],
  ['a bad character in :method', [[':method', 'G T'], scheme, authority, path]],
];

t.test('malformed heads are refused', { skip: missingAddon || missingAioquic }, async (t) => {
  const origin = await startH2Origin(t, answers('must not be asked'));
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectAioquic(t, edge.port);

  for (const [what, head] of HEADS) {
    t.test(`a head with ${what}`, async (t) => {
      const outcome = await client.outcome(await client.request(head));
      t.ok(isRefused(outcome), JSON.stringify(outcome));
    });
  }

  t.test('the connection and well-formed requests are unharmed', async (t) => {
    t.equal(origin.requests, 0, 'no backend saw any of it');
    t.equal(await client.status(await client.request(getHead(edge.port))), 200);
  });
});

t.test('a body that is not as long as announced is refused', { skip: missingAddon || missingAioquic }, async (t) => {
  const origin = await startH2Origin(t, (stream) => {
    stream.on('end', () => {
      if (stream.destroyed || stream.rstCode !== 0) return;
      stream.respond({ ':status': 200 });
      stream.end();
    });
    stream.resume();
  });
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectAioquic(t, edge.port);
  for (const [length, body] of [
    ['5', ''],
    ['5', 'four'],
    ['3', 'four'],
  ] as const) {
    await t.test(`content-length ${length} and ${body.length} bytes`, async (t) => {
      const outcome = await client.outcome(await post(client, length, body));
      t.ok(isRefused(outcome), JSON.stringify(outcome));
    });
  }
});

t.test(
  'a body longer than announced is refused before an HTTP/1.1 backend, and leaves nothing behind',
  {
    skip: missingAddon || missingAioquic,
  },
  async (t) => {
    const origin = await startH1Origin(t, (request, response) => {
      request.resume().on('end', () => response.end('taken for whole'));
    });
    const edge = await startEdge(t, { backends: [origin.url] });
    const client = await connectAioquic(t, edge.port);
    const outcome = await client.outcome(await post(client, '3', 'four'));
    t.ok(isRefused(outcome), JSON.stringify(outcome));
  },
);

t.test('CONNECT is answered with 501', { skip: missingAddon || missingAioquic }, async (t) => {
  const origin = await startH2Origin(t, answers('must not be asked'));
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectAioquic(t, edge.port);
  const stream = await client.request(
    [
      [':method', 'CONNECT'],
      [':authority', 'example.test:443'],
    ],
    { fin: false },
  );
  t.equal(await client.status(stream), 501);
  t.equal(origin.requests, 0);
});

function post(client: AioquicClient, length: string, body: string): Promise<number> {
  return client.request([[':method', 'POST'], scheme, authority, path, ['content-length', length]], { body });
}

function isRefused(outcome: { kind: string; status?: number; code?: number }): boolean {
  return (outcome.kind === 'status' && outcome.status === 400) || (outcome.kind === 'reset' && outcome.code === H3_MESSAGE_ERROR);
}
