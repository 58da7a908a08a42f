/**
 * The first client of journey tests, on @currentspace/http3 (quiche behind it): well-behaved
 * requests, streamed or whole.
 */

import { type ClientHttp3Stream, connect, type Http3ClientSession, type IncomingHeaders } from '@currentspace/http3';
import type { Test } from 'tap';
import { certificates } from '../certificates.ts';

/** A response read to its end. */
export interface H3Response {
  readonly status: number;
  readonly headers: IncomingHeaders;
  /** Statuses and fields of interim responses in their order. */
  readonly interim: IncomingHeaders[];
  readonly trailers: IncomingHeaders | null;
  readonly body: Buffer;
  readonly text: string;
}

/** What is asked; `:authority`, `:scheme` and `:path` are made from `path`. */
export interface H3Request {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: IncomingHeaders;
  readonly body?: Buffer | string;
}

/** How a stream ended that did not end well. */
export interface H3Failure extends Error {
  /** Error code of the reset (RFC 9114 §8.1), when one came. */
  readonly h3Code?: number;
}

/** A connection to an edge of the test's. */
export interface H3Client {
  readonly session: Http3ClientSession;
  /** The session has received GOAWAY. */
  readonly isGoingAway: () => boolean;
  /** A whole exchange. Rejects with an `H3Failure` when the stream is reset. */
  exchange(request?: H3Request): Promise<H3Response>;
  /** Opens a stream to be driven by hand. */
  open(request?: H3Request, isEnded?: boolean): Promise<H3Stream>;
  close(): Promise<void>;
}

/** A stream driven by hand. Interim and final heads and trailers are told apart. */
export interface H3Stream {
  readonly stream: ClientHttp3Stream;
  /** Head of the final response. */
  readonly head: Promise<IncomingHeaders>;
  readonly interim: IncomingHeaders[];
  trailers: IncomingHeaders | null;
}

/**
 * Connects to `https://localhost:port` (packets to 127.0.0.1), trusting the test's CA; closed with
 * the test.
 */
export async function connectH3(t: Pick<Test, 'teardown'>, port: number, options: Parameters<typeof connect>[1] = {}): Promise<H3Client> {
  const session = connect(
    { address: '127.0.0.1', port, servername: 'localhost' },
    { ca: certificates().ca, runtimeMode: 'portable', connectTimeoutMs: 10_000, ...options },
  );
  let isGoingAway = false;
  session.on('error', () => {});
  session.on('goaway', () => {
    isGoingAway = true;
  });
  const close = async (): Promise<void> => {
    await session.close().catch(() => {});
  };
  // Before the edge's own teardown, which expects that nobody is asking any more.
  t.teardown(close);
  await session.ready();

  const open = async (request: H3Request = {}, isEnded = request.body === undefined): Promise<H3Stream> => {
    const stream = await session.requestAsync(
      {
        ':method': request.method ?? (request.body === undefined ? 'GET' : 'POST'),
        ':scheme': 'https',
        ':authority': `localhost:${port}`,
        ':path': request.path ?? '/',
        ...request.headers,
      },
      { endStream: isEnded },
    );
    return watch(stream);
  };

  return {
    session,
    isGoingAway: () => isGoingAway,
    open,
    exchange: async (request = {}) => {
      const opened = await open(request);
      if (request.body !== undefined) opened.stream.end(request.body);
      return readAll(opened);
    },
    close,
  };
}

/** Reads a stream to its end. */
export async function readAll(opened: H3Stream): Promise<H3Response> {
  const chunks: Buffer[] = [];
  for await (const chunk of opened.stream as AsyncIterable<Buffer>) chunks.push(chunk);
  const headers = await opened.head;
  const body = Buffer.concat(chunks);
  return {
    status: Number(headers[':status']),
    headers,
    interim: opened.interim,
    trailers: opened.trailers,
    body,
    text: body.toString(),
  };
}

/**
 * The library gives every head after the first as `trailers`, also the final one after an interim
 * one.
 */
function watch(stream: ClientHttp3Stream): H3Stream {
  const head = Promise.withResolvers<IncomingHeaders>();
  const watched: H3Stream = { stream, head: head.promise, interim: [], trailers: null };
  // Unheard rejections end the process; whoever waits for the head still gets it.
  head.promise.catch(() => {});
  const onSection = (headers: IncomingHeaders): void => {
    const status = Number(headers[':status'] ?? 0);
    if (status === 0) watched.trailers = headers;
    else if (status < 200) watched.interim.push(headers);
    else head.resolve(headers);
  };
  stream.on('response', onSection);
  stream.on('trailers', onSection);
  stream.on('error', (error) => head.reject(error));
  stream.on('close', () => head.reject(new Error('the stream ended without a final response')));
  return watched;
}
