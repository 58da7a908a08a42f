/**
 * An edge whose standard output nobody can read: its ports are chosen beforehand, since it cannot
 * say them.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Test } from 'tap';
import { stringify } from 'yaml';
import { connectH3 } from './client/h3.ts';
import { configuration } from './edge.ts';
import { freePort } from './free-port.ts';
import { Metrics } from './metrics.ts';
import { answers } from './origin/behaviours.ts';
import { startH2Origin } from './origin/h2.ts';
import { plainCommand, plainEnvironment } from './process.ts';
import { until, within } from './wait.ts';

/** Starts one and connects to it; it is killed with the test, if `stop` has not ended it. */
export async function startUnheardEdge(t: Test, stdout: 'pipe' | number) {
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
    /** SIGTERM, and it must drain and exit 0 in time. */
    async stop(withinMs = 20_000) {
      child.kill('SIGTERM');
      t.same(await within(withinMs, 'the edge ends', ended), [0, null]);
    },
  };
}
