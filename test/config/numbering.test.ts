import t from 'tap';
import { clientFieldsOf, listenersOf, roomOf } from '../../src/config/numbering/in-use.ts';
import { type Numbered, Numberer } from '../../src/config/numbering/numberer.ts';
import type { Snapshot } from '../../src/config/snapshot/snapshot.ts';
import { sampleSnapshot, sampleTenant, trusting } from '../support/snapshots.ts';

/** Snapshots of an upstream for each word: its backends by port, and a route to it. */
function site(upstreams: Readonly<Record<string, readonly number[]>>, tenants: readonly string[] = []): Snapshot {
  const names = Object.keys(upstreams);
  return sampleSnapshot({
    upstreams: names.map((name) => ({ name, backends: (upstreams[name] ?? []).map((port) => ({ url: `h2c://127.0.0.1:${port}`, port })) })),
    routes: names.map((name, upstream) => ({ name, targets: [{ upstream }] })),
    tenants: tenants.map((name) => sampleTenant({ name })),
  });
}

/**
 * A numberer that takes one snapshot after the other, a minute apart; exchanges are said to be no
 * older than `oldestMs`.
 */
function chain() {
  const numberer = new Numberer();
  let nowMs = 60_000;
  return (next: Snapshot, oldestMs = 0): Snapshot => {
    nowMs += 60_000;
    const numbered = numberer.number(next, oldestMs, nowMs) as Numbered;
    numbered.take(nowMs);
    return numbered.snapshot;
  };
}

const slotOf = (snapshot: Snapshot, url: string): number => snapshot.backends.findIndex((backend) => backend.url.endsWith(url));
const numberOf = (snapshot: Snapshot, name: string): number => snapshot.routes.findIndex((route) => route.name === name);

t.test('what stays keeps its numbers when something is put before it', async (t) => {
  const next = chain();
  const before = next(site({ b: [2, 3] }, ['y']));
  const after = next(site({ a: [1], b: [2, 3] }, ['x', 'y']));
  t.equal(slotOf(after, ':2'), slotOf(before, ':2'));
  t.equal(slotOf(after, ':3'), slotOf(before, ':3'));
  t.equal(numberOf(after, 'b'), numberOf(before, 'b'));
  t.equal(after.upstreams[0]?.name, 'b');
  t.equal(after.tenants[0]?.name, 'y');
  t.same(after.numbering?.routes, [1, 0], 'the order is as configured');
  t.same(after.numbering?.tenants, [1, 0]);
});

t.test('targets, fallbacks, tenants and slots name what they named', async (t) => {
  const next = chain();
  next(site({ b: [2] }));
  const after = next(site({ a: [1], b: [2] }));
  for (const [name, port] of [
    ['a', ':1'],
    ['b', ':2'],
  ] as const) {
    const route = after.routes[numberOf(after, name)]!;
    const upstream = after.upstreams[route.targets[0]!.upstream]!;
    t.equal(upstream.name, name);
    t.same(upstream.slots, [slotOf(after, port)]);
    t.equal(after.backends[slotOf(after, port)]?.slot, slotOf(after, port));
  }
});

t.test('what was removed keeps its place while exchanges know its number, and has it again when it comes back', async (t) => {
  const next = chain();
  const before = next(site({ a: [1], b: [2] }));
  const without = next(site({ b: [2] }));
  t.same(without.numbering?.routes, [1]);
  t.equal(without.routes[0]?.name, 'a');
  t.same(without.routes[0]?.targets, [], 'nobody is sent by it');
  t.same(without.upstreams[0]?.slots, [], 'no backend of it is picked');
  const other = next(site({ b: [2], c: [3] }));
  t.equal(numberOf(other, 'c'), 2, 'the number of the removed one is not given');
  t.equal(slotOf(other, ':3'), 2);
  const back = next(site({ b: [2], c: [3], a: [1] }));
  t.equal(numberOf(back, 'a'), numberOf(before, 'a'));
  t.equal(slotOf(back, ':1'), slotOf(before, ':1'));
});

t.test('a number is given again when every exchange is younger than the removal, and not in the moment of it', async (t) => {
  const numberer = new Numberer();
  const take = (next: Snapshot, oldestMs: number, nowMs: number): Numbered => {
    const numbered = numberer.number(next, oldestMs, nowMs) as Numbered;
    numbered.take(nowMs);
    return numbered;
  };
  take(site({ a: [1], b: [2] }), Infinity, 10_000);
  take(site({ b: [2] }), Infinity, 20_000);
  t.equal(numberOf(take(site({ b: [2], c: [3] }), Infinity, 21_000).snapshot, 'c'), 2, 'too soon');
  t.equal(numberOf(take(site({ b: [2], c: [3], d: [4] }), 19_000, 60_000).snapshot, 'd'), 3, 'an exchange is older');
  const last = take(site({ b: [2], c: [3], d: [4], e: [5] }), 21_000, 90_000);
  t.equal(numberOf(last.snapshot, 'e'), 0);
  t.same(last.fresh.routes, [0]);
  t.same(last.fresh.backends, [slotOf(last.snapshot, ':5')]);
});

t.test('pools keep their numbers whatever routes use them', async (t) => {
  const next = chain();
  const aim = (snapshot: Snapshot, name: string) =>
    snapshot.numbering?.pools.findIndex(({ upstream }) => snapshot.upstreams[upstream]?.name === name);
  const before = next(site({ a: [1], b: [2] }));
  t.equal(aim(before, 'b'), 1);
  const after = next(site({ b: [2] }));
  t.equal(aim(after, 'b'), 1);
  t.same(
    after.numbering?.pools.map(({ isUsed }) => isUsed),
    [false, true],
  );
});

t.test('a snapshot that is not taken changes nothing', async (t) => {
  const numberer = new Numberer();
  (numberer.number(site({ a: [1] }), 0, 0) as Numbered).take(0);
  numberer.number(site({ b: [2] }), 0, 1);
  const next = numberer.number(site({ a: [1], c: [3] }), 0, 2) as Numbered;
  t.equal(numberOf(next.snapshot, 'c'), 1);
});

t.test('what there is no room for is said with the room', async (t) => {
  const numberer = new Numberer();
  const first = numberer.number(site({ a: [1] }), 0, 0) as Numbered;
  first.take(0);
  const { backends } = roomOf(first.snapshot);
  const many = Array.from({ length: backends + 1 }, (_, port) => port + 1);
  t.same(numberer.number(site({ a: many }), 0, 1), { kind: 'backends', room: backends, held: 0 });
});

/** A site with these listeners, each with the field in which its proxies tell the client. */
function listening(listeners: Readonly<Record<string, string>>): Snapshot {
  const trusted = Object.entries(listeners).map(([name, field]) => ({ name, trustedNetworks: trusting(['10.0.0.0/8'], field) }));
  return sampleSnapshot({ listeners: trusted, upstreams: [{ backends: [{}] }], routes: [{ targets: [{ upstream: 0 }] }] });
}

const listenerOf = (snapshot: Snapshot, name: string): number => listenersOf(snapshot).find(([, one]) => one.name === name)?.[0] ?? -1;

t.test('listeners keep their numbers by name, and one that was removed is known while connections to it are open', async (t) => {
  const numberer = new Numberer();
  const number = (next: Snapshot, nowMs: number, open: readonly number[] = []): Snapshot => {
    const numbered = numberer.number(next, Number.POSITIVE_INFINITY, nowMs, (one) => open.includes(one)) as Numbered;
    numbered.take(nowMs);
    return numbered.snapshot;
  };
  number(listening({ a: 'x-a', b: 'x-b' }), 0);
  const moved = number(listening({ c: 'x-c', b: 'x-b' }), 60_000, [0]);
  t.same(
    listenersOf(moved).map(([place, { name }]) => [place, name]),
    [
      [2, 'c'],
      [1, 'b'],
    ],
  );
  t.equal(moved.listeners[0]?.name, 'a', 'its connections are told by its name');
  t.same(moved.listeners[0]?.certificates, []);
  t.equal(moved.listeners[0]?.trustedNetworks.length, 1, 'and its proxies are still known');
  const held = number(listening({ b: 'x-b', d: 'x-d' }), 120_000, [0]);
  t.equal(listenerOf(held, 'd'), 3);
  const free = number(listening({ b: 'x-b', e: 'x-e' }), 180_000);
  t.equal(listenerOf(free, 'e'), 0);
  t.equal(listenerOf(number(listening({ d: 'x-d', b: 'x-b' }), 181_000), 'd'), 3, 'who comes back soon has its own again');
});

t.test('fields in which proxies tell the client keep their numbers, which travel with exchanges', async (t) => {
  const numberer = new Numberer();
  const number = (next: Snapshot, nowMs: number, oldestMs = Number.POSITIVE_INFINITY) => numberer.number(next, oldestMs, nowMs) as Numbered;
  const take = (numbered: Numbered, nowMs: number): readonly string[] => {
    numbered.take(nowMs);
    return clientFieldsOf(numbered.snapshot);
  };
  t.same(take(number(listening({ a: 'x-a', b: 'x-b' }), 0), 0), ['x-a', 'x-b']);
  // An exchange that began before may be decided by any of these.
  t.same(take(number(listening({ b: 'x-b', a: 'x-c' }), 60_000, 1), 60_000), ['x-a', 'x-b', 'x-c']);
  t.same(take(number(listening({ b: 'x-d', a: 'x-c' }), 120_000, 1), 120_000), ['x-a', 'x-b', 'x-c', 'x-d']);
  // Nobody knows the first two any more.
  t.same(take(number(listening({ b: 'x-d', a: 'x-e' }), 180_000), 180_000), ['x-e', '', 'x-c', 'x-d']);
  const many = Object.fromEntries(Array.from({ length: 7 }, (_, place) => [`l${place}`, `x-${place}`]));
  t.match(number(listening(many), 240_000, 1), { kind: 'clientFields', room: 7 });
});
