/** A bare Debian for tests: what bare.sh makes, and commands run in there. */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { appendFileSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { plainEnvironment } from '../support/process.ts';

const script = join(import.meta.dirname, 'bare.sh');

export interface Said {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A system of its own, gone when the test is over. */
export interface Bare {
  /** Runs a line of shell in the checkout there, as root or as nobody. */
  run(line: string, options?: { readonly user?: 'nobody'; readonly env?: Record<string, string> }): Promise<Said>;
  /** Starts one that a test ends: the process that was asked to enter. */
  start(line: string): ChildProcess;
  /** Processes that live there. */
  processes(): number;
  write(path: string, text: string): void;
  append(path: string, text: string): void;
}

/**
 * Why there can be no bare system of a suite here (debootstrap, its mirror, namespaces); false when
 * there can. For a test's `skip`.
 */
export async function missingBase(suite: string): Promise<string | false> {
  const able = await sh([script, 'can']);
  if (able.status !== 0) return able.stdout.trim();
  const made = await sh([script, 'base', suite]);
  return made.status === 0 ? false : made.stderr.trim().split('\n').slice(-1).join();
}

export async function bareSystem(t: Test, suite: string, name: string): Promise<Bare> {
  const { status, stdout, stderr } = await sh([script, 'copy', suite, name]);
  if (status !== 0) throw new Error(stderr);
  const folder = stdout.trim();
  t.teardown(() => sh([script, 'drop', folder]));
  return {
    run(line, { user, env = {} } = {}) {
      const become = user === undefined ? [] : ['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups'];
      return sh([script, 'in', folder, ...become, 'sh', '-c', `cd /srv/lychgate && ${line}`], env);
    },
    start: (line) => spawn('sh', [script, 'in', folder, 'sh', '-c', line], { env: plainEnvironment(), stdio: 'ignore' }),
    processes: () => readdirSync('/proc').filter((name) => /^\d+$/.test(name) && rootOf(name) === folder).length,
    write: (path, text) => writeFileSync(join(folder, path), text),
    append: (path, text) => appendFileSync(join(folder, path), text),
  };
}

function rootOf(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/root`);
  } catch {
    return undefined; // Ended since it was listed.
  }
}

function sh(words: readonly string[], env: Record<string, string> = {}): Promise<Said> {
  return new Promise((resolve) => {
    execFile('sh', words, { env: plainEnvironment(env), maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : typeof error.code === 'number' ? error.code : 1, stdout, stderr });
    });
  });
}
