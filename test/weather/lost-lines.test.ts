/** Access lines that standard output does not take are counted as lost, by reason, and told on standard error; traffic goes on. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { connectH3 } from '../support/client/h3.ts';
import { configuration, missingAddon } from '../support/edge.ts';
import { freePort } from '../support/free-port.ts';
import { Metrics } from '../support/metrics.ts';
import { answers } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { plainCommand, plainEnvironment } from '../support/process.ts';
import { until, within } from '../support/wait.ts';

async function start(t: Test, stdout: 'pipe' | number) {
  const folder = mkdtempSync(join(tmpdir(), 'lychgate-lost-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const origin = await startH2Origin(t, answers('ok'));
  const [port, adminPort] = [await freePort(), await freePort()];
  const path = join(folder, 'edge.yaml');
  const config = configuration({
    backends: [origin.url],
    listener: { address: `127.0.0.1:${port}` },
    config: { admin: { address: `127.0.0.1:${adminPort}` } },
  });
  writeFileSync(path, stringify(config));
  const child = spawn(...plainCommand(join(import.meta.dirname, '../../bin/lychgate'), ['run', '--config', path]), {
    stdio: ['ignore', stdout, 'pipe'],
    env: plainEnvironment(),
  });
  const ended = once(child, 'exit');
  t.teardown(() => child.kill('SIGKILL'));
  const errors: string[] = [];
  createInterface({ input: child.stderr! }).on('line', (line) => errors.push(line));
  child.stdout?.resume();
  const admin = `http://127.0.0.1:${adminPort}`;
  await until('readiness', async () => (await fetch(`${admin}/readyz`).catch(() => null))?.ok === true, 20_000);
  const client = await connectH3(t, port);
  return {
    child,
    errors,
    metrics: async () => new Metrics(await (await fetch(`${admin}/metrics`)).text()),
    async ask(times: number) {
      for (let count = 0; count < times; count += 1) t.equal((await client.exchange()).status, 200);
    },
    async stop() {
      child.kill('SIGTERM');
      t.same(await within(20_000, 'the edge ends', ended), [0, null]);
    },
  };
}

t.test('lines are lost as closed when the reader has gone, and the edge goes on', { skip: missingAddon, timeout: 60_000 }, async (t) => {
  const edge = await start(t, 'pipe');
  await edge.ask(3);
  await until('three lines are written', async () => (await edge.metrics()).sum('lychgate_access_lines_total') === 3);
  edge.child.stdout?.destroy();
  await edge.ask(5);
  const lost = async () => (await edge.metrics()).sum('lychgate_access_lines_dropped_total', { reason: 'closed' });
  await until('five lines are lost', async () => (await lost()) === 5);
  t.equal((await edge.metrics()).sum('lychgate_access_lines_total'), 3);
  await until('it is told', () =>
    edge.errors.some((line) => /lines of the log were lost: the reader of standard output has gone/.test(line)),
  );
  await edge.stop();
});

t.test('lines to a full disk are not counted as written, and told of at the end', { skip: missingAddon, timeout: 60_000 }, async (t) => {
  const full = openSync('/dev/full', 'w');
  const edge = await start(t, full);
  closeSync(full);
  await edge.ask(5);
  await new Promise((resolve) => setTimeout(resolve, 300));
  t.equal((await edge.metrics()).sum('lychgate_access_lines_total'), 0);
  await edge.stop();
  t.match(edge.errors.join('\n'), /lines of the log were lost: the disk that standard output goes to is full/);
});
