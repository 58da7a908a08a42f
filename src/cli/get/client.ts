/**
 * One HTTP/3 connection of `lychgate get` and the exchanges on it, on top of @currentspace/http3.
 * Hides two things of the library: a final response after an interim one arrives as its `trailers`
 * event, and its events are not promises.
 */

import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { type ClientHttp3Stream, connect, type Http3ClientSession, type IncomingHeaders } from '@currentspace/http3';
import { HandshakeError, isAlert, TimeoutError } from './failure.ts';
import type { ReportedHead, Timing } from './report.ts';

/** What is sent, and to whom. */
export interface Target {
  readonly url: URL;
  readonly method: string;
  /** Lower-case name and value. */
  readonly fields: readonly (readonly [string, string])[];
  readonly body: Buffer | null;
  /** PEM bundle; null for the system's roots. */
  readonly ca: Buffer | null;
  readonly isVerified: boolean;
  /** `host:port` to connect to instead of the URL's. */
  readonly connectTo: string | null;
  readonly timeoutMs: number;
}

/** Where the parts of a response go. */
export interface Sink {
  /** Called for each interim head, the head, and the trailers. */
  onHead(head: ReportedHead): void;
  /** null drops the body. */
  readonly body: Writable | null;
}

/** What is known when a response has ended. */
export interface Result {
  readonly status: number;
  readonly timing: Timing;
}

/** An open connection to a target. */
export interface Connection {
  /** Name resolution and handshake, milliseconds. */
  readonly handshakeMs: number;
  exchange(sink: Sink): Promise<Result>;
  close(): Promise<void>;
}

/** Connects and waits for the handshake. Throws what `toFailure` understands. */
export async function openConnection(target: Target): Promise<Connection> {
  const began = performance.now();
  const session = connect(endpoint(target), {
    rejectUnauthorized: target.isVerified,
    servername: target.url.hostname.replace(/^\[|\]$/g, ''),
    connectTimeoutMs: Math.ceil(target.timeoutMs),
    runtimeMode: 'portable',
    ...(target.ca === null ? {} : { ca: target.ca }),
  });
  // Faults of the session also fail `ready()` and the open streams, where they are reported;
  // unheard they would end the process.
  session.on('error', () => {});
  let closeCode = 0;
  session.on('close', (info) => {
    closeCode = info.errorCode;
  });
  try {
    await session.ready();
  } catch (error) {
    await session.destroy().catch(() => {});
    // Why a handshake was given up is only in the close event.
    if (closeCode !== 0) throw new HandshakeError(closeCode);
    throw error;
  }
  const handshakeMs = performance.now() - began;
  return {
    handshakeMs,
    exchange: async (sink) => {
      try {
        return await exchange(session, target, sink);
      } catch (error) {
        // A server that wants another certificate of the client, or one at all, says so when the
        // client takes the handshake for done.
        if (isAlert(closeCode)) throw new HandshakeError(closeCode);
        throw error;
      }
    },
    close: () => session.close().catch(() => {}),
  };
}

function endpoint(target: Target): string {
  if (target.connectTo !== null) return `https://${target.connectTo}`;
  return `https://${target.url.hostname}:${target.url.port === '' ? 443 : target.url.port}`;
}

async function exchange(session: Http3ClientSession, target: Target, sink: Sink): Promise<Result> {
  const began = performance.now();
  const stream = await session.requestAsync(requestHead(target), { endStream: target.body === null, timeoutMs: target.timeoutMs });
  let status = 0;
  let firstByteMs = 0;
  let bodyBytes = 0;

  const onSection = (headers: IncomingHeaders): void => {
    const head = toHead(headers);
    if (head.status >= 200) {
      status = head.status;
      firstByteMs = performance.now() - began;
    }
    sink.onHead(head);
  };
  stream.on('response', onSection);
  stream.on('trailers', onSection);
  stream.setTimeout(Math.ceil(target.timeoutMs), () => {
    stream.destroy(new TimeoutError(`no answer from ${target.url.host} within ${target.timeoutMs / 1000} s`));
  });
  if (target.body !== null) stream.end(target.body);

  for await (const chunk of stream as AsyncIterable<Buffer>) {
    bodyBytes += chunk.length;
    if (sink.body !== null && !sink.body.write(chunk)) await drained(sink.body, stream, target.timeoutMs);
  }
  stream.setTimeout(0);
  if (status === 0) throw new Error('the stream ended without a response');
  return { status, timing: { firstByteMs, totalMs: performance.now() - began, bodyBytes } };
}

/**
 * Waits until stdout takes more. The reader's own pace is no fault of the peer, so its clock stands
 * still meanwhile.
 */
async function drained(output: Writable, stream: ClientHttp3Stream, timeoutMs: number): Promise<void> {
  stream.setTimeout(0);
  await once(output, 'drain');
  stream.setTimeout(Math.ceil(timeoutMs));
}

function requestHead(target: Target): IncomingHeaders {
  const head: IncomingHeaders = {
    ':method': target.method,
    ':scheme': 'https',
    ':authority': target.url.host,
    ':path': `${target.url.pathname}${target.url.search}`,
    'user-agent': 'lychgate',
    accept: '*/*',
  };
  if (target.body !== null) head['content-length'] = String(target.body.length);
  // The first of a name replaces our own, later ones are added to it; an empty value takes ours
  // away.
  const given = new Set<string>();
  for (const [name, value] of target.fields) {
    if (name === 'host') head[':authority'] = value;
    else if (value === '') delete head[name];
    else if (given.has(name)) head[name] = [head[name] ?? [], value].flat();
    else head[name] = value;
    given.add(name);
  }
  return head;
}

function toHead(headers: IncomingHeaders): ReportedHead {
  const fields: [string, string][] = [];
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(':')) continue;
    for (const one of typeof value === 'string' ? [value] : value) fields.push([name, one]);
  }
  return { status: Number(headers[':status'] ?? 0), fields };
}
