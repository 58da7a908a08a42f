/**
 * The configuration changes while the edge serves: what did not change goes on, what is under way
 * ends as it began, and nothing is lost.
 */

import { execFile, execFileSync, spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { certificates } from '../support/certificates.ts';
import { missingAioquic, serialAioquic } from '../support/client/aioquic.ts';
import { connectH3 } from '../support/client/h3.ts';
import { digest } from '../support/digest.ts';
import { type Edge, missingAddon, startEdge } from '../support/edge.ts';
import { answers, type byPath, pour, pourDigest, tellsFields } from '../support/origin/behaviours.ts';
import { startH2Origin } from '../support/origin/h2.ts';
import { findProgram, plainCommand, plainEnvironment } from '../support/process.ts';
import { reload } from '../support/reload.ts';
import { until } from '../support/wait.ts';

const MIB = 1024 * 1024;
const bin = join(import.meta.dirname, '../../bin/lychgate');

t.setTimeout(240_000);

const generationOf = async (edge: Edge): Promise<string> => ((await edge.ask('/v1/status')) as { generation: string }).generation;

/** Ticks until it is told to end, and pours, and tells what it got. */
function behaviour(name: string, ticks: { isOver: boolean }): Parameters<typeof byPath>[0][string] {
  return (stream, headers) => {
    const path = headers[':path'] ?? '';
    if (path.startsWith('/long')) {
      stream.respond({ ':status': 200 });
      pour(stream, 48 * MIB);
      stream.resume();
    } else if (path.startsWith('/events')) {
      stream.respond({ ':status': 200, 'content-type': 'text/event-stream' });
      const timer = setInterval(() => {
        if (!ticks.isOver) return void stream.write('data: tick\n\n');
        clearInterval(timer);
        stream.end('data: end\n\n');
      }, 20);
      stream.on('close', () => clearInterval(timer));
      stream.on('error', () => {});
      stream.resume();
    } else answers(name)(stream, headers);
  };
}

t.test('a hundred reloads under load lose no request, no stream and no connection', { skip: missingAddon, timeout: 200_000 }, async (t) => {
  const ticks = { isOver: false };
  const origins = await Promise.all(['a', 'b', 'c'].map((name) => startH2Origin(t, behaviour(name, ticks))));
  const edge = await startEdge(t, { backends: [origins[0]!.url], shards: 2, config: { log: { level: 'info' } } });
  const client = await connectH3(t, edge.port);
  await client.exchange();

  const long = digest((await client.open({ path: '/long' })).stream);
  const stream = (await client.open({ path: '/events' })).stream;
  const events = text(stream);
  let isOver = false;
  const failures: string[] = [];
  let answered = 0;
  const load = (async () => {
    const running: Promise<void>[] = [];
    while (!isOver) {
      running.push(
        client.exchange({ path: `/one?${answered}` }).then(
          ({ status, text }) => {
            answered += 1;
            if (status !== 200 || !'abc'.includes(text)) failures.push(`${status} ${text}`);
          },
          (error: Error) => void failures.push(error.message),
        ),
      );
      await sleep(20);
    }
    await Promise.all(running);
  })();

  const generations = new Set<string>();
  for (let round = 0; round < 100; round++) {
    // Every backend comes and goes, and so do routes, weights and whole upstreams; the one route
    // for everything always has somebody.
    const backends = origins
      .filter((_, place) => (round + place) % 3 !== 0)
      .map(({ url }, place) => ({ url, weight: 1 + ((round + place) % 7) }));
    edge.rewrite({
      config: {
        log: { level: 'info' },
        upstreams: { [`extra-${round % 5}`]: { backends: [{ url: origins[round % 3]!.url }] }, web: { backends } },
        routes: [
          { name: `extra-${round % 7}`, match: { path: `/extra/${round}` }, upstream: `extra-${round % 5}` },
          { match: { path: '/' }, upstream: 'web' },
        ],
      },
    });
    const answer = await reload(edge);
    t.equal(answer.result, 'applied', answer.problems.join());
    generations.add(answer.generation);
  }
  t.ok(answered > 50, `${answered} were answered meanwhile`);
  ticks.isOver = true;
  isOver = true;
  await load;
  t.same(failures, []);
  t.match(await events, /^(data: tick\n\n)+data: end\n\n$/, 'the event stream went on to its end');
  t.same(await long, { bytes: 48 * MIB, sha256: pourDigest(48 * MIB) }, 'the download is whole');
  t.notOk(client.session.closed);
  const metrics = await edge.metrics();
  t.equal(metrics.sum('lychgate_connections_opened_total') || 1, 1, 'nobody connected again');
  t.equal(metrics.sum('lychgate_config_reloads_total', { result: 'applied' }), 100);
  t.equal(metrics.sum('lychgate_shard_restarts_total'), 0);
  t.equal(metrics.sum('lychgate_decide_failures_total'), 0);
  t.ok(generations.size > 50);
});

t.test('routes, fields and upstreams are those of the file from the answer on', { skip: missingAddon, timeout: 60_000 }, async (t) => {
  const [first, second] = [await startH2Origin(t, tellsFields), await startH2Origin(t, answers('second'))];
  const edge = await startEdge(t, { backends: [first.url], shards: 2 });
  const clients = [await connectH3(t, edge.port), await connectH3(t, edge.port), await connectH3(t, edge.port)];
  const before = await generationOf(edge);
  edge.rewrite({
    config: {
      upstreams: { web: { backends: [{ url: first.url }] }, next: { backends: [{ url: second.url }] } },
      routes: [
        { match: { path: '/' }, upstream: 'web', request_headers: { set: { 'x-reloaded': 'yes' } } },
        { name: 'next', match: { path: '/next' }, upstream: 'next' },
      ],
    },
  });
  const dry = await reload(edge, true);
  t.match(dry, { status: 200, result: 'applied', generation: before });
  t.equal(await generationOf(edge), before, 'a dry run changes nothing');

  const answer = await reload(edge);
  t.match(answer, { status: 200, result: 'applied' });
  t.same(
    answer.changes.map(({ path }) => path),
    ['upstreams.next', 'routes["/"].request_headers.set.x-reloaded', 'routes.next'],
  );
  for (const client of clients) {
    t.equal((await client.exchange({ path: '/next/x' })).text, 'second');
    t.equal(JSON.parse((await client.exchange()).text)['x-reloaded'], 'yes');
  }
  const after = await generationOf(edge);
  t.not(after, before);
  t.match(await reload(edge), { status: 200, result: 'unchanged', generation: after });
  const metrics = await edge.metrics();
  t.equal(metrics.sum('lychgate_requests_total', { route: 'next', status_class: '2xx' }), 3);
  t.equal(metrics.sum('lychgate_config_generation', { generation: after }), 1);

  edge.rewrite({});
  t.match(await reload(edge), { result: 'applied' });
  t.equal((await clients[0]!.exchange({ path: '/next/x' })).status, 200, 'the route for everything has it again');
  t.notOk(
    [...(await edge.metrics()).series('lychgate_requests_total')].some(([{ route }]) => route === 'next'),
    'its series went with it',
  );
  await until('the sessions to the backend that was removed end', () => second.sessions.size === 0);
});

t.test('a configuration with mistakes changes nothing and every mistake is told with its place', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, answers('ok'));
  const edge = await startEdge(t, { backends: [origin.url] });
  const client = await connectH3(t, edge.port);
  const before = await generationOf(edge);
  const sound = readFileSync(edge.file, 'utf8');
  writeFileSync(edge.file, sound.replace('upstream: web', 'upstream: nobody\n    priority: urgent'));
  const answer = await reload(edge);
  t.match(answer, { status: 422, error: 'reload_not_valid', result: 'invalid', generation: before });
  t.ok(
    answer.problems.some((problem) => /edge\.yaml:\d+:\d+: error: routes\[0\]\.upstream: .*nobody.*; expected /.test(problem)),
    answer.problems.join('\n'),
  );
  t.ok(answer.problems.some((problem) => /routes\[0\]\.priority: .*urgent.*; expected /.test(problem)));
  t.equal((await client.exchange()).text, 'ok');
  t.equal(await generationOf(edge), before);
  t.match(await edge.ask('/v1/status'), { reload: { lastResult: 'invalid', staleSince: /^\d/ } });
  t.equal((await edge.metrics()).sum('lychgate_config_stale'), 1);

  const ended = await command(['reload', '--admin', edge.admin]);
  t.equal(ended.status, 1);
  t.match(ended.stderr, /edge\.yaml:\d+:\d+: error: .*nobody/);
  writeFileSync(edge.file, sound);
  t.match(await command(['reload', '--admin', edge.admin]), { status: 0, stdout: /nothing changed/ });
  t.match(await edge.ask('/v1/status'), { reload: { staleSince: null } });
});

t.test('what needs a restart is told before anything is done, all of it', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, answers('ok'));
  const edge = await startEdge(t, { backends: [origin.url] });
  const before = await generationOf(edge);
  edge.rewrite({ listener: { max_connections: 77 }, shards: 2, route: { priority: 'high' } });
  const answer = await reload(edge);
  t.match(answer, { status: 409, error: 'restart_needed', result: 'needs_restart' });
  t.same(
    answer.restart.map(({ path }) => path),
    ['shards.count'],
  );
  t.match(answer.restart[0], { before: 1, after: 2 });
  t.ok(answer.changes.some(({ path, after }) => path === 'listeners.public.max_connections' && after === 77));
  t.ok(answer.changes.some(({ path, after }) => path === 'routes["/"].priority' && after === 'high'));
  t.equal(await generationOf(edge), before);
  const shown = await command(['config', 'diff', '--admin', edge.admin]);
  t.equal(shown.status, 1);
  t.match(shown.stdout, /~ routes\["\/"\]\.priority: normal -> high/);
  t.match(shown.stdout, /~ shards\.count: 1 -> 2 \(needs a restart\)/);
});

t.test(
  'the next handshake shows another certificate, and who is connected stays so',
  { skip: missingAddon || missingAioquic },
  async (t) => {
    const origin = await startH2Origin(t, answers('ok'));
    const [first, second] = [issue(t, 'one'), issue(t, 'two')];
    const listener = ({ chain, key }: Issued) => ({ certificates: [{ names: ['localhost'], chain, key }] });
    const edge = await startEdge(t, { backends: [origin.url], listener: listener(first), shards: 2 });
    const client = await connectH3(t, edge.port);
    const serial = () => serialAioquic(t, edge.port, { servername: 'localhost', ca: undefined });
    t.equal(await serial(), first.serial);
    edge.rewrite({ listener: listener(second) });
    t.match(await reload(edge), { result: 'applied' });
    t.equal(await serial(), second.serial);
    // The file has another certificate under the same name.
    copyFileSync(first.chain, second.chain);
    t.match(await reload(edge), { result: 'invalid', problems: [/the key does not belong to the certificate/] });
    t.equal(await serial(), second.serial, 'a pair that does not match changes nothing');
    copyFileSync(first.key, second.key);
    t.match(await reload(edge), { result: 'applied' });
    t.equal(await serial(), first.serial);
    t.equal((await client.exchange()).text, 'ok');
  },
);

t.test('SIGHUP reloads', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, answers('ok'));
  const edge = await startEdge(t, { backends: [origin.url] });
  const before = await generationOf(edge);
  edge.rewrite({ route: { priority: 'low' }, config: { log: { level: 'warn' } } });
  edge.child.kill('SIGHUP');
  await until('the generation is another', async () => (await generationOf(edge)) !== before);
  t.match(await edge.ask('/v1/log/level'), { level: 'warn' });
});

t.test('a file that is watched is reloaded when another is renamed or linked into its place', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, answers('ok'));
  const edge = await startEdge(t, { backends: [origin.url], config: { reload: { watch: true } } });
  const client = await connectH3(t, edge.port);
  const fieldOf = async () => (await client.exchange()).headers['x-round'];
  const round = (value: string) => ({ config: { reload: { watch: true } }, route: { response_headers: { set: { 'x-round': value } } } });
  edge.rewrite(round('renamed'));
  await until('the file that was renamed is in force', async () => (await fieldOf()) === 'renamed');
  // As Kubernetes does it: the name is a link all the time, and what it points at changes.
  edge.rewrite(round('linked'));
  renameSync(edge.file, `${edge.file}.linked`);
  symlinkSync(`${edge.file}.linked`, `${edge.file}.next`);
  renameSync(`${edge.file}.next`, edge.file);
  await until('the file that is linked is in force', async () => (await fieldOf()) === 'linked');
  const sound = readFileSync(edge.file, 'utf8');
  writeFileSync(edge.file, `${sound}nonsense: 1\n`);
  await until('the mistake is told', () => edge.log.some(({ target, result }) => target === 'reload' && result === 'invalid'));
  t.equal(await fieldOf(), 'linked');
  edge.rewrite({ ...round('last'), config: {} });
  await until('the last is in force', async () => (await fieldOf()) === 'last');
  edge.rewrite({ ...round('unseen'), config: {} });
  await sleep(3_000);
  t.equal(await fieldOf(), 'last', 'it is watched no more');
});

t.test('files that are included are watched: they come, change, break and go, and are reloaded', { skip: missingAddon }, async (t) => {
  const origin = await startH2Origin(t, answers('ok'));
  const folder = mkdtempSync(join(tmpdir(), 'lychgate-include-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const config = { reload: { watch: true }, include: [`${folder}/*.yaml`] };
  const edge = await startEdge(t, { backends: [origin.url], config });
  const client = await connectH3(t, edge.port);
  const fieldOf = async (path: string) => (await client.exchange({ path })).headers['x-round'];
  const put = (name: string, text: string): void => {
    writeFileSync(join(folder, 'next'), text);
    renameSync(join(folder, 'next'), join(folder, name));
  };
  const route = (path: string, value: string) =>
    `- { match: { path: ${path} }, upstream: web, response_headers: { set: { x-round: ${value} } } }\n`;
  const resultsOf = (): unknown[] => edge.log.filter(({ target, result }) => target === 'reload' && result).map(({ result }) => result);

  put('a.yaml', route('/a', 'came'));
  await until('the file that came is in force', async () => (await fieldOf('/a')) === 'came');
  put('a.yaml', route('/a', 'changed'));
  await until('the file that changed is in force', async () => (await fieldOf('/a')) === 'changed');
  put('b.yaml', route('/b', 'broken').replace('upstream: web', 'upsteam: web, upstream: web'));
  await until('the mistake is told', () => resultsOf().at(-1) === 'invalid');
  t.equal(await fieldOf('/a'), 'changed');
  const told = edge.log.findLast(({ result }) => result === 'invalid');
  t.match(told?.['problems'], [/b\.yaml:1:26: error: routes\[0\]\.upsteam: is not a key here/]);
  put('b.yaml', route('/b', 'mended'));
  await until('the file that was mended is in force', async () => (await fieldOf('/b')) === 'mended');
  rmSync(join(folder, 'a.yaml'));
  await until('the file that went is in force no more', async () => (await fieldOf('/a')) === undefined);
  t.equal(await fieldOf('/b'), 'mended');
});

t.test(
  'systemd is told when the edge is ready, reloads and stops',
  { skip: missingAddon || findProgram('python3') === undefined },
  async (t) => {
    // The path of a socket is short.
    const folder = mkdtempSync(join(tmpdir(), 'lychgate-notify-'));
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    const socket = join(folder, 'notify');
    const told: string[] = [];
    const manager = spawn('python3', ['-uc', MANAGER, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
    t.teardown(() => manager.kill());
    createInterface({ input: manager.stdout }).on('line', (line) => told.push(JSON.parse(line)));
    await until('the manager listens', () => told.length === 1);
    const origin = await startH2Origin(t, answers('ok'));
    const edge = await startEdge(t, { backends: [origin.url], env: { NOTIFY_SOCKET: socket } });
    await until('ready is told', () => told.length === 2);
    t.match(told[1], /^READY=1\nSTATUS=[0-9a-f]{12} is in force$/);
    edge.rewrite({ route: { priority: 'low' } });
    edge.child.kill('SIGHUP');
    await until('the reload is told', () => told.length === 4);
    t.match(told[2], /^RELOADING=1\nMONOTONIC_USEC=\d+$/);
    const uptimeUs = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1e6;
    const clockUs = Number(/USEC=(\d+)/.exec(told[2] ?? '')?.[1]);
    t.ok(Math.abs(uptimeUs - clockUs) < 60e6, 'on the clock of the manager');
    t.match(told[3], /^READY=1\nSTATUS=applied; [0-9a-f]{12} is in force$/);
    await edge.stop();
    await until('the end is told', () => told.at(-1) === 'STOPPING=1');
  },
);

t.test('what did not change keeps weights, breakers, limits and places', { skip: missingAddon, timeout: 60_000 }, async (t) => {
  let isOpen = false;
  const waiting: (() => void)[] = [];
  const good = await startH2Origin(t, (stream, headers) => {
    if (headers[':path'] !== '/held' || isOpen) return answers('good')(stream, headers);
    waiting.push(() => answers('held')(stream, headers));
  });
  const bad = await startH2Origin(t, answers('bad', 500));
  const config = (more: object): Record<string, unknown> => ({
    upstreams: {
      web: {
        backends: [{ url: good.url }, { url: bad.url }],
        breaker: { consecutive: 2, statuses: [500], eject: '60s', max_eject: '60s' },
      },
      held: { backends: [{ url: good.url }], limits: { in_flight: 2 } },
    },
    routes: [
      { match: { path: '/' }, upstream: 'web' },
      { name: 'held', match: { path: '/held' }, upstream: 'held' },
      { name: 'rated', match: { path: '/rated' }, upstream: 'held', limits: { rate: [{ requests: 1, per: '1h' }] } },
    ],
    ...more,
  });
  const edge = await startEdge(t, { backends: [], config: config({}) });
  const client = await connectH3(t, edge.port);
  await until('the bad backend is ejected', async () => {
    await client.exchange();
    return (await stateOf(edge, bad.url)) === 'ejected';
  });
  t.equal((await client.exchange({ path: '/rated' })).status, 200);
  t.equal((await client.exchange({ path: '/rated' })).status, 429);
  await fetch(`${edge.admin}/v1/weights`, { method: 'PUT', body: JSON.stringify({ upstream: 'held', backend: good.url, weight: 7 }) });
  const held = [client.exchange({ path: '/held' }), client.exchange({ path: '/held' })];
  await until('both places are taken', () => waiting.length === 2);
  t.equal((await client.exchange({ path: '/held' })).status, 503, 'a third finds none');

  // A route before all others moves every place in the lists.
  const routes = [{ name: 'new', match: { path: '/new' }, respond: { status: 204 } }, ...(config({}) as { routes: object[] }).routes];
  edge.rewrite({
    config: config({ routes, upstreams: { aaa: { backends: [{ url: bad.url }] }, ...(config({}) as { upstreams: object }).upstreams } }),
  });
  t.match(await reload(edge), { result: 'applied' });
  t.equal(await stateOf(edge, bad.url), 'ejected');
  t.equal((await client.exchange({ path: '/rated' })).status, 429, 'the bucket is as empty as before');
  t.equal((await client.exchange({ path: '/held' })).status, 503, 'the places are taken still');
  t.equal(await weightOf(edge, 'held'), 7);
  isOpen = true;
  for (const go of waiting) go();
  t.same(
    (await Promise.all(held)).map(({ text }) => text),
    ['held', 'held'],
  );
  await until('the places come back', async () => (await client.exchange({ path: '/held' })).status === 200);
  await until('none is taken', async () => (await edge.metrics()).sum('lychgate_places_taken', { name: 'held' }) === 0);

  edge.rewrite({
    config: config({
      upstreams: { ...(config({}) as { upstreams: object }).upstreams, held: { backends: [{ url: good.url, weight: 3 }] } },
    }),
  });
  t.match(await reload(edge), { result: 'applied' });
  t.equal(await weightOf(edge, 'held'), 3, 'a weight that was configured anew wins');
});

t.test('workers that die while reloads are under way end in one generation', { skip: missingAddon, timeout: 90_000 }, async (t) => {
  const origin = await startH2Origin(t, answers('ok'));
  const edge = await startEdge(t, { backends: [origin.url], shards: 2, env: { LYCHGATE_TEST_FAULTS: '1' } });
  const client = await connectH3(t, edge.port);
  await client.exchange();
  for (let round = 0; round < 6; round++) {
    edge.rewrite({
      shards: 2,
      config: { routes: [{ match: { path: '/' }, upstream: 'web', response_headers: { set: { 'x-round': String(round) } } }] },
    });
    const answer = reload(edge);
    await hurt(edge, round % 2, round % 3 === 0 ? 'exit' : 'throw');
    t.equal((await answer).result, 'applied');
    for (let i = 0; i < 4; i++) t.equal((await client.exchange()).headers['x-round'], String(round));
  }
  await until('every worker lives', async () => {
    const { shards } = (await edge.ask('/v1/status')) as { shards: { state: string }[] };
    return shards.every(({ state }) => state === 'ready');
  });
});

interface Issued {
  readonly chain: string;
  readonly key: string;
  readonly serial: string;
}

/** A certificate for localhost of the test's CA. */
function issue(t: Test, name: string): Issued {
  const { folder, caPath } = certificates();
  const own = mkdtempSync(join(tmpdir(), 'lychgate-reload-'));
  t.teardown(() => rmSync(own, { recursive: true, force: true }));
  const at = (end: string) => join(own, `${name}.${end}`);
  const openssl = (...words: string[]) => execFileSync('openssl', words, { stdio: 'ignore' });
  openssl(
    'req',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    at('key'),
    '-out',
    at('csr'),
    '-subj',
    '/CN=localhost',
  );
  writeFileSync(at('ext'), 'subjectAltName=DNS:localhost');
  openssl(
    'x509',
    '-req',
    '-in',
    at('csr'),
    '-CA',
    caPath,
    '-CAkey',
    join(folder, 'ca.key'),
    '-days',
    '30',
    '-extfile',
    at('ext'),
    '-out',
    at('pem'),
  );
  return { chain: at('pem'), key: at('key'), serial: new X509Certificate(readFileSync(at('pem'))).serialNumber.replace(/^0+/, '') };
}

/** A datagram a line. */
const MANAGER = `
import json, socket, sys
server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
server.bind(sys.argv[1])
print(json.dumps("listening"))
while True:
    print(json.dumps(server.recv(4096).decode()))
`;

async function hurt(edge: Edge, shard: number, fault: string): Promise<void> {
  await until('the shard is there to be hurt', async () => {
    const response = await fetch(`${edge.admin}/v1/test/fault`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ shard, fault, at: 'now' }),
    });
    return response.ok;
  });
}

interface Upstreams {
  readonly upstreams: {
    readonly name: string;
    readonly backends: { readonly url: string; readonly state: string; readonly weight: number }[];
  }[];
}

async function stateOf(edge: Edge, url: string): Promise<string | undefined> {
  const { upstreams } = (await edge.ask('/v1/upstreams')) as Upstreams;
  return upstreams.find(({ name }) => name === 'web')?.backends.find((backend) => backend.url === url)?.state;
}

async function weightOf(edge: Edge, upstream: string): Promise<number | undefined> {
  const { upstreams } = (await edge.ask('/v1/upstreams')) as Upstreams;
  return upstreams.find(({ name }) => name === upstream)?.backends[0]?.weight;
}

function command(words: readonly string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  const [program, args] = plainCommand(bin, words);
  return new Promise((resolve) => {
    execFile(program, args, { env: plainEnvironment() }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

async function text(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
