/**
 * Max-Forwards of OPTIONS and TRACE (RFC 9110 §7.6.2), and what TRACE may carry and gets back (RFC
 * 9110 §9.3.8).
 */

import t, { type Test } from 'tap';
import { connectAioquic, getHead, missingAioquic, type RawHeaders } from '../support/client/aioquic.ts';
import { connectH3 } from '../support/client/h3.ts';
import { type Edge, missingAddon, startEdge } from '../support/edge.ts';
import { tellsFields } from '../support/origin/behaviours.ts';
import { startH1Origin } from '../support/origin/h1.ts';
import { startH2Origin, startH2TlsOrigin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

const skip = missingAddon;
const skipRaw = missingAddon || missingAioquic;

interface Backend {
  readonly url: string;
  /** Requests seen. */
  readonly seen: () => number;
}

/** One of each protocol that tells the fields it got, once it has the whole request. */
const BACKENDS: Readonly<Record<string, (t: Test) => Promise<Backend>>> = {
  h2c: async (t) => {
    const origin = await startH2Origin(
      t,
      (stream, headers) => void stream.resume().on('end', () => !stream.closed && tellsFields(stream, headers)),
    );
    return { url: origin.url, seen: () => origin.requests };
  },
  https: async (t) => {
    const origin = await startH2TlsOrigin(
      t,
      (stream, headers) => void stream.resume().on('end', () => !stream.closed && tellsFields(stream, headers)),
    );
    return { url: origin.url, seen: () => origin.requests };
  },
  http: async (t) => {
    let requests = 0;
    const { url } = await startH1Origin(t, (request, response) => {
      requests += 1;
      request.resume().on('end', () => response.end(JSON.stringify(request.headers)));
    });
    return { url, seen: () => requests };
  },
};

/** Reasons of the access lines, once there are so many. */
async function reasons(edge: Edge, count: number): Promise<unknown[]> {
  const lines = await until('access lines', () => (edge.access().length >= count ? edge.access() : null));
  return lines.map(({ reason }) => reason);
}

for (const [protocol, start] of Object.entries(BACKENDS)) {
  const upstream = { tls: { verify: false } };

  t.test(`${protocol}: Max-Forwards of OPTIONS and TRACE is one less behind the edge`, { skip }, async (t) => {
    const backend = await start(t);
    const edge = await startEdge(t, { backends: [backend.url], ...(protocol === 'https' ? { upstream } : {}) });
    const client = await connectH3(t, edge.port);
    const sent = async (method: string, value: string): Promise<unknown> => {
      const { status, text } = await client.exchange({ method, headers: { 'max-forwards': value } });
      return status === 200 ? JSON.parse(text)['max-forwards'] : status;
    };
    for (const method of ['OPTIONS', 'TRACE']) {
      t.equal(await sent(method, '10'), '9');
      t.equal(await sent(method, '1'), '0');
      t.equal(await sent(method, '007'), '6');
      t.equal(await sent(method, '4294967296'), '4294967295');
      t.equal(await sent(method, '99999999999999999999999'), '4294967295', 'the most that it knows');
    }
    t.equal(await sent('GET', '10'), '10', 'of other methods it means nothing');
    t.equal(await sent('GET', 'x'), 'x');
  });

  t.test(`${protocol}: TRACE with content is refused`, { skip: skipRaw }, async (t) => {
    const backend = await start(t);
    const edge = await startEdge(t, { backends: [backend.url], route: { retries: 0 }, ...(protocol === 'https' ? { upstream } : {}) });
    const client = await connectAioquic(t, edge.port);
    const head = getHead(edge.port).map(([name, value]): [string, string] => [name, name === ':method' ? 'TRACE' : value]);
    t.equal(await client.status(await client.request(head, { body: 'x' })), 400, 'content beside the head');
    const length: RawHeaders = [...head, ['content-length', '1']];
    t.equal(await client.status(await client.request(length, { fin: false })), 400, 'content that is announced');
    t.equal(backend.seen(), 0, 'no backend saw any of it');
    const late = await client.request(head, { fin: false });
    await until('the backend has the head', () => backend.seen() === 1);
    await client.order('data', { stream: late, body: 'x', fin: true });
    t.equal(await client.status(late), 400, 'content that comes later');
    t.strictSame(await reasons(edge, 3), ['request_malformed', 'request_malformed', 'request_malformed']);
    const none = await client.request([...head, ['content-length', '0']], { fin: false });
    await client.order('data', { stream: none, body: '', fin: true });
    t.equal(await client.status(none), 200, 'no content is fine');
  });
}

t.test('with Max-Forwards 0 the edge answers OPTIONS itself, and says what the route takes', { skip }, async (t) => {
  const origin = await startH2Origin(t, tellsFields);
  const limited = {
    match: { path: '/limited', methods: ['GET', 'OPTIONS'] },
    upstream: 'web',
    response_headers: { set: { 'x-edge': 'yes' } },
  };
  const fixed = { match: { path: '/fixed' }, respond: { status: 418, body: 'tea' } };
  const closed = { match: { path: '/closed' }, upstream: 'web', access: { allow: ['10.0.0.0/8'] } };
  const routes = [{ match: { path: '/any' }, upstream: 'web' }, limited, fixed, closed];
  const edge = await startEdge(t, { backends: [origin.url], config: { routes } });
  const client = await connectH3(t, edge.port);
  const ask = (path: string) => client.exchange({ method: 'OPTIONS', path, headers: { 'max-forwards': '0' } });
  const any = await ask('/any');
  t.match(any, { status: 204, text: '' });
  t.notOk('allow' in any.headers);
  const { status, headers } = await ask('/limited');
  t.match({ status, ...headers }, { status: 204, allow: 'GET, OPTIONS', 'x-edge': 'yes', 'x-request-id': /^[0-9a-f]{32}$/ });
  t.match(await ask('/fixed'), { status: 418, text: 'tea' }, 'a route that answers by itself does');
  t.equal((await ask('/closed')).status, 403, 'who may not come learns nothing');
  t.equal((await ask('/none')).status, 404);
  t.equal(origin.requests, 0, 'nothing is forwarded');
  const expected = ['max_forwards_reached', 'max_forwards_reached', 'fixed_response', 'access_denied', 'route_not_found'];
  t.strictSame(await reasons(edge, 5), expected);
  t.equal((await client.exchange({ method: 'GET', path: '/any', headers: { 'max-forwards': '0' } })).status, 200, 'a GET goes on');
});

t.test('with Max-Forwards 0 TRACE gets its head back, without what tells who somebody is', { skip }, async (t) => {
  const origin = await startH2Origin(t, tellsFields);
  const edge = await startEdge(t, {
    backends: [origin.url],
    listener: { trusted_networks: ['127.0.0.0/8', { network: '10.0.0.0/8', field: 'x-client' }] },
    config: { claims: { more_fields: 'x-client-dn' } },
  });
  const client = await connectH3(t, edge.port);
  const secret = {
    cookie: 'session=SECRET',
    authorization: 'Bearer SECRET',
    'proxy-authorization': 'Basic SECRET',
    forwarded: 'for=SECRET',
    'x-forwarded-for': '203.0.113.7',
    'x-forwarded-host': 'SECRET',
    'x-real-ip': 'SECRET',
    'x-client-dn': 'CN=SECRET',
    'x-client': 'SECRET',
  };
  const headers = { 'max-forwards': '0', 'x-one': 'a: b', via: '1.1 one, 2 two', ...secret };
  const answer = await client.exchange({ method: 'TRACE', path: '/a/%7Eb//c?d=e', headers });
  t.match(answer, { status: 200, headers: { 'content-type': 'message/http', 'cache-control': 'no-store' } });
  t.equal(answer.headers['content-length'], String(answer.body.length));
  const [line, ...fields] = answer.text.split('\r\n');
  t.equal(line, 'TRACE /a/%7Eb//c?d=e HTTP/1.1');
  t.strictSame(fields, [`host: localhost:${edge.port}`, 'max-forwards: 0', 'x-one: a: b', 'via: 1.1 one, 2 two', '', '']);
  t.equal(origin.requests, 0, 'nothing is forwarded');
});

t.test('a Max-Forwards that is no one number is refused, where it means something', { skip: skipRaw }, async (t) => {
  const origin = await startH2Origin(t, tellsFields);
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectAioquic(t, edge.port);
  const ask = async (method: string, ...values: string[]): Promise<number> => {
    const head = getHead(edge.port).map(([name, value]): [string, string] => [name, name === ':method' ? method : value]);
    return client.status(await client.request([...head, ...values.map((value): [string, string] => ['max-forwards', value])]));
  };
  for (const method of ['OPTIONS', 'TRACE']) {
    for (const value of ['', 'x', '-1', '+1', '1.0', '0x1', '1, 1']) t.equal(await ask(method, value), 400, `${method} ${value}`);
    t.equal(await ask(method, '1', '1'), 400, `${method} twice`);
  }
  t.equal(origin.requests, 0);
  t.equal(await ask('GET', '1', 'x'), 200);
});
