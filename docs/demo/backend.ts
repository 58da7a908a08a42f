/**
 * A small HTTP/2 backend (cleartext, prior knowledge) to put behind the edge: it says who it is and
 * what it was asked. For trying things out; not part of the product.
 */

import { once } from 'node:events';
import { createServer, type Http2Server, type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import { setInterval } from 'node:timers';

/** A running backend. */
export interface Backend {
  readonly port: number;
  /** Ends sessions and stops listening. */
  stop(): Promise<void>;
}

/** Starts a backend on loopback; port 0 takes a free one. */
export async function startBackend(name: string, port: number): Promise<Backend> {
  const sessions = new Set<ServerHttp2Session>();
  const server: Http2Server = createServer();
  server.on('session', (session) => {
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
  });
  server.on('stream', (stream, headers) => answer(name, stream, headers));
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as { port: number }).port,
    stop: async () => {
      for (const session of sessions) session.close();
      server.close();
      await once(server, 'close');
    },
  };
}

function answer(name: string, stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  // A reset by the client is its right; without a listener it would end the process.
  stream.on('error', () => {});
  const url = new URL(headers[':path'] ?? '/', 'http://backend');
  if (url.pathname === '/echo') echo(stream, headers);
  else if (url.pathname === '/events') tick(name, stream);
  else if (url.pathname === '/bytes') pour(stream, Number(url.searchParams.get('n') ?? 1024));
  else introduce(name, stream, headers);
}

/** `/echo`: the body comes back as it arrives. */
function echo(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  stream.respond({ ':status': 200, 'content-type': headers['content-type'] ?? 'application/octet-stream' });
  stream.pipe(stream);
}

/** `/events`: a server-sent event each second until the client has had enough. */
function tick(name: string, stream: ServerHttp2Stream): void {
  stream.respond({ ':status': 200, 'content-type': 'text/event-stream' });
  let count = 0;
  const timer = setInterval(() => {
    count += 1;
    stream.write(`data: ${name} ${count}\n\n`);
  }, 1000);
  stream.once('close', () => clearInterval(timer));
}

/** `/bytes?n=`: so many bytes, at the reader's pace. */
function pour(stream: ServerHttp2Stream, total: number): void {
  const block = Buffer.alloc(64 * 1024, '.');
  let left = total;
  const more = (): void => {
    while (left > 0) {
      const size = Math.min(left, block.length);
      left -= size;
      if (!stream.write(block.subarray(0, size))) {
        stream.once('drain', more);
        return;
      }
    }
    stream.end();
  };
  stream.respond({ ':status': 200, 'content-type': 'application/octet-stream', 'content-length': String(total) });
  more();
}

/** Anything else: who answered, and what arrived. */
function introduce(name: string, stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  const seen = Object.entries(headers).map(([field, value]) => `  ${field}: ${String(value)}\n`);
  stream.respond({ ':status': 200, 'content-type': 'text/plain; charset=utf-8' });
  stream.end(`This is ${name}. It was asked:\n${seen.join('')}`);
}
