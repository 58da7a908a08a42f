/**
 * The backends of a run, seen from the runner: what they have been asked, and the strings by which
 * they are made to misbehave.
 */

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Mode, Order, Report } from './backend.ts';

const program = join(import.meta.dirname, 'backend.ts');

/** One backend. It keeps its ports when its process is killed and started again. */
export class Backend {
  h2Port = 0;
  h1Port = 0;
  /** When requests arrived, probes of health apart; milliseconds since the epoch. */
  arrivals: number[] = [];
  #process: ChildProcess | null = null;

  /** Starts the process; its ports are free ones the first time. */
  async start(): Promise<void> {
    const child = fork(program, [String(this.h2Port), String(this.h1Port)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    this.#process = child;
    await new Promise<void>((resolve, reject) => {
      child.once('exit', () => reject(new Error('a backend ended while starting')));
      child.on('message', (message) => {
        const report = message as Report;
        if (report.kind === 'arrivals') for (const time of report.times) this.arrivals.push(time);
        else {
          this.h2Port = report.h2Port;
          this.h1Port = report.h1Port;
          resolve();
        }
      });
    });
  }

  /** Makes it misbehave, or well again. */
  become(mode: Mode): void {
    this.#tell({ kind: 'mode', mode });
  }

  /** Lets it work on so many requests at once, each for so long; more than that wait. */
  limit(concurrency: number, serviceMs: number): void {
    this.#tell({ kind: 'capacity', concurrency, serviceMs });
  }

  /** Answers of different length; slower ones at first. */
  mix(slowShare: number, slowMs: number, coldMs: number, coldForMs: number): void {
    this.#tell({ kind: 'mix', slowShare, slowMs, coldMs, coldForMs });
  }

  /** Lets it do nothing at all for a moment. */
  pause(ms: number): void {
    this.#tell({ kind: 'pause', ms });
  }

  /** Ends the process without warning, as a crash does. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  #tell(order: Order): void {
    if (this.#process?.connected === true) this.#process.send(order);
  }
}

/** Starts so many backends. */
export async function startBackends(count: number): Promise<Backend[]> {
  const backends = Array.from({ length: count }, () => new Backend());
  await Promise.all(backends.map((backend) => backend.start()));
  return backends;
}
