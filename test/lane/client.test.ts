import fc from 'fast-check';
import t from 'tap';
import { parseAddress } from '../../src/lane/head/address.ts';
import { Client } from '../../src/lane/head/client.ts';
import { Networks } from '../../src/lane/head/networks.ts';
import { addressText } from '../../src/record/read.ts';
import { headDesk } from '../support/heads.ts';
import type { SampleHead } from '../support/records.ts';
import { sampleListener, trusting } from '../support/snapshots.ts';

/** Whom a listener that trusts `networks` takes for the client. */
function clientOf(networks: readonly string[], given: Partial<SampleHead>, field = 'x-forwarded-for') {
  const desk = headDesk();
  const client = new Client([sampleListener(), sampleListener({ trustedNetworks: trusting(networks, field) })], desk.lookups);
  client.read(desk.read({ listener: 1, ...given }));
  return { address: addressText(client.address, 0, client.family), isPeerTrusted: client.isPeerTrusted };
}

function forwardedFor(...lines: string[]): [string, string][] {
  return lines.map((line) => ['x-forwarded-for', line]);
}

function forwarded(...lines: string[]): [string, string][] {
  return lines.map((line) => ['forwarded', line]);
}

const OURS = ['127.0.0.1', '10.0.0.0/8', 'fd00::/8'];

t.test('without trusted networks the peer is the client, whatever it says', async (t) => {
  t.strictSame(clientOf([], { fields: forwardedFor('192.0.2.1') }), { address: '127.0.0.1', isPeerTrusted: false });
  t.strictSame(clientOf(OURS, { address: [192, 0, 2, 9], fields: forwardedFor('192.0.2.1') }), {
    address: '192.0.2.9',
    isPeerTrusted: false,
  });
  t.strictSame(clientOf(OURS, { listener: 0, fields: forwardedFor('192.0.2.1') }), { address: '127.0.0.1', isPeerTrusted: false });
});

t.test('behind trusted proxies it is the last address that is not theirs', async (t) => {
  const cases: [string[], string][] = [
    [['192.0.2.1'], '192.0.2.1'],
    [['6.6.6.6, 192.0.2.1'], '192.0.2.1'],
    [['6.6.6.6, 192.0.2.1, 10.1.2.3,10.9.9.9'], '192.0.2.1'],
    [['6.6.6.6', '192.0.2.1', '10.1.2.3'], '192.0.2.1'],
    [['192.0.2.1, 10.1.2.3', ' 10.9.9.9 ,, '], '192.0.2.1'],
    [['10.1.2.3, 10.9.9.9'], '10.1.2.3'],
    [['192.0.2.1:4711'], '192.0.2.1'],
    [['2001:db8::1'], '2001:db8::1'],
    [['[2001:DB8::1]:4711, fd00::7'], '2001:db8::1'],
    [['::ffff:192.0.2.1'], '192.0.2.1'],
    [['192.0.2.1, ::ffff:10.0.0.1'], '192.0.2.1'],
  ];
  for (const [lines, address] of cases)
    t.strictSame(clientOf(OURS, { fields: forwardedFor(...lines) }), { address, isPeerTrusted: true }, lines.join(' | '));
});

t.test('Forwarded is read where the proxies write that, and the field they do not write never', async (t) => {
  const cases: [string[], string][] = [
    [['for=192.0.2.1'], '192.0.2.1'],
    [['for=6.6.6.6, For="192.0.2.1:80";proto=https;by=10.0.0.1'], '192.0.2.1'],
    [['proto=http; for="[2001:db8::1]:4711"', 'for=10.1.1.1'], '2001:db8::1'],
    [['for=192.0.2.1;host="a,b;for=6.6.6.6"'], '192.0.2.1'],
  ];
  for (const [lines, address] of cases)
    t.equal(clientOf(OURS, { fields: forwarded(...lines) }, 'forwarded').address, address, lines.join(' | '));
  const both = { fields: [...forwarded('for=192.0.2.1'), ...forwardedFor('192.0.2.2')] };
  t.equal(clientOf(OURS, both, 'forwarded').address, '192.0.2.1');
  t.equal(clientOf(OURS, both).address, '192.0.2.2');
  t.equal(clientOf(OURS, { fields: forwarded('for=6.6.6.6') }).address, '127.0.0.1', 'whom a stranger named there is not the client');
  t.equal(clientOf(OURS, { fields: forwardedFor('6.6.6.6') }, 'forwarded').address, '127.0.0.1');
});

t.test('each network tells the client in its own field, and of several that hold the peer the longest prefix says which', async (t) => {
  const trustedNetworks = [
    { network: '10.0.0.0/8', field: 'x-forwarded-for' },
    { network: '10.1.0.0/16', field: 'forwarded' },
    { network: '10.1.2.0/24', field: 'x-real-ip' },
    { network: 'fd00::/8', field: 'forwarded' },
  ];
  const fields = [...forwardedFor('192.0.2.1'), ...forwarded('for=192.0.2.2'), ['x-real-ip', '192.0.2.3']] as [string, string][];
  const desk = headDesk();
  const client = new Client([sampleListener({ trustedNetworks })], desk.lookups);
  const askedBy = (...address: number[]) => {
    client.read(desk.read({ listener: 0, family: address.length === 4 ? 4 : 6, address, fields }));
    return [addressText(client.address, 0, client.family), client.trust];
  };
  t.strictSame(askedBy(10, 9, 9, 9), ['192.0.2.1', 1]);
  t.strictSame(askedBy(10, 1, 9, 9), ['192.0.2.2', 2]);
  t.strictSame(askedBy(10, 1, 2, 9), ['192.0.2.3', 3]);
  t.strictSame(askedBy(10, 1, 3, 0), ['192.0.2.2', 2]);
  t.strictSame(askedBy(10, 2, 0, 0), ['192.0.2.1', 1]);
  t.strictSame(askedBy(0xfd, ...new Array(14).fill(0), 1), ['192.0.2.2', 2]);
  t.strictSame(askedBy(11, 0, 0, 0), ['11.0.0.0', 0]);
  client.read(desk.read({ listener: 0, address: [10, 9, 9, 9], fields: forwardedFor('192.0.2.1, 10.1.2.3, fd00::1') }));
  t.equal(addressText(client.address, 0, client.family), '192.0.2.1', 'the proxies before the peer are of any network');
});

t.test('what cannot be read leaves the peer', async (t) => {
  const bad = [
    'unknown',
    '192.0.2',
    '192.0.2.256',
    '192.0.2.01',
    '0x7f.1',
    '192.0.2.1:',
    '192.0.2.1:x',
    '2001:db8::1::2',
    '[2001:db8::1',
    'fe80::1%eth0',
    ':',
  ];
  for (const text of bad)
    t.strictSame(clientOf(OURS, { fields: forwardedFor(`6.6.6.6, ${text}`) }), { address: '127.0.0.1', isPeerTrusted: true }, text);
  for (const text of ['for=_hidden', 'for=unknown', 'by=192.0.2.1', 'for="192.0.2.1']) {
    t.equal(clientOf(OURS, { fields: forwarded(text) }).address, '127.0.0.1', text);
  }
  t.equal(clientOf(OURS, { fields: forwardedFor(`192.0.2.1${', 10.0.0.1'.repeat(32)}`) }).address, '127.0.0.1', 'too many entries');
  t.equal(clientOf(OURS, { fields: forwardedFor(','.repeat(60_000)) }).address, '127.0.0.1', 'a long line');
  t.equal(
    clientOf(OURS, { fields: forwardedFor(...Array.from({ length: 17 }, () => '192.0.2.1')) }).address,
    '127.0.0.1',
    'too many lines',
  );
});

t.test('an IPv4 peer on an IPv6 socket is an IPv4 client', async (t) => {
  const address = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3];
  t.strictSame(clientOf(OURS, { family: 6, address }), { address: '10.1.2.3', isPeerTrusted: true });
  t.equal(clientOf(OURS, { family: 6, address: [0x20, 1, 0x0d, 0xb8, ...new Array(11).fill(0), 5] }).address, '2001:db8::5');
});

t.test('addresses are read as they are written', async (t) => {
  const into = new Uint8Array(16);
  const read = (text: string) => {
    const bytes = Buffer.from(`x${text}0`);
    return parseAddress(bytes, 1, bytes.length - 1, into);
  };
  fc.assert(
    fc.property(fc.ipV6(), (text) => {
      const family = read(text);
      const canonical = new URL(`http://[${text}]/`).hostname.slice(1, -1);
      const mapped = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(canonical);
      return mapped === null ? addressText(into, 0, family) === canonical : family === 4;
    }),
    { seed: 1, numRuns: 2_000 },
  );
  fc.assert(fc.property(fc.ipV4(), (text) => read(text) === 4 && addressText(into, 0, 4) === text));
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'0123456789af:.'), maxLength: 24 }), (text) => {
      const family = read(text);
      return (family !== 0) === (isIPv4(text) || URL.canParse(`http://[${text}]/`));
    }),
    { seed: 1, numRuns: 5_000 },
  );
  t.pass('as the URL parser reads them');
});

function isIPv4(text: string): boolean {
  return /^(?:(?:0|[1-9]\d?|1\d\d|2[0-4]\d|25[0-5])(?:\.(?!$)|$)){4}$/.test(text);
}

t.test('a set of networks agrees with a look at every block', async (t) => {
  const block4 = fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 }));
  const bits4 = (text: string) => text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  fc.assert(
    fc.property(fc.array(block4, { maxLength: 20 }), fc.array(fc.ipV4(), { minLength: 20 }), (blocks, asked) => {
      const networks = new Networks(blocks.map(([address, bits]) => `${address}/${bits}`));
      return [...asked, ...blocks.map(([address]) => address)].every((text) => {
        const address = Uint8Array.from(text.split('.').map(Number));
        const expected = blocks.some(
          ([of, bits]) => Math.floor(bits4(of) / 2 ** (32 - bits)) === Math.floor(bits4(text) / 2 ** (32 - bits)),
        );
        return networks.has(4, address) === expected;
      });
    }),
    { seed: 1, numRuns: 500 },
  );
  fc.assert(
    fc.property(fc.array(block4, { maxLength: 20 }), fc.array(fc.ipV4(), { minLength: 20 }), (blocks, asked) => {
      const values = blocks.map((_, place) => place);
      const networks = new Networks(
        blocks.map(([address, bits]) => `${address}/${bits}`),
        values,
      );
      return [...asked, ...blocks.map(([address]) => address)].every((text) => {
        const address = Uint8Array.from(text.split('.').map(Number));
        const holding = blocks.filter(
          ([of, bits]) => Math.floor(bits4(of) / 2 ** (32 - bits)) === Math.floor(bits4(text) / 2 ** (32 - bits)),
        );
        const longest = Math.max(-1, ...holding.map(([, bits]) => bits));
        const found = networks.find(4, address);
        return holding.length === 0 ? found === -1 : blocks[found]![1] === longest && holding.includes(blocks[found]!);
      });
    }),
    { seed: 2, numRuns: 500 },
  );
  const networks = new Networks(['2001:db8::/33', '2001:db8:8000::/33', '::1', '::ffff:192.0.2.0/120', 'fe80::/10']);
  const has = (text: string) => {
    const address = new Uint8Array(16);
    const bytes = Buffer.from(text);
    return networks.has(parseAddress(bytes, 0, bytes.length, address), address);
  };
  for (const text of ['2001:db8::', '2001:db8:ffff::1', '::1', '192.0.2.200', 'febf::1']) t.ok(has(text), text);
  for (const text of ['2001:db7:ffff::', '2001:db9::', '::2', '192.0.3.1', 'fec0::']) t.notOk(has(text), text);
  t.ok(new Networks([]).isEmpty);
  for (const bad of ['10.0.0.0/33', '10.0.0/8', 'x', '10.0.0.0/', '::/129']) t.throws(() => new Networks([bad]), bad);
});

t.test('the network of a client is its IPv4 address or the first half of its IPv6 address', async (t) => {
  const networkOf = (address: string) => {
    const desk = headDesk();
    const client = new Client([sampleListener({ trustedNetworks: trusting(OURS) })], desk.lookups);
    client.read(desk.read({ listener: 0, fields: forwardedFor(address) }));
    return [client.networkHigh().toString(16), client.networkLow().toString(16)];
  };
  t.strictSame(networkOf('192.0.2.1'), ['ffff', 'c0000201']);
  t.strictSame(networkOf('::ffff:192.0.2.1'), ['ffff', 'c0000201']);
  t.strictSame(networkOf('2001:db8:8000:1:2::3'), ['20010db8', '80000001']);
  t.strictSame(networkOf('::1'), ['0', '1'], 'not the number that stands for none');
});
