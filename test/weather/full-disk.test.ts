/** Standard output on a full disk: lines are lost, traffic is not, and the edge ends when it is told to. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { stringify } from 'yaml';
import { connectH3 } from '../support/client/h3.ts';
import { configuration, missingAddon } from '../support/edge.ts';
import { freePort } from '../support/free-port.ts';
import { answers } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { plainCommand, plainEnvironment } from '../support/process.ts';
import { until, within } from '../support/wait.ts';

t.test('an edge whose log has no room serves, drains and exits 0', { skip: missingAddon, timeout: 40_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'lychgate-full-'));
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

  const full = openSync('/dev/full', 'w');
  const child = spawn(...plainCommand(join(import.meta.dirname, '../../bin/lychgate'), ['run', '--config', path]), {
    stdio: ['ignore', full, 'inherit'],
    env: plainEnvironment(),
  });
  closeSync(full);
  const ended = once(child, 'exit');
  t.teardown(() => child.kill('SIGKILL'));
  await until('readiness', async () => (await fetch(`http://127.0.0.1:${adminPort}/readyz`).catch(() => null))?.ok === true, 20_000);

  const client = await connectH3(t, port);
  for (let count = 0; count < 10; count += 1) t.equal((await client.exchange()).status, 200);
  child.kill('SIGTERM');
  t.same(await within(10_000, 'the edge ends', ended), [0, null]);
});
