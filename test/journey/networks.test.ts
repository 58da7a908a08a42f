/**
 * Networks as they are: datagrams that are late, out of order, lost, or come from a new address.
 */

import t from 'tap';
import { connectAioquic, getHead, missingAioquic } from '../support/client/aioquic.ts';
import { connectH3 } from '../support/client/h3.ts';
import { missingAddon, startEdge } from '../support/edge.ts';
import { byPath, digests, pours } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { overtaking, type Relay, startRelay, type Weather } from '../support/relay.ts';

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

t.test('bodies pass whole under CUBIC', { skip: missingAddon, timeout: 60_000 }, async (t) => {
  const origin = await startH2Origin(t, byPath({ '/down': pours(4 * MIB), '/up': digests }));
  const edge = await startEdge(t, { backends: [origin.url], listener: { quic: { congestion: 'cubic' } } });
  const relay = await startRelay(t, edge.port, () => 10);
  const client = await connectH3(t, relay.port);
  t.equal((await client.exchange({ path: '/down' })).body.length, 4 * MIB);
  t.equal(JSON.parse((await client.exchange({ path: '/up', body: Buffer.alloc(MIB) })).text).bytes, MIB);
});

for (const congestion of ['bbr', 'cubic']) {
  const options = { skip: missingAddon || missingAioquic, timeout: 60_000 };
  t.test(`a client whose address changes in the middle of bodies goes on where it was, under ${congestion}`, options, async (t) => {
    const origin = await startH2Origin(t, byPath({ '/down': pours(4 * MIB), '/up': digests }));
    const edge = await startEdge(t, { backends: [origin.url], shards: 2, listener: { quic: { congestion } } });
    // Counted in the relay: whoever looked from time to time would find the transfer over.
    const left = { up: Number.POSITIVE_INFINITY, down: 500 };
    const relay: Relay = await startRelay(t, edge.port, (direction) => {
      left[direction] -= 1;
      if (left[direction] === 0) relay.rebind();
      return 10;
    });
    const client = await connectAioquic(t, relay.port);

    const down = await client.request(getHead(edge.port, '/down'));
    t.equal((await client.wait('end', down, 30_000)).bytes, 4 * MIB);

    const up = await client.request([[':method', 'POST'], ...getHead(edge.port, '/up').slice(1)], { fin: false });
    left.up = 500;
    await client.order('zeros', { stream: up, count: 2 * MIB, fin: true });
    await client.wait('end', up, 30_000);
    const said = client.events.find((one) => one.stream === up && one.event === 'data');
    t.equal(JSON.parse(said?.text ?? '{}').bytes, 2 * MIB);

    const metrics = await edge.metrics();
    t.ok(left.up < 0 && left.down < 0, 'in the middle of both');
    t.equal(metrics.sum('lychgate_connections_opened_total'), 1, 'it is one connection');
    t.equal(metrics.sum('lychgate_connection_migrations_total'), 2, 'it moved twice');
  });
}
