/**
 * Everything on at once: an edge with every feature of routing, choosing and surviving, backends of
 * all weathers, clients of all tempers, and workers that die meanwhile. Whatever happens, responses
 * are whole and belong to their requests, nothing is done twice that must not be, and when all is
 * quiet nothing is left.
 *
 * `SOAK=20` makes it twenty times as long.
 */

import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { connectAioquic, missingAioquic } from '../support/client/aioquic.ts';
import { type Edge, missingAddon, startEdge } from '../support/edge.ts';
import { ID, Ledger, type SoakBackend, startSoakBackend } from '../support/soak/backends.ts';
import { createTally, runCrowd, type Tally } from '../support/soak/clients.ts';
import { BACKENDS, SEASONS, soakConfiguration, WISHES } from '../support/soak/configuration.ts';
import { until } from '../support/wait.ts';

const times = Number(process.env['SOAK'] || 1);

t.setTimeout(120_000 * times);

interface World {
  readonly edge: Edge;
  readonly backends: readonly SoakBackend[];
  readonly ledger: Ledger;
}

/** `idleTimeout` is for the clients' connections. */
async function begin(t: Test, seed: number, idleTimeout = '10s'): Promise<World> {
  const ledger = new Ledger();
  const backends = await Promise.all(Array.from({ length: BACKENDS }, (_, i) => startSoakBackend(t, ledger, seed * 100 + i)));
  const edge = await startEdge(t, {
    backends: [],
    listener: { quic: { idle_timeout: idleTimeout } },
    env: { LYCHGATE_TEST_FAULTS: '1' },
    config: { ...soakConfiguration(backends), shards: { count: 2, stall_timeout: '500ms' }, log: { level: 'info' } },
  });
  return { edge, backends, ledger };
}

/** What changes as requests go by: the weather, who is dead, who is ill, what weighs how much. */
function seasons({ edge, backends }: World, requests: number): (begun: number) => void {
  const every = Math.max(1, Math.floor(requests / 16));
  let killed: SoakBackend | undefined;
  return (begun) => {
    if (begun % every !== 0) return;
    const step = begun / every;
    const season = SEASONS[step % SEASONS.length]!;
    for (const [i, backend] of backends.entries()) backend.weather = season[i]!;
    void killed?.revive();
    killed = step % 3 === 1 ? backends[(step * 2) % 7] : undefined;
    killed?.kill();
    for (const backend of backends.slice(3, 7)) backend.isWell = true;
    backends[3 + (step % 4)]!.isWell = step % 2 === 0;
    void put(edge, { upstream: 'quick', backend: backends[4]!.url, weight: step % 2 === 0 ? 100 : 5 });
    void put(edge, { route: 'read', weights: step % 4 === 0 ? [0, 10] : [60, 40] });
    if (begun >= requests - every) {
      void killed?.revive();
      killed = undefined;
    }
  };
}

async function put(edge: Edge, order: Record<string, unknown>): Promise<void> {
  const response = await fetch(`${edge.admin}/v1/weights`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(order),
  });
  if (!response.ok) throw new Error(`weights: ${response.status} ${await response.text()}`);
}

/** Statuses there is a reason for, with the reasons; what a backend says itself is 200 or 503. */
const EXPLAINED: Readonly<Record<string, readonly string[]>> = {
  200: ['backend', 'fallback'],
  203: ['fixed'],
  429: ['rate_limited'],
  502: ['connect_failed', 'backend_reset', 'backend_closed', 'backend_refused', 'backend_goaway', 'response_status'],
  503: [
    'backend',
    'fallback',
    'backend_not_available',
    'circuit_open',
    'backends_unhealthy',
    'upstream_full',
    'route_full',
    'tenant_full',
    'queue_timeout',
    'concurrency_limited',
    'brownout',
  ],
  504: ['attempt_timeout', 'connect_timeout', 'head_timeout', 'exchange_timeout'],
};

/** All that holds whatever the weather was. */
function checkResponses(t: Test, { ledger }: World, tally: Tally, requests: number): void {
  t.comment(
    [...tally.counts]
      .map(([what, count]) => `${what}: ${count}`)
      .sort()
      .join('\n'),
  );
  t.strictSame(tally.wrong.slice(0, 10), [], 'every response is whole and its own');
  const unexplained = [...tally.counts.keys()].filter((what) => {
    const [, status, reason] = what.split(' ');
    return status !== 'broken' && !EXPLAINED[status!]?.includes(reason!);
  });
  t.strictSame(unexplained, [], 'every status has its explanation');
  const twice = tally.once.filter((id) => ledger.of(id) > 1);
  t.strictSame(twice, [], 'nothing was done twice that must not be');
  const ended = new Set([...tally.answered.keys(), ...tally.broken, ...tally.reset]);
  t.equal(ended.size, requests, 'every request came to an end');
  t.ok(tally.broken.size <= requests * 0.03, `${tally.broken.size} were broken off, after their head or with their client's upload`);
  t.ok([...tally.answered.values()].filter((status) => status === 200).length > tally.answered.size * 0.5, 'most are served');
}

const NOTHING_LEFT = [
  'lychgate_exchanges',
  'lychgate_attempts_in_flight',
  'lychgate_places_taken',
  'lychgate_places_waited_for',
  'lychgate_upstream_streams',
  'lychgate_upstream_waiting',
];

/** When all is quiet nothing is held, nobody waits, and no processor is used. */
async function checkQuiet(t: Test, { edge, backends }: World): Promise<void> {
  for (const name of NOTHING_LEFT) {
    await until(`${name} is 0`, async () => (await edge.metrics()).sum(name) === 0).catch(() => {});
    const metrics = await edge.metrics();
    t.strictSame(
      [...metrics.series(name)].filter(([, value]) => value !== 0),
      [],
      `${name} is 0`,
    );
  }
  await until('no backend has anything to do', () => backends.every(({ open }) => open === 0)).catch(() => {});
  t.strictSame(
    backends.map(({ open }) => open),
    backends.map(() => 0),
    'no backend has anything to do',
  );
  t.ok((await fetch(`${edge.admin}/readyz`)).ok, 'it is ready for more');
  const before = cpuMs(edge.pid);
  await sleep(1_000);
  const used = cpuMs(edge.pid) - before;
  t.ok(used < 150, `an idle edge used ${used} ms of a second`);
}

/** Processor time of a process. */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** Access lines by the id of their request. */
function linesById(edge: Edge): Map<string, number> {
  const lines = new Map<string, number>();
  for (const { path } of edge.access()) {
    const id = String(path).split('/').at(-1)!;
    // Of a request that was reset before its head nothing is known.
    if (id === '') continue;
    lines.set(id, (lines.get(id) ?? 0) + 1);
  }
  return lines;
}

t.test(
  'with everything on, backends of all weathers and clients of all tempers leave nothing behind',
  { skip: missingAddon },
  async (t) => {
    const requests = 4_000 * times;
    const world = await begin(t, 1, '2s');
    const tally = createTally();
    const turn = seasons(world, requests);
    const options = { connections: 6, loops: 8, requests, seed: 11, prefix: 'calm' };
    await Promise.all([runCrowd(t, world.edge.port, WISHES, tally, options, turn), missingAioquic ? undefined : vanish(t, world.edge)]);
    checkResponses(t, world, tally, requests);
    await checkQuiet(t, world);

    const done = async (): Promise<number> => (await world.edge.metrics()).sum('lychgate_access_lines_total');
    await until('every line is read', async () => world.edge.access().length >= (await done()));
    const lines = linesById(world.edge);
    const ids = [...tally.answered.keys(), ...tally.broken];
    t.strictSame(
      ids.filter((id) => lines.get(id) !== 1).map((id) => `${id}: ${lines.get(id) ?? 0}`),
      [],
      'one access line an exchange',
    );
    t.strictSame(
      [...tally.reset].filter((id) => (lines.get(id) ?? 0) > 1),
      [],
      'at most one for those that were reset',
    );
    t.equal(await world.edge.stop(), 0, 'it ends well');
  },
);

/** Clients that ask for much and are killed in the middle of it. */
async function vanish(t: Test, edge: Edge): Promise<void> {
  for (let i = 0; i < 2; i++) {
    const client = await connectAioquic(t, edge.port);
    for (let j = 0; j < 30; j++) {
      await client.request(
        [
          [':method', 'GET'],
          [':scheme', 'https'],
          [':authority', 'localhost'],
          [':path', `/queue/gone-${i}-${j}`],
          [ID, `gone-${i}-${j}`],
        ],
        { fin: true },
      );
    }
    process.kill(client.pid, 'SIGKILL');
  }
}

const FAULTS = ['throw', 'exit', 'loop'] as const;

t.test('workers that die meanwhile cost places, waits, races and lines nothing', { skip: missingAddon }, async (t) => {
  const requests = 3_000 * times;
  const world = await begin(t, 2);
  const { edge } = world;
  const tally = createTally();
  const turn = seasons(world, requests);
  const every = Math.floor(requests / (4 + 2 * times));
  let deaths = 0;
  let isHurting = false;
  const hurt = async (): Promise<void> => {
    if (isHurting) return;
    isHurting = true;
    const fault = FAULTS[deaths % FAULTS.length];
    const response = await fetch(`${edge.admin}/v1/test/fault`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ shard: deaths % 2, fault, at: deaths % 4 < 2 ? 'decide' : 'now' }),
    });
    if (response.ok) deaths += 1;
    isHurting = false;
  };
  const options = { connections: 6, loops: 8, requests, seed: 77, prefix: 'rough' };
  await runCrowd(t, edge.port, WISHES, tally, options, (begun) => {
    turn(begun);
    if (begun % every === every >> 1) void hurt();
  });
  checkResponses(t, world, tally, requests);
  t.ok(deaths >= 3, `${deaths} deaths`);
  t.equal((await edge.metrics()).sum('lychgate_shard_restarts_total'), deaths, 'every one was replaced');
  await checkQuiet(t, world);

  const lines = linesById(edge);
  const twice = [...lines].filter(([, count]) => count > 1);
  t.ok(twice.length <= deaths, `${twice.length} lines were written twice`);
  t.equal(await edge.stop(), 0, 'it ends well');
});

t.test('a drain in the middle of it ends in order', { skip: missingAddon }, async (t) => {
  const requests = 1_000;
  const world = await begin(t, 3);
  const { edge } = world;
  const tally = createTally();
  for (const [i, backend] of world.backends.entries()) backend.weather = SEASONS[0]![i]!;
  let ended: Promise<number | null> | undefined;
  const options = { connections: 4, loops: 8, requests, seed: 5, prefix: 'drain' };
  await runCrowd(t, edge.port, WISHES, tally, options, (begun) => {
    if (begun === 600) ended = edge.stop();
  }).catch(() => {});
  t.equal(await ended, 0, 'it ends well');
  t.strictSame(tally.wrong.slice(0, 10), [], 'every response is whole and its own');
  t.ok([...tally.answered.values()].filter((status) => status === 200).length > 200, 'what was under way was served');
  await until('every line is read', () => edge.child.stdout?.closed);
  const lines = linesById(edge);
  const missing = [...tally.answered.keys()].filter((id) => lines.get(id) !== 1).map((id) => `${id}: ${lines.get(id) ?? 0}`);
  t.strictSame(missing, [], 'one access line an exchange, to the last');
  const twice = tally.once.filter((id) => world.ledger.of(id) > 1);
  t.strictSame(twice, [], 'nothing was done twice that must not be');
});
