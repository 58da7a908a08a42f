/**
 * Health checks over HTTP/3 are held against what traffic is held against. The backend is an edge
 * that wants certificates of its clients.
 */

import { createHash, X509Certificate } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import t, { type Test } from 'tap';
import { createH3Ask } from '../../src/control/health/ask-h3.ts';
import type { Question } from '../../src/control/health/question.ts';
import { addon, skip } from '../support/addon.ts';
import { certificates, issueClientCertificate } from '../support/certificates.ts';
import { type Edge, startEdge } from '../support/edge.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

const WELL = `I am well. ${'x'.repeat(100_000)}`;

/** An edge that wants a certificate of everybody, and is well. */
async function startBackend(t: Test): Promise<Edge> {
  const origin = await startH2Origin(t, (stream, headers) => {
    stream.on('error', () => {});
    if (headers[':path'] === '/silent') return;
    stream.respond({ ':status': headers[':path'] === '/ill' ? 503 : 200, 'x-agent': String(headers['user-agent']) });
    stream.end(headers[':method'] === 'HEAD' ? '' : WELL);
  });
  return startEdge(t, {
    backends: [origin.url],
    route: { timeouts: { head: '30s' } },
    listener: { tls: { client_certificates: { mode: 'required', ca: [certificates().caPath] } } },
    isLeakChecked: false,
  });
}

const { ca, spki } = certificates();
const shown = issueClientCertificate('checks');

function ask(port: number, given: Partial<Question> = {}, signal = new AbortController().signal, ip = '127.0.0.1') {
  const question: Question = {
    protocol: 'h3',
    scheme: 'https',
    method: 'GET',
    path: '/',
    authority: 'localhost',
    serverName: 'localhost',
    caPem: ca,
    isVerified: true,
    clientCertificate: { chainPem: shown.chain, keyPem: shown.key },
    minTlsVersion: '1.2',
    maxTlsVersion: '1.3',
    pins: [],
    timeoutMs: 10_000,
    bodyBytes: 65_536,
    ...given,
  };
  return createH3Ask(question, addon as NonNullable<typeof addon>)(ip, port, signal);
}

t.test('a check shows the certificate of the upstream, and proves name, authority and pins', { skip }, async (t) => {
  const { port } = await startBackend(t);
  const reply = await ask(port);
  t.equal(reply.status, 200);
  t.equal(reply.body, WELL.slice(0, 65_536), 'no more of the body than is wanted');
  t.same(await ask(port, { bodyBytes: 0 }), { status: 200, body: '' });
  t.match(await ask(port, { path: '/ill' }), { status: 503 });
  t.match(await ask(port, { method: 'HEAD', bodyBytes: 0 }), { status: 200 });
  t.match(await ask(port, { serverName: '127.0.0.1' }), { status: 200 }, 'an address is proven as such');
  const key = new X509Certificate(ca).publicKey.export({ type: 'spki', format: 'der' });
  const ofCa = createHash('sha256').update(key).digest('base64');
  for (const pin of [spki, ofCa]) t.match(await ask(port, { pins: [`${'A'.repeat(43)}=`, pin] }), { status: 200 });
  t.match(await ask(port, { isVerified: false, serverName: 'other.test', caPem: '' }), { status: 200 }, 'unless nobody wants to know');

  const fails = (given: Partial<Question>, message: string | RegExp) => t.rejects(ask(port, given), { message });
  await fails({ clientCertificate: undefined }, 'tls_certificate_required');
  await fails({ pins: [`${'A'.repeat(43)}=`] }, 'tls_pin_mismatch: no certificate of the chain has a pinned key');
  await fails({ serverName: 'other.test' }, 'tls_name_mismatch: Hostname mismatch');
  await fails({ serverName: '192.0.2.1' }, 'tls_name_mismatch: IP address mismatch');
  await fails({ caPem: '' }, /^tls_issuer_unknown: /);
  await fails({ caPem: 'nothing' }, 'the bundle holds no certificate');
});

t.test('a check of a backend that is silent, gone or not wanted any more ends', { skip }, async (t) => {
  const { port } = await startBackend(t);
  await t.rejects(ask(port, { path: '/silent', timeoutMs: 300 }), { message: 'no answer in 300 ms' });
  const ending = new AbortController();
  const pending = ask(port, { path: '/silent', timeoutMs: 60_000 }, ending.signal);
  ending.abort(new Error('the edge stops'));
  await t.rejects(pending, { message: 'the edge stops' });
  await t.rejects(ask(port, {}, ending.signal), { message: 'the edge stops' }, 'nothing is begun');

  const mute = createSocket('udp4').bind(0, '127.0.0.1');
  await once(mute, 'listening');
  await t.rejects(ask(mute.address().port, { timeoutMs: 300 }), { message: 'no answer in 300 ms' });
  const gone = mute.address().port;
  mute.close();
  await once(mute, 'close');
  await t.rejects(ask(gone), { message: /refused/i });
});

t.test(
  'an upstream whose backends want certificates is up by checks over HTTP/3 that show one, and down by those that do not',
  { skip },
  async (t) => {
    const backend = await startBackend(t);
    const health = { protocol: 'h3', interval: '1s', failing_interval: '200ms', host: 'localhost', body: 'well' };
    const upstream = (tls: object) => ({
      backends: [{ url: `https://localhost:${backend.port}` }],
      tls: { ca: certificates().caPath, ...tls },
      health,
    });
    const edge = await startEdge(t, {
      backends: [],
      config: {
        upstreams: { shown: upstream({ certificate: shown.chainPath, key: shown.keyPath, pins: [spki] }), bare: upstream({}) },
        routes: [{ match: { path: '/' }, upstream: 'shown' }],
      },
    });
    const states = async () => {
      const { upstreams } = (await edge.ask('/v1/upstreams')) as {
        upstreams: { name: string; backends: { health: string; check: { failure: string | null } | null }[] }[];
      };
      return Object.fromEntries(upstreams.map(({ name, backends: [one] }) => [name, [one?.health, one?.check?.failure]]));
    };
    await until('both are known', async () => {
      const { shown, bare } = await states();
      return shown?.[0] === 'up' && bare?.[0] === 'down';
    });
    t.same(await states(), { shown: ['up', null], bare: ['down', 'tls_certificate_required'] });
  },
);
