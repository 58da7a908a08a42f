import t, { type Test } from 'tap';
import type { BackendSnapshot } from '../../src/config/snapshot/upstream.ts';
import { createDiscovery, type DiscoveryParts } from '../../src/control/discovery/discovery.ts';
import { createLog } from '../../src/observe/log.ts';
import type { Publication } from '../../src/shard/port.ts';

const lines: string[] = [];
const log = createLog({ level: 'info', isText: false, stream: { write: (line) => void lines.push(line) } }).target('discovery');

function backend(slot: number, host: string, port: number, resolveIntervalMs: number): BackendSnapshot {
  return { slot, host, port, resolveIntervalMs } as BackendSnapshot;
}

function discover(t: Test, backends: BackendSnapshot[], lookup: NonNullable<DiscoveryParts['lookup']>, firstAnswerMs = 2_000) {
  const published: Publication[] = [];
  const discovery = createDiscovery({ backends, lookup, firstAnswerMs, log, onPublish: (publication) => published.push(publication) });
  t.teardown(() => discovery.stop());
  return { discovery, published };
}

t.test('addresses pass through without a question to the resolver', async (t) => {
  const { discovery } = discover(
    t,
    [backend(0, '127.0.0.1', 9000, 0), backend(1, '::1', 9001, 0), backend(2, '[::1]', 9002, 0)],
    async () => {
      throw new Error('asked');
    },
  );
  await discovery.start();
  t.same(discovery.publication().addresses, [['127.0.0.1:9000'], ['[::1]:9001'], ['[::1]:9002']]);
});

t.test('a name shared by backends is asked for once and gives each its own port', async (t) => {
  let asked = 0;
  const { discovery } = discover(t, [backend(0, 'a.test', 1, 0), backend(1, 'a.test', 2, 0)], async () => {
    asked++;
    return ['10.0.0.1', '10.0.0.2'];
  });
  await discovery.start();
  t.equal(asked, 1);
  t.same(discovery.publication().addresses, [
    ['10.0.0.1:1', '10.0.0.2:1'],
    ['10.0.0.1:2', '10.0.0.2:2'],
  ]);
});

t.test('another set is published with a higher number, the same set in another order is not', async (t) => {
  const answers = [['10.0.0.1', '10.0.0.2'], ['10.0.0.2', '10.0.0.1'], ['10.0.0.3']];
  const { discovery, published } = discover(t, [backend(0, 'a.test', 80, 5)], async () => answers.shift() ?? ['10.0.0.3']);
  await discovery.start();
  const before = discovery.publication().number;
  await until(() => published.length > 0);
  t.same(published[0]?.addresses, [['10.0.0.3:80']]);
  t.ok((published[0]?.number ?? 0) > before);
  await later(40);
  t.equal(published.length, 1);
});

t.test('a name that stops resolving keeps its last addresses and says why', async (t) => {
  let calls = 0;
  const { discovery, published } = discover(t, [backend(0, 'a.test', 80, 5)], async () => {
    if (++calls > 1) throw Object.assign(new Error('gone'), { code: 'ENOTFOUND' });
    return ['10.0.0.1'];
  });
  await discovery.start();
  await until(() => calls > 4);
  t.same(discovery.publication().addresses, [['10.0.0.1:80']]);
  t.equal(discovery.status(0).failure, 'ENOTFOUND');
  t.equal(published.length, 0);
  t.equal(lines.filter((line) => line.includes('name not resolved')).length, 1, 'and says so once');
});

t.test('a start waits for names no longer than it is told and does not fail for one that fails', async (t) => {
  const { discovery } = discover(
    t,
    [backend(0, 'slow.test', 80, 0), backend(1, 'bad.test', 80, 0)],
    (host) => (host === 'slow.test' ? new Promise(() => {}) : Promise.reject(new Error('no'))),
    20,
  );
  await discovery.start();
  t.same(discovery.publication().addresses, [[], []]);
});

t.test('a name that answers after the start is published', async (t) => {
  const answer = Promise.withResolvers<string[]>();
  const { discovery, published } = discover(t, [backend(0, 'slow.test', 80, 0)], () => answer.promise, 5);
  await discovery.start();
  answer.resolve(['10.0.0.9']);
  await until(() => published.length === 1);
  t.same(published[0]?.addresses, [['10.0.0.9:80']]);
});

function later(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await later(2);
}
