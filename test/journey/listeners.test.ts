/**
 * Listeners come, move, change and go while the edge serves: sockets first, all or nothing, and
 * nobody who is connected elsewhere notices.
 */

import { spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { chmodSync, readFileSync } from 'node:fs';
import type { ServerHttp2Stream } from 'node:http2';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { ListenerView } from '../../src/control/listen/endpoint.ts';
import { certificates } from '../support/certificates.ts';
import { connectH3, type H3Client, readAll } from '../support/client/h3.ts';
import { digest } from '../support/digest.ts';
import { type Edge, missingAddon, startEdge } from '../support/edge.ts';
import { answers, digests, pour, pourDigest } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { descriptorCount } from '../support/process.ts';
import { type ReloadAnswer, reload } from '../support/reload.ts';
import { until } from '../support/wait.ts';

const BIN = join(import.meta.dirname, '../../bin/lychgate');
const MIB = 1024 * 1024;
const skip = missingAddon;

t.setTimeout(240_000);

type Listener = Readonly<Record<string, unknown>>;

const listener = (name: string, more: Listener = {}): Listener => {
  const { chainPath: chain, keyPath: key } = certificates();
  return { name, address: '127.0.0.1:0', certificates: [{ names: ['localhost'], chain, key }], ...more };
};

/** Puts these listeners into the file and has it read. */
async function listen(edge: Edge, listeners: readonly Listener[], more: Listener = {}): Promise<ReloadAnswer> {
  edge.rewrite({ config: { ...more, listeners } });
  return reload(edge);
}

async function applied(t: Test, edge: Edge, listeners: readonly Listener[], more: Listener = {}): Promise<void> {
  const answer = await listen(edge, listeners, more);
  t.equal(answer.result, 'applied', answer.detail ?? answer.problems.join());
}

const shown = async (edge: Edge): Promise<ListenerView[]> => ((await edge.ask('/v1/status')) as { listeners: ListenerView[] }).listeners;

async function portOf(edge: Edge, name: string): Promise<number> {
  const found = (await shown(edge)).find((one) => one.name === name && one.state === 'serving');
  return Number(found?.address.split(':').pop());
}

const isRefused = (t: Test, port: number): Promise<boolean> =>
  connectH3(t, port, { connectTimeoutMs: 500 }).then(
    () => false,
    () => true,
  );

/** Waits with every answer of `/held` until the test gives it. */
function holding(waiting: ServerHttp2Stream[]): Parameters<typeof startH2Origin>[1] {
  return (stream, headers) => {
    if (headers[':path'] === '/held') waiting.push(stream);
    else answers('ok')(stream, headers);
  };
}

function release(waiting: ServerHttp2Stream[], text: string): void {
  for (const stream of waiting.splice(0)) {
    stream.respond({ ':status': 200 });
    stream.end(text);
  }
}

/**
 * A connection that is kept busy: downloads, uploads, listens to events and asks again and again.
 */
function keepBusy(client: H3Client, megabytes: number) {
  const ticks = { isOver: false };
  const failures: string[] = [];
  let answered = 0;
  const body = Buffer.alloc(64 * 1024, 7);
  const work = (async () => {
    const download = digest((await client.open({ path: '/long' })).stream);
    const events = readAll(await client.open({ path: '/events' }));
    const upload = await client.open({ path: '/upload', method: 'POST' }, false);
    const uploaded = readAll(upload);
    let bytes = 0;
    const running: Promise<void>[] = [];
    while (!ticks.isOver) {
      upload.stream.write(body);
      bytes += body.length;
      running.push(
        client.exchange({ path: `/one?${answered}` }).then(
          ({ status }) => {
            answered += 1;
            if (status !== 200) failures.push(String(status));
          },
          (error: Error) => void failures.push(error.message),
        ),
      );
      await sleep(20);
    }
    upload.stream.end();
    await Promise.all(running);
    return { download: await download, events: (await events).text, uploaded: JSON.parse((await uploaded).text).bytes as number, bytes };
  })();
  return {
    ticks,
    async end(t: Test): Promise<void> {
      ticks.isOver = true;
      const { download, events, uploaded, bytes } = await work;
      t.same(failures, [], `${answered} were answered`);
      t.ok(answered > 20, `${answered} were answered`);
      t.same(download, { bytes: megabytes * MIB, sha256: pourDigest(megabytes * MIB) }, 'the download is whole');
      t.match(events, /^(data: tick\n\n)+data: end\n\n$/, 'the event stream went on to its end');
      t.equal(uploaded, bytes, 'the upload is whole');
      t.notOk(client.isGoingAway());
      t.notOk(client.session.closed);
    },
  };
}

function busyOrigin(megabytes: number, ticks: () => boolean): Parameters<typeof startH2Origin>[1] {
  return (stream, headers) => {
    const path = headers[':path'] ?? '';
    if (path.startsWith('/long')) {
      stream.respond({ ':status': 200 });
      pour(stream, megabytes * MIB);
      stream.resume();
    } else if (path.startsWith('/upload')) digests(stream, headers);
    else if (path.startsWith('/events')) {
      stream.respond({ ':status': 200, 'content-type': 'text/event-stream' });
      const timer = setInterval(() => {
        if (ticks()) return void stream.write('data: tick\n\n');
        clearInterval(timer);
        stream.end('data: end\n\n');
      }, 20);
      stream.on('close', () => clearInterval(timer));
      stream.on('error', () => {});
      stream.resume();
    } else answers('ok')(stream, headers);
  };
}

t.test('listeners come, change, move and go under load and no request, stream or connection of another is lost', { skip }, async (t) => {
  let isOver = false;
  const origin = await startH2Origin(
    t,
    busyOrigin(48, () => !isOver),
  );
  const edge = await startEdge(t, { backends: [origin.url], shards: 2, config: { log: { level: 'info' } } });
  const kept = await connectH3(t, edge.port);
  const busy = keepBusy(kept, 48);
  const log = { log: { level: 'info' } };
  for (let round = 0; round < 8; round++) {
    // It changes itself in every round, the other comes, moves and goes.
    const own = listener('public', {
      max_connections: 1_000 + round,
      quic: { idle_timeout: `${20 + round}s` },
      http: { max_fields: 90 + round },
    });
    await applied(t, edge, [own, listener('other')], log);
    const port = await portOf(edge, 'other');
    const client = await connectH3(t, port);
    t.equal((await client.exchange()).text, 'ok');
    await applied(t, edge, [listener('other', { address: '127.0.0.2:0' }), own], log);
    await until('it is told to go', () => client.isGoingAway());
    const next = await connectH3(t, edge.port);
    t.equal((await next.exchange()).text, 'ok');
    await applied(t, edge, [own], log);
    await until('the addresses are closed', async () => (await shown(edge)).length === 1);
    await next.close();
  }
  busy.ticks.isOver = true;
  isOver = true;
  await busy.end(t);
  const metrics = await edge.metrics();
  t.equal(metrics.sum('lychgate_shard_restarts_total'), 0);
  t.equal(metrics.sum('lychgate_decide_failures_total'), 0);
  t.equal(metrics.sum('lychgate_panics_total'), 0);
});

t.test(
  'the client of a listener that is removed is told to go, its stream ends well, and then the address is closed',
  { skip },
  async (t) => {
    const waiting: ServerHttp2Stream[] = [];
    const origin = await startH2Origin(t, holding(waiting));
    const edge = await startEdge(t, { backends: [origin.url], shards: 2 });
    await applied(t, edge, [listener('public'), listener('other')]);
    const port = await portOf(edge, 'other');
    const [client, idle] = [await connectH3(t, port), await connectH3(t, port)];
    const held = client.exchange({ path: '/held' });
    await until('it is open', () => waiting.length === 1);
    t.match(
      ((await edge.ask('/v1/connections')) as { connections: { listener: string }[] }).connections.map(({ listener }) => listener).sort(),
      ['other', 'other'],
    );

    await applied(t, edge, [listener('public')]);
    await until('both are told', () => client.isGoingAway() && idle.isGoingAway());
    t.match(await shown(edge), [
      { name: 'public', state: 'serving' },
      { name: 'other', state: 'draining', address: `127.0.0.1:${port}` },
    ]);
    t.ok(await isRefused(t, port), 'nobody new is let in');
    t.match(
      ((await edge.ask('/v1/connections')) as { connections: { listener: string; state: string }[] }).connections.filter(
        ({ state }) => state === 'draining',
      ),
      [{ listener: 'other' }],
      'who is still there is known by its name',
    );
    release(waiting, 'in peace');
    t.equal((await held).text, 'in peace');
    await until('the address is closed', async () => (await shown(edge)).length === 1);
    await until('its line is there', () => edge.access().some((line) => line['listener'] === 'other' && line['status'] === 200));
    t.ok((await edge.metrics()).sum('lychgate_connections_refused_total', { reason: 'draining' }) > 0);
  },
);

t.test('what is left at a removed listener is cut when drain.timeout is over', { skip }, async (t) => {
  const waiting: ServerHttp2Stream[] = [];
  const origin = await startH2Origin(t, holding(waiting));
  const drain = { drain: { timeout: '300ms' } };
  const edge = await startEdge(t, { backends: [origin.url], config: drain });
  await applied(t, edge, [listener('public'), listener('other')], drain);
  const client = await connectH3(t, await portOf(edge, 'other'));
  const held = client.exchange({ path: '/held' }).then(
    ({ status }) => status,
    () => 0,
  );
  await until('it is open', () => waiting.length === 1);
  await applied(t, edge, [listener('public')], drain);
  t.equal(await held, 0);
  await until('the address is closed', async () => (await shown(edge)).length === 1);
  await until('its line is there', () => edge.access().some((line) => line['listener'] === 'other' && line['reason'] === 'shutdown'));
  t.equal((await (await connectH3(t, edge.port)).exchange()).text, 'ok');
});

t.test('an address that is taken is an answer with the name of the listener, and nothing has changed', { skip }, async (t) => {
  const origin = await startH2Origin(t, answers('ok'));
  const edge = await startEdge(t, { backends: [origin.url], shards: 2 });
  const client = await connectH3(t, edge.port);
  const before = (await edge.ask('/v1/status')) as { generation: string };
  const descriptors = descriptorCount(edge.pid);
  const other = createSocket('udp4').bind(0, '127.0.0.1');
  t.teardown(() => other.close());
  await once(other, 'listening');
  const address = `127.0.0.1:${other.address().port}`;
  const listeners = [listener('fine'), listener('late', { address }), listener('nowhere', { address: '192.0.2.1:4433' })];
  edge.rewrite({ config: { listeners } });
  for (const isDryRun of [true, false]) {
    const answer = await reload(edge, isDryRun);
    t.match(answer, { status: isDryRun ? 200 : 409, result: 'cannot_listen' });
    t.match(answer.detail, `listener late cannot listen on ${address}; another process listens there`);
    t.match(answer.detail, 'listener nowhere cannot listen on 192.0.2.1:4433; no interface of this machine has that address');
  }
  t.match(await edge.ask('/v1/status'), { generation: before.generation, reload: { lastResult: 'cannot_listen', staleSince: /^\d/ } });
  t.match(await shown(edge), [{ name: 'public', state: 'serving' }]);
  await until('what was opened is closed', () => descriptorCount(edge.pid) <= descriptors + 2);
  t.notOk(client.isGoingAway());
  t.equal((await client.exchange()).text, 'ok');
  t.equal((await (await connectH3(t, edge.port)).exchange()).text, 'ok');
});

t.test(
  'a wildcard follows on an address of its port and the other way round, and what runs at the one before ends well',
  { skip },
  async (t) => {
    const waiting: ServerHttp2Stream[] = [];
    const origin = await startH2Origin(t, holding(waiting));
    const edge = await startEdge(t, { backends: [origin.url], shards: 2 });
    await applied(t, edge, [listener('public'), listener('other')]);
    const port = await portOf(edge, 'other');
    for (const host of ['0.0.0.0', '127.0.0.1', '0.0.0.0']) {
      const before = await connectH3(t, port);
      const held = before.exchange({ path: '/held' });
      await until('it is open', () => waiting.length === 1);
      await applied(t, edge, [listener('public'), listener('other', { address: `${host}:${port}` })]);
      await until('who is there is told', () => before.isGoingAway());
      // From now on the kernel gives packets of connections that are open to another socket than
      // before.
      const after = await connectH3(t, port);
      t.equal((await after.exchange()).text, 'ok', host);
      release(waiting, 'in peace');
      t.equal((await held).text, 'in peace', host);
      await until('the address before is closed', async () => (await shown(edge)).length === 2);
      t.equal((await after.exchange()).text, 'ok', host);
      await after.close();
    }
    const other = await listen(edge, [listener('public'), listener('other', { address: `[::]:${port}` })]);
    t.equal(other.result, 'cannot_listen');
    t.match(other.detail, `listener other cannot listen on [::]:${port}; the edge itself listens on 0.0.0.0:${port}, as other`);
  },
);

t.test(
  'a port below 1024 is refused with what is missing where the edge has no right to it',
  { skip: missingAddon || !mayDropRights() },
  async (t) => {
    const origin = await startH2Origin(t, answers('ok'));
    const bin = join(t.testdir({ edge: `#!/bin/sh\nexec setpriv --bounding-set -net_bind_service ${BIN} "$@"\n` }), 'edge');
    chmodSync(bin, 0o755);
    const edge = await startEdge(t, { backends: [origin.url], bin });
    for (const isDryRun of [true, false]) {
      edge.rewrite({ config: { listeners: [listener('public'), listener('low', { address: '127.0.0.1:443' })] } });
      const { result, detail } = await reload(edge, isDryRun);
      t.equal(result, 'cannot_listen');
      t.match(detail, 'listener low cannot listen on 127.0.0.1:443; ports below 1024 need the capability CAP_NET_BIND_SERVICE');
    }
    t.equal((await (await connectH3(t, edge.port)).exchange()).text, 'ok');
  },
);

t.test('a listener that gets another name keeps its socket, and a listener that comes back has it again', { skip }, async (t) => {
  const waiting: ServerHttp2Stream[] = [];
  const origin = await startH2Origin(t, holding(waiting));
  const edge = await startEdge(t, { backends: [origin.url], shards: 2 });
  const address = `127.0.0.1:${edge.port}`;
  // A port that was free is named from now on.
  await applied(t, edge, [listener('public'), listener('other')]);
  const port = await portOf(edge, 'other');
  const named = listener('other', { address: `127.0.0.1:${port}` });
  const client = await connectH3(t, port);
  await applied(t, edge, [listener('public'), named]);
  t.match(await shown(edge), [{ name: 'public' }, { name: 'other', address: named['address'], state: 'serving' }]);
  t.notOk(client.isGoingAway(), 'that is no other address');
  const held = client.exchange({ path: '/held' });
  await until('it is open', () => waiting.length === 1);

  await applied(t, edge, [listener('public'), { ...named, name: 'renamed' }]);
  await until('who came by the old name is told', () => client.isGoingAway());
  const next = await connectH3(t, port);
  t.equal((await next.exchange()).text, 'ok');
  await until('its line has the new name', () => edge.access().some((line) => line['listener'] === 'renamed'));
  await applied(t, edge, [listener('public')]);
  await applied(t, edge, [listener('public'), { ...named, name: 'renamed' }]);
  t.equal(await portOf(edge, 'renamed'), port);
  t.equal((await (await connectH3(t, port)).exchange()).text, 'ok', 'it came back before its connections had ended');
  release(waiting, 'ok');
  t.equal((await held).status, 200);
  await until('the line of the old name is there', () => edge.access().some((line) => line['listener'] === 'other'));
  t.match(await shown(edge), [
    { name: 'public', address },
    { name: 'renamed', state: 'serving' },
  ]);
});

t.test('fifty listeners that came and went leave no descriptor, no memory and no entry behind', { skip }, async (t) => {
  const origin = await startH2Origin(t, answers('ok'));
  const edge = await startEdge(t, { backends: [origin.url], shards: 2, config: { log: { level: 'info' } } });
  const kept = await connectH3(t, edge.port);
  const own = listener('public');
  const log = { log: { level: 'info' } };
  let descriptors = 0;
  for (let round = 0; round < 50; round++) {
    const name = `l${round % 10}`;
    await applied(t, edge, [own, listener(name)], log);
    const client = await connectH3(t, await portOf(edge, name));
    t.equal((await client.exchange()).text, 'ok');
    await applied(t, edge, [own], log);
    await until('it is told', () => client.isGoingAway());
    await client.close();
    t.equal((await kept.exchange()).text, 'ok');
    if (round === 5) {
      await until('all are closed', async () => (await shown(edge)).length === 1);
      descriptors = descriptorCount(edge.pid);
    }
  }
  await until('all are closed', async () => (await shown(edge)).length === 1);
  await until('no descriptor is left', () => descriptorCount(edge.pid) <= descriptors + 2);
  const metrics = await edge.metrics();
  t.equal(metrics.sum('lychgate_shard_restarts_total'), 0);
  t.equal(metrics.sum('lychgate_connections'), 1);
  for (const family of [
    'lychgate_phase_duration_seconds_count',
    'lychgate_certificate_expiry_timestamp_seconds',
    'lychgate_certificate_handshakes_total',
  ])
    t.same([...new Set([...metrics.series(family)].map(([{ listener }]) => listener))], ['public'], family);
  t.notOk(kept.isGoingAway());
});

t.test('a worker that dies meanwhile comes back with the listeners of the file', { skip }, async (t) => {
  const origin = await startH2Origin(t, answers('ok'));
  const env = { LYCHGATE_TEST_FAULTS: '1' };
  const edge = await startEdge(t, { backends: [origin.url], shards: 2, env, config: { log: { level: 'info' } } });
  const own = listener('public');
  const log = { log: { level: 'info' } };
  for (let round = 0; round < 4; round++) {
    const added = listen(edge, [own, listener(`l${round}`)], log);
    await hurt(edge, round % 2, round < 2 ? 'throw' : 'panic');
    t.equal((await added).result, 'applied');
    const port = await portOf(edge, `l${round}`);
    // Enough for both shards to get some.
    for (let count = 0; count < 6; count++) t.equal((await (await connectH3(t, port)).exchange()).text, 'ok');
    const removed = listen(edge, [own], log);
    await hurt(edge, (round + 1) % 2, 'throw');
    t.equal((await removed).result, 'applied');
    await until('it is closed', async () => (await shown(edge)).length === 1, 20_000);
  }
  t.equal((await (await connectH3(t, edge.port)).exchange()).text, 'ok');
});

/** Whether this user may give up a capability, and ports below 1024 need it here. */
function mayDropRights(): boolean {
  const isNeeded = Number(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8')) > 443;
  return isNeeded && spawnSync('setpriv', ['--bounding-set', '-net_bind_service', 'true']).status === 0;
}

async function hurt(edge: Edge, shard: number, fault: string): Promise<void> {
  await until('the shard is there to be hurt', async () => {
    const response = await fetch(`${edge.admin}/v1/test/fault`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ shard, fault, at: fault === 'panic' ? 'turn' : 'now' }),
    });
    return response.ok;
  });
}
