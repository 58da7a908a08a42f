/**
 * The load: h2load at a fixed rate with a line for each request, the same program for all proxies
 * over the best protocol each has. The rate does not wait for answers as long as streams are free,
 * so that a proxy cannot hide that it hangs.
 */

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram } from '../../test/support/process.ts';

const program = process.env['H2LOAD'] || findProgram('h2load');

/** Why there can be no load; false when there can. */
export const missingH2load: string | false = hasAllWeNeed() ? false : 'h2load with HTTP/3 and --log-file is not installed (H2LOAD, PATH)';

/** The answer to one request. */
export interface Sample {
  /** When it was sent, milliseconds since the epoch. */
  readonly startMs: number;
  /** 0 for a stream that was reset or a connection that was lost. */
  readonly status: number;
  /** Until the end of the response. */
  readonly durationMs: number;
}

/** What a run of the load came to. */
export interface LoadResult {
  readonly planned: number;
  /** Fewer than planned when requests hung until the load was ended. */
  readonly samples: readonly Sample[];
}

/** What to send. */
export interface LoadOrder {
  readonly port: number;
  readonly isHttp3: boolean;
  readonly requestsPerSecond: number;
  readonly seconds: number;
  readonly connections: number;
  /** In flight at once on each connection at most. */
  readonly streams: number;
  readonly path?: string;
  readonly fields?: Readonly<Record<string, string>>;
  /** Folder for the log. */
  readonly folder: string;
  /** How long to wait for late answers. */
  readonly patienceMs: number;
}

let runs = 0;

/** Sends requests at a steady rate and gives what became of them. */
export async function send(order: LoadOrder): Promise<LoadResult> {
  const path = join(order.folder, `load-${process.pid}-${++runs}.tsv`);
  const rate = order.requestsPerSecond / order.connections;
  const planned = Math.round(rate * order.seconds) * order.connections;
  const fields = Object.entries(order.fields ?? {}).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
  const child = spawn(
    program ?? 'h2load',
    [
      ...(order.isHttp3 ? ['--h3'] : []),
      ...['-t1', `-c${order.connections}`, `-m${order.streams}`, `-n${planned}`, `--rps=${rate}`, `--log-file=${path}`, ...fields],
      ...[`--connect-to=127.0.0.1:${order.port}`, `https://localhost:${order.port}${order.path ?? '/'}`],
    ],
    { stdio: 'ignore' },
  );
  const ended = once(child, 'close');
  // Told to end, it leaves the lines of what was answered behind.
  const patience = setTimeout(() => child.kill('SIGTERM'), order.seconds * 1_000 + order.patienceMs);
  await ended;
  clearTimeout(patience);
  const samples = existsSync(path) ? readLog(readFileSync(path, 'utf8')) : [];
  rmSync(path, { force: true });
  return { planned, samples };
}

/**
 * Lines of start in microseconds since the epoch, status (-1 for a failed stream) and microseconds
 * to the end of the response.
 */
function readLog(text: string): Sample[] {
  const samples: Sample[] = [];
  for (const line of text.split('\n')) {
    const [start, status, duration] = line.split('\t').map(Number);
    if (start === undefined || status === undefined || duration === undefined) continue;
    samples.push({ startMs: start / 1_000, status: Math.max(0, status), durationMs: duration / 1_000 });
  }
  return samples;
}

function hasAllWeNeed(): boolean {
  if (program === undefined) return false;
  const help = spawnSync(program, ['--help'], { encoding: 'utf8' }).stdout ?? '';
  return ['--h3', '--log-file', '--rps', '--connect-to'].every((option) => help.includes(option));
}
