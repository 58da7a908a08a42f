/**
 * What is wrong with the TLS of a backend is told by the log, the metrics, the events and the admin
 * API; clients are told no more than that it failed.
 */

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { certificates } from '../support/certificates.ts';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { freePort } from '../support/free-port.ts';
import { answers } from '../support/origin/behaviours.ts';
import { startH1Origin } from '../support/origin/h1.ts';
import { startH2Origin, startH2TlsOrigin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

const HELLO = answers('must not be asked');
const overTls = (url: string): string => url.replace(/^\w+:\/\//, 'https://');

/** A chain for the development key that has run out. */
function expired(): string {
  const { folder, keyPath, caPath } = certificates();
  const at = (name: string): string => join(folder, name);
  // `openssl ca`, because `openssl x509` takes no dates before 3.4, and no days below zero since.
  const settings = [
    '[ca]\ndefault_ca = own\n[own]',
    `database = ${at('expired.db')}\nnew_certs_dir = ${folder}\nrand_serial = yes\ndefault_md = sha256\npolicy = any`,
    '[any]\ncommonName = supplied\n[leaf]\nsubjectAltName = DNS:localhost,IP:127.0.0.1\n',
  ];
  writeFileSync(at('expired.cnf'), settings.join('\n'));
  writeFileSync(at('expired.db'), '');
  execFileSync('openssl', ['req', '-new', '-key', keyPath, '-subj', '/CN=localhost', '-out', at('expired.csr')], { stdio: 'ignore' });
  const by = ['-config', at('expired.cnf'), '-extensions', 'leaf', '-cert', caPath, '-keyfile', at('ca.key')];
  const dates = ['-startdate', '20200101000000Z', '-enddate', '20200102000000Z'];
  const files = ['-in', at('expired.csr'), '-out', at('expired.pem'), '-notext'];
  execFileSync('openssl', ['ca', '-batch', ...by, ...dates, ...files], { stdio: 'ignore' });
  return readFileSync(at('expired.pem'), 'utf8');
}

/** A backend by OpenSSL with options of its own. */
async function startServer(t: Test, options: readonly string[]): Promise<string> {
  const { chainPath, keyPath } = certificates();
  const port = await freePort();
  const server = spawn('openssl', ['s_server', '-accept', `127.0.0.1:${port}`, '-cert', chainPath, '-key', keyPath, ...options]);
  t.teardown(() => server.kill('SIGKILL'));
  server.stdin.on('error', () => {});
  await once(server.stdout, 'data');
  return `https://127.0.0.1:${port}`;
}

interface Case {
  readonly reason: string;
  /** What `lychgate upstreams` has behind the reason. */
  readonly detail: RegExp;
  readonly backend: (t: Test) => Promise<string>;
  readonly isIssuerTrusted?: boolean;
  readonly serverName?: string;
}

const CASES: readonly Case[] = [
  {
    reason: 'tls_issuer_unknown',
    detail: /: unable to get local issuer certificate$/,
    backend: async (t) => (await startH2TlsOrigin(t, HELLO)).url,
    isIssuerTrusted: false,
  },
  {
    reason: 'tls_name_mismatch',
    detail: /: Hostname mismatch$/,
    backend: async (t) => (await startH2TlsOrigin(t, HELLO)).url,
    serverName: 'other.test',
  },
  {
    reason: 'tls_certificate_expired',
    detail: /: certificate has expired$/,
    backend: async (t) => (await startH2TlsOrigin(t, HELLO, { cert: expired() })).url,
  },
  { reason: 'tls_plain_text', detail: /^tls_plain_text$/, backend: async (t) => overTls((await startH2Origin(t, HELLO)).url) },
  {
    reason: 'tls_plain_text',
    detail: /^tls_plain_text$/,
    backend: async (t) => overTls((await startH1Origin(t, (_request, response) => response.end())).url),
  },
  {
    reason: 'tls_not_agreed',
    detail: /: protocol_version$/,
    backend: (t) => startServer(t, ['-tls1_1', '-cipher', 'DEFAULT@SECLEVEL=0']),
  },
  {
    reason: 'tls_not_agreed',
    detail: /: handshake_failure$/,
    backend: (t) => startServer(t, ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-CCM8']),
  },
  {
    reason: 'tls_alert',
    detail: /: unrecognized_name$/,
    backend: (t) => {
      const { chainPath, keyPath } = certificates();
      return startServer(t, ['-servername', 'known.test', '-servername_fatal', '-cert2', chainPath, '-key2', keyPath]);
    },
    serverName: 'localhost',
  },
];

for (const [place, { reason, detail, backend, isIssuerTrusted = true, serverName }] of CASES.entries()) {
  t.test(`the cause of a TLS failure is told: ${reason}, ${place + 1}`, { skip: missingAddon }, async (t) => {
    const url = await backend(t);
    const edge = await startEdge(t, {
      backends: [url],
      upstream: {
        backends: [{ url, ...(serverName === undefined ? {} : { server_name: serverName }) }],
        ...(isIssuerTrusted ? { tls: { ca: certificates().caPath } } : {}),
        breaker: { consecutive: 1 },
      },
      route: { retries: 0 },
    });
    const client = await connectH3(t, edge.port);
    const response = await client.exchange();
    t.equal(response.status, 502);
    t.match(JSON.parse(response.text), { error: 'tls_failed', status: 502 }, 'no business of the client');

    t.match(await until('the access line', () => edge.access()[0]), { status: 502, reason, ended_by: 'backend' });
    const opened = await until('the event', () => edge.log.find((line) => line['event'] === 'breaker_opened'));
    t.equal(opened['reason'], reason);
    const { upstreams } = (await edge.ask('/v1/upstreams')) as { upstreams: { backends: Record<string, unknown>[] }[] };
    const [shown] = upstreams[0]?.backends ?? [];
    t.match(shown, { lastFailure: { reason }, lastFault: detail });
    const metrics = await edge.metrics();
    t.ok(metrics.sum('lychgate_attempt_failures_total', { reason }) >= 1);
    t.ok(metrics.sum('lychgate_upstream_tls_failures_total', { cause: reason.replace('tls_', '') }) >= 1);
    t.equal(
      metrics.sum('lychgate_upstream_tls_failures_total'),
      metrics.sum('lychgate_upstream_connects_total', { outcome: 'tls_failed' }),
    );
  });
}
