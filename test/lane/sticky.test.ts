import { randomBytes } from 'node:crypto';
import t from 'tap';
import type { StickySnapshot } from '../../src/config/snapshot/balance.ts';
import { identityOf, SEALED_LENGTH, Seal } from '../../src/lane/balance/seal.ts';
import { setBackendWeight } from '../../src/lane/balance/weights.ts';
import { type LaneStand, standLane } from '../support/lanes.ts';
import type { Decision } from '../support/records.ts';
import { sampleSnapshot } from '../support/snapshots.ts';

const KEY = Uint8Array.from({ length: 32 }, (_, i) => i);
const COOKIE: StickySnapshot = { kind: 'cookie', cookie: 'lg', path: '/', maxAgeS: 0, key: KEY };
const NOW_MS = 1_760_000_000_000;

function stand(
  sticky: Partial<StickySnapshot> = {},
  backends: { url?: string; weight?: number }[] = [{}, {}, {}, {}],
  name = 'web',
): LaneStand {
  const found = standLane(
    sampleSnapshot({ upstreams: [{ name, backends, balance: { policy: 'random', sticky: { ...COOKIE, ...sticky } } }] }),
  );
  found.clock.nowMs = NOW_MS;
  return found;
}

interface Session {
  slot: number;
  /** The whole Set-Cookie. */
  line: string;
  /** Name and value. */
  cookie: string;
}

function ask(stand: LaneStand, cookie?: string): Session {
  const [decision] = stand.ask(cookie === undefined ? {} : { fields: [['cookie', cookie]] }) as [Decision & { kind: 'forward' }];
  const line = decision.values[1] ?? '';
  return { slot: decision.slot, line, cookie: line.split(';')[0]! };
}

const movedSlots = (stand: LaneStand) => stand.noted.notes.filter(({ note }) => note === 'sticky_moved').map(({ slot }) => slot);

t.test('a session gets a cookie with its first answer and stays with its backend', async (t) => {
  const lane = stand({ path: '/shop' });
  const first = ask(lane);
  t.match(first.line, /^lg=[\w-]{70}; Path=\/shop; Secure; HttpOnly; SameSite=Lax$/);
  for (let i = 0; i < 30; i++) {
    const next = ask(lane, `other=1; ${first.cookie}`);
    t.equal(next.slot, first.slot);
    t.equal(next.line, '', 'nothing has to be set');
  }
  t.strictSame(movedSlots(lane), []);
});

t.test('another lane, and another edge with the same key, know the cookie', async (t) => {
  const first = ask(stand());
  const elsewhere = [
    { url: 'h2c://127.0.0.1:9003' },
    { url: 'h2c://127.0.0.1:9002' },
    { url: 'h2c://127.0.0.1:9001' },
    { url: 'h2c://127.0.0.1:9000' },
  ];
  t.equal(ask(stand(), first.cookie).slot, first.slot);
  t.equal(ask(stand({}, elsewhere), first.cookie).slot, 3 - first.slot, 'it names the backend, not its place');
});

t.test('what is forged, cut, of another key or of another upstream is none', async (t) => {
  const first = ask(stand());
  const value = first.cookie.slice(3);
  const flipped = `${value.slice(0, 20)}${value[20] === 'A' ? 'B' : 'A'}${value.slice(21)}`;
  for (const cookie of [`lg=${flipped}`, `lg=${value.slice(1)}`, `lg=${'*'.repeat(SEALED_LENGTH)}`, 'lg=', `lgx=${value}`]) {
    t.not(ask(stand(), cookie).line, '', cookie);
  }
  t.not(ask(stand({ key: randomBytes(32) }), first.cookie).line, '');
  t.not(ask(stand({}, [{}, {}, {}, {}], 'other'), first.cookie).line, '');
});

t.test('a forged cookie beside the genuine one does no harm', async (t) => {
  const lane = stand();
  const first = ask(lane);
  t.equal(ask(lane, `lg=${'A'.repeat(SEALED_LENGTH)}; ${first.cookie}`).slot, first.slot);
});

t.test('a session whose backend cannot be had goes to another, and that is noted', async (t) => {
  const lane = stand();
  const first = ask(lane);
  lane.lane.setAddresses(first.slot, 0);
  const second = ask(lane, first.cookie);
  t.not(second.slot, first.slot);
  t.match(second.line, /^lg=/);
  t.strictSame(movedSlots(lane), [first.slot]);
  lane.lane.setAddresses(first.slot, 1);
  t.equal(ask(lane, second.cookie).slot, second.slot, 'and stays there');
});

t.test('a drained backend loses its sessions', async (t) => {
  const lane = stand();
  const first = ask(lane);
  setBackendWeight(lane.shared.weights, first.slot, 0);
  t.not(ask(lane, first.cookie).slot, first.slot);
});

t.test('a session of a backend that is not configured any more is moved', async (t) => {
  const lane = stand({}, [{ url: 'h2c://gone:80' }]);
  const first = ask(lane);
  const next = stand();
  t.match(ask(next, first.cookie).line, /^lg=/);
  t.strictSame(movedSlots(next), [-1]);
});

t.test('a cookie of limited age is renewed in its second half and void after it', async (t) => {
  const lane = stand({ maxAgeS: 3_600 });
  const first = ask(lane);
  t.match(first.line, /; Max-Age=3600; /);
  lane.clock.nowMs += 1_700_000;
  t.equal(ask(lane, first.cookie).line, '');
  lane.clock.nowMs += 300_000;
  const renewed = ask(lane, first.cookie);
  t.equal(renewed.slot, first.slot);
  t.match(renewed.line, /; Max-Age=3600; /);
  t.not(renewed.cookie, first.cookie);
  lane.clock.nowMs += 1_800_000;
  t.match(ask(lane, first.cookie).line, /^lg=/, 'void');
  t.equal(ask(lane, renewed.cookie).slot, first.slot);
});

t.test('sealing the same twice gives the same text, which says nothing of what is in it', async (t) => {
  const seal = new Seal(KEY, 'web');
  const content = { identity: identityOf('h2c://10.0.0.1:80'), issuedS: 1_760_000_000 };
  const text = seal.seal(content);
  t.equal(text.length, SEALED_LENGTH);
  t.equal(seal.seal(content), text);
  t.strictSame(seal.open(text), content);
  t.equal(new Seal(KEY, 'other').open(text), undefined);
  const beside = seal.seal({ ...content, issuedS: content.issuedS + 1 });
  const same = [...text].filter((letter, i) => letter === beside[i]).length;
  t.ok(same < 12, `${same} of ${SEALED_LENGTH} letters agree`);
});

t.test('by connection, every request of a connection goes to one backend, and connections spread over all', async (t) => {
  const lane = stand({ kind: 'connection' });
  const slots = new Set<number>();
  for (let connection = 1; connection <= 60; connection++) {
    const found = lane.ask({ connection }, { connection, path: '/x' }, { connection }) as (Decision & { kind: 'forward' })[];
    t.equal(new Set(found.map(({ slot }) => slot)).size, 1);
    t.strictSame(
      found[0]!.values.filter((value) => value !== ''),
      [],
      'no cookie',
    );
    slots.add(found[0]!.slot);
  }
  t.equal(slots.size, 4);
});

t.test('decisions with the longest cookies leave the others of a full ring as they are', async (t) => {
  const sticky: StickySnapshot = { ...COOKIE, cookie: 'c'.repeat(128), path: `/${'p'.repeat(1_023)}` };
  const snapshot = sampleSnapshot({ upstreams: [{ name: 'web', backends: [{}], balance: { policy: 'random', sticky } }] });
  const asked = Array.from({ length: 230 }, (_, index) => ({ index }));
  for (let cursor = 0; cursor < 1_400; cursor += 40) {
    const lane = standLane(snapshot, {}, cursor);
    const decided = lane.ask(...asked);
    t.ok(decided.length < asked.length, 'the ring is too small for all at once');
    decided.push(...lane.ask());
    t.strictSame(
      decided.map((decision) => [decision.kind, decision.index]),
      asked.map(({ index }) => ['forward', index]),
      `from byte ${cursor}`,
    );
  }
});

t.test('forged cookies are told by their check and none of them is opened', async (t) => {
  const lane = stand();
  const { cookie, slot } = ask(lane);
  const value = cookie.slice(3);
  const forged = Array.from({ length: 220 }, () => `lg=${randomBytes(53).toString('base64url').slice(0, SEALED_LENGTH)}`);
  let opened = 0;
  const open = Seal.prototype.open;
  t.teardown(() => {
    Seal.prototype.open = open;
  });
  Seal.prototype.open = function (text) {
    opened += 1;
    return open.call(this, text);
  };
  t.not(ask(lane, forged.join('; ')).line, '');
  t.equal(opened, 0);
  t.equal(ask(lane, [...forged, cookie].join('; ')).slot, slot, 'the genuine one among them is found');
  // Who could make the check: three are opened, and no more.
  const seal = new Seal(KEY, 'web');
  const foreign = Array.from({ length: 20 }, (_, i) => `lg=${seal.seal({ identity: identityOf(`h2c://gone:${i}`), issuedS: 1 })}`);
  const lasting = stand({ maxAgeS: 60 });
  opened = 0;
  ask(lasting, [...foreign, `lg=${value}`].join('; '));
  t.equal(opened, 3);
});
