import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import type { Snapshot } from '../../src/config/snapshot/snapshot.ts';
import { createEdge } from '../../src/control/edge/edge.ts';
import { createLog } from '../../src/observe/log.ts';
import { createFakeAddon } from './support/fake-addon.ts';
import { testSnapshot } from './support/snapshot.ts';

const workerFile = fileURLToPath(new URL('./support/fake-shard.ts', import.meta.url));

function edgeOf(t: Test, changes: Partial<Snapshot> = {}) {
  const addon = createFakeAddon();
  const lines: string[] = [];
  const log = createLog({ level: 'info', isText: false, stream: { write: (line) => void lines.push(line) } });
  const edge = createEdge(
    { addon, snapshot: testSnapshot(changes), log },
    { shownConfig: { shown: true }, areFaultsAllowed: true, workerFile },
  );
  t.teardown(() => edge.stop());
  const get = async (path: string) => {
    const response = await fetch(`http://${edge.status().adminAddress}${path}`);
    return { status: response.status, text: await response.text() };
  };
  return { addon, edge, get, lines };
}

t.test('the edge starts sockets, reactors and shards, then serves', async (t) => {
  const { addon, edge, get } = edgeOf(t);
  t.equal(edge.status().state, 'idle');
  await edge.start();
  t.same(addon.calls, ['certificates 0 localhost', 'open 0 127.0.0.1:0', 'create 0', 'create 1']);
  t.match(addon.reactors, [
    { shard: 0, shards: 2 },
    { shard: 1, shards: 2 },
  ]);
  t.equal((await get('/readyz')).status, 200);
  t.match(JSON.parse((await get('/v1/status')).text), {
    state: 'serving',
    version: '0.0.0-fake',
    listeners: [{ name: 'public', address: '127.0.0.1:4433', isSteered: true, state: 'serving' }],
    shards: [{ shard: 0, state: 'ready', restarts: 0 }, { state: 'ready' }],
  });
  t.match(JSON.parse((await get('/v1/upstreams')).text), {
    upstreams: [
      { name: 'web', backends: [{ url: 'h2c://127.0.0.1:9000', addresses: ['127.0.0.1:9000'], inFlight: 0, latencyMs: null, waiting: 2 }] },
    ],
  });
  t.match(JSON.parse((await get('/v1/config')).text), { generation: 'sound', config: { shown: true } });
});

t.test('deaths of workers are counted in the metrics', async (t) => {
  const { edge, get } = edgeOf(t);
  await edge.start();
  t.match((await get('/metrics')).text, 'lychgate_shard_restarts_total{shard="1",cause="throw"} 0');
  const body = JSON.stringify({ shard: 1, fault: 'throw' });
  await fetch(`http://${edge.status().adminAddress}/v1/test/fault`, {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/json' },
  });
  while (!edge.status().shards.every(({ state, shard, restarts }) => state === 'ready' && (shard === 0 || restarts === 1))) await later(5);
  t.match((await get('/metrics')).text, 'lychgate_shard_restarts_total{shard="1",cause="throw"} 1');
});

t.test('a drain turns readiness off while the admin API still answers, and waits for exchanges', async (t) => {
  const { addon, edge, get } = edgeOf(t);
  await edge.start();
  addon.exchanges = 1;
  const drained = edge.drain('SIGTERM');
  t.equal((await get('/readyz')).status, 503);
  t.equal((await get('/healthz')).status, 200);
  addon.exchanges = 0;
  t.match(await drained, { cut: 0 });
  const { adminAddress } = edge.status();
  await edge.stop();
  t.equal(edge.status().state, 'stopped');
  t.same(addon.calls.slice(-2).toSorted(), ['destroy 0', 'destroy 1'], 'reactors go after their shards');
  await t.rejects(fetch(`http://${adminAddress}/healthz`));
});

t.test('a reactor that cannot be made closes the sockets nobody took and undoes the rest', async (t) => {
  const { addon, edge } = edgeOf(t);
  addon.createErrors.push(new Error('no memory'));
  await t.rejects(edge.start(), { message: 'no memory' });
  t.same(addon.calls, ['certificates 0 localhost', 'open 0 127.0.0.1:0', 'close listener 0']);
  t.equal(edge.status().state, 'stopped');
});

t.test('a shard that cannot start ends the start and destroys the reactors', async (t) => {
  const { addon, edge } = edgeOf(t, { generation: 'stillborn' });
  await t.rejects(edge.start(), { code: 'shard_not_started' });
  t.same(addon.calls.slice(-2).toSorted(), ['destroy 0', 'destroy 1']);
});

t.test('an admin port that is taken ends the start with its name', async (t) => {
  const other = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => other.once('listening', resolve));
  t.teardown(() => other.close());
  const { port } = other.address() as { port: number };
  const { edge } = edgeOf(t, { admin: { address: `127.0.0.1:${port}`, token: '', maxConnections: 256, probesAddress: '' } });
  await t.rejects(edge.start(), {
    code: 'admin_failed',
    message: `the admin API cannot listen on 127.0.0.1:${port}; another process listens there`,
  });
});

t.test('keys of certificates do not reach the log', async (t) => {
  const { edge, lines } = edgeOf(t);
  await edge.start();
  t.notMatch(lines.join(''), 's3cret');
});

function later(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
