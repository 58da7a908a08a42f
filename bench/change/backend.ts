/**
 * The backend of the comparison, as a process of its own: cleartext HTTP/2 on one port, HTTP/1.1 on
 * another. `/download?seconds=N` takes so long and has `downloadBytes(N)`; all else is answered at
 * once.
 */

import { createServer as createH1Server } from 'node:http';
import { createServer as createH2Server } from 'node:http2';
import type { AddressInfo, Server } from 'node:net';
import type { Writable } from 'node:stream';
import { CHUNK_BYTES, TICK_MS } from './download.ts';

const CHUNK = Buffer.alloc(CHUNK_BYTES, 'x');

function answer(path: string, body: Writable): void {
  body.on('error', () => {});
  const seconds = /^\/download\?seconds=(\d+)$/.exec(path)?.[1];
  if (seconds === undefined) {
    body.end('found');
    return;
  }
  let left = (Number(seconds) * 1_000) / TICK_MS;
  const timer = setInterval(() => {
    body.write(CHUNK);
    left -= 1;
    if (left > 0 && !body.destroyed) return;
    clearInterval(timer);
    body.end();
  }, TICK_MS);
}

const h2 = createH2Server({ settings: { maxConcurrentStreams: 1_000 } });
h2.on('sessionError', () => {});
h2.on('stream', (stream, headers) => {
  stream.resume();
  stream.respond({ ':status': 200 });
  answer(headers[':path'] ?? '', stream);
});
const h1 = createH1Server({ keepAliveTimeout: 300_000 }, (request, response) => {
  request.resume();
  answer(request.url ?? '', response);
});

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

// The runner is gone: nobody would end this process.
process.on('disconnect', () => process.exit());
process.send?.({ h2Port: await listen(h2 as unknown as Server), h1Port: await listen(h1) });
