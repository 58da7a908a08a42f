/**
 * A CA for development at work: an edge with its certificate asks for those of its clients, and
 * takes up what is revoked while it runs.
 */

import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { parse } from 'yaml';
import { createH3Ask } from '../../src/control/health/ask-h3.ts';
import { addon, skip } from '../support/addon.ts';
import { startEdge } from '../support/edge.ts';
import { answers } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { plainCommand, plainEnvironment } from '../support/process.ts';
import { until } from '../support/wait.ts';

const start = promisify(execFile);
const bin = join(import.meta.dirname, '../../bin/lychgate');

t.test('what pki says is next makes an edge that knows its clients, until one of them is revoked', { skip }, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'lychgate-pki-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const pki = async (...words: string[]) => (await start(...plainCommand(bin, ['pki', ...words]), { env: plainEnvironment() })).stdout;
  /** The part of the configuration that a command shows. */
  const shown = (text: string) => parse(/^ +listeners:\n( .*\n)+/m.exec(text)?.[0] ?? '') as { listeners: [Record<string, object>] };
  await pki('init', dir);
  const [ofServer] = shown(await pki('issue', dir, '--name', 'localhost')).listeners;
  const [ofClients] = shown(await pki('issue', dir, '--name', 'alice', '--client')).listeners;
  await pki('issue', dir, '--name', 'bob', '--client');

  const origin = await startH2Origin(t, answers('you are known'));
  const edge = await startEdge(t, { backends: [origin.url], listener: { ...ofServer, ...ofClients }, isLeakChecked: false });
  const read = (name: string): string => readFileSync(join(dir, name), 'utf8');
  const get = async (name?: string): Promise<string> => {
    const asked = createH3Ask(
      {
        protocol: 'h3',
        scheme: 'https',
        method: 'GET',
        path: '/',
        authority: 'localhost',
        serverName: 'localhost',
        caPem: read('ca.pem'),
        isVerified: true,
        clientCertificate: name === undefined ? undefined : { chainPem: read(`${name}.pem`), keyPem: read(`${name}.key`) },
        minTlsVersion: '1.3',
        maxTlsVersion: '1.3',
        pins: [],
        timeoutMs: 10_000,
        bodyBytes: 1_000,
      },
      addon as NonNullable<typeof addon>,
    );
    return asked('127.0.0.1', edge.port, new AbortController().signal).then(
      ({ body }) => body,
      (error: Error) => error.message,
    );
  };
  t.same(await Promise.all([get('alice'), get('bob'), get()]), ['you are known', 'you are known', 'tls_certificate_required']);
  await pki('revoke', dir, join(dir, 'alice.pem'));
  await until('alice is known to nobody', async () => (await get('alice')) === 'tls_alert: certificate_revoked');
  t.equal(await get('bob'), 'you are known');
});
