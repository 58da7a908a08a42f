import fc from 'fast-check';
import t from 'tap';
import { KIND_ATTEMPT_FAILED, KIND_COMPLETION, KIND_HEAD } from '../../src/record/layout.ts';
import { AttemptFailedReader, addressText, CompletionReader, HeadReader } from '../../src/record/read.ts';
import { LaneRing, RecordMemory } from '../../src/record/ring.ts';
import { DecisionWriter, respondBytes } from '../../src/record/write.ts';
import { type Decision, ReactorSide, sampleAttemptFailed, sampleCompletion, sampleHead } from '../support/records.ts';

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const latin1 = (maxLength: number) =>
  fc.array(fc.integer({ min: 0, max: 255 }), { maxLength }).map((codes) => String.fromCharCode(...codes));
const float = fc.integer({ min: -1, max: Number.MAX_SAFE_INTEGER });
const octets = fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 16, maxLength: 16 });
const cursor = fc.integer({ min: 0, max: 0x1fff_ffff }).map((eighths) => eighths * 8);

function side(start: number) {
  const reactor = new ReactorSide(start);
  const memory = new RecordMemory(reactor.buffer);
  return { reactor, memory, ring: new LaneRing(memory) };
}

t.test('a head reads back whatever its values and wherever in the ring it lies', async (t) => {
  const heads = fc.record({
    index: u32,
    generation: u32,
    listener: u32,
    flags: u32,
    port: u16,
    address: octets,
    cipherSuite: u16,
    keyGroup: u16,
    connection: float,
    contentLength: float,
    requestId: latin1(32),
    method: latin1(20),
    scheme: latin1(8),
    authority: latin1(80),
    path: latin1(300),
    fields: fc.array(fc.tuple(latin1(30), latin1(100)), { maxLength: 20 }),
  });
  fc.assert(
    fc.property(cursor, heads, (start, values) => {
      const { reactor, memory, ring } = side(start);
      const given = sampleHead({ ...values, family: 6 });
      reactor.offerHead(given);
      const at = ring.peek();
      const head = new HeadReader(memory);
      head.read(at);
      const read = {
        index: head.exchangeIndex,
        generation: head.exchangeGeneration,
        listener: head.listener,
        flags: head.flags,
        family: head.peerFamily,
        port: head.peerPort,
        cipherSuite: head.cipherSuite,
        keyGroup: head.keyGroup,
        connection: head.connection,
        contentLength: head.contentLength,
        requestId: head.requestId(),
        method: head.method(),
        scheme: head.scheme(),
        authority: head.authority(),
        path: head.path(),
        fields: head.fields(),
      };
      const { address, ...expected } = given;
      t.equal(memory.words[at + 1], KIND_HEAD);
      if (JSON.stringify(read) !== JSON.stringify({ ...read, ...expected })) throw new Error('the head differs');
      if (head.peerAddress() !== addressText(Uint8Array.from(address), 0, 6)) throw new Error('the address differs');
      for (const [name] of given.fields) {
        if (head.field(name) !== given.fields.find((field) => field[0] === name)?.[1]) throw new Error('a field differs');
      }
      ring.take(at);
      return ring.peek() === -1 && reactor.waiting === 0;
    }),
    { numRuns: 300 },
  );
});

t.test('a failed attempt reads back', async (t) => {
  const { reactor, memory, ring } = side(0xffff_ff00);
  const given = sampleAttemptFailed({
    index: 9,
    attempts: 3,
    slot: 4,
    tag: 0x8000_0001,
    reason: 43,
    flags: 6,
    plan: 11,
    requestId: 'r'.repeat(32),
  });
  reactor.offerAttemptFailed(given);
  const at = ring.peek();
  t.equal(memory.words[at + 1], KIND_ATTEMPT_FAILED);
  const failed = new AttemptFailedReader(memory);
  failed.read(at);
  t.match(
    { ...failed, requestId: failed.requestId() },
    {
      exchangeIndex: 9,
      attempts: 3,
      slot: 4,
      tag: 0x8000_0001,
      reason: 43,
      flags: 6,
      durationUs: 500,
      connection: 7,
      plan: 11,
      requestId: given.requestId,
    },
  );
  t.notOk(failed.isUnsent);
  t.ok(failed.isIdempotent);
  t.ok(failed.isReplayable);
});

t.test('a completion reads back', async (t) => {
  const { reactor, memory, ring } = side(0);
  const given = sampleCompletion({
    tag: 5,
    slot: 2,
    bytesIn: 2 ** 40,
    bytesOut: 2 ** 41,
    authority: 'b\u00fcrger.test',
    path: '/x?y',
    backendStatus: 404,
  });
  reactor.offerCompletion(given);
  const at = ring.peek();
  t.equal(memory.words[at + 1], KIND_COMPLETION);
  const done = new CompletionReader(memory);
  done.read(at);
  const { index, generation, family, port, address, requestId, method, authority, path, userAgent, ...numbers } = given;
  t.match({ ...done }, { ...numbers, exchangeIndex: index, exchangeGeneration: generation });
  t.equal(done.peerFamily, family);
  t.equal(done.peerPort, port);
  t.equal(done.peerAddress(), address.join('.'));
  t.equal(done.text(), requestId + method + authority + path + userAgent);
  t.strictSame(
    [done.requestIdLength, done.methodLength, done.authorityLength, done.pathLength, done.userAgentLength],
    [requestId.length, method.length, authority.length, path.length, userAgent.length],
  );
});

t.test('decisions read back in order, across the end of the ring and of the cursors', async (t) => {
  const field = fc.tuple(latin1(20), latin1(50));
  const decision: fc.Arbitrary<Decision> = fc.oneof(
    fc.record({
      kind: fc.constant('forward' as const),
      index: u32,
      generation: u32,
      plan: u32,
      slot: u32,
      tag: u32,
      flags: u32,
      connectTimeoutMs: u32,
      headTimeoutMs: u32,
      idleTimeoutMs: u32,
      exchangeTimeoutMs: u32,
      maxBodyBytes: float,
    }),
    fc.record({
      kind: fc.constant('respond' as const),
      index: u32,
      generation: u32,
      status: u32,
      reason: u32,
      tag: u32,
      plan: u32,
      fields: fc.array(field, { maxLength: 8 }),
      body: latin1(400),
    }),
    fc.record({ kind: fc.constant('reset' as const), index: u32, generation: u32, errorCode: u32, reason: u32 }),
  );
  fc.assert(
    fc.property(cursor, fc.array(decision, { maxLength: 40 }), (start, given) => {
      const { reactor, memory } = side(start);
      const writer = new DecisionWriter(memory);
      for (const one of given) write(writer, one);
      const read = reactor.decisions();
      return JSON.stringify(read.map(sorted)) === JSON.stringify(given.map(sorted));
    }),
    { numRuns: 200 },
  );
  t.pass('every decision came back');
});

t.test('a full ring towards the reactor has no room until the reactor has read', async (t) => {
  const { reactor, memory } = side(8);
  const writer = new DecisionWriter(memory);
  const answer = { status: 503, fields: [['content-type', 'text/plain']] as const, body: 'x'.repeat(900) };
  let written = 0;
  while (writer.hasRoom(respondBytes(answer))) {
    writer.respond(written++, 0, 65, 0, 0, answer);
  }
  t.ok(written > 200, `${written} records fit`);
  t.notOk(writer.hasRoom(respondBytes(answer)));
  t.equal(reactor.decisions().length, written);
  t.ok(writer.hasRoom(respondBytes(answer)));
});

t.test('addresses are written as RFC 5952 says', async (t) => {
  const text = (groups: number[]) => addressText(Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255])), 0, 6);
  t.equal(text([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]), '2001:db8::1');
  t.equal(text([0, 0, 0, 0, 0, 0, 0, 1]), '::1');
  t.equal(text([0, 0, 0, 0, 0, 0, 0, 0]), '::');
  t.equal(text([0x2001, 0xdb8, 0, 1, 1, 1, 1, 1]), '2001:db8:0:1:1:1:1:1');
  t.equal(text([0xfe80, 0, 0, 0, 1, 0, 0, 0]), 'fe80::1:0:0:0');
  t.equal(text([1, 0, 0, 2, 0, 0, 0, 3]), '1:0:0:2::3');
  t.equal(text([1, 2, 3, 4, 5, 6, 0, 0]), '1:2:3:4:5:6::');
});

function write(writer: DecisionWriter, one: Decision): void {
  if (one.kind === 'forward') writer.forward(one.index, one.generation, one.plan, one.slot, one.tag, one);
  else if (one.kind === 'reset') writer.reset(one.index, one.generation, one.errorCode, one.reason);
  else writer.respond(one.index, one.generation, one.reason, one.tag, one.plan, one);
}

function sorted(one: Decision): [string, unknown][] {
  return Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1));
}
