import { createSocket } from 'node:dgram';
import t from 'tap';
import type { ListenerSnapshot } from '../../src/config/snapshot.ts';
import { createEndpoint } from '../../src/control/endpoint.ts';
import { createLog } from '../../src/observe/log.ts';

const log = createLog({ level: 'silent', isText: false, stream: { write() {} } }).target('endpoint');
const listener = (name: string, address: string) => ({ name, address, receiveBufferBytes: 1, sendBufferBytes: 1 }) as ListenerSnapshot;

const checkFree = async () => {};

/** An addon that hands out numbered sockets and remembers what it was asked. */
function fakeAddon(isSteering = true, refuseAt = Number.POSITIVE_INFINITY) {
  const opened: string[] = [];
  const closed: number[] = [];
  return {
    opened,
    closed,
    openUdp(address: string) {
      if (opened.length >= refuseAt) throw new Error(`${address}: Address already in use (os error 98)`);
      opened.push(address);
      return { fd: 100 + opened.length, port: address.endsWith(':0') ? 40_000 : Number(address.split(':').pop()) };
    },
    steerUdp: () => isSteering,
    closeFd: (fd: number) => void closed.push(fd),
  };
}

t.test('port 0 is taken once and shared by the shards', async (t) => {
  const addon = fakeAddon();
  const [open] = await createEndpoint({ addon, log, checkFree }).open([listener('public', '[::1]:0')], 3);
  t.same(addon.opened, ['[::1]:0', '[::1]:40000', '[::1]:40000']);
  t.match(open, { name: 'public', address: '[::1]:40000', fds: [101, 102, 103], isSteered: true });
});

t.test('one shard needs no steering and several go on without the kernel’s', async (t) => {
  t.match(await createEndpoint({ addon: fakeAddon(false), log, checkFree }).open([listener('a', '127.0.0.1:1')], 1), [{ isSteered: true }]);
  t.match(await createEndpoint({ addon: fakeAddon(false), log, checkFree }).open([listener('a', '127.0.0.1:1')], 2), [
    { isSteered: false },
  ]);
});

t.test('when one socket is refused every other is closed again and the error names the listener', async (t) => {
  const addon = fakeAddon(true, 3);
  const endpoint = createEndpoint({ addon, log, checkFree });
  await t.rejects(endpoint.open([listener('a', '127.0.0.1:1'), listener('b', '127.0.0.1:2')], 2), {
    code: 'listen_failed',
    message: /listener b .*another process listens there/,
    context: { listener: 'b', address: '127.0.0.1:2' },
  });
  t.same(addon.closed.toSorted(), [101, 102, 103]);
});

t.test('each endpoint has a key of 32 bytes and a generation of one byte', async (t) => {
  const [a, b] = [createEndpoint({ addon: fakeAddon(), log, checkFree }), createEndpoint({ addon: fakeAddon(), log, checkFree })];
  t.equal(a.cidKey.length, 32);
  t.not(Buffer.compare(a.cidKey, b.cidKey), 0);
  t.ok(a.processGeneration >= 0 && a.processGeneration <= 255);
});

t.test('an address on which another process listens is refused although it would share it', async (t) => {
  const other = createSocket('udp4');
  await new Promise<void>((resolve) => other.bind(0, '127.0.0.1', resolve));
  t.teardown(() => other.close());
  const addon = fakeAddon();
  await t.rejects(createEndpoint({ addon, log }).open([listener('a', `127.0.0.1:${other.address().port}`)], 1), {
    code: 'listen_failed',
    message: /another process listens there/,
  });
  t.same(addon.opened, []);
});
