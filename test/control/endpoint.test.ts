import { createSocket } from 'node:dgram';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { ListenerSnapshot } from '../../src/config/snapshot/listener.ts';
import { createEndpoint, type Endpoint } from '../../src/control/listen/endpoint.ts';
import type { ListenerPlace } from '../../src/native/convert.ts';
import { createLog } from '../../src/observe/log.ts';
import { sampleListener } from '../support/snapshots.ts';
import { until } from '../support/wait.ts';

const log = createLog({ level: 'silent', isText: false, stream: { write() {} } }).target('endpoint');

type Numbered = [number, ListenerSnapshot];
const listener = (name: string, address: string, number = 0): Numbered => [number, sampleListener({ name, address })];

/** An addon whose sockets are numbers; it remembers what it was asked. */
function fakeAddon({ isSteering = true, refused = '' } = {}) {
  const sockets = new Map<number, number>();
  const connections = new Map<number, number>();
  return {
    sockets,
    /** By place, and by listener with a sign. */
    connections,
    removed: [] as number[],
    openListener(place: number, address: string, shards: number) {
      if (address === refused) throw new Error(`${address}: Address already in use (os error 98)`);
      if (sockets.has(place)) throw new Error(`place ${place} is open already`);
      sockets.set(place, shards);
      return { port: address.endsWith(':0') ? 40_000 + place : Number(address.split(':').pop()), isSteered: isSteering };
    },
    closeListener: (place: number) => void sockets.delete(place),
    checkListener() {},
    listenerSockets: (place: number) => sockets.get(place) ?? 0,
    placeConnections: (place: number) => connections.get(place) ?? 0,
    listenerConnections: (number: number) => connections.get(-1 - number) ?? 0,
    removeCertificates(number: number) {
      this.removed.push(number);
    },
  };
}

function endpointOf(t: Test, addon: ReturnType<typeof fakeAddon>, { shards = 2, checkFree = async (_address: string) => {} } = {}) {
  const told: (readonly ListenerPlace[])[] = [];
  const onPlaces = (places: readonly ListenerPlace[]): void => {
    told.push(places);
    // The reactors do as they are told.
    for (const place of [...addon.sockets.keys()]) if (!places.some((one) => one.place === place)) addon.sockets.set(place, 0);
  };
  const endpoint = createEndpoint({ addon, log, checkFree, onPlaces }, shards);
  t.teardown(() => endpoint.stop());
  const obey = async (...listeners: Numbered[]): Promise<readonly ListenerPlace[]> => (await endpoint.open(listeners)).take();
  return { endpoint, told, obey };
}

const addresses = (endpoint: Endpoint): string[] => endpoint.view().map(({ name, address, state }) => `${name} ${address} ${state}`);

t.test('a listener has one socket in each shard, and a free port is its own', async (t) => {
  const addon = fakeAddon();
  const { endpoint, obey } = endpointOf(t, addon, { shards: 3 });
  t.same(await obey(listener('a', '[::1]:0'), listener('b', '[::1]:0', 1)), [
    { place: 0, listener: 0, isRetiring: false },
    { place: 1, listener: 1, isRetiring: false },
  ]);
  t.same(
    [...addon.sockets],
    [
      [0, 3],
      [1, 3],
    ],
  );
  t.match(endpoint.view(), [{ name: 'a', address: '[::1]:40000', isSteered: true, state: 'serving' }, { address: '[::1]:40001' }]);
});

t.test('what stays keeps its place, also under another name', async (t) => {
  const addon = fakeAddon();
  const { endpoint, obey } = endpointOf(t, addon);
  await obey(listener('a', '127.0.0.1:1'), listener('b', '127.0.0.1:2', 1), listener('c', '127.0.0.1:0', 2));
  t.same(await obey(listener('d', '127.0.0.1:1', 3), listener('c', '127.0.0.1:0', 2), listener('b', '127.0.0.1:2', 1)), [
    { place: 0, listener: 3, isRetiring: false },
    { place: 1, listener: 1, isRetiring: false },
    { place: 2, listener: 2, isRetiring: false },
  ]);
  t.equal(addon.sockets.size, 3);
  t.same(addresses(endpoint), ['d 127.0.0.1:1 serving', 'b 127.0.0.1:2 serving', 'c 127.0.0.1:40002 serving']);
  await until('the certificates of the one that has no name any more go', () => addon.removed.length === 1);
  t.same(addon.removed, [0]);
});

t.test('a port that was free may be named afterwards, by whoever has it', async (t) => {
  const addon = fakeAddon();
  const { endpoint, obey } = endpointOf(t, addon);
  await obey(listener('a', '127.0.0.1:0'), listener('b', '127.0.0.1:0', 1));
  await obey(listener('a', '127.0.0.1:40000'), listener('b', '127.0.0.1:0', 1));
  await obey(listener('b', '127.0.0.1:0', 1), listener('c', '127.0.0.1:40000', 2));
  t.same(addresses(endpoint), ['c 127.0.0.1:40000 serving', 'b 127.0.0.1:40001 serving']);
  t.equal(addon.sockets.size, 2);
});

t.test('an address that is left is closed after its last connection', async (t) => {
  const addon = fakeAddon();
  const { endpoint, obey, told } = endpointOf(t, addon);
  await obey(listener('a', '127.0.0.1:1'));
  addon.connections.set(0, 2).set(-1, 2);
  t.same(await obey(listener('a', '127.0.0.1:2'), listener('b', '127.0.0.1:3', 1)), [
    { place: 0, listener: 0, isRetiring: true },
    { place: 1, listener: 0, isRetiring: false },
    { place: 2, listener: 1, isRetiring: false },
  ]);
  t.same(addresses(endpoint), ['a 127.0.0.1:1 draining', 'a 127.0.0.1:2 serving', 'b 127.0.0.1:3 serving']);
  await sleep(300);
  t.same(told, [], 'it waits');
  addon.connections.set(0, 0);
  await until('it is closed', () => endpoint.view().length === 2);
  t.same(
    told.map((places) => places.map(({ place }) => place)),
    [[1, 2]],
  );
  t.same([...addon.sockets.keys()], [1, 2]);
  t.same(addon.removed, [], 'its certificates are those of its other address');
});

t.test('the number of a listener is known while a connection or a place of it is left, and its certificates stay as long', async (t) => {
  const addon = fakeAddon();
  const { endpoint, obey } = endpointOf(t, addon);
  await obey(listener('a', '127.0.0.1:1'), listener('b', '127.0.0.1:2', 1));
  t.notOk(endpoint.isKnown(1));
  addon.connections.set(1, 1).set(-2, 1);
  await obey(listener('a', '127.0.0.1:1'));
  t.ok(endpoint.isKnown(1));
  await sleep(250);
  t.same(addon.removed, []);
  addon.connections.clear();
  await until('nobody knows it', () => !endpoint.isKnown(1));
  await until('its certificates go', () => addon.removed.length === 1);
});

t.test('a listener that comes back while its connections end has its sockets again', async (t) => {
  const addon = fakeAddon();
  const { endpoint, obey, told } = endpointOf(t, addon);
  await obey(listener('a', '127.0.0.1:1'), listener('b', '127.0.0.1:2', 1));
  addon.connections.set(1, 1);
  await obey(listener('a', '127.0.0.1:1'));
  const opening = await endpoint.open([listener('a', '127.0.0.1:1'), listener('b', '127.0.0.1:2', 1)]);
  // What is about to be wanted is not closed.
  addon.connections.clear();
  await sleep(250);
  t.same(told, []);
  opening.take();
  t.same(addresses(endpoint), ['a 127.0.0.1:1 serving', 'b 127.0.0.1:2 serving']);
  t.same(addon.removed, []);
});

t.test('where that comes to nothing after all it is closed', async (t) => {
  const addon = fakeAddon();
  const { endpoint, obey } = endpointOf(t, addon);
  await obey(listener('a', '127.0.0.1:1'), listener('b', '127.0.0.1:2', 1));
  addon.connections.set(1, 1);
  await obey(listener('a', '127.0.0.1:1'));
  const opening = await endpoint.open([listener('b', '127.0.0.1:2', 1), listener('c', '127.0.0.1:3', 2)]);
  t.equal(addon.sockets.size, 3);
  opening.drop();
  addon.connections.clear();
  t.equal(addon.sockets.size, 2);
  await until('it is closed', () => endpoint.view().length === 1);
  t.same(addresses(endpoint), ['a 127.0.0.1:1 serving']);
});

t.test('one shard needs no steering and several go on without the kernel’s', async (t) => {
  const { endpoint, obey } = endpointOf(t, fakeAddon({ isSteering: false }));
  await obey(listener('a', '127.0.0.1:1'));
  t.match(endpoint.view(), [{ isSteered: false }]);
});

t.test('when some cannot listen nothing has changed and the error names every one of them', async (t) => {
  const addon = fakeAddon({ refused: '127.0.0.1:3' });
  const checkFree = async (address: string): Promise<void> => {
    if (address.endsWith(':4')) throw new Error('bind EACCES');
  };
  const { endpoint, obey } = endpointOf(t, addon, { checkFree });
  await obey(listener('a', '127.0.0.1:1'));
  const next = [listener('b', '127.0.0.1:2', 1), listener('c', '127.0.0.1:3', 2), listener('d', '127.0.0.1:4', 3)];
  await t.rejects(endpoint.open(next), {
    code: 'listen_failed',
    message:
      /listener c cannot listen on 127\.0\.0\.1:3; another process listens there.*listener d cannot listen on 127\.0\.0\.1:4; ports below 1024 need/,
    context: { listener: 'c', address: '127.0.0.1:3' },
  });
  t.same([...addon.sockets.keys()], [0]);
  t.same(addresses(endpoint), ['a 127.0.0.1:1 serving']);
  await t.rejects(endpoint.check([listener('d', '127.0.0.1:4', 3)]), { code: 'listen_failed' });
  await endpoint.check([listener('b', '127.0.0.1:2', 1)]);
  t.same([...addon.sockets.keys()], [0], 'looking opens nothing');
});

t.test('a wildcard may follow on an address of its port, and the other way round, which the kernel would call taken', async (t) => {
  const asked: string[] = [];
  const { obey } = endpointOf(t, fakeAddon(), { checkFree: async (address) => void asked.push(address) });
  await obey(listener('a', '127.0.0.1:1'));
  await obey(listener('a', '0.0.0.0:1'));
  t.same(asked, ['127.0.0.1:1']);
  await obey(listener('a', '0.0.0.0:1'), listener('b', '127.0.0.2:1', 1));
  t.same(asked, ['127.0.0.1:1', '127.0.0.2:1'], 'what stays is in the way');
  await obey(listener('a', '[::]:1'));
  t.same(asked.at(-1), '[::]:1', 'and so is what is of another family');
});

t.test('each endpoint has a key of 32 bytes and a generation of one byte', async (t) => {
  const [a, b] = [endpointOf(t, fakeAddon()).endpoint, endpointOf(t, fakeAddon()).endpoint];
  t.equal(a.cidKey.length, 32);
  t.not(Buffer.compare(a.cidKey, b.cidKey), 0);
  t.ok(a.processGeneration >= 0 && a.processGeneration <= 255);
});

t.test('an address on which another process listens is refused although it would share it', async (t) => {
  const other = createSocket('udp4');
  await new Promise<void>((resolve) => other.bind(0, '127.0.0.1', resolve));
  t.teardown(() => other.close());
  const addon = fakeAddon();
  const endpoint = createEndpoint({ addon, log }, 1);
  await t.rejects(endpoint.open([listener('a', `127.0.0.1:${other.address().port}`)]), {
    code: 'listen_failed',
    message: /another process listens there/,
  });
  t.equal(addon.sockets.size, 0);
});
