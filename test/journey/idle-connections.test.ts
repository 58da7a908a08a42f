/**
 * Connections that are only there: they cost memory, not time, and still work when they are wanted.
 */

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import t from 'tap';
import { missingAddon, startEdge } from '../support/edge.ts';
import { answers } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { residentBytes } from '../support/process.ts';

const COUNT = 10_000;

/**
 * Goal of the project, with room for what an allocator keeps: a leak of one buffer a connection
 * would be seen.
 */
const MOST_KIB_EACH = 64;

const target = process.env['CARGO_TARGET_DIR'] || join(import.meta.dirname, '../../native/target');
const crowd = ['ci', 'release', 'debug']
  .map((profile) => join(target, profile, 'examples/idle_connections'))
  .find((file) => existsSync(file));
const skip = missingAddon || (crowd === undefined ? 'cargo test has not built the example idle_connections' : false);

t.test(`${COUNT} idle connections are held in little memory and answer when asked again`, { skip, timeout: 300_000 }, async (t) => {
  const origin = await startH2Origin(t, answers('still here'));
  const edge = await startEdge(t, { backends: [origin.url], listener: { quic: { idle_timeout: '2m' } } });
  const before = residentBytes(edge.pid);
  const client = spawn(crowd ?? '', [`127.0.0.1:${edge.port}`, `${COUNT}`, '5'], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => client.kill('SIGKILL'));
  const steps: Record<string, unknown>[] = [];
  for await (const line of createInterface({ input: client.stdout })) {
    const step = JSON.parse(line) as Record<string, unknown>;
    steps.push(step);
    if (step['step'] !== 'opened') continue;
    t.equal((await edge.metrics()).sum('lychgate_connections'), COUNT, 'all are open');
    const each = (residentBytes(edge.pid) - before) / COUNT / 1024;
    t.comment(`${each.toFixed(1)} KiB of resident memory each`);
    t.ok(each < MOST_KIB_EACH, `each takes less than ${MOST_KIB_EACH} KiB`);
  }
  t.match(steps, [
    { step: 'opened', answered: COUNT },
    { step: 'idle', open: COUNT },
    { step: 'again', answered: COUNT },
  ]);
});
