/**
 * How the programs of a comparison end: asked to, and killed when they do not within four seconds.
 */

import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  if (await Promise.race([ended.then(() => true), sleep(4_000, false)])) return;
  child.kill('SIGKILL');
  await ended;
}
