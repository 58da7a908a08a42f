/**
 * Backends of a soak: each does to every request what its weather draws, keeps a ledger of what it
 * acted on, and answers so that a client can tell whether the response is whole and its own.
 */

import { createHash } from 'node:crypto';
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { Test } from 'tap';
import { Random } from '../../../src/lane/random.ts';
import { type Origin, startH2Origin } from '../origin/h2.ts';

/** What may become of a request; the rest is answered as it should be. Shares of 0 to 1. */
export interface Weather {
  /** Answered after 20 to 120 ms. */
  readonly slow?: number;
  /** 503, sometimes with a Retry-After that no one would obey. */
  readonly unavailable?: number;
  /** Reset instead of a response. */
  readonly resets?: number;
  /** Refused unread. */
  readonly refuses?: number;
  /** Half of a response, then a reset. */
  readonly breaks?: number;
  /** Never answered. */
  readonly hangs?: number;
  /** The session gets a GOAWAY: this request is its last. */
  readonly leaves?: number;
}

export interface SoakBackend {
  readonly url: string;
  weather: Weather;
  /** Whether checks of its health succeed. */
  isWell: boolean;
  /** Requests being answered now. */
  readonly open: number;
  /** Cuts its connections and refuses new ones. */
  kill(): void;
  /** Comes back on the same port. */
  revive(): Promise<void>;
}

/** How often each request was acted on, by the id that its client gave it. */
export class Ledger {
  private readonly acted = new Map<string, number>();

  note(id: string): void {
    this.acted.set(id, this.of(id) + 1);
  }

  of(id: string): number {
    return this.acted.get(id) ?? 0;
  }
}

/** Headers by which the client says who it is and what it wants. */
export const ID = 'x-soak-id';
export const SIZE = 'x-soak-size';
/** What an answer ends with. */
const END = 'x-soak-end';

const ABSURD_PAUSES = ['0', '1', '99999999999', '-5', 'Wed, 21 Oct 2015 07:28:00 GMT', 'soon', ''];

/** A backend with its own drawing of `seed`. */
export async function startSoakBackend(t: Test, ledger: Ledger, seed: number): Promise<SoakBackend> {
  const random = new Random(seed);
  /**
   * Last stream of sessions that are to go; node hands over those beyond it all the same when they
   * came in one read with it.
   */
  const lasts = new WeakMap<object, number>();
  const backend = { url: '', weather: {} as Weather, isWell: true, open: 0, kill, revive };
  let origin: Origin = await startH2Origin(t, behave);
  backend.url = origin.url;
  Object.defineProperty(backend, 'open', { get: () => origin.open });
  return backend;

  function kill(): void {
    origin.kill();
  }

  async function revive(): Promise<void> {
    origin = await startH2Origin(t, behave, { port: origin.port });
  }

  function behave(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const path = headers[':path'] ?? '';
    if (path === '/up') {
      stream.respond({ ':status': backend.isWell ? 200 : 500 });
      stream.end();
      return;
    }
    const id = String(headers[ID]);
    const draws = (share = 0): boolean => random.next() < share;
    const { weather } = backend;
    if (draws(weather.refuses)) {
      stream.close(constants.NGHTTP2_REFUSED_STREAM);
      return;
    }
    const last = lasts.get(stream.session!);
    if (last !== undefined && stream.id! > last) return;
    ledger.note(id);
    if (last === undefined && draws(weather.leaves)) {
      lasts.set(stream.session!, stream.id!);
      stream.session?.goaway(constants.NGHTTP2_NO_ERROR, stream.id!);
    }
    if (draws(weather.hangs)) {
      stream.resume();
      return;
    }
    if (draws(weather.resets)) {
      stream.close(constants.NGHTTP2_INTERNAL_ERROR);
      return;
    }
    if (draws(weather.unavailable)) {
      const pause = ABSURD_PAUSES[random.below(ABSURD_PAUSES.length)]!;
      stream.respond({ ':status': 503, [ID]: id, ...(draws(0.3) ? { 'retry-after': pause } : {}) });
      stream.end(`${id} cannot now\n`);
      stream.resume();
      return;
    }
    const isBroken = draws(weather.breaks);
    const hasLength = draws(0.5);
    const pauseMs = draws(weather.slow) ? 20 + random.below(100) : 0;
    const hash = createHash('sha256');
    let bytes = 0;
    stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      hash.update(chunk);
    });
    stream.on('end', () => {
      const answer = (): void => {
        if (stream.destroyed || stream.closed) return;
        const body = bodyOf(id, bytes, hash.digest('hex'), Number(headers[SIZE] ?? 0));
        if (!hasLength) stream.once('wantTrailers', () => stream.sendTrailers({ [END]: id }));
        stream.respond(
          { ':status': 200, [ID]: id, 'x-soak-path': path, ...(hasLength ? { 'content-length': body.length } : {}) },
          { waitForTrailers: !hasLength },
        );
        if (!isBroken) stream.end(body);
        else stream.write(body.subarray(0, body.length >> 1), () => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
      };
      if (pauseMs === 0) answer();
      else setTimeout(answer, pauseMs);
    });
  }
}

/** What the request with `id` and so many bytes of body is answered with. */
export function bodyOf(id: string, bytes: number, digest: string, size: number): Buffer {
  const head = `${id} ${bytes} ${digest}\n`;
  return Buffer.concat([Buffer.from(head), Buffer.alloc(size, `${id}\n`)]);
}
