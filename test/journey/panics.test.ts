/**
 * Panics of the native side, planted in the build that tests use
 * (`native/core/src/base/panics.rs`): each ends what it happened in, is counted and logged with its
 * place, and the process goes on.
 */
import { spawnSync } from 'node:child_process';
import type { ServerHttp2Stream } from 'node:http2';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { loadAddon } from '../../src/native/load.ts';
import { type AioquicClient, connectAioquic, getHead, missingAioquic } from '../support/client/aioquic.ts';
import { type Edge, missingAddon, startEdge } from '../support/edge.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { plainCommand, plainEnvironment } from '../support/process.ts';
import { until } from '../support/wait.ts';

const skip = missingAddon || missingAioquic || missingPlants();
const env = { LYCHGATE_TEST_FAULTS: '1' };

/** INTERNAL_ERROR of the transport, for no frame in particular (RFC 9000 §20.1). */
const CLOSED = { code: 0x1, frame: 0 };

/**
 * Why no panic can be planted; false when one can. This thread has no reactor that could meet it.
 */
function missingPlants(): string | false {
  try {
    loadAddon().plantPanic('turn');
    return false;
  } catch {
    return 'the addon is a release: planted panics need one of profile ci';
  }
}

/** An origin that holds `/held` back until it is let go, and answers everything else. */
async function originOf(t: Parameters<typeof startH2Origin>[0]) {
  const held: ServerHttp2Stream[] = [];
  const origin = await startH2Origin(t, (stream, headers) => {
    if (headers[':path'] === '/held') held.push(stream);
    else stream.respond({ ':status': 200 }, { endStream: true });
  });
  const release = (): void => {
    for (const stream of held) {
      if (stream.destroyed) continue;
      stream.respond({ ':status': 200 }, { endStream: true });
    }
  };
  return { origin, held, release };
}

for (const [place, file] of [
  ['receive', 'src/reactor/endpoint.rs'],
  ['process', 'src/reactor/arrivals.rs'],
  ['send', 'src/reactor/transmit.rs'],
  ['response', 'src/relay/response.rs'],
] as const) {
  t.test(`a panic in ${place} ends one connection and leaves the others and the worker`, { skip }, async (t) => {
    const { origin, held, release } = await originOf(t);
    const edge = await startEdge(t, { backends: [origin.url], shards: 1, env });
    const clients = [await connectAioquic(t, edge.port), await connectAioquic(t, edge.port)];
    const streams = await Promise.all(clients.map((client) => client.request(getHead(edge.port, '/held'))));
    await until('both are open', () => held.length === 2);

    await plant(edge, place);
    await clients[0]?.request(getHead(edge.port));
    // Whichever has something to do next.
    const ended = await until('one is closed', () => clients.findIndex(isClosed) + 1);
    t.match(await clients[ended - 1]?.wait('closed'), CLOSED);
    const other = clients[2 - ended] as AioquicClient;
    release();
    t.equal(await other.status(streams[2 - ended] as number), 200, 'what was open elsewhere ends in peace');
    t.equal(await other.status(await other.request(getHead(edge.port))), 200);

    const metrics = await edge.metrics();
    t.equal(metrics.sum('lychgate_panics_total', { owner: 'connection' }), 1);
    t.equal(metrics.sum('lychgate_panics_total'), 1);
    t.equal(metrics.sum('lychgate_shard_restarts_total'), 0);
    await assertLogged(t, edge, 'connection', file, `planted in ${place}`);
    await until('its exchanges are told of', () => edge.access().some(({ reason }) => reason === 'internal_error'));
  });
}

t.test('a panic over what a backend sends ends its session, and the next request has another', { skip }, async (t) => {
  const { origin } = await originOf(t);
  const edge = await startEdge(t, { backends: [origin.url], shards: 1, env });
  const client = await connectAioquic(t, edge.port);
  t.equal(await client.status(await client.request(getHead(edge.port))), 200);
  await plant(edge, 'session');
  // It strikes what the session sends next: the answer as a rule, or a frame about the session
  // itself that came late.
  const struck = await client.status(await client.request(getHead(edge.port)));
  t.ok(struck === 500 || struck === 200, `${struck}`);
  t.equal(await client.status(await client.request(getHead(edge.port))), 200);
  t.equal((await edge.metrics()).sum('lychgate_panics_total', { owner: 'session' }), 1);
  await assertLogged(t, edge, 'session', 'src/upstream/pool/api.rs', 'planted in session');
});

for (const [place, file] of [
  ['turn', 'src/reactor/turn.rs'],
  ['pool', 'src/upstream/pool/api.rs'],
] as const) {
  t.test(`a panic in ${place} ends one shard's connections, and a fresh reactor has its sockets`, { skip, timeout: 60_000 }, async (t) => {
    const { origin, held, release } = await originOf(t);
    const edge = await startEdge(t, { backends: [origin.url], shards: 2, env });
    const clients = await Promise.all(Array.from({ length: 8 }, () => connectAioquic(t, edge.port)));
    const streams = await Promise.all(clients.map((client) => client.request(getHead(edge.port, '/held'))));
    await until('all are open', () => held.length === clients.length);
    const before = (await edge.metrics()).sum('lychgate_connections', { shard: '0' });

    await plant(edge, place);
    // Shard 0 may have none of these: somebody comes to it sooner or later.
    const strangers: AioquicClient[] = [];
    await until(
      'the panic',
      async () => {
        for (const client of [...clients, ...strangers]) if (!isClosed(client)) await client.request(getHead(edge.port)).catch(() => {});
        if (before === 0) strangers.push(await connectAioquic(t, edge.port).catch(() => clients[0] as AioquicClient));
        return (await edge.metrics()).sum('lychgate_panics_total', { owner: 'shard' }) === 1;
      },
      20_000,
    );
    await until('the connections of the shard are closed', () => clients.filter(isClosed).length === before);
    for (const client of clients.filter(isClosed)) t.match(await client.wait('closed'), CLOSED);

    await until(
      'the worker is replaced',
      async () => (await edge.metrics()).sum('lychgate_shard_restarts_total', { cause: 'panic' }) === 1,
    );
    release();
    for (const [number, client] of clients.entries()) {
      if (!isClosed(client)) t.equal(await client.status(streams[number] as number), 200, 'the other shard goes on');
    }
    await until('the shard is ready', async () => {
      const { shards } = (await edge.ask('/v1/status')) as { shards: { state: string }[] };
      return shards.every(({ state }) => state === 'ready');
    });
    const others = await Promise.all(Array.from({ length: 8 }, () => connectAioquic(t, edge.port)));
    for (const client of others) t.equal(await client.status(await client.request(getHead(edge.port))), 200);
    await assertLogged(t, edge, 'shard', file, `planted in ${place}`);
    if (before > 0) {
      const told = () => edge.access().filter(({ reason, path }) => reason === 'internal_error' && path === '/held').length;
      await until('its exchanges are told of', () => told() === before);
    }
  });
}

t.test('an addon in which panics can be planted is not published', { skip: missingAddon || missingPlants() }, async (t) => {
  const script = join(import.meta.dirname, '../../native/shippable.mjs');
  const { status, stderr } = spawnSync(...plainCommand(process.execPath, [script]), { env: plainEnvironment(), encoding: 'utf8' });
  t.equal(status, 1);
  t.match(stderr, /lychgate\.linux-.*\.node: build it for release/);
});

function isClosed(client: AioquicClient): boolean {
  return client.events.some(({ event }) => event === 'closed');
}

async function plant(edge: Edge, place: string): Promise<void> {
  const response = await fetch(`${edge.admin}/v1/test/fault`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ shard: 0, fault: 'panic', at: place }),
  });
  if (!response.ok) throw new Error(`fault refused: ${response.status} ${await response.text()}`);
}

async function assertLogged(test: Test, edge: Edge, owner: string, file: string, message: string): Promise<void> {
  const line = await until('the panic is logged', () => edge.log.find((one) => 'owner' in one));
  test.match(line, { level: 'error', owner, place: new RegExp(`${file}:\\d+:\\d+$`), message });
}
