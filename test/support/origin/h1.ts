/**
 * HTTP/1.1 origins of tests: a well-behaved one on node:http, and one that writes the very bytes a
 * test gives it.
 */

import { once } from 'node:events';
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Test } from 'tap';

/** A running HTTP/1.1 origin. */
export interface H1Origin {
  readonly port: number;
  readonly url: string;
  /** Connections ever accepted. */
  accepted: number;
  /** Connections open now. */
  readonly sockets: ReadonlySet<Socket>;
}

/** An origin that speaks HTTP/1.1 as it should. */
export async function startH1Origin(t: Test, listener: RequestListener): Promise<H1Origin> {
  return run(t, createHttpServer({ keepAlive: true }, listener));
}

/**
 * An origin of raw bytes: `script` is called for each complete request head with the connection and
 * the head's text, and writes what it likes. For answers that node:http would never give.
 */
export async function startRawOrigin(t: Test, script: (socket: Socket, head: string) => void): Promise<H1Origin> {
  return startTcpOrigin(t, 'http', (socket) => {
    let pending = '';
    socket.on('data', (chunk) => {
      pending += chunk.toString('latin1');
      for (let end = pending.indexOf('\r\n\r\n'); end !== -1; end = pending.indexOf('\r\n\r\n')) {
        const head = pending.slice(0, end + 4);
        pending = pending.slice(end + 4);
        script(socket, head);
      }
    });
  });
}

/** An origin below HTTP: `accept` gets each connection and its number, counted from 1. */
export function startTcpOrigin(t: Test, scheme: string, accept: (socket: Socket, connection: number) => void): Promise<H1Origin> {
  let connections = 0;
  const server = createServer((socket) => accept(socket, ++connections));
  return run(t, server, scheme);
}

async function run(t: Test, server: Server, scheme = 'http'): Promise<H1Origin> {
  const sockets = new Set<Socket>();
  const origin = { port: 0, url: '', accepted: 0, sockets };
  server.on('connection', (socket: Socket) => {
    origin.accepted += 1;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin.port = (server.address() as AddressInfo).port;
  origin.url = `${scheme}://127.0.0.1:${origin.port}`;
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  return origin;
}
