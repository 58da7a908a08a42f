import fc from 'fast-check';
import t from 'tap';
import {
  FAILED_HELD,
  FAILED_IDEMPOTENT,
  FAILED_REPLAYABLE,
  KIND_ATTEMPT_FAILED,
  KIND_COMPLETION,
  KIND_HEAD,
  KIND_LATE,
  WAITING_WORD,
} from '../../src/record/layout.ts';
import { AttemptFailedReader, addressText, CompletionReader, HeadReader, LateReader } from '../../src/record/read.ts';
import { LaneRing, RecordMemory } from '../../src/record/ring.ts';
import { DecisionWriter, Forward, respondBytes, Subject } from '../../src/record/write.ts';
import {
  type Decision,
  lateBytes,
  ReactorSide,
  sampleAttemptFailed,
  sampleCompletion,
  sampleHead,
  sampleLate,
} from '../support/records.ts';

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
    tag: u32,
    memo0: u32,
    memo1: u32,
    memo2: u32,
    ageUs: u32,
    certificate: latin1(200),
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
        tag: head.tag,
        memo0: head.memo0,
        memo1: head.memo1,
        memo2: head.memo2,
        ageUs: head.ageUs,
        certificate: memory.latin1(head.certificateByte, head.certificateByte + head.certificateLength),
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
    reason: 47,
    flags: FAILED_IDEMPOTENT | FAILED_REPLAYABLE | FAILED_HELD,
    plan: 11,
    requestId: 'r'.repeat(32),
    memo0: 0xffff_ffff,
    memo1: 12,
    memo2: 13,
    status: 503,
    grpcStatus: 14,
    retryAfterS: 15,
    ageUs: 16,
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
      reason: 47,
      flags: FAILED_IDEMPOTENT | FAILED_REPLAYABLE | FAILED_HELD,
      durationUs: 500,
      connection: 7,
      plan: 11,
      requestId: given.requestId,
      memo0: 0xffff_ffff,
      memo1: 12,
      memo2: 13,
      status: 503,
      grpcStatus: 14,
      retryAfterS: 15,
      ageUs: 16,
    },
  );
  t.notOk(failed.isUnsent);
  t.ok(failed.isIdempotent);
  t.ok(failed.isReplayable);
  t.ok(failed.isHeld);
  t.notOk(failed.isOtherRunning || failed.hasWaited || failed.isHedge);
});

t.test('a late attempt reads back', async (t) => {
  const { reactor, memory, ring } = side(0);
  const { index, generation, plan, ...numbers } = sampleLate({ attempts: 2, slot: 5, tag: 6, memo0: 7, memo1: 8, memo2: 9, ageUs: 10 });
  reactor.write(KIND_LATE, lateBytes({ index, generation, plan, ...numbers }));
  const at = ring.peek();
  t.equal(memory.words[at + 1], KIND_LATE);
  const late = new LateReader(memory);
  late.read(at);
  t.match({ ...late }, { ...numbers, exchangeIndex: index, exchangeGeneration: generation });
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
    memo0: 3,
    memo1: 4,
    memo2: 6,
    grpcStatus: 7,
    retryAfterS: 8,
    loserSlot: 9,
    loserUs: 10,
  });
  reactor.offerCompletion(given);
  const at = ring.peek();
  t.equal(memory.words[at + 1], KIND_COMPLETION);
  const done = new CompletionReader(memory);
  done.read(at);
  const { index, generation, family, port, address, requestId, method, authority, path, userAgent, certificate, ...numbers } = given;
  t.match({ ...done }, { ...numbers, exchangeIndex: index, exchangeGeneration: generation });
  t.equal(done.peerFamily, family);
  t.equal(done.peerPort, port);
  t.equal(done.peerAddress(), address.join('.'));
  t.equal(done.text(), requestId + method + authority + path + userAgent + certificate);
  t.strictSame(
    [done.requestIdLength, done.methodLength, done.authorityLength, done.pathLength, done.userAgentLength, done.certificateLength],
    [requestId.length, method.length, authority.length, path.length, userAgent.length, certificate.length],
  );
});

t.test('decisions read back in order, across the end of the ring and of the cursors', async (t) => {
  const field = fc.tuple(latin1(20), latin1(50));
  const subject = { index: u32, generation: u32, tag: u32, memo: fc.tuple(u32, u32, u32) };
  const decision: fc.Arbitrary<Decision> = fc.oneof(
    fc.record({
      ...subject,
      kind: fc.constant('forward' as const),
      plan: u32,
      slot: u32,
      flags: u32,
      connectTimeoutMs: u32,
      placeTimeoutMs: u32,
      clientLow: u32,
      clientHigh: u32,
      headTimeoutMs: u32,
      idleTimeoutMs: u32,
      exchangeTimeoutMs: u32,
      attemptTimeoutMs: u32,
      hedgeDelayMs: u32,
      maxBodyBytes: float,
      replayBytes: u32,
      values: fc.array(fc.option(latin1(30), { nil: undefined }), { maxLength: 4 }),
    }),
    fc.record({
      ...subject,
      kind: fc.constant('respond' as const),
      status: u32,
      reason: u32,
      plan: u32,
      fields: fc.array(field, { maxLength: 8 }),
      body: latin1(400),
    }),
    fc.record({ ...subject, kind: fc.constant('wait' as const), waitMs: u32, reason: u32 }),
    fc.record({ ...subject, kind: fc.constant('commit' as const), reason: u32 }),
    fc.record({ kind: fc.constant('wake' as const), index: u32, generation: u32 }),
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
  const subject = new Subject();
  let written = 0;
  while (writer.hasRoom(respondBytes(answer))) {
    subject.exchangeIndex = written++;
    writer.respond(subject, 65, 0, answer);
  }
  t.ok(written > 200, `${written} records fit`);
  t.notOk(writer.hasRoom(respondBytes(answer)));
  t.equal(reactor.decisions().length, written);
  t.ok(writer.hasRoom(respondBytes(answer)));
});

t.test('the lane says in a word of the memory how many exchanges wait', async (t) => {
  const { memory } = side(0);
  new DecisionWriter(memory).setWaiting(3);
  t.equal(memory.words[WAITING_WORD], 3);
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
  if (one.kind === 'reset') writer.reset(one.index, one.generation, one.errorCode, one.reason);
  else if (one.kind === 'wake') writer.wake(one.index, one.generation);
  else {
    const subject = subjectOf(one);
    if (one.kind === 'wait') writer.wait(subject, one.waitMs, one.reason);
    else if (one.kind === 'commit') writer.commit(subject, one.reason);
    else if (one.kind === 'respond') writer.respond(subject, one.reason, one.plan, one);
    else writer.forward(subject, forwardOf(one));
  }
}

function subjectOf(one: Extract<Decision, { tag: number }>): Subject {
  const subject = new Subject();
  subject.exchangeIndex = one.index;
  subject.exchangeGeneration = one.generation;
  subject.tag = one.tag;
  [subject.memo0, subject.memo1, subject.memo2] = one.memo;
  return subject;
}

function forwardOf(one: Extract<Decision, { kind: 'forward' }>): Forward {
  const { values, index, generation, kind, tag, memo, ...numbers } = one;
  const forward = Object.assign(new Forward(), numbers);
  for (const [i, value] of values.entries()) forward.values[i] = value;
  forward.valueCount = values.length;
  return forward;
}

function sorted(one: Decision): [string, unknown][] {
  return Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1));
}
