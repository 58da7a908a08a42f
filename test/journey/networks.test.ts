/** Networks as they are: datagrams that are late, out of order, lost, or come from a new address. */

import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { connectAioquic, getHead, missingAioquic } from '../support/client/aioquic.ts';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { byPath, digests, pours } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { overtaking, startRelay, type Weather } from '../support/relay.ts';

const MIB = 1024 * 1024;

const WEATHERS: readonly [string, Weather][] = [
  ['20 ms away', () => 10],
  ['with every fifth datagram overtaken', overtaking(5, 8)],
  ['with two per cent of the datagrams lost', (_direction, place) => (place % 50 === 17 ? null : 0)],
];

for (const [name, weather] of WEATHERS) {
  t.test(`bodies pass whole to a client ${name}`, { skip: missingAddon, timeout: 60_000 }, async (t) => {
    const origin = await startH2Origin(t, byPath({ '/down': pours(4 * MIB), '/up': digests }));
    const edge = await startEdge(t, { backends: [origin.url] });
    const relay = await startRelay(t, edge.port, weather);
    const client = await connectH3(t, relay.port);
    t.equal((await client.exchange({ path: '/down' })).body.length, 4 * MIB);
    t.equal(JSON.parse((await client.exchange({ path: '/up', body: Buffer.alloc(MIB) })).text).bytes, MIB);
  });
}

t.test('bodies pass whole under BBR, which paces them', { skip: missingAddon, timeout: 60_000 }, async (t) => {
  const origin = await startH2Origin(t, byPath({ '/down': pours(4 * MIB), '/up': digests }));
  const edge = await startEdge(t, { backends: [origin.url], listener: { quic: { congestion: 'bbr' } } });
  const relay = await startRelay(t, edge.port, () => 10);
  const client = await connectH3(t, relay.port);
  t.equal((await client.exchange({ path: '/down' })).body.length, 4 * MIB);
  t.equal(JSON.parse((await client.exchange({ path: '/up', body: Buffer.alloc(MIB) })).text).bytes, MIB);
});

// With nothing in flight at the moment of the change: what is, quiche 0.30 never declares lost on the old path (docs/design/connection-ids.md).
t.test('a client whose address changes goes on where it was', { skip: missingAddon || missingAioquic, timeout: 60_000 }, async (t) => {
  const origin = await startH2Origin(t, byPath({ '/down': pours(4 * MIB) }));
  const edge = await startEdge(t, { backends: [origin.url], shards: 2 });
  const relay = await startRelay(t, edge.port, () => 2);
  const client = await connectAioquic(t, relay.port);
  for (const isLast of [false, true]) {
    const stream = await client.request(getHead(edge.port, '/down'));
    t.equal((await client.wait('end', stream)).bytes, 4 * MIB);
    if (isLast) break;
    // The last acknowledgements cross the relay.
    await sleep(300);
    relay.rebind();
  }
  t.equal((await edge.metrics()).sum('lychgate_connections_opened_total'), 1, 'it is one connection');
});
