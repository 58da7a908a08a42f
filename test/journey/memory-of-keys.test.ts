/**
 * Private keys stay in the memory of the edge: a crash leaves no core file, and no other process of
 * its user may look. As an ordinary user, to whom the kernel grants nothing.
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, copyFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { certificates } from '../support/certificates.ts';
import { configuration, missingAddon } from '../support/edge.ts';
import { answers } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { plainCommand, plainEnvironment } from '../support/process.ts';
import { until } from '../support/wait.ts';

const root = join(import.meta.dirname, '../..');
const bin = join(root, 'bin/lychgate');
/** That of `nobody`, where root runs the tests. */
const OTHER = 65_534;
const isRoot = process.getuid?.() === 0;
const become = isRoot ? [`--reuid=${OTHER}`, `--regid=${OTHER}`, '--clear-groups'] : [];

/** Runs a command as the user that the edge has. */
function asUser(...words: string[]) {
  return spawnSync('setpriv', [...become, ...words], { env: plainEnvironment() });
}

const skip = missingAddon || (asUser('test', '-r', bin).status === 0 ? false : 'an ordinary user cannot read this checkout');

interface Running {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly admin: string;
  readonly folder: string;
  readonly said: () => string;
}

/** An edge of an ordinary user, which may leave a core file of any size in its folder. */
async function start(t: Test, section: Record<string, unknown>): Promise<Running> {
  const origin = await startH2Origin(t, answers('here'));
  const folder = mkdtempSync(join(tmpdir(), 'lychgate-memory-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const { chainPath, keyPath } = certificates();
  copyFileSync(chainPath, join(folder, 'dev.pem'));
  copyFileSync(keyPath, join(folder, 'dev.key'));
  const listener = { certificates: [{ names: ['localhost'], chain: 'dev.pem', key: 'dev.key' }] };
  writeFileSync(join(folder, 'edge.yaml'), stringify(configuration({ backends: [origin.url], listener, config: section })));
  chmodSync(join(folder, 'dev.key'), 0o600);
  if (isRoot) for (const path of [folder, ...readdirSync(folder).map((name) => join(folder, name))]) chownSync(path, OTHER, OTHER);

  const words = ['--pdeathsig', 'KILL', ...become, 'sh', '-c', 'ulimit -c unlimited; exec "$@"', 'sh', bin, 'run', 'edge.yaml'];
  const child = spawn(...plainCommand('setpriv', words), { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], env: plainEnvironment() });
  t.teardown(() => child.kill('SIGKILL'));
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', (line) => lines.push(line));
  const admin = await until(
    'the edge is ready',
    () => {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(`the edge ended\n${lines.join('\n')}`);
      return lines.map((line) => /^(?=.*"admin":true).*"address":"([^"]+)"/.exec(line)?.[1]).find((found) => found !== undefined);
    },
    30_000,
  );
  await until('readiness', async () => (await fetch(`http://${admin}/readyz`)).ok, 20_000);
  return { child, pid: child.pid ?? 0, admin: `http://${admin}`, folder, said: () => lines.join('\n') };
}

/** What a process of the same user sees of the memory. */
function canBeLookedAt({ pid }: Running): boolean {
  return asUser('head', '-c', '1', `/proc/${pid}/maps`).stdout.length > 0;
}

t.test('no other process of its user looks into the edge, unless the configuration says so', { skip }, async (t) => {
  const closed = await start(t, { process: {} });
  const open = await start(t, { process: { dumpable: true } });
  t.notOk(canBeLookedAt(closed));
  t.ok(canBeLookedAt(open));
});

t.test('what the edge says of itself is there all the same', { skip }, async (t) => {
  const edge = await start(t, { process: {} });
  const metrics = await (await fetch(`${edge.admin}/metrics`)).text();
  for (const name of ['lychgate_descriptors', 'lychgate_descriptors_limit']) t.match(metrics, new RegExp(`^${name} [1-9]`, 'm'), name);
  t.notMatch(edge.said(), /EACCES|EPERM|permission/i);
});

t.test('a crash leaves no core file with the private key in it', { skip }, async (t) => {
  const { child, folder } = await start(t, { process: {} });
  // Whether a core file comes here at all is seen by a process that anybody may look into.
  const crash = ['sh', '-c', 'ulimit -c unlimited && kill -SEGV $$'];
  spawnSync('setpriv', [...become, ...crash], { cwd: folder });
  const cores = () => readdirSync(folder).filter((name) => !/^(dev|edge)\./.test(name));
  if (cores().length !== 1) {
    t.comment('this machine writes core files elsewhere, or none');
    return;
  }
  for (const name of cores()) rmSync(join(folder, name));
  child.kill('SIGSEGV');
  await once(child, 'exit');
  t.strictSame(cores(), []);
});
