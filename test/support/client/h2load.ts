/**
 * h2load with HTTP/3 of nghttp2: load that one thread of JavaScript cannot make. Debian's has no
 * HTTP/3, so tests that miss it are skipped.
 */

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { findProgram } from '../process.ts';

const program = process.env['H2LOAD'] || findProgram('h2load');

/** Why h2load cannot be used here; false when it can. For a test's `skip`. */
export const missingH2load: string | false = hasHttp3() ? false : 'h2load with HTTP/3 is not installed (H2LOAD, PATH)';

export interface H2loadResult {
  readonly succeeded: number;
  /** Failed, errored and timed out. */
  readonly lost: number;
  readonly text: string;
}

/** Asks `url` so many times over so many connections with so many requests in flight on each. */
export async function h2load(url: string, requests: number, connections: number, streams: number): Promise<H2loadResult> {
  const child = spawn(program as string, ['--h3', '-t1', `-c${connections}`, `-m${streams}`, `-n${requests}`, url]);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
    });
  }
  await once(child, 'close');
  const found = /(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout/.exec(text);
  if (found === null) throw new Error(`h2load gave no result:\n${text}`);
  const [, succeeded, failed, errored, timeout] = found.map(Number);
  return { succeeded: succeeded ?? 0, lost: (failed ?? 0) + (errored ?? 0) + (timeout ?? 0), text };
}

function hasHttp3(): boolean {
  if (program === undefined) return false;
  return spawnSync(program, ['--help'], { encoding: 'utf8' }).stdout?.includes('--h3') === true;
}
