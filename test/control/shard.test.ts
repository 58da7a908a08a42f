import { MessageChannel, type MessagePort } from 'node:worker_threads';
import t from 'tap';
import { packRoutes } from '../../src/config/route-table.ts';
import { PlanBook } from '../../src/lane/plan/book.ts';
import { createSharedState } from '../../src/lane/shared.ts';
import { tablesOf } from '../../src/lane/tables.ts';
import { packPlans } from '../../src/native/plans.ts';
import { createCounters } from '../../src/observe/counters.ts';
import type { ShardOrder, ShardReport, ShardTerms } from '../../src/shard/port.ts';
import { serveShard } from '../../src/shard/shard.ts';
import { sampleSnapshot } from '../support/snapshots.ts';
import { until } from '../support/wait.ts';
import { createFakeAddon, type FakeAddon } from './support/fake-addon.ts';
import { testSnapshot } from './support/snapshot.ts';

function serve(addon: FakeAddon) {
  const { port1, port2 } = new MessageChannel();
  const snapshot = testSnapshot();
  const tables = tablesOf(snapshot, new PlanBook());
  const terms: ShardTerms = {
    serial: 1,
    snapshot,
    publication: { number: 5, addresses: [['127.0.0.1:9000']] },
    backendsDigest: 'the same',
    routes: packRoutes(snapshot.routes),
    tables,
    plans: packPlans(tables.plans.numbered),
    isLaneTold: false,
    places: [{ place: 3, listener: 0, isRetiring: false }],
    shared: createSharedState(snapshot),
  };
  const served = serveShard({ ...terms, shard: 1, port: port2, counters: createCounters(snapshot), areFaultsAllowed: false }, addon);
  return { terms, port: port1, served, tell: (order: ShardOrder) => port1.postMessage(order) };
}

function next(port: MessagePort): Promise<ShardReport> {
  return new Promise((resolve) => port.once('message', resolve));
}

t.test('a shard attaches, applies what is published, says that it is ready, and detaches when told to stop', async (t) => {
  const addon = createFakeAddon();
  const { port, served, tell } = serve(addon);
  t.match(await next(port), { kind: 'ready' });
  t.same(addon.calls, ['attach 1', 'plans 0 1 2', 'apply 5', 'listen 1 3']);
  t.match(addon.applied[0]?.backends, [{ slot: 0, authority: '127.0.0.1:9000', addresses: ['127.0.0.1:9000'] }]);
  tell({ kind: 'stop' });
  await served;
  t.same(addon.calls.slice(4), ['close 1', 'detach 1']);
});

t.test('a successor waits until the dead thread has let go of the reactor', async (t) => {
  const addon = createFakeAddon();
  addon.attachErrors.push(new Error('attached'), new Error('attached'));
  const { port, served, tell } = serve(addon);
  t.match(await next(port), { kind: 'ready' });
  tell({ kind: 'stop' });
  await served;
});

t.test('a newer publication is applied and an older one is not', async (t) => {
  const addon = createFakeAddon();
  const { port, served, tell } = serve(addon);
  await next(port);
  tell({ kind: 'publish', publication: { number: 7, addresses: [['10.0.0.7:9000', '10.0.0.8:9000']] } });
  tell({ kind: 'publish', publication: { number: 6, addresses: [[]] } });
  tell({ kind: 'drain' });
  tell({ kind: 'stop' });
  await served;
  t.same(addon.calls, ['attach 1', 'plans 0 1 2', 'apply 5', 'listen 1 3', 'apply 7', 'drain 1', 'close 1', 'detach 1']);
  t.same(addon.applied[1]?.backends[0]?.addresses, ['10.0.0.7:9000', '10.0.0.8:9000']);
});

t.test('a reactor is told of backends when they or their addresses are others, and not with every snapshot', async (t) => {
  const addon = createFakeAddon();
  const { port, served, tell, terms } = serve(addon);
  await next(port);
  const known = addon.applied.length;
  const apply = async (serial: number, changes: Partial<ShardTerms>): Promise<number> => {
    tell({ kind: 'apply', terms: { ...terms, serial, ...changes } });
    t.same(await next(port), { kind: 'applied', serial });
    return addon.applied.length - known;
  };
  t.equal(await apply(2, {}), 0);
  t.equal(await apply(3, { publication: { number: 6, addresses: [['127.0.0.1:9000']] } }), 0, 'another publication of the same');
  t.equal(await apply(4, { publication: { number: 7, addresses: [['10.0.0.7:9000']] } }), 1);
  t.equal(await apply(5, { publication: { number: 7, addresses: [['10.0.0.7:9000']] }, backendsDigest: 'another' }), 2);
  tell({ kind: 'stop' });
  await served;
});

t.test('a shard goes on between the steps in which it takes a configuration, and changes all at once after the last', async (t) => {
  const addon = createFakeAddon();
  const { port, served, tell, terms } = serve(addon);
  await next(port);
  const before = addon.calls.length;
  /** What the shard said, and what the reactor had been told by then. */
  const heard: { report: ShardReport; calls: readonly string[] }[] = [];
  port.on('message', (report: ShardReport) => heard.push({ report, calls: addon.calls.slice(before) }));
  // Enough for several parts.
  const routes = Array.from({ length: 400 }, (_, place) => ({
    name: `route-${place}`,
    responseEdits: [{ op: 'set' as const, name: 'x-route', value: `${place}` }],
  }));
  const { numbered } = tablesOf(sampleSnapshot({ routes }), new PlanBook()).plans;
  const numbers = numbered.map(({ number }) => number);
  const publication = { number: 6, addresses: [['10.0.0.6:9000']] };
  tell({ kind: 'apply', terms: { ...terms, serial: 2, plans: packPlans(numbered), publication } });
  tell({ kind: 'publish', publication: { number: 7, addresses: [['10.0.0.7:9000']] } });
  tell({ kind: 'listen', places: [{ place: 4, listener: 0, isRetiring: false }] });
  tell({ kind: 'ping' });
  await until('the configuration is in force', () => addon.calls.includes('listen 1 4') && heard.length === 2);
  t.same(
    heard.map(({ report }) => report),
    [{ kind: 'pong' }, { kind: 'applied', serial: 2 }],
    'a question is answered before',
  );
  t.notOk(
    heard[0]?.calls.some((call) => !call.startsWith('plans')),
    'the reactor knows plans that nobody uses yet',
  );
  const calls = addon.calls.slice(before);
  const told = calls.filter((call) => call.startsWith('plans'));
  t.ok(told.length > 4, `${told.length} parts`);
  t.same(
    told.flatMap((call) => call.split(' ').slice(1).map(Number)),
    numbers,
  );
  t.same(calls.slice(told.length), ['apply 6', 'listen 1 3', 'apply 7', 'listen 1 4'], 'what was ordered meanwhile comes after it');
  tell({ kind: 'stop' });
  await served;
});

t.test('a shard that is told to stop while it takes a configuration leaves it', async (t) => {
  const addon = createFakeAddon();
  const { port, served, tell, terms } = serve(addon);
  await next(port);
  const before = addon.calls.length;
  tell({ kind: 'apply', terms: { ...terms, serial: 2, backendsDigest: 'another' } });
  tell({ kind: 'stop' });
  await served;
  t.same(
    addon.calls.slice(before).filter((call) => !call.startsWith('plans')),
    ['close 1', 'detach 1'],
  );
});

t.test('questions are answered and a view that fails is refused, not deadly', async (t) => {
  const { port, served, tell } = serve(createFakeAddon());
  await next(port);
  tell({ kind: 'connections', question: 1, limit: 3 });
  t.same(await next(port), { kind: 'answer', question: 1, json: '[{"limit":3}]' });
  tell({ kind: 'sessions', question: 2 });
  t.match(await next(port), { kind: 'refusal', question: 2, message: /no sessions here/ });
  tell({ kind: 'ping' });
  t.same(await next(port), { kind: 'pong' });
  tell({ kind: 'stop' });
  await served;
});

t.test('a fault is not obeyed where faults are not allowed', async (t) => {
  const { port, served, tell } = serve(createFakeAddon());
  await next(port);
  tell({ kind: 'fault', fault: 'throw', at: 'now' });
  tell({ kind: 'ping' });
  t.same(await next(port), { kind: 'pong' });
  tell({ kind: 'stop' });
  await served;
});
