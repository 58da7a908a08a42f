/** `lychgate run` as a process: ready lines, signals, exit statuses, mistakes at the start. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { configuration, type EdgeOptions, missingAddon, startEdge } from '../support/edge.ts';
import { plainCommand, plainEnvironment } from '../support/process.ts';
import { until } from '../support/wait.ts';

const skip = missingAddon;
const backends = ['h2c://127.0.0.1:9'];

/** Runs the command until it ends by itself. */
async function runToEnd(t: Test, options: EdgeOptions) {
  const folder = mkdtempSync(join(tmpdir(), 'lychgate-run-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'edge.yaml');
  writeFileSync(path, stringify(configuration(options)));
  const child = spawn(...plainCommand(join(import.meta.dirname, '../../bin/lychgate'), ['run', '--config', path]), {
    env: plainEnvironment(),
  });
  const text = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    text.stdout += chunk;
  });
  child.stderr.setEncoding('utf8').on('data', (chunk) => {
    text.stderr += chunk;
  });
  t.teardown(() => child.kill('SIGKILL'));
  const [status] = await once(child, 'close');
  return { status: status as number | null, ...text };
}

t.test('where it listens is announced whatever the log level is', { skip }, async (t) => {
  const edge = await startEdge(t, { backends, shards: 2, config: { log: { level: 'silent' } } });
  t.same(
    edge.log.map(({ msg, listener, admin }) => ({ msg, listener, admin })),
    [
      { msg: 'ready', listener: 'public', admin: undefined },
      { msg: 'ready', listener: undefined, admin: true },
    ],
  );
});

t.test('every shard is ready when the edge is', { skip }, async (t) => {
  const edge = await startEdge(t, { backends, shards: 2 });
  t.match(await edge.ask('/v1/status'), {
    state: 'serving',
    shards: [
      { shard: 0, state: 'ready' },
      { shard: 1, state: 'ready' },
    ],
  });
});

for (const [signal, status] of [
  ['SIGTERM', 143],
  ['SIGINT', 130],
] as const) {
  t.test(`a second ${signal} during the drain ends the process at once with ${status}`, { skip }, async (t) => {
    const edge = await startEdge(t, { backends, isLeakChecked: false, config: { drain: { delay: '30s' } } });
    const ended = once(edge.child, 'exit');
    edge.child.kill(signal);
    await until('readiness is false', async () => (await fetch(`${edge.admin}/readyz`)).status === 503);
    edge.child.kill(signal);
    t.equal((await ended)[0], status);
  });
}

t.test('a second edge does not join the port of the first', { skip }, async (t) => {
  const first = await startEdge(t, { backends });
  const { status, stderr } = await runToEnd(t, { backends, listener: { address: `127.0.0.1:${first.port}` } });
  t.equal(status, 1);
  t.match(stderr, `listener public cannot listen on 127.0.0.1:${first.port}; another process listens there`);
  t.notMatch(stderr, /\n\s+at /, 'no stack');
});

t.test('a configuration with mistakes starts nothing', async (t) => {
  const { status, stderr, stdout } = await runToEnd(t, { backends: ['h2c://127.0.0.1:9'], route: { upstream: 'nowhere' } });
  t.equal(status, 1);
  t.match(stderr, /nowhere/);
  t.equal(stdout, '');
});
