/** One run of h2load against a proxy, and the CPU the proxy used meanwhile. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpuNs } from './cpu.ts';
import { LOAD_CORE, programs } from './programs.ts';

/** What a run came to. */
export interface Load {
  /** Responses of class 2xx. */
  readonly ok: number;
  readonly failed: number;
  /** CPU of the proxy's whole process tree, nanoseconds. */
  readonly proxyNs: number;
  readonly wallMs: number;
  readonly text: string;
}

/**
 * Asks one path of a proxy as h2load's options say. `midway` is called once, so many milliseconds
 * after the start.
 */
export async function load(
  proxy: { pid: number; port: number },
  path: string,
  options: readonly string[],
  midway?: { afterMs: number; call: () => void },
): Promise<Load> {
  const began = performance.now();
  const before = cpuNs(proxy.pid);
  const child = spawn(
    'sh',
    [
      '-c',
      'ulimit -n 65536 2>/dev/null; exec taskset -c "$0" "$@"',
      String(LOAD_CORE),
      programs.h2load ?? 'h2load',
      '--h3',
      '-t1',
      ...options,
      `--connect-to=127.0.0.1:${proxy.port}`,
      `https://localhost:${proxy.port}${path}`,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let text = '';
  child.stdout.on('data', (chunk) => {
    text += chunk;
  });
  child.stderr.on('data', (chunk) => {
    text += chunk;
  });
  const timer = midway && setTimeout(midway.call, midway.afterMs);
  const limit = setTimeout(() => child.kill('SIGKILL'), 180_000);
  await once(child, 'close');
  clearTimeout(timer);
  clearTimeout(limit);
  return {
    ok: Number(/status codes: (\d+) 2xx/.exec(text)?.[1] ?? 0),
    failed: failures(text),
    proxyNs: cpuNs(proxy.pid) - before,
    wallMs: performance.now() - began,
    text,
  };
}

function failures(text: string): number {
  const found = /(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout/.exec(text);
  return found === null ? Number.POSITIVE_INFINITY : Number(found[2]) + Number(found[3]) + Number(found[4]);
}
