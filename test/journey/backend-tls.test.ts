/** What an upstream demands of its backends' TLS and shows to them: a certificate of its own, versions, pinned keys. What does not fit is told by its cause. */

import { createHash, X509Certificate } from 'node:crypto';
import { renameSync } from 'node:fs';
import { createServer } from 'node:https';
import type { TLSSocket } from 'node:tls';
import t, { type Test } from 'tap';
import { certificates, issueClientCertificate } from '../support/certificates.ts';
import { connectH3 } from '../support/client/h3.ts';
import { type Edge, missingAddon, startEdge } from '../support/edge.ts';
import { until } from '../support/wait.ts';

/** A backend that wants a certificate of the test's CA, and answers with its name and the version. */
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
function startWith(t: Test, backends: Readonly<Record<string, { readonly url: string; readonly tls: object }>>): Promise<Edge> {
  return startEdge(t, {
    backends: [],
    config: {
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
  t.match(faults, { shown: null, low: null, missing: 'tls_alert: certificate_required', high: /^tls_not_agreed/ });
  t.match(faults['missing-old'], /^tls_(alert|not_agreed): /, 'TLS 1.2 says it during the handshake');
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
