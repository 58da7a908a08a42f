/** The limit of connections by client address: over it a client is refused, and nobody else. */

import { spawnSync } from 'node:child_process';
import t, { type Test } from 'tap';
import { type AioquicClient, connectAioquic, getHead, missingAioquic, refusedAioquic } from '../support/client/aioquic.ts';
import { type Edge, missingAddon, startEdge } from '../support/edge.ts';
import { inNamespace, isInside, missingNamespaces } from '../support/namespaces.ts';
import { answers } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

const skip = missingAddon || missingAioquic;
/** CONNECTION_REFUSED of the transport. */
const REFUSED = { code: 0x2, frame: 0 };

/** How many connections the edge says a client has; null for one that is not counted. */
async function counts(edge: Edge): Promise<Record<string, number | null>> {
  const { connections } = (await edge.ask('/v1/connections')) as { connections: { peer: string; clientConnections: number | null }[] };
  return Object.fromEntries(connections.map(({ peer, clientConnections }) => [peer.slice(0, peer.lastIndexOf(':')), clientConnections]));
}

const isAnswered = async (client: AioquicClient, edge: Edge): Promise<boolean> =>
  (await client.status(await client.request(getHead(edge.port)))) === 200;

/** A client from an address of this machine, and the edge has counted it. */
async function connectFrom(t: Test, edge: Edge, from: string, host: string, count: number | null): Promise<AioquicClient> {
  const client = await connectAioquic(t, edge.port, { from, host });
  await until(`${from} has ${count}`, async () => (await counts(edge))[from.replace(/^::ffff:/, '')] === count);
  return client;
}

if (!isInside) {
  t.test(
    'a fourth connection of three is refused, another client goes on, and one that closes makes room',
    { skip, timeout: 120_000 },
    async (t) => {
      const origin = await startH2Origin(t, answers('ok'));
      const edge = await startEdge(t, {
        backends: [origin.url],
        shards: 2,
        listener: { per_client: { max_connections: 3, exempt: '127.0.0.4' } },
      });
      const [two, three, four] = ['::ffff:127.0.0.2', '::ffff:127.0.0.3', '::ffff:127.0.0.4'];
      const clients: AioquicClient[] = [];
      for (const count of [1, 2, 3]) clients.push(await connectFrom(t, edge, two, '127.0.0.1', count));
      for (let place = 0; place < 2; place += 1) t.match(await refusedAioquic(t, edge.port, { from: two }), REFUSED);
      t.ok((await edge.metrics()).sum('lychgate_connections_refused_total', { reason: 'client_limit' }) >= 2);
      await until('the log says so', () => edge.log.some((line) => String(line['msg']).includes('per_client.max_connections')));
      clients.push(await connectFrom(t, edge, three, '127.0.0.1', 1));
      for (let place = 0; place < 4; place += 1)
        t.ok(await isAnswered(await connectFrom(t, edge, four, '127.0.0.1', null), edge), 'exempt');

      await clients[1]?.order('close');
      await until('its place is free', async () => (await counts(edge))['127.0.0.2'] === 2);
      clients[1] = await connectFrom(t, edge, two, '127.0.0.1', 3);
      for (const client of clients) t.ok(await isAnswered(client, edge));
      t.match(await refusedAioquic(t, edge.port, { from: two }), REFUSED);
    },
  );

  t.test("a proxy of one's own comes for many", { skip, timeout: 60_000 }, async (t) => {
    const origin = await startH2Origin(t, answers('ok'));
    const listener = { per_client: { max_connections: 1 }, trusted_networks: '127.0.0.2' };
    const edge = await startEdge(t, { backends: [origin.url], listener });
    for (let place = 0; place < 3; place += 1)
      t.ok(await isAnswered(await connectFrom(t, edge, '::ffff:127.0.0.2', '127.0.0.1', null), edge));
  });

  t.test('an IPv6 client is its /64', { skip: skip || missingNamespaces, timeout: 120_000 }, async (t) => {
    const { code, output } = await inNamespace(import.meta.filename);
    t.equal(code, 0, output);
  });
} else {
  t.test('an IPv6 client is its /64', { skip, timeout: 60_000 }, async (t) => {
    for (const line of ['link set lo up', ...['1::1', '1::2', '2::1'].map((host) => `addr add fd00:0:0:${host}/64 dev lo nodad`)]) {
      t.equal(spawnSync('ip', line.split(' ')).status, 0, line);
    }
    const origin = await startH2Origin(t, answers('ok'));
    const edge = await startEdge(t, { backends: [origin.url], listener: { address: '[::1]:0', per_client: { max_connections: 2 } } });
    const [one, two, other] = ['fd00:0:0:1::1', 'fd00:0:0:1::2', 'fd00:0:0:2::1'];
    const clients = [
      await connectAioquic(t, edge.port, { from: one, host: '::1' }),
      await connectAioquic(t, edge.port, { from: two, host: '::1' }),
    ];
    await until('both to count', async () => Object.values(await counts(edge)).includes(2));
    for (const from of [one, two]) t.match(await refusedAioquic(t, edge.port, { from, host: '::1' }), REFUSED, from);
    clients.push(await connectAioquic(t, edge.port, { from: other, host: '::1' }));
    for (const client of clients) t.ok(await isAnswered(client, edge));
  });
}
