/**
 * What an upstream demands of its backends' TLS and shows to them: a certificate of its own,
 * versions, pinned keys. What does not fit is told by its cause.
 */

import { execFileSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { copyFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import t, { type Test } from 'tap';
import { certificates, issueClientCertificate } from '../support/certificates.ts';
import { connectH3 } from '../support/client/h3.ts';
import { type Edge, missingAddon, startEdge } from '../support/edge.ts';
import { until } from '../support/wait.ts';

/**
 * A backend that wants a certificate of the test's CA, and answers with its name and the version.
 */
async function startAskingOrigin(t: Test, options: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const { ca, chain, key } = certificates();
  const server = createServer({ cert: chain, key, ca, requestCert: true, rejectUnauthorized: true, ...options }, (request, response) => {
    const socket = request.socket as TLSSocket;
    response.end(`${socket.getPeerCertificate().subject?.CN ?? 'nobody'} ${socket.getProtocol()}`);
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', resolve);
  await promise;
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `https://localhost:${(server.address() as { port: number }).port}`;
}

/** An edge with one upstream for each of these sections of TLS, at the path of its name. */
function startWith(
  t: Test,
  backends: Readonly<Record<string, { readonly url: string; readonly tls: object }>>,
  config: Readonly<Record<string, unknown>> = {},
): Promise<Edge> {
  return startEdge(t, {
    backends: [],
    config: {
      ...config,
      upstreams: Object.fromEntries(
        Object.entries(backends).map(([name, { url, tls }]) => [name, { backends: [{ url }], tls: { ca: certificates().caPath, ...tls } }]),
      ),
      routes: Object.keys(backends).map((name) => ({ match: { path: `/${name}` }, upstream: name, retries: 0 })),
    },
  });
}

t.test('a backend that asks is shown the certificate of its upstream, and one without is told apart', { skip: missingAddon }, async (t) => {
  const shown = issueClientCertificate('edge');
  const tls = { certificate: shown.chainPath, key: shown.keyPath };
  const url = await startAskingOrigin(t);
  const old = await startAskingOrigin(t, { maxVersion: 'TLSv1.2' });
  const edge = await startWith(t, {
    shown: { url, tls },
    missing: { url, tls: {} },
    'missing-old': { url: old, tls: {} },
    low: { url, tls: { ...tls, max_version: 1.2 } },
    high: { url: old, tls: { ...tls, min_version: 1.3 } },
  });
  const client = await connectH3(t, edge.port);
  const get = async (name: string) => client.exchange({ path: `/${name}` });
  t.match(await get('shown'), { status: 200, text: 'edge TLSv1.3' });
  t.match(await get('low'), { status: 200, text: 'edge TLSv1.2' });
  for (const name of ['missing', 'missing-old', 'high']) t.equal((await get(name)).status, 502, name);
  const { upstreams } = (await edge.ask('/v1/upstreams')) as { upstreams: { name: string; backends: { lastFault: string | null }[] }[] };
  const faults = Object.fromEntries(upstreams.map(({ name, backends }) => [name, backends[0]?.lastFault]));
  t.match(faults, { shown: null, low: null, missing: 'tls_certificate_required', high: /^tls_not_agreed/ });
  t.match(faults['missing-old'], /^tls_(alert|not_agreed): /, 'TLS 1.2 says it during the handshake');
  t.ok((await edge.metrics()).sum('lychgate_upstream_tls_failures_total', { cause: 'certificate_required' }) >= 1);
  await until('the access line', () => edge.access().some((line) => line['reason'] === 'tls_certificate_required'));
});

t.test(
  'a pinned key may be that of the leaf or of its authority, and any other is a cause of its own',
  { skip: missingAddon },
  async (t) => {
    const { ca, spki } = certificates();
    const pinOfCa = createHash('sha256')
      .update(new X509Certificate(ca).publicKey.export({ type: 'spki', format: 'der' }))
      .digest('base64');
    const none = `${'A'.repeat(43)}=`;
    const url = await startAskingOrigin(t, { requestCert: false });
    const edge = await startWith(t, {
      leaf: { url, tls: { pins: [none, `pin-sha256="${spki}"`] } },
      authority: { url, tls: { pins: pinOfCa } },
      none: { url, tls: { pins: none } },
    });
    const client = await connectH3(t, edge.port);
    t.equal((await client.exchange({ path: '/leaf' })).status, 200);
    t.equal((await client.exchange({ path: '/authority' })).status, 200);
    const refused = await client.exchange({ path: '/none' });
    t.equal(refused.status, 502);
    t.match(JSON.parse(refused.text), { error: 'tls_failed' }, 'no business of the client');
    await until('the access line', () => edge.access().some((line) => line['reason'] === 'tls_pin_mismatch'));
    const { upstreams } = (await edge.ask('/v1/upstreams')) as { upstreams: { name: string; backends: Record<string, unknown>[] }[] };
    t.match(upstreams.find(({ name }) => name === 'none')?.backends[0], {
      lastFailure: { reason: 'tls_pin_mismatch' },
      lastFault: 'tls_pin_mismatch: no certificate of the chain has a pinned key',
    });
    const metrics = await edge.metrics();
    t.ok(metrics.sum('lychgate_upstream_tls_failures_total', { cause: 'pin_mismatch' }) >= 1);
  },
);

t.test(
  'a certificate that is replaced on disk is shown by the sessions after a reload, and older ones end',
  { skip: missingAddon },
  async (t) => {
    const [first, second] = [issueClientCertificate('first'), issueClientCertificate('second')];
    const edge = await startWith(t, {
      web: { url: await startAskingOrigin(t), tls: { certificate: first.chainPath, key: first.keyPath } },
    });
    const client = await connectH3(t, edge.port);
    const get = async () => (await client.exchange({ path: '/web' })).text;
    const reload = async () => {
      const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' };
      return (await (await fetch(`${edge.admin}/v1/reload`, init)).json()) as Record<string, unknown>;
    };
    t.equal(await get(), 'first TLSv1.3');
    renameSync(second.chainPath, first.chainPath);
    t.match(await reload(), { result: 'invalid', problems: [/web\.tls\.key: the key does not belong to the certificate/] });
    t.equal(await get(), 'first TLSv1.3', 'half of a pair changes nothing');
    renameSync(second.keyPath, first.keyPath);
    t.match(await reload(), { result: 'applied' });
    t.equal(await get(), 'second TLSv1.3');
    await until('the older session ends', async () => (await edge.metrics()).sum('lychgate_upstream_sessions') === 1);
  },
);

t.test(
  'what an upstream trusts and shows follows its files, and what is wrong with them changes nothing and is told by name',
  { skip: missingAddon },
  async (t) => {
    const [first, second] = [issueClientCertificate('before'), issueClientCertificate('after')];
    const ca = join(t.testdir(), 'ca.pem');
    copyFileSync(certificates().caPath, ca);
    const url = await startAskingOrigin(t);
    const edge = await startWith(t, {
      web: { url, tls: { ca, certificate: first.chainPath, key: first.keyPath } },
      other: { url, tls: { certificate: second.chainPath, key: second.keyPath } },
    });
    const client = await connectH3(t, edge.port);
    const get = async (name = 'web') => (await client.exchange({ path: `/${name}` })).text;
    const trustOf = async () => {
      const { upstreams } = (await edge.ask('/v1/upstreams')) as { upstreams: { name: string; trust: Trust }[] };
      return upstreams.find(({ name }) => name === 'web')?.trust as Trust;
    };
    const reloads = async (result: string) =>
      (await edge.metrics()).sum('lychgate_upstream_certificate_reloads_total', { upstream: 'web', result });
    t.equal(await get(), 'before TLSv1.3');
    t.equal(await get('other'), 'after TLSv1.3');

    writeFileSync(first.chainPath, second.chain);
    await until('half of a pair is refused', async () => (await trustOf()).refusal !== null);
    t.match(await trustOf(), {
      refusal: { message: `${first.keyPath}: the key does not belong to the certificate` },
      certificate: { subject: 'CN=before' },
    });
    t.equal(await get(), 'before TLSv1.3');
    t.equal((await edge.metrics()).sum('lychgate_upstream_certificate_refused', { upstream: 'web' }), 1);

    writeFileSync(first.keyPath, second.key);
    await until('the pair is in use', async () => (await get()) === 'after TLSv1.3');
    t.match(await trustOf(), { refusal: null, certificate: { subject: 'CN=after' } });
    t.equal(await reloads('changed'), 1);

    writeFileSync(ca, certificates().ca.slice(0, 200));
    await until('half a file is refused', async () => (await trustOf()).refusal !== null);
    t.match((await trustOf()).refusal?.message, `${ca}: the CERTIFICATE that begins on line 1 has no end`);
    t.equal(await get(), 'after TLSv1.3');

    const stranger = strangersCa();
    writeFileSync(ca, stranger);
    await until('another authority is trusted', async () => (await reloads('changed')) === 2);
    t.match(JSON.parse(await get()), { error: 'tls_failed' }, 'who issued the certificate of the backend is trusted no more');
    writeFileSync(ca, stranger + certificates().ca);
    await until('old and new are trusted together', async () => (await get()) === 'after TLSv1.3');
    t.equal(await get('other'), 'after TLSv1.3', 'the other upstream has files of its own');
    t.equal((await edge.metrics()).sum('lychgate_upstream_certificate_refused'), 0);
    const told = edge.log.filter(
      ({ msg }) => msg === 'authorities or client certificate of the upstream refused; the one before stays in use',
    );
    t.same(
      told.map(({ upstream }) => upstream),
      ['web', 'web'],
      'each fault once',
    );
  },
);

t.test(
  'what changed meanwhile outlives a reload, and one that is asked for reads the files of upstreams too',
  { skip: missingAddon },
  async (t) => {
    const [first, second] = [issueClientCertificate('unwatched'), issueClientCertificate('renewed')];
    const tls = { certificate: first.chainPath, key: first.keyPath };
    const edge = await startWith(t, { web: { url: await startAskingOrigin(t), tls } }, { certificates: { watch: false } });
    const client = await connectH3(t, edge.port);
    const post = async (path: string) => {
      const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' };
      return (await fetch(`${edge.admin}${path}`, init)).json();
    };
    const get = async () => (await client.exchange({ path: '/web' })).text;
    renameSync(second.chainPath, first.chainPath);
    t.match(await post('/v1/certificates/reload'), {
      error: 'certificate_refused',
      refused: [{ listener: 'upstream', certificate: 'web', message: /unwatched\.key: the key does not belong/ }],
    });
    t.equal(await get(), 'unwatched TLSv1.3');
    renameSync(second.keyPath, first.keyPath);
    t.match(await post('/v1/certificates/reload'), { result: 'changed', changed: 1 });
    t.equal(await get(), 'renewed TLSv1.3');
    t.match(await post('/v1/reload'), { result: 'applied' });
    t.equal(await get(), 'renewed TLSv1.3');
  },
);

interface Trust {
  readonly refusal: { readonly message: string } | null;
}

/** A CA that issued nothing here. */
function strangersCa(): string {
  const path = join(certificates().folder, 'stranger.pem');
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${path}.key`];
  execFileSync('openssl', ['req', '-x509', ...key, '-subj', '/CN=Stranger', '-days', '30', '-out', path], { stdio: 'ignore' });
  return readFileSync(path, 'utf8');
}
