/**
 * Distance: what costs a round trip costs it here. Bounds are on round trips, with room for a
 * machine that is slow: it is windows that are looked at, which take a hundred or more where they
 * are too small.
 */

import { once } from 'node:events';
import { createServer, connect as dial, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import t, { type Test } from 'tap';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { byPath, digests, pours } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { startRelay } from '../support/relay.ts';

const BYTES = 8 * 1024 * 1024;

/** One way. */
const DELAY_MS = 100;

/** 128 and more with windows of 64 KiB. */
const MOST_ROUND_TRIPS = 60;

async function roundTrips(work: () => Promise<void>): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / (2 * DELAY_MS);
}

t.test('bodies take few round trips to a client that is far away', { skip: missingAddon, timeout: 120_000 }, async (t) => {
  const origin = await startH2Origin(t, byPath({ '/down': pours(BYTES), '/up': digests }));
  const edge = await startEdge(t, { backends: [origin.url] });
  const relay = await startRelay(t, edge.port, () => DELAY_MS);
  const client = await connectH3(t, relay.port);
  const up = await roundTrips(async () => {
    const { text } = await client.exchange({ path: '/up', method: 'POST', body: Buffer.alloc(BYTES) });
    t.equal(JSON.parse(text).bytes, BYTES);
  });
  t.comment(`up: ${up.toFixed(1)} round trips`);
  t.ok(up < MOST_ROUND_TRIPS, 'the upload');
  const down = await roundTrips(async () => {
    t.equal((await client.exchange({ path: '/down' })).body.length, BYTES);
  });
  t.comment(`down: ${down.toFixed(1)} round trips`);
  t.ok(down < MOST_ROUND_TRIPS, 'the download');
});

t.test('bodies take few round trips to a backend that is far away', { skip: missingAddon, timeout: 120_000 }, async (t) => {
  const origin = await startH2Origin(t, byPath({ '/down': pours(BYTES) }));
  const far = await startDelay(t, origin.port);
  const edge = await startEdge(t, { backends: [`h2c://127.0.0.1:${far}`] });
  const client = await connectH3(t, edge.port);
  const down = await roundTrips(async () => {
    t.equal((await client.exchange({ path: '/down' })).body.length, BYTES);
  });
  t.comment(`down: ${down.toFixed(1)} round trips`);
  t.ok(down < MOST_ROUND_TRIPS, 'the download');
});

/** Passes TCP on, late. */
async function startDelay(t: Test, port: number): Promise<number> {
  const sockets = new Set<Socket>();
  const pass = (from: Socket, to: Socket): void => {
    sockets.add(from);
    from.on('error', () => to.destroy());
    from.on('data', (bytes: Buffer) => setTimeout(() => to.writable && to.write(bytes), DELAY_MS));
    from.on('end', () => setTimeout(() => to.end(), DELAY_MS));
  };
  const server = createServer((near) => {
    const there = dial(port, '127.0.0.1');
    pass(near, there);
    pass(there, near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
