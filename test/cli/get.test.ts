/** `lychgate get` as people call it, against an edge that refuses. */

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { makeAuthority } from '../support/authority.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { plainCommand, plainEnvironment } from '../support/process.ts';

const skip = missingAddon;

function get(...words: readonly string[]): Promise<{ readonly code: number; readonly stderr: string }> {
  const command = plainCommand(join(import.meta.dirname, '../../bin/lychgate'), ['get', ...words]);
  return new Promise((resolve) => {
    execFile(...command, { env: plainEnvironment() }, (error, _stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stderr });
    });
  });
}

t.test('a server that wants a certificate of the client is told from one that is not there', { skip }, async (t) => {
  const authority = makeAuthority(t.testdir(), 'own');
  const origin = await startH2Origin(t, (request) => request.respond({ ':status': 200 }));
  const tls = { client_certificates: { mode: 'required', ca: [authority.ca] } };
  const edge = await startEdge(t, { backends: [origin.url], listener: { tls } });
  const refused = await get('--insecure', '--timeout', '20', `https://localhost:${edge.port}/`);
  t.match(refused.stderr, /wants a certificate of the client \(TLS alert 116\)/);
  t.equal(refused.code, 56);
});
