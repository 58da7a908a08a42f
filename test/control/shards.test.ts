import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { createShards } from '../../src/control/shards/shards.ts';
import type { SharedState } from '../../src/lane/shared.ts';
import { createLog } from '../../src/observe/log.ts';
import type { Fault } from '../../src/shard/port.ts';
import { testSnapshot } from './support/snapshot.ts';

interface Fact {
  readonly shard: number;
  readonly threadId: number;
  readonly seen: number;
  readonly isDrained: boolean;
}

const filename = fileURLToPath(new URL('./support/fake-shard.ts', import.meta.url));

function shardsOf(t: Test, count: number, generation = 'sound', busyMs = (_shard: number) => 0, stallTimeoutMs = 2_000) {
  const shards = createShards(
    {
      addon: {
        reactorLaneBusyMs: busyMs,
        reactorExchanges: () => 0,
        reactorCounters: () => new Float64Array(),
        families: () => [],
        takePanics: () => [],
      },
      snapshot: testSnapshot({ generation, listeners: [] }),
      shared: {} as SharedState,
      counters: Array.from({ length: count }, () => new SharedArrayBuffer(8)),
      log: createLog({ level: 'silent', isText: false, stream: { write() {} } }).target('shards'),
    },
    { stallTimeoutMs, areFaultsAllowed: true, filename, maxHeapMib: 48 },
  );
  t.teardown(() => shards.stop());
  const facts = async () => (await shards.ask<Fact[]>({ kind: 'sessions' })).flatMap(({ rows }) => rows);
  const areReady = () => shards.status().every(({ state }) => state === 'ready');
  return { shards, facts, areReady };
}

const publication = (number: number) => ({ number, addresses: [] });

for (const [fault, cause] of [
  ['throw', 'throw'],
  ['exit', 'exit'],
  ['loop', 'stall'],
  ['oom', 'memory'],
] as const satisfies readonly (readonly [Fault, string])[]) {
  t.test(`a worker that dies of ${fault} is replaced, counted as ${cause}, and its neighbour is left alone`, async (t) => {
    // On a busy machine a worker is silent for a while when it starts, and for long when it fills
    // its heap.
    const { shards, facts, areReady } = shardsOf(t, 2, 'sound', undefined, fault === 'loop' ? 3_000 : 20_000);
    await shards.start(publication(1));
    const [before, neighbour] = await facts();
    t.ok(shards.hurt(0, fault, 'now'));
    await until(() => shards.status()[0]?.restarts === 1 && areReady());
    const [after, still] = await facts();
    t.equal(after?.shard, 0);
    t.not(after?.threadId, before?.threadId);
    t.equal(still?.threadId, neighbour?.threadId);
    t.same(
      shards.restarts().filter(({ count }) => count > 0),
      [{ shard: 0, cause, count: 1 }],
    );
  });
}

t.test('a lane that does not return from its call is ended although its thread’s port is quiet', async (t) => {
  let busyMs = 0;
  const { shards, areReady } = shardsOf(t, 1, 'sound', () => busyMs);
  await shards.start(publication(1));
  busyMs = 60_000;
  await until(() => shards.status()[0]?.restarts === 1);
  busyMs = 0;
  await until(areReady);
  t.match(
    shards.restarts().find(({ count }) => count > 0),
    { cause: 'stall' },
  );
});

t.test('a successor starts with the latest publication and with the drain that was ordered before', async (t) => {
  const { shards, facts, areReady } = shardsOf(t, 1);
  await shards.start(publication(1));
  shards.publish(publication(2));
  t.match(await facts(), [{ seen: 2, isDrained: false }]);
  shards.drain();
  shards.hurt(0, 'throw', 'now');
  shards.publish(publication(3));
  await until(() => shards.status()[0]?.restarts === 1 && areReady());
  t.match(await facts(), [{ seen: 3, isDrained: true }]);
});

t.test('further deaths in a row wait before the next worker is hired', async (t) => {
  const { shards, areReady } = shardsOf(t, 1);
  await shards.start(publication(1));
  shards.hurt(0, 'throw', 'now');
  await until(() => shards.status()[0]?.restarts === 1 && areReady());
  shards.hurt(0, 'throw', 'now');
  await until(() => shards.status()[0]?.restarts === 2);
  t.equal(shards.status()[0]?.state, 'waiting');
  t.same(await shards.ask({ kind: 'sessions' }), [], 'a shard without a worker is left out of answers');
  await until(areReady);
});

t.test('a shard that refuses a question is left out of the answer', async (t) => {
  const { shards } = shardsOf(t, 1);
  await shards.start(publication(1));
  t.same(await shards.ask({ kind: 'connections', limit: 1 }), []);
});

t.test('a shard that dies before it was ever ready fails the start with its error', async (t) => {
  const { shards } = shardsOf(t, 1, 'stillborn');
  await t.rejects(shards.start(publication(1)), { code: 'shard_not_started', cause: { message: 'born dead' } });
});

t.test('stop ends every worker, also one that loops', async (t) => {
  const { shards } = shardsOf(t, 2);
  await shards.start(publication(1));
  shards.hurt(1, 'loop', 'now');
  await shards.stop();
  t.same(
    shards.status().map(({ state }) => state),
    ['stopped', 'stopped'],
  );
});

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 5));
}
