/**
 * What `npm pack` gives is what people install: it runs without the sources, in a folder of its
 * own.
 */

import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { certificates } from '../support/certificates.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { answers } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { plainCommand, plainEnvironment } from '../support/process.ts';

const start = promisify(execFile);
const run = (program: string, args: string[], options: { cwd?: string; env: NodeJS.ProcessEnv }) =>
  start(...plainCommand(program, args), { maxBuffer: 1 << 24, ...options });
const root = join(import.meta.dirname, '../..');

t.setTimeout(240_000);

t.test('the packed package installs elsewhere and serves a request', { skip: missingAddon, timeout: 240_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'lychgate-package-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const env = plainEnvironment({
    LYCHGATE_NODE: process.execPath,
    NPM_CONFIG_LOGLEVEL: 'error',
    npm_config_audit: 'false',
    npm_config_fund: 'false',
  });
  await run('npm', ['pack', '--pack-destination', folder], { cwd: root, env });
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? '';
  await run('npm', ['install', '--prefix', folder, '--omit=dev', '--prefer-offline', join(folder, tarball)], { env });

  const installed = join(folder, 'node_modules/lychgate');
  t.notOk(existsSync(join(installed, 'src')), 'the sources stay at home');
  const bin = join(folder, 'node_modules/.bin/lychgate');
  t.match((await run(bin, ['--version'], { env })).stdout, /^\d+\.\d+\.\d+/);

  const library = ['lychgate/resilience', 'lychgate/resilience/fastify', 'lychgate/resilience/express', 'lychgate/edge'];
  const code = `for (const name of ${JSON.stringify(library)}) console.log(Object.keys(await import(name)).length > 0)`;
  const importing = await run(process.execPath, ['--input-type=module', '-e', code], { cwd: folder, env });
  t.equal(importing.stdout, 'true\ntrue\ntrue\ntrue\n', 'the library is entered by its names');
  for (const name of library) {
    const types = join(installed, 'dist', name === library[0] ? 'resilience/index.d.ts' : `${name.slice('lychgate/'.length)}.d.ts`);
    t.ok(existsSync(types), `${name} has types`);
  }

  const origin = await startH2Origin(t, answers('from the package'));
  const edge = await startEdge(t, { backends: [origin.url], bin });
  const { stdout, stderr } = await run(bin, ['get', '--ca', certificates().caPath, `https://localhost:${edge.port}/`], { env });
  t.equal(stdout, 'from the package');
  t.match(stderr, /^HTTP\/3 200$/m);
});
