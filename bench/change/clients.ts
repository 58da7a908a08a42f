/**
 * Clients of a proxy that is changed, the same for all: long downloads on connections of their own,
 * requests at a fixed rate on a kept connection, and connections that are new. They behave as
 * browsers do: who is sent GOAWAY goes on with another connection and asks there again for what was
 * not served; who hears nothing for five seconds gives the connection up.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { connectH3, type H3Client } from '../../test/support/client/h3.ts';
import { downloadBytes } from './download.ts';

/** What became of everything. */
export interface Losses {
  gets: number;
  getsFailed: number;
  /** New connections with a request each, and those of them that failed. */
  connections: number;
  connectionsFailed: number;
  downloads: number;
  /** Ended before their end, or in error. */
  downloadsCut: number;
  /** Nothing came any more. */
  downloadsHung: number;
  /**
   * The kept connection: closed without having been announced, given up because it was dead, left
   * because of GOAWAY.
   */
  closed: number;
  hung: number;
  moved: number;
  /** The first of what went wrong, to be looked at. */
  readonly examples: string[];
}

export interface Clients {
  readonly losses: Losses;
  /** Waits until downloads have ended and gives what there is to tell. */
  end(): Promise<Losses>;
  /** Begins nothing more: nobody wants to know any more. */
  stop(): void;
}

export interface ClientsOptions {
  readonly port: number;
  readonly seconds: number;
  readonly downloads: number;
  readonly getsPerSecond: number;
  readonly connectEveryMs: number;
}

const PATIENCE_MS = 5_000;
const DOWNLOAD_PATIENCE_MS = 10_000;
/** A request that is sent away is asked elsewhere so often. */
const MAX_TRIES = 3;

/**
 * A connection that trusts whatever it is shown; what is shown is looked at elsewhere. Its packets
 * are of a length that all take.
 */
export function connectTo(port: number, options: Parameters<typeof connectH3>[2] = {}): Promise<H3Client> {
  return connectH3({ teardown() {} }, port, {
    rejectUnauthorized: false,
    connectTimeoutMs: PATIENCE_MS,
    maxUdpPayloadSize: 1_350,
    ...options,
  });
}

/** The library refuses requests after a GOAWAY that it tells of a moment later. */
function isSentAway(client: H3Client, error: unknown): boolean {
  return client.isGoingAway() || (error instanceof Error && error.message.includes('FrameUnexpected'));
}

/** A connection with one request; elsewhere again when it is sent away. */
async function connectAndGet(port: number, tries = 1): Promise<void> {
  const client = await connectTo(port);
  try {
    const response = await Promise.race([client.exchange(), sleep(PATIENCE_MS).then(() => null)]);
    if (response?.status !== 200) throw new Error(response === null ? 'no answer' : `status ${response.status}`);
  } catch (error) {
    if (!isSentAway(client, error) || tries >= MAX_TRIES) throw error;
    await connectAndGet(port, tries + 1);
  } finally {
    void client.close();
  }
}

/** Begins everything; resolves when downloads and the kept connection are under way. */
export async function startClients({ port, seconds, downloads, getsPerSecond, connectEveryMs }: ClientsOptions): Promise<Clients> {
  const losses: Losses = {
    ...{ gets: 0, getsFailed: 0, connections: 0, connectionsFailed: 0, downloads, downloadsCut: 0, downloadsHung: 0 },
    ...{ closed: 0, hung: 0, moved: 0, examples: [] },
  };
  const example = (what: string, error: unknown): void => {
    if (losses.examples.length < 8) losses.examples.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
  };
  let isOver = false;

  const begun = Promise.withResolvers<void>();
  let toBegin = downloads;
  const loading = Array.from({ length: downloads }, async () => {
    const client = await connectTo(port);
    const { stream } = await client.open({ path: `/download?seconds=${seconds}` });
    let [bytes, lastMs] = [0, performance.now()];
    stream.on('data', (chunk: Buffer) => {
      if (bytes === 0) {
        toBegin -= 1;
        if (toBegin === 0) begun.resolve();
      }
      bytes += chunk.length;
      lastMs = performance.now();
    });
    const ended = new Promise<string>((resolve) => {
      stream.on('end', () => resolve('ended'));
      stream.on('error', (error: Error) => resolve(error.message));
      stream.on('close', () => resolve('closed'));
    });
    let how: string | undefined;
    while (how === undefined) {
      how = await Promise.race([ended, sleep(250).then(() => undefined)]);
      if (how === undefined && performance.now() - lastMs > DOWNLOAD_PATIENCE_MS) how = 'hung';
    }
    if (how === 'hung') losses.downloadsHung += 1;
    else if (bytes !== downloadBytes(seconds)) losses.downloadsCut += 1;
    if (bytes !== downloadBytes(seconds)) example(`download, ${bytes} bytes`, how);
    void client.close();
  });
  for (const one of loading) one.catch((error: Error) => begun.reject(error));
  await begun.promise;

  /** The kept connection; one that is dead is replaced when the next request asks. */
  let kept: Promise<H3Client> | undefined;
  const keep = (): Promise<H3Client> => {
    if (kept !== undefined) return kept;
    const made = connectTo(port);
    kept = made;
    made.then(
      (client) => {
        const leave = (how: 'moved' | 'closed'): void => {
          if (kept !== made || isOver) return;
          losses[how] += 1;
          kept = undefined;
        };
        client.session.on('goaway', () => leave('moved'));
        client.session.on('close', () => leave('closed'));
        // Some are sent away before anybody listens.
        if (client.isGoingAway()) leave('moved');
      },
      (error: Error) => {
        example('kept connection', error);
        if (kept === made) kept = undefined;
      },
    );
    return made;
  };
  const get = async (tries = 1): Promise<void> => {
    const asked = keep();
    let client: H3Client | undefined;
    try {
      client = await asked;
      const patience = sleep(PATIENCE_MS).then(() => null);
      const response = await Promise.race([client.exchange(), patience]);
      if (response === null) {
        if (kept === asked) {
          losses.hung += 1;
          kept = undefined;
          void client.close();
        }
        throw new Error('no answer');
      }
      if (response.status !== 200) throw new Error(`status ${response.status}`);
    } catch (error) {
      if (client !== undefined && isSentAway(client, error) && tries < MAX_TRIES) {
        if (kept === asked) {
          losses.moved += 1;
          kept = undefined;
        }
        return get(tries + 1);
      }
      losses.getsFailed += 1;
      example('GET', error);
    }
  };
  await keep();
  const getting: Promise<void>[] = [];
  const getter = (async () => {
    const startedMs = performance.now();
    while (!isOver) {
      losses.gets += 1;
      getting.push(get());
      await sleep(Math.max(0, startedMs + (losses.gets * 1_000) / getsPerSecond - performance.now()));
    }
    await Promise.all(getting);
  })();
  const connecting = (async () => {
    const all: Promise<void>[] = [];
    while (!isOver) {
      losses.connections += 1;
      all.push(
        connectAndGet(port).catch((error: Error) => {
          losses.connectionsFailed += 1;
          example('new connection', error);
        }),
      );
      await sleep(connectEveryMs);
    }
    await Promise.all(all);
  })();

  return {
    losses,
    stop() {
      isOver = true;
    },
    async end() {
      await Promise.all(loading);
      isOver = true;
      await Promise.all([getter, connecting]);
      void (await kept?.catch(() => undefined))?.close();
      return losses;
    },
  };
}
