/**
 * One proxy and one kind of change: begun afresh with its backend and clients, changed so often,
 * and asked what was lost.
 */

import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../chaos/peers/peer.ts';
import { type Clients, connectTo, type Losses, startClients } from './clients.ts';
import { type Kind, type Peer, putFile, type Running, type Stage, type Told } from './peers/peer.ts';

/** What came of it. */
export interface Figures {
  readonly by: string;
  readonly losses: Losses;
  readonly changes: number;
  /** Seconds from each change until it was seen from outside, where it was seen before the next. */
  readonly seenAfter: number[];
  /** Changes that the operator was told are refused. */
  readonly refused: number;
  /** What was said of the last of them. */
  readonly refusal: string;
  /** Of a pair that does not match; only where certificates change. */
  readonly broken?: Told & { readonly wasOldServed: boolean; readonly isOldServed: boolean };
}

export interface PlayOptions {
  readonly folder: string;
  readonly changes: number;
  readonly intervalMs: number;
  /**
   * Downloads go on for so long after the last change: what lets go of old connections late is seen
   * too.
   */
  readonly afterSeconds: number;
}

const CLIENTS = { downloads: 4, getsPerSecond: 50, connectEveryMs: 500 };

interface Made {
  readonly chain: string;
  readonly key: string;
}

export async function play(peer: Peer, kind: Kind, { folder: parent, changes, intervalMs, afterSeconds }: PlayOptions): Promise<Figures> {
  const folder = mkdtempSync(join(parent, `${peer.name}-${kind.replaceAll(' ', '-')}-`));
  const backend = fork(join(import.meta.dirname, 'backend.ts'), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], execArgv: [] });
  let running: Running | undefined;
  let clients: Clients | undefined;
  try {
    const [ports] = (await once(backend, 'message')) as [Stage['backend']];
    // Before anything is measured, for it takes time.
    mkdirSync(join(folder, 'made'));
    const made = Array.from({ length: kind === 'certificates' ? changes + 2 : 1 }, () => make(join(folder, 'made')));
    const authorities = kind === 'client CAs' ? Array.from({ length: changes + 1 }, () => make(join(folder, 'made'))) : [];
    const at = (name: string): string => join(folder, name);
    const stage: Stage = {
      ...{ folder, kind, backend: ports, port: await freePort(), extraPort: 0, mark: 0, serial: 0 },
      ...{ chainPath: at('chain.pem'), keyPath: at('key.pem'), caPath: at('ca.pem'), ticketPath: at('tickets.keys') },
    };
    const put = ({ chain, key }: Made): void => {
      putFile(stage.keyPath, key);
      putFile(stage.chainPath, chain);
    };
    const extraPorts = [await freePort(), await freePort()];
    const alter = (serial: number): void => {
      stage.serial = serial;
      if (kind === 'certificates' || serial === 0) put(made[serial] as Made);
      if (kind === 'routes') stage.mark = serial;
      if (kind === 'listeners' && serial > 0) stage.extraPort = extraPorts[serial % 2] as number;
      if (kind === 'client CAs') putFile(stage.caPath, (authorities[serial] as Made).chain);
      if (kind === 'ticket keys') putFile(stage.ticketPath, ticketKeys(peer));
    };
    const isSeen = (): Promise<boolean> => {
      if (kind === 'certificates') return shows(stage.port, (made[stage.serial] as Made).chain);
      if (kind === 'routes') return marks(stage.port, String(stage.mark));
      return listens(stage.extraPort);
    };
    alter(0);
    running = await peer.start(stage);
    clients = await startClients({
      ...CLIENTS,
      port: stage.port,
      seconds: Math.ceil((changes * intervalMs) / 1_000) + afterSeconds,
    });
    const seenAfter: number[] = [];
    let [refused, refusal] = [0, ''];
    let broken: Figures['broken'];
    for (let serial = 1; serial <= changes; serial += 1) {
      if (kind === 'certificates' && serial === Math.ceil(changes / 2) + 1) {
        const old = (made[serial - 1] as Made).chain;
        const wasOldServed = await isShownAtAll(stage.port, old);
        stage.serial = -1;
        put({ chain: (made.at(-1) as Made).chain, key: (made[0] as Made).key });
        const told = await running.apply();
        await sleep(500);
        broken = { ...told, wasOldServed, isOldServed: await isShownAtAll(stage.port, old) };
      }
      const beganMs = performance.now();
      const dueMs = beganMs + intervalMs;
      alter(serial);
      const { isRefused, text } = await running.apply();
      if (isRefused) {
        refused += 1;
        refusal = text;
      }
      if (kind !== 'client CAs' && kind !== 'ticket keys') {
        let isIt = await isSeen();
        while (!isIt && performance.now() < dueMs) {
          await sleep(20);
          isIt = await isSeen();
        }
        if (isIt) seenAfter.push((performance.now() - beganMs) / 1_000);
      }
      await sleep(Math.max(0, dueMs - performance.now()));
    }
    const losses = await clients.end();
    return { by: peer.ways[kind] ?? '', losses, changes, seenAfter, refused, refusal, ...(broken === undefined ? {} : { broken }) };
  } finally {
    clients?.stop();
    await running?.stop();
    await end(backend);
  }
}

/** A pair that signed itself, or an authority. */
function make(folder: string): Made {
  const [chain, key] = [join(folder, 'made.pem'), join(folder, 'made.key')];
  const words = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30', '-subj', '/CN=localhost'];
  execFileSync('openssl', [...words, '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', chain], { stdio: 'ignore' });
  return { chain: readFileSync(chain, 'utf8'), key: readFileSync(key, 'utf8') };
}

/** In the form that a proxy reads. */
function ticketKeys({ name }: Peer): string | Buffer {
  if (name === 'nginx' || name === 'Envoy') return randomBytes(80);
  if (name === 'nghttpx') return randomBytes(48);
  return [1, 2, 3].map(() => `${randomBytes(80).toString('base64')}\n`).join('');
}

/**
 * Whether a handshake gets this certificate: a client that trusts no other goes through with it.
 */
async function shows(port: number, chain: string): Promise<boolean> {
  return connectTo(port, { ca: chain, rejectUnauthorized: true, connectTimeoutMs: 1_000 }).then(
    (client) => {
      void client.close();
      return true;
    },
    () => false,
  );
}

/** One of five tries is enough: some proxies answer every second handshake after a change. */
async function isShownAtAll(port: number, chain: string): Promise<boolean> {
  for (let tries = 0; tries < 5; tries += 1) if (await shows(port, chain)) return true;
  return false;
}

async function marks(port: number, mark: string): Promise<boolean> {
  const client = await connectTo(port, { connectTimeoutMs: 1_000 }).catch(() => undefined);
  if (client === undefined) return false;
  const found = await Promise.race([
    client.exchange().then(
      ({ headers }) => headers['x-mark'],
      () => undefined,
    ),
    sleep(1_000),
  ]);
  void client.close();
  return found === mark;
}

async function listens(port: number): Promise<boolean> {
  const client = await connectTo(port, { connectTimeoutMs: 300 }).catch(() => undefined);
  void client?.close();
  return client !== undefined;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.disconnect();
  await Promise.race([ended, sleep(2_000)]);
  if (child.exitCode === null) child.kill('SIGKILL');
}
