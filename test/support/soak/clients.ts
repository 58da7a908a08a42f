/**
 * Clients of a soak: they ask for all kinds of things, some lose patience and reset, and each looks
 * whether what it got is whole and its own. What they saw is tallied by status and by the edge's
 * reason.
 */

import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { Random } from '../../../src/lane/random.ts';
import { connectH3, type H3Client, readAll } from '../client/h3.ts';
import { bodyOf, ID, SIZE } from './backends.ts';

/** One sort of request. */
export interface Wish {
  readonly name: string;
  readonly method: string;
  /** Prefix of the path; the id follows. */
  readonly path: string;
  /** Bytes of request and response body, at most. */
  readonly upload?: number;
  readonly download?: number;
  /** Share that is reset before it is over. */
  readonly resets?: number;
  /** Fields beside the usual. */
  readonly headers?: (random: Random) => Record<string, string>;
  readonly weight: number;
}

/** What became of them. */
export interface Tally {
  /**
   * Ids that got a whole response, by status; and those that the client reset or the edge broke
   * off.
   */
  readonly answered: Map<string, number>;
  readonly reset: Set<string>;
  readonly broken: Set<string>;
  /** `wish status reason` → how many. */
  readonly counts: Map<string, number>;
  /** What must not be: responses that are not whole, or not the request's own. */
  readonly wrong: string[];
  /** Ids of requests that must not be acted on twice. */
  readonly once: string[];
}

export function createTally(): Tally {
  return { answered: new Map(), reset: new Set(), broken: new Set(), counts: new Map(), wrong: [], once: [] };
}

export interface CrowdOptions {
  readonly connections: number;
  /** Requests at once on each. */
  readonly loops: number;
  /** Requests in all. */
  readonly requests: number;
  readonly seed: number;
  readonly prefix: string;
}

/**
 * Asks for `requests` things; resolves when all are over. `onProgress` is told how many have begun.
 */
export async function runCrowd(
  t: Test,
  port: number,
  wishes: readonly Wish[],
  tally: Tally,
  options: CrowdOptions,
  onProgress: (begun: number) => void = () => {},
): Promise<void> {
  const clients = await Promise.all(Array.from({ length: options.connections }, () => connectH3(t, port)));
  const drawn = wishes.flatMap((wish) => Array.from({ length: wish.weight }, () => wish));
  let begun = 0;
  const loop = async (client: H3Client, seed: number): Promise<void> => {
    const random = new Random(seed);
    while (begun < options.requests) {
      begun += 1;
      const id = `${options.prefix}-${begun}`;
      onProgress(begun);
      await ask(client, drawn[random.below(drawn.length)]!, id, random, tally);
    }
  };
  await Promise.all(
    clients.flatMap((client, place) =>
      Array.from({ length: options.loops }, (_, i) => loop(client, options.seed + place * options.loops + i)),
    ),
  );
  await Promise.all(clients.map((client) => client.close()));
}

async function ask(client: H3Client, wish: Wish, id: string, random: Random, tally: Tally): Promise<void> {
  const body = wish.upload === undefined ? undefined : Buffer.alloc(random.below(wish.upload), `${id};`);
  const size = random.below(wish.download ?? 1_000);
  const isReset = random.next() < (wish.resets ?? 0);
  const patienceMs = random.below(60);
  if (wish.method === 'POST') tally.once.push(id);
  if (isReset) tally.reset.add(id);
  try {
    const opened = await client.open(
      {
        method: wish.method,
        path: `${wish.path}/${id}`,
        headers: { [ID]: id, [SIZE]: String(size), 'x-user': `user-${random.below(50)}`, ...wish.headers?.(random) },
      },
      body === undefined,
    );
    if (isReset) {
      opened.stream.on('error', () => {});
      if (body !== undefined) opened.stream.write(body);
      if (patienceMs > 10) await sleep(patienceMs);
      opened.stream.close(0x10c);
      return;
    }
    if (body !== undefined) opened.stream.end(body);
    const response = await readAll(opened);
    tally.answered.set(id, response.status);
    const reason = judge(tally, wish, id, body ?? Buffer.alloc(0), size, response);
    count(tally, `${wish.name} ${response.status} ${reason}`);
  } catch (error) {
    if (isReset) return;
    tally.broken.add(id);
    count(tally, `${wish.name} broken ${(error as { h3Code?: number }).h3Code ?? (error as Error).message}`);
  }
}

/** The edge's reason, or who else answered. */
function judge(tally: Tally, wish: Wish, id: string, body: Buffer, size: number, response: Awaited<ReturnType<typeof readAll>>): string {
  const wrong = (what: string): void => void tally.wrong.push(`${wish.name} ${id} ${response.status}: ${what}`);
  if (response.headers[ID] !== undefined) {
    if (response.headers[ID] !== id) wrong(`the response is of ${String(response.headers[ID])}`);
    if (response.status === 503) {
      if (response.text !== `${id} cannot now\n`) wrong('a 503 that is not whole');
    } else {
      const expected = bodyOf(id, body.length, createHash('sha256').update(body).digest('hex'), size);
      if (!response.body.equals(expected)) wrong(`${response.body.length} bytes that are not the ${expected.length} expected`);
      if (response.headers['content-length'] === undefined && response.trailers?.['x-soak-end'] !== id) wrong('no trailers of its own');
    }
    return response.headers['x-lychgate-fallback'] === undefined ? 'backend' : 'fallback';
  }
  if (!response.text.startsWith('{')) return response.headers['x-lychgate-fallback'] === undefined ? 'nobody' : 'fixed';
  const said = JSON.parse(response.text) as { error?: string; request_id?: string };
  if (said.request_id !== response.headers['x-request-id']) wrong(`an answer of the edge that is not its own: ${response.text}`);
  return said.error ?? 'nobody';
}

function count(tally: Tally, what: string): void {
  tally.counts.set(what, (tally.counts.get(what) ?? 0) + 1);
}
