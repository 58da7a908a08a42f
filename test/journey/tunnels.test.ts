/**
 * Tunnels and changes of protocol: none of them reaches a backend. CONNECT is answered 501,
 * whatever it wants to connect to and however much it sends, `Upgrade: h2c` and `HTTP2-Settings`
 * (RFC 7540 §3.2) are a connection's own, whichever side they come from.
 */

import type { Socket } from 'node:net';
import t, { type Test } from 'tap';
import { type AioquicClient, connectAioquic, getHead, missingAioquic, type RawHeaders } from '../support/client/aioquic.ts';
import { type Edge, missingAddon, startEdge } from '../support/edge.ts';
import { startTcpOrigin } from '../support/origin/h1.ts';
import { startScriptedOrigin } from '../support/origin/scripted.ts';
import { until } from '../support/wait.ts';

const skip = missingAddon || missingAioquic;

/**
 * What both sides would have to say to change from HTTP/1.1 to HTTP/2; the settings are those of
 * RFC 7540's example.
 */
const CHANGE: RawHeaders = [
  ['upgrade', 'h2c'],
  ['http2-settings', 'AAMAAABkAARAAAAAAAIAAAAA'],
];

/** Never to be read by a backend. */
const SECRET = 'this is not for any backend';

interface Witness {
  readonly url: string;
  /** Every byte that came, of all connections. */
  received(): string;
}

/** An HTTP/1.1 backend that writes down what it got and answers every head with these lines. */
async function startHttp1(t: Test, answer: readonly string[]): Promise<Witness> {
  let received = '';
  const origin = await startTcpOrigin(t, 'http', (socket: Socket) => {
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
      if (chunk.includes('\r\n\r\n')) socket.write(answer.map((line) => `${line}\r\n`).join(''));
    });
  });
  return { url: origin.url, received: () => received };
}

/**
 * An HTTP/2 backend that does so. Its heads are compressed, so what may not come is looked for in a
 * body and in the number of streams.
 */
async function startHttp2(t: Test, answer: RawHeaders): Promise<Witness & { streams: number }> {
  let received = '';
  const witness = { url: '', streams: 0, received: () => received };
  const origin = await startScriptedOrigin(t, (peer, stream) => {
    if (witness.streams++ === 0) peer.socket.on('data', (chunk) => (received += chunk.toString('latin1')));
    peer.fields(stream, answer, true);
  });
  return Object.assign(witness, { url: origin.url });
}

const tunnel = (authority: string): RawHeaders => [
  [':method', 'CONNECT'],
  [':authority', authority],
];

/** Asks for a tunnel and sends into it before, with and after the answer. */
async function refused(t: Test, client: AioquicClient, head: RawHeaders): Promise<void> {
  const stream = await client.request(head, { body: SECRET, fin: false });
  t.equal(await client.status(stream), 501);
  await client.order('data', { stream, body: SECRET }).catch(() => {});
  const end = await until('the stream ends', () =>
    client.events.find((one) => one.stream === stream && ['end', 'stop'].includes(one.event)),
  );
  t.ok(end);
}

/** An edge with one upstream for each of these backends, at the path of its name. */
function startWith(t: Test, backends: Readonly<Record<string, Witness>>): Promise<Edge> {
  const names = Object.keys(backends);
  return startEdge(t, {
    backends: [],
    config: {
      upstreams: Object.fromEntries(names.map((name) => [name, { backends: [{ url: backends[name]?.url }] }])),
      routes: names.map((name) => ({ match: { path: `/${name}` }, upstream: name, retries: 0 })),
    },
  });
}

t.test('CONNECT is answered 501 and nothing of it is forwarded to an HTTP/1.1 or an HTTP/2 backend', { skip }, async (t) => {
  const http1 = await startHttp1(t, ['HTTP/1.1 200 OK', 'Content-Length: 2', '', 'ok']);
  const http2 = await startHttp2(t, [[':status', '200']]);
  const edge = await startWith(t, { http1, http2 });
  const client = await connectAioquic(t, edge.port);
  const get = async (path: string) => client.status(await client.request(getHead(edge.port, path)));
  // Sessions are open and idle: a body without its head would have somewhere to go.
  t.strictSame([await get('/http1'), await get('/http2')], [200, 200]);
  await refused(t, client, tunnel('example.test:443'));
  await refused(t, client, tunnel(`localhost:${edge.port}`));
  for (const path of ['/http1', '/http2']) {
    await refused(t, client, [[':method', 'CONNECT'], [':protocol', 'websocket'], ...getHead(edge.port, path).slice(1)]);
  }
  t.strictSame([await get('/http1'), await get('/http2')], [200, 200], 'the connection and the sessions go on');
  await until('the access lines', () => edge.access().length === 8);
  t.equal(edge.access().filter((line) => line['reason'] === 'connect_not_supported' && line['status'] === 501).length, 4);
  t.notMatch(http1.received(), SECRET);
  t.equal(http1.received().match(/GET \/http1 HTTP\/1\.1\r\n/g)?.length, 2);
  t.notMatch(http1.received(), /CONNECT|websocket/i);
  t.notMatch(http2.received(), SECRET);
  t.equal(http2.streams, 2);
});

t.test('Upgrade: h2c and HTTP2-Settings of a client reach neither kind of backend', { skip }, async (t) => {
  const http1 = await startHttp1(t, ['HTTP/1.1 200 OK', 'Content-Length: 2', '', 'ok']);
  const http2 = await startHttp2(t, [[':status', '200']]);
  const edge = await startWith(t, { http1, http2 });
  const client = await connectAioquic(t, edge.port);
  for (const path of ['/http1', '/http2']) {
    const get = getHead(edge.port, path);
    for (const more of [...CHANGE.map((field) => [field]), CHANGE, [...CHANGE, ['connection', 'Upgrade, HTTP2-Settings'] as const]]) {
      t.equal(await client.status(await client.request([...get, ...more])), 400);
    }
    // The same as trailers: the head has gone on when they come.
    const stream = await client.request([[':method', 'POST'], ...get.slice(1)], { body: 'x', fin: false });
    await client.order('trailers', { stream, headers: CHANGE });
    await client.outcome(stream);
    t.equal(await client.status(await client.request(get)), 200);
  }
  t.notMatch(http1.received(), /upgrade|h2c|http2-settings|AAMAAABk/i);
  t.notMatch(http2.received(), /AAMAAABk/);
});

t.test('what a backend says about a change of protocol reaches no client', { skip }, async (t) => {
  const lines = [
    ...CHANGE.map(([name, value]) => `${name}: ${value}`),
    'Connection: Upgrade, HTTP2-Settings',
    'Content-Length: 2',
    '',
    'ok',
  ];
  const edge = await startWith(t, {
    '200': await startHttp1(t, ['HTTP/1.1 200 OK', ...lines]),
    '426': await startHttp1(t, ['HTTP/1.1 426 Upgrade Required', ...lines]),
    'h2-upgrade': await startHttp2(t, [[':status', '200'], CHANGE[0]!]),
    'h2-settings': await startHttp2(t, [[':status', '200'], CHANGE[1]!]),
  });
  const client = await connectAioquic(t, edge.port);
  for (const status of [200, 426]) {
    const stream = await client.request(getHead(edge.port, `/${status}`));
    t.equal(await client.status(stream), status);
    const names = (await client.wait('headers', stream)).headers?.map(([name]) => name) ?? [];
    for (const name of ['upgrade', 'http2-settings', 'connection']) t.notOk(names.includes(name), name);
  }
  for (const path of ['/h2-upgrade', '/h2-settings']) {
    t.equal(await client.status(await client.request(getHead(edge.port, path))), 502, 'HTTP/2 knows no such field');
  }
});
