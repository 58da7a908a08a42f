import fc from 'fast-check';
import t from 'tap';
import type { KeySnapshot } from '../../src/config/snapshot/key.ts';
import { Client } from '../../src/lane/head/client.ts';
import { Hash } from '../../src/lane/head/hash.ts';
import type { Key } from '../../src/lane/head/key.ts';
import { headDesk } from '../support/heads.ts';
import type { SampleHead } from '../support/records.ts';
import { sampleListener } from '../support/snapshots.ts';

const desk = headDesk();
const client = new Client([sampleListener()], desk.lookups);

/** Hash of a head under `keys`. */
function hash(key: Key, given: Partial<SampleHead> = {}, tenant = -1, route = 0): number {
  const head = desk.read(given);
  client.read(head);
  return key.hash(head, client, tenant, route);
}

const part = (kind: KeySnapshot['kind'], name = '', prefix4 = 32, prefix6 = 128): KeySnapshot => ({ kind, name, prefix4, prefix6 });
const first = (...keys: KeySnapshot[]) => desk.lookups.key(keys, 'first');
const all = (...keys: KeySnapshot[]) => desk.lookups.key(keys, 'all');

t.test('each kind of key tells apart what differs in it and nothing else', async (t) => {
  const fields = (...given: [string, string][]) => ({ fields: given });
  const cases: [KeySnapshot, Partial<SampleHead>, Partial<SampleHead>, Partial<SampleHead>][] = [
    [part('header', 'x-user'), fields(['x-user', 'ann']), fields(['a', 'b'], ['x-user', 'ann']), fields(['x-user', 'bob'])],
    [part('cookie', 'id'), fields(['cookie', 'a=1; id=7']), fields(['cookie', 'id=7; b=2']), fields(['cookie', 'id=8'])],
    [part('query', 'q'), { path: '/?q=a%2Fb' }, { path: '/other?x=1&q=a/b' }, { path: '/?q=c' }],
    [part('path'), { path: '/a?b' }, { path: '/a?c', method: 'PUT' }, { path: '/A' }],
    [part('authority'), { authority: 'a.test' }, { authority: 'a.test', path: '/x' }, { authority: 'b.test' }],
    [part('method'), { method: 'GET' }, { method: 'GET', path: '/x' }, { method: 'PUT' }],
    [part('client'), { address: [10, 0, 0, 1] }, { address: [10, 0, 0, 1], port: 9 }, { address: [10, 0, 0, 2] }],
    [part('connection'), { connection: 2 ** 40 + 5 }, { connection: 2 ** 40 + 5, path: '/x' }, { connection: 5 }],
  ];
  for (const [kind, one, same, other] of cases) {
    const key = first(kind);
    const found = hash(key, one);
    t.not(found, 0, kind.kind);
    t.equal(hash(key, same), found, kind.kind);
    t.not(hash(key, other), found, kind.kind);
  }
  t.not(hash(first(part('route')), {}, -1, 1), hash(first(part('route')), {}, -1, 2));
  t.not(hash(first(part('tenant')), {}, 1), hash(first(part('tenant')), {}, 2));
});

t.test('what a request does not have is no key', async (t) => {
  for (const kind of [part('header', 'x-user'), part('cookie', 'id'), part('query', 'q'), part('tenant')])
    t.equal(hash(first(kind)), 0, kind.kind);
  t.equal(hash(first()), 0);
  t.equal(hash(all(part('header', 'x'), part('cookie', 'y'))), 0);
});

t.test('a client counts by the bits of its network, and the families are apart', async (t) => {
  const key = first(part('client', '', 20, 56));
  const v4 = (...address: number[]) => hash(key, { address });
  t.equal(v4(10, 1, 0xf0, 1), v4(10, 1, 0xff, 255));
  t.not(v4(10, 1, 0xe0, 1), v4(10, 1, 0xf0, 1));
  const v6 = (seventh: number, last: number) =>
    hash(key, { family: 6, address: [32, 1, 13, 184, 0, 0, seventh, 0, 0, 0, 0, 0, 0, 0, 0, last] });
  t.equal(v6(1, 1), v6(1, 200));
  t.not(v6(1, 1), v6(2, 1));
  const whole = first(part('client', '', 32, 32));
  t.not(hash(whole, { address: [1, 2, 3, 4] }), hash(whole, { family: 6, address: [1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] }));
});

t.test('`first` takes the first that is there, and it counts the same wherever it stands', async (t) => {
  const key = first(part('header', 'x-user'), part('client'));
  const user = { fields: [['x-user', 'ann']] as const };
  t.equal(hash(key, user), hash(first(part('header', 'x-user')), user));
  t.equal(hash(key), hash(first(part('client'))));
  t.not(hash(key), 0);
});

t.test('`all` takes every part, absent ones as absent, and no parts as one key for everybody', async (t) => {
  const key = all(part('client'), part('header', 'x-user'));
  const ann = hash(key, { fields: [['x-user', 'ann']] });
  const nobody = hash(key);
  const empty = hash(key, { fields: [['x-user', '']] });
  t.equal(new Set([ann, nobody, empty, 0]).size, 4);
  t.not(hash(key, { address: [9, 9, 9, 9], fields: [['x-user', 'ann']] }), ann);
  t.not(
    hash(all(part('header', 'a'), part('header', 'b')), { fields: [['a', 'xy']] }),
    hash(all(part('header', 'a'), part('header', 'b')), { fields: [['b', 'xy']] }),
  );
  t.equal(hash(all(), { path: '/a' }), hash(all(), { path: '/b' }));
  t.not(hash(all()), 0);
});

t.test('a seed makes it another function, and without one every process has the same', async (t) => {
  const keys = [part('path')];
  const seeded = desk.lookups.key(keys, 'all', { low: 1, high: 2 });
  const other = desk.lookups.key(keys, 'all', { low: 1, high: 3 });
  const found = [hash(all(...keys)), hash(seeded), hash(other)];
  t.equal(new Set(found).size, 3);
  t.equal(hash(first(part('path')), { path: '/stable' }), STABLE, 'a release that changes this moves every key of every ring');
});

t.test('both halves of a hash spread keys that differ in one bit evenly', async (t) => {
  const key = all(part('path'));
  const buckets = [new Array<number>(64).fill(0), new Array<number>(64).fill(0)];
  const seen = new Set<string>();
  for (let i = 0; i < 20_000; i++) {
    const low = hash(key, { path: `/item/${i}` });
    buckets[0]![low & 63]! += 1;
    buckets[1]![key.high >>> 26]! += 1;
    seen.add(`${low} ${key.high}`);
  }
  t.equal(seen.size, 20_000);
  for (const half of buckets) {
    const statistic = half.reduce((sum, count) => sum + (count - 312.5) ** 2 / 312.5, 0);
    t.ok(statistic < 103.4, `${statistic} of 63 degrees of freedom, 0.1 % above 103.4`);
  }
});

t.test('every bit of the input moves about half of the bits of the hash', async (t) => {
  const hash = new Hash();
  let moved = 0;
  let bits = 0;
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.nat(), (bytes, nth) => {
      hash.of(bytes, 0, bytes.length, 1, 2);
      const { low, high } = hash;
      const bit = nth % (bytes.length * 8);
      const other = Uint8Array.from(bytes);
      other[bit >> 3]! ^= 1 << (bit & 7);
      hash.of(other, 0, other.length, 1, 2);
      moved += ones(low ^ hash.low) + ones(high ^ hash.high);
      bits += 64;
      return hash.low !== low || hash.high !== high;
    }),
    { seed: 3, numRuns: 2_000 },
  );
  t.ok(Math.abs(moved / bits - 0.5) < 0.01, `${moved / bits}`);
});

t.test('length counts: zeros at the end are no padding', async (t) => {
  const hash = new Hash();
  const found = new Set<number>();
  for (let length = 0; length < 40; length++) {
    hash.of(new Uint8Array(40), 0, length, 0, 0);
    found.add(hash.low);
  }
  t.equal(found.size, 40);
});

function ones(word: number): number {
  let count = 0;
  for (let left = word >>> 0; left !== 0; left &= left - 1) count += 1;
  return count;
}

/** Of `/stable` as a path. */
const STABLE = 3_406_777_218;

t.test('every line counts: for balancing all together, for limits whoever repeats a part has one key with all who do', async (t) => {
  const repeated: [KeySnapshot, (...values: string[]) => Partial<SampleHead>][] = [
    [part('header', 'x-user'), (...values) => ({ fields: values.map((value): [string, string] => ['x-user', value]) })],
    [part('cookie', 'id'), (...values) => ({ fields: values.map((value): [string, string] => ['cookie', `id=${value}`]) })],
    [part('query', 'q'), (...values) => ({ path: `/?${values.map((value) => `q=${value}`).join('&')}` })],
  ];
  for (const [kind, of] of repeated) {
    const balancing = first(kind);
    t.not(hash(balancing, of('real', 'x')), hash(balancing, of('real', 'y')), `${kind.kind}: a later line tells apart`);
    t.not(hash(balancing, of('x', 'real')), hash(balancing, of('real')), `${kind.kind}: nor is it the first alone`);
    t.equal(hash(balancing, of('x', 'real')), hash(balancing, of('x', 'real')));
    const limiting = all(kind);
    const keys = new Set(Array.from({ length: 50 }, (_, i) => hash(limiting, of(`random-${i}`, 'real'))));
    t.equal(keys.size, 1, `${kind.kind}: a made-up line beside the real one makes no new key`);
    t.not([...keys][0], hash(limiting, of('real')));
    t.not([...keys][0], 0, `${kind.kind}: and is not without a key`);
  }
});
