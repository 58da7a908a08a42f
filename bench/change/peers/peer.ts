/**
 * What a proxy of the comparison is: found or missing, started before the backend, changed by the
 * best way it has.
 */

import { type ChildProcess, execFile } from 'node:child_process';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { end } from '../../end.ts';
import { connectTo } from '../clients.ts';

/** What is changed. */
export const KINDS = ['certificates', 'routes', 'listeners', 'client CAs', 'ticket keys'] as const;
export type Kind = (typeof KINDS)[number];

/**
 * Where everything is, and what is to be in force; whoever changes it then has the proxy apply it.
 */
export interface Stage {
  /** A folder of its own for configuration and logs. */
  readonly folder: string;
  /** Files of the certificate; others are renamed into their place. */
  readonly chainPath: string;
  readonly keyPath: string;
  /** A CA that clients may show certificates of; only where that is the kind of change. */
  readonly caPath: string;
  /** Keys of session tickets; only where that is the kind of change. */
  readonly ticketPath: string;
  readonly backend: { readonly h2Port: number; readonly h1Port: number };
  readonly kind: Kind;
  readonly port: number;
  /** Another port to listen on, 0 for none. */
  extraPort: number;
  /** Value of the field `x-mark` of responses. */
  mark: number;
  /** Which change this is. */
  serial: number;
}

/** What an operator is told who applies a change. */
export interface Told {
  readonly isRefused: boolean;
  readonly text: string;
}

/** A proxy that runs. */
export interface Running {
  /** Brings what is on the stage into force. */
  apply(): Promise<Told>;
  stop(): Promise<void>;
}

/** A proxy of the comparison. */
export interface Peer {
  readonly name: string;
  /** How to get it, for those who have not. */
  readonly source: string;
  version(): string | null;
  /** By which of its ways each kind of change is made; it has none for those that are missing. */
  readonly ways: Readonly<Partial<Record<Kind, string>>>;
  start(stage: Stage): Promise<Running>;
}

const START_LIMIT_MS = 20_000;

/** Waits until a request comes through, and gives the running proxy. */
export async function whenServing(stage: Stage, child: ChildProcess, name: string, apply: () => Promise<Told>): Promise<Running> {
  const stop = (): Promise<void> => end(child);
  const giveUpMs = Date.now() + START_LIMIT_MS;
  while (Date.now() < giveUpMs && child.exitCode === null && child.signalCode === null) {
    const client = await connectTo(stage.port, { connectTimeoutMs: 1_000 }).catch(() => undefined);
    const status =
      client &&
      (await Promise.race([
        client.exchange().then(
          (response) => response.status,
          () => 0,
        ),
        sleep(1_000, 0),
      ]));
    void client?.close();
    if (status === 200) return { apply, stop };
    await sleep(100);
  }
  await stop();
  throw new Error(`${name} does not answer:\n${logOf(stage, name).slice(-2_000)}`);
}

export function logOf({ folder }: Stage, name: string): string {
  return readFileSync(join(folder, `${name}.log`), 'utf8');
}

/** Puts a file in the place of another. */
export function putFile(path: string, text: string | Buffer): void {
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** Runs a command of the proxy's; what it prints is what its operator is told. */
export function command(program: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<Told> {
  return new Promise((resolve) => {
    execFile(program, args, { env, timeout: 30_000 }, (error, stdout, stderr) => {
      resolve({ isRefused: error !== null, text: `${stdout}${stderr}`.trim() });
    });
  });
}

/** What is added to a log within a while of a signal; a line that matches `fault` is a refusal. */
export async function toldByLog(stage: Stage, name: string, act: () => void, fault: RegExp, whileMs = 500): Promise<Told> {
  const before = logOf(stage, name).length;
  act();
  const untilMs = performance.now() + whileMs;
  for (;;) {
    const lines = logOf(stage, name)
      .slice(before)
      .split('\n')
      .filter((line) => fault.test(line));
    if (lines.length > 0) return { isRefused: true, text: lines.join('\n') };
    if (performance.now() > untilMs) return { isRefused: false, text: '' };
    await sleep(20);
  }
}

/** One order to a socket of HAProxy's, and its answer. */
export async function askSocket(path: string, order: string): Promise<string> {
  const socket = createConnection(path);
  socket.end(`${order}\n`);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString().trim();
}
