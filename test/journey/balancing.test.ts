/**
 * Which backend a request reaches, seen from the client: sessions that stick, keys that stay,
 * canaries, zones.
 */

import t, { type Test } from 'tap';
import { connectAioquic, getHead, missingAioquic } from '../support/client/aioquic.ts';
import { connectH3, type H3Client, type H3Request } from '../support/client/h3.ts';
import { type Edge, missingAddon, startEdge } from '../support/edge.ts';
import { answers } from '../support/origin/behaviours.ts';
import { type Origin, startH2Origin } from '../support/origin/h2.ts';
import { until } from '../support/wait.ts';

const skip = missingAddon;

/** Backends that answer with their number. */
const startOrigins = (t: Test, count: number): Promise<Origin[]> =>
  Promise.all(Array.from({ length: count }, (_, i) => startH2Origin(t, answers(`${i}`))));

const urls = (origins: readonly Origin[]) => origins.map(({ url }) => url);

async function ask(client: H3Client, request?: H3Request): Promise<string> {
  return (await client.exchange(request)).text;
}

/** Bodies of `count` requests, each asked once the one before was answered. */
async function askOften(client: H3Client, count: number, request: (i: number) => H3Request = () => ({})): Promise<string[]> {
  const found: string[] = [];
  for (let i = 0; i < count; i++) found.push(await ask(client, request(i)));
  return found;
}

t.test('a session with a cookie stays with its backend until that is gone, and then with another', { skip }, async (t) => {
  const origins = await startOrigins(t, 3);
  const sticky = { by: 'cookie', cookie: 'stay', max_age: '1h', key: 'a-secret-of-at-least-thirty-two-characters' };
  const upstream = { balance: { policy: 'random', sticky } };
  const edge = await startEdge(t, { backends: urls(origins), upstream, shards: 2 });
  const client = await connectH3(t, edge.port);

  const first = await client.exchange();
  const line = String(first.headers['set-cookie']);
  t.match(line, /^stay=[\w-]{70}; Path=\/; Max-Age=3600; Secure; HttpOnly; SameSite=Lax$/);
  const cookie = line.split(';')[0] ?? '';
  const headers = { cookie };
  for (let i = 0; i < 10; i++) {
    const next = await client.exchange({ headers });
    t.equal(next.text, first.text);
    t.equal(next.headers['set-cookie'], undefined);
  }
  const elsewhere = await startEdge(t, { backends: urls(origins), upstream });
  t.equal(await ask(await connectH3(t, elsewhere.port), { headers }), first.text, 'another edge with the same key knows it');

  origins[Number(first.text)]!.kill();
  const moved = await client.exchange({ headers });
  t.equal(moved.status, 200);
  t.not(moved.text, first.text);

  const now = { cookie: String(moved.headers['set-cookie']).split(';')[0] ?? '' };
  t.strictSame(new Set(await askOften(client, 5, () => ({ headers: now }))), new Set([moved.text]));
});

t.test(
  'a connection stays with its backend, also when its connection ID changes',
  { skip: missingAddon || missingAioquic, timeout: 60_000 },
  async (t) => {
    const origins = await startOrigins(t, 4);
    const edge = await startEdge(t, { backends: urls(origins), upstream: { balance: { sticky: { by: 'connection' } } }, shards: 2 });
    const seen = new Set<string>();
    for (let i = 0; i < 6; i++) {
      const client = await connectAioquic(t, edge.port);
      const answers = new Set<string>();
      for (let change = 0; change < 3; change++) {
        const stream = await client.request(getHead(edge.port));
        await client.wait('end', stream);
        answers.add(client.events.find(({ event, stream: of }) => event === 'data' && of === stream)?.text ?? '');
        t.match(await client.order('rotate'), { changed: true });
      }
      t.equal(answers.size, 1);
      seen.add([...answers].join());
    }
    t.ok(seen.size > 1, 'connections are spread');
  },
);

t.test('a key has the same backend on every shard and every edge', { skip }, async (t) => {
  const origins = await startOrigins(t, 4);
  for (const policy of ['ring-hash', 'maglev']) {
    const upstream = { balance: { policy, keys: ['header:x-user'] } };
    const found: string[][] = [];
    for (const shards of [1, 2]) {
      const edge = await startEdge(t, { backends: urls(origins), upstream, shards });
      for (let connection = 0; connection < 3; connection++) {
        const client = await connectH3(t, edge.port);
        found.push(await askOften(client, 12, (i) => ({ headers: { 'x-user': `user-${i}` } })));
      }
    }
    for (const other of found) t.strictSame(other, found[0], policy);
    t.ok(new Set(found[0]).size > 1, policy);
  }
});

t.test('a canary gets its share of the users, each of whom stays where he is', { skip }, async (t) => {
  const origins = await startOrigins(t, 3);
  const [first, second, third] = urls(origins);
  const edge = await startEdge(t, {
    backends: [],
    upstream: {
      balance: { policy: 'round-robin' },
      backends: [
        { url: first, labels: { version: 'stable' } },
        { url: second, labels: { version: 'stable' } },
        { url: third, labels: { version: 'canary' } },
      ],
    },
    config: {
      routes: [
        { match: { path: '/canary' }, upstream: 'web', subset: { version: 'canary' } },
        {
          split: [
            { upstream: 'web', weight: 75, subset: { version: 'stable' } },
            { upstream: 'web', weight: 25, subset: { version: 'canary' } },
          ],
          split_by: ['cookie:user'],
        },
      ],
    },
  });
  const client = await connectH3(t, edge.port);
  t.strictSame(new Set(await askOften(client, 5, () => ({ path: '/canary' }))), new Set(['2']));
  const asUser = (i: number) => ({ headers: { cookie: `user=${i % 100}` } });
  const users = await askOften(client, 200, asUser);
  const isCanary = users.map((text) => text === '2');
  t.strictSame(isCanary.slice(0, 100), isCanary.slice(100));
  const share = isCanary.filter(Boolean).length / 200;
  t.ok(share > 0.12 && share < 0.4, `${share} of the users for a quarter of the weight`);
  const turns = await askOften(client, 40);
  t.equal(turns.filter((text) => text === '2').length, 10, 'who has no key comes in turn');
});

t.test('another zone is asked only when the own one cannot carry the load', { skip }, async (t) => {
  const origins = await startOrigins(t, 3);
  const zones = ['here', 'here', 'there'];
  const edge: Edge = await startEdge(t, {
    backends: [],
    upstream: {
      balance: { policy: 'random' },
      locality: { zone: 'here' },
      breaker: { consecutive: 1, eject: '1m' },
      max_ejected: '100%',
      panic_below: '0%',
      backends: origins.map(({ url }, i) => ({ url, zone: zones[i] })),
    },
  });
  const client = await connectH3(t, edge.port);
  t.notOk((await askOften(client, 30)).includes('2'));
  origins[0]!.kill();
  await until('one breaker is open', async () => {
    await ask(client);
    return (await edge.metrics()).sum('lychgate_events_total', { event: 'breaker_opened' }) > 0;
  });
  await until('some go to the other zone', async () => (await ask(client)) === '2');
  const half = await askOften(client, 60);
  const spilled = half.filter((text) => text === '2').length;
  t.ok(spilled >= 6 && spilled <= 32, `${spilled} of 60 go to the other zone`);
  origins[1]!.kill();
  await until('all go to the other zone', async () => (await ask(client)) === '2' && (await ask(client)) === '2');
  t.strictSame(new Set((await askOften(client, 20)).slice(5)), new Set(['2']));
});
