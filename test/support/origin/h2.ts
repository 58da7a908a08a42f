/**
 * HTTP/2 origins of tests, on node:http2: cleartext with prior knowledge or TLS with ALPN. What
 * they do is a function of the test's; common behaviours are in `./behaviours.ts`.
 */

import { once } from 'node:events';
import {
  createSecureServer,
  createServer,
  type IncomingHttpHeaders,
  type SecureServerOptions,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type ServerOptions,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Test } from 'tap';
import { certificates } from '../certificates.ts';

/** What an origin does with a request. */
export type Behaviour = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

/** A running origin. */
export interface Origin {
  readonly port: number;
  /** As an upstream's configuration wants it. */
  readonly url: string;
  /** Sessions open now. */
  readonly sessions: ReadonlySet<ServerHttp2Session>;
  /** Sessions ever accepted. */
  accepted: number;
  /** Requests seen so far. */
  requests: number;
  /** Requests being answered now, and the most there were at once. */
  open: number;
  peak: number;
  behave: Behaviour;
  /** Cuts every connection at once, as a killed process does, and refuses new ones. */
  kill(): void;
  /** Ends gracefully. Called by the teardown as well. */
  stop(): Promise<void>;
}

/** A cleartext origin on a free port of loopback. */
export async function startH2Origin(t: Test, behave: Behaviour, options: ServerOptions & { port?: number } = {}): Promise<Origin> {
  const server = createServer({ settings: { maxConcurrentStreams: 1000 }, ...options });
  return run(t, server, 'h2c', behave, options.port ?? 0);
}

/** The same behind TLS, with the test's certificate for localhost. */
export async function startH2TlsOrigin(t: Test, behave: Behaviour, options: SecureServerOptions = {}): Promise<Origin> {
  const { chain, key } = certificates();
  const server = createSecureServer({ cert: chain, key, settings: { maxConcurrentStreams: 1000 }, ...options });
  return run(t, server, 'https', behave, 0);
}

type Server = ReturnType<typeof createServer> | ReturnType<typeof createSecureServer>;

async function run(t: Test, server: Server, scheme: string, behave: Behaviour, port: number): Promise<Origin> {
  const sessions = new Set<ServerHttp2Session>();
  const origin = { port: 0, url: '', sessions, accepted: 0, requests: 0, open: 0, peak: 0, behave, kill, stop };
  let isStopped = false;

  server.on('session', (session: ServerHttp2Session) => {
    origin.accepted += 1;
    sessions.add(session);
    session.on('error', () => {});
    session.once('close', () => sessions.delete(session));
  });
  server.on('sessionError', () => {});
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    origin.requests += 1;
    origin.open += 1;
    origin.peak = Math.max(origin.peak, origin.open);
    // Resets by the edge are what many tests provoke; unheard they would end the process.
    stream.on('error', () => {});
    stream.once('close', () => {
      origin.open -= 1;
    });
    origin.behave(stream, headers);
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  origin.port = (server.address() as AddressInfo).port;
  origin.url = `${scheme}://${scheme === 'https' ? 'localhost' : '127.0.0.1'}:${origin.port}`;
  t.teardown(stop);
  return origin;

  function kill(): void {
    isStopped = true;
    for (const session of sessions) session.socket?.destroy();
    server.close();
  }

  async function stop(): Promise<void> {
    if (isStopped) return;
    isStopped = true;
    for (const session of sessions) session.destroy();
    server.close();
    await once(server, 'close');
  }
}
