/**
 * A backend of the chaos table, as a process of its own so that it can be killed: cleartext HTTP/2
 * on one port, HTTP/1.1 on another for proxies that speak nothing else to backends. How it
 * misbehaves is told over the IPC channel at any time; the times at which requests arrived are
 * reported over it, probes of health apart.
 *
 *     fork('backend.ts', [h2Port, h1Port])      0 takes free ports
 */

import { createServer as createH1Server, type IncomingMessage, type ServerResponse } from 'node:http';
import { constants, createServer as createH2Server, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo, Server, Socket } from 'node:net';
import { load, STREAM_PATH, terms } from './terms.ts';

/**
 * What a backend does with requests. Probes of health see it too, but for `some-errors`: there the
 * backend looks well and is not.
 */
export type Mode =
  /** Answers after a few milliseconds. */
  | 'healthy'
  /** The same and a second more. */
  | 'slow'
  /** Answers 500. */
  | 'errors'
  /** Answers 500 to half of the requests. */
  | 'some-errors'
  /** Resets the stream (HTTP/2) or the connection (HTTP/1.1) once the request is there. */
  | 'resets'
  /** Takes requests and connections, says nothing. */
  | 'black-hole'
  /** Cuts all connections and refuses new ones, as a process that went away. */
  | 'down';

/**
 * What the runner tells a backend. A capacity bounds how many requests are worked on at once; the
 * rest wait in a queue without end.
 */
export type Order =
  | { readonly kind: 'mode'; readonly mode: Mode }
  | { readonly kind: 'capacity'; readonly concurrency: number; readonly serviceMs: number }
  /**
   * Such a share of the requests takes `slowMs`, and each `coldMs` longer during the first
   * `coldForMs`.
   */
  | { readonly kind: 'mix'; readonly slowShare: number; readonly slowMs: number; readonly coldMs: number; readonly coldForMs: number }
  /** Does nothing at all for so long, as a process that collects its garbage. */
  | { readonly kind: 'pause'; readonly ms: number };

/** What a backend tells the runner; times are milliseconds since the epoch. */
export type Report =
  | { readonly kind: 'ready'; readonly h2Port: number; readonly h1Port: number }
  | { readonly kind: 'arrivals'; readonly times: number[] };

/** A request of either protocol. */
interface Waiting {
  answer(status: number): void;
  /** Begins a response that does not end. */
  stream(): void;
  reset(): void;
}

const BODY = Buffer.alloc(1_024, 'x');
const EVENT = 'data: x\n\n';
const REPORT_INTERVAL_MS = 50;

let mode: Mode = 'healthy';
let serviceMs: number = load.serviceMs;
let concurrency = Number.POSITIVE_INFINITY;
let mix: Extract<Order, { kind: 'mix' }> | undefined;
let coldUntilMs = 0;
let working = 0;
let count = 0;
let arrivals: number[] = [];
const queue: Waiting[] = [];
const sockets = new Set<Socket>();

const h2 = createH2Server({ settings: { maxConcurrentStreams: 10_000 } });
h2.on('sessionError', () => {});
h2.on('stream', (stream: ServerHttp2Stream, headers) => {
  // Resets by a proxy that gave up would end the process unheard.
  stream.on('error', () => {});
  stream.resume();
  take(headers[':path'] ?? '', {
    answer: (status) => {
      if (stream.closed || stream.destroyed) return;
      stream.respond({ ':status': status, 'content-type': 'text/plain', 'content-length': BODY.length });
      stream.end(BODY);
    },
    stream: () => {
      stream.respond({ ':status': 200, 'content-type': 'text/event-stream' });
      stream.write(EVENT);
    },
    reset: () => stream.close(constants.NGHTTP2_INTERNAL_ERROR),
  });
});

const h1 = createH1Server({ keepAliveTimeout: 300_000 }, (request: IncomingMessage, response: ServerResponse) => {
  request.resume();
  take(request.url ?? '', {
    answer: (status) => {
      if (response.destroyed) return;
      response.writeHead(status, { 'content-type': 'text/plain', 'content-length': BODY.length });
      response.end(BODY);
    },
    stream: () => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(EVENT);
    },
    reset: () => request.socket.resetAndDestroy(),
  });
});

for (const server of [h1, h2] as Server[]) {
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
  });
}
process.on('message', obey);
// The runner is gone: nobody would end this process.
process.on('disconnect', () => process.exit());
setInterval(() => {
  if (arrivals.length === 0) return;
  tell({ kind: 'arrivals', times: arrivals });
  arrivals = [];
}, REPORT_INTERVAL_MS);
const [h2Port, h1Port] = [
  await listen(h2 as unknown as Server, Number(process.argv[2] ?? 0)),
  await listen(h1, Number(process.argv[3] ?? 0)),
];
tell({ kind: 'ready', h2Port, h1Port });

function obey(message: unknown): void {
  const order = message as Order;
  if (order.kind === 'capacity') {
    concurrency = order.concurrency;
    serviceMs = order.serviceMs;
    return;
  }
  if (order.kind === 'mix') {
    mix = order;
    coldUntilMs = Date.now() + order.coldForMs;
    return;
  }
  if (order.kind === 'pause') {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, order.ms);
    return;
  }
  const wasDown = mode === 'down';
  mode = order.mode;
  if (mode === 'down' && !wasDown) {
    h2.close();
    h1.close();
    for (const socket of sockets) socket.resetAndDestroy();
  } else if (mode !== 'down' && wasDown) {
    void listen(h2 as unknown as Server, h2Port);
    void listen(h1, h1Port);
  }
}

function take(path: string, request: Waiting): void {
  const isProbe = path.startsWith(terms.health.path);
  if (!isProbe) arrivals.push(Date.now());
  if (mode === 'black-hole') return;
  if (mode === 'resets' || mode === 'down') request.reset();
  else if (mode === 'errors' || (mode === 'some-errors' && !isProbe && isEverySecond())) request.answer(500);
  else if (mode === 'slow') setTimeout(() => request.answer(200), serviceMs + load.slowMs);
  else if (isProbe) request.answer(200);
  else if (path.startsWith(STREAM_PATH)) request.stream();
  else if (working < concurrency) work(request);
  else queue.push(request);
}

function isEverySecond(): boolean {
  count += 1;
  return count % 2 === 0;
}

/**
 * Works on a request to its end even if its client has left meanwhile: most servers learn of that
 * too late.
 */
function work(request: Waiting): void {
  working += 1;
  setTimeout(() => {
    working -= 1;
    request.answer(200);
    const next = queue.shift();
    if (next !== undefined) work(next);
  }, timeOf());
}

function timeOf(): number {
  if (mix === undefined) return serviceMs;
  const ms = Math.random() < mix.slowShare ? mix.slowMs : serviceMs;
  return Date.now() < coldUntilMs ? ms + mix.coldMs : ms;
}

async function listen(server: Server, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', 1_024, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return (server.address() as AddressInfo).port;
}

function tell(report: Report): void {
  process.send?.(report);
}
