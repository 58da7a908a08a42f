import t from 'tap';
import {
  KIND_ATTEMPT_FAILED,
  KIND_COMPLETION,
  KIND_HEAD,
  KIND_LATE,
  LANE_RING_BYTE,
  REACTOR_RING_BYTE,
  REACTOR_TAIL_WORD,
} from '../../src/record/layout.ts';
import { AttemptFailedReader, CompletionReader, HeadReader, LateReader } from '../../src/record/read.ts';
import { RecordMemory } from '../../src/record/ring.ts';
import { DecisionWriter, Forward, Subject } from '../../src/record/write.ts';
import { addon, skip } from '../support/addon.ts';
import { attemptFailedBytes, completionBytes, headBytes, lateBytes, ReactorSide } from '../support/records.ts';

t.test('what the reactor writes reads back, and written again by the page of the layout it is the same bytes', { skip }, async (t) => {
  const { buffer } = new ReactorSide();
  const length = addon!.recordSamples(new Uint8Array(buffer, LANE_RING_BYTE));
  const memory = new RecordMemory(buffer);
  const kinds: number[] = [];
  let byte = LANE_RING_BYTE;
  while (byte < LANE_RING_BYTE + length) {
    const at = byte / 4;
    const size = memory.words[at]!;
    const kind = memory.words[at + 1]!;
    kinds.push(kind);
    const again = rewrite(memory, at, kind);
    t.equal(size % 8, 0);
    t.equal(again.length, size, `size of kind ${kind}`);
    // Size and kind are written by the ring, not by the record.
    t.equal(again.subarray(8).toString('hex'), Buffer.from(buffer, byte + 8, size - 8).toString('hex'), `bytes of kind ${kind}`);
    byte += size;
  }
  t.equal(byte, LANE_RING_BYTE + length);
  t.strictSame([...new Set(kinds)].sort(), [KIND_HEAD, KIND_ATTEMPT_FAILED, KIND_COMPLETION, KIND_LATE]);
});

t.test('what the lane writes is what the reactor reads', { skip }, async (t) => {
  const memory = new RecordMemory(new ReactorSide().buffer);
  const writer = new DecisionWriter(memory);
  const forward = Object.assign(new Forward(), {
    plan: 1_002,
    slot: 1_003,
    flags: 3,
    connectTimeoutMs: 1_004,
    placeTimeoutMs: 1_012,
    clientLow: 0xc000_0201,
    clientHigh: 0xffff,
    headTimeoutMs: 1_005,
    idleTimeoutMs: 1_006,
    exchangeTimeoutMs: 1_007,
    attemptTimeoutMs: 1_009,
    hedgeDelayMs: 1_010,
    maxBodyBytes: 2 ** 33 + 1,
    replayBytes: 1_011,
  });
  forward.values.splice(0, 3, 'value zero', undefined, 'value two');
  const answer = { status: 418, fields: [['x-one', 'first value']] as const, body: 'the body of it' };
  writer.forward(subject(1_000, 1_008), Object.assign(forward, { valueCount: 3 }));
  writer.forward(subject(1_100, 1_108), Object.assign(forward, { valueCount: 0 }));
  writer.respond(subject(2_000, 2_002), 17, 2_003, answer);
  writer.reset(3_000, 3_001, 0x10c, 66);
  writer.wait(subject(4_000, 4_002), 4_003, 71);
  writer.wake(5_000, 5_001);
  writer.commit(subject(6_000, 6_002), 47);
  const text = addon!.recordDecode(new Uint8Array(memory.bytes.buffer, REACTOR_RING_BYTE, memory.words[REACTOR_TAIL_WORD]!));
  const named = (index: number) => ({ index, generation: index + 1 });
  const carried = (route: number) => ({ route, memo: [route + 10, route + 20, route + 30] });
  const terms = { plan: 1_002, backend: 1_003, flags: 3, connect: 1_004, head: 1_005, idle: 1_006, exchange: 1_007, attempt: 1_009 };
  const more = { hedge: 1_010, max_body: 2 ** 33 + 1, replay: 1_011, place: 1_012, client: '0000ffffc0000201' };
  t.strictSame(JSON.parse(text), [
    { kind: 'forward', ...named(1_000), ...carried(1_008), ...terms, ...more, values: ['value zero', null, 'value two'] },
    { kind: 'forward', ...named(1_100), ...carried(1_108), ...terms, ...more, values: [] },
    {
      kind: 'respond',
      ...named(2_000),
      ...carried(2_002),
      status: 418,
      reason: 17,
      plan: 2_003,
      fields: [['x-one', 'first value']],
      body: 'the body of it',
    },
    { kind: 'reset', ...named(3_000), code: 0x10c, reason: 66 },
    { kind: 'wait', ...named(4_000), ...carried(4_002), wait: 4_003, reason: 71 },
    { kind: 'wake', ...named(5_000) },
    { kind: 'commit', ...named(6_000), ...carried(6_002), reason: 47 },
  ]);
});

/** An exchange with the generation after its index, and a memo made from its tag. */
function subject(index: number, tag: number): Subject {
  const numbers = { exchangeIndex: index, exchangeGeneration: index + 1, tag, memo0: tag + 10, memo1: tag + 20, memo2: tag + 30 };
  return Object.assign(new Subject(), numbers);
}

/** Reads a record with our readers and writes it with the encoders that tests have. */
function rewrite(memory: RecordMemory, at: number, kind: number): Buffer {
  if (kind === KIND_HEAD) return rewriteHead(memory, at);
  if (kind === KIND_COMPLETION) return rewriteCompletion(memory, at);
  if (kind === KIND_LATE) {
    const late = new LateReader(memory);
    late.read(at);
    return lateBytes({ ...late, ...exchangeOf(late), plan: late.plan });
  }
  const failed = new AttemptFailedReader(memory);
  failed.read(at);
  return attemptFailedBytes({ ...failed, ...exchangeOf(failed), requestId: failed.requestId() });
}

function rewriteHead(memory: RecordMemory, at: number): Buffer {
  const head = new HeadReader(memory);
  head.read(at);
  const family = head.peerFamily === 4 ? 4 : 6;
  return headBytes({
    ...head,
    ...exchangeOf(head),
    family,
    port: head.peerPort,
    address: octets(head.peerAddress()),
    cipherSuite: head.cipherSuite,
    keyGroup: head.keyGroup,
    requestId: head.requestId(),
    method: head.method(),
    scheme: head.scheme(),
    authority: head.authority(),
    path: head.path(),
    fields: head.fields(),
    certificate: memory.latin1(head.certificateByte, head.certificateByte + head.certificateLength),
  });
}

function rewriteCompletion(memory: RecordMemory, at: number): Buffer {
  const done = new CompletionReader(memory);
  done.read(at);
  const text = done.text();
  const lengths = [
    done.requestIdLength,
    done.methodLength,
    done.authorityLength,
    done.pathLength,
    done.userAgentLength,
    done.certificateLength,
  ];
  let end = 0;
  const [requestId, method, authority, path, userAgent, certificate] = lengths.map((length) => {
    end += length;
    return text.slice(end - length, end);
  }) as [string, string, string, string, string, string];
  const family = done.peerFamily === 4 ? 4 : 6;
  const address = octets(done.peerAddress());
  return completionBytes({
    ...done,
    ...exchangeOf(done),
    family,
    port: done.peerPort,
    address,
    requestId,
    method,
    authority,
    path,
    userAgent,
    certificate,
  });
}

function exchangeOf(reader: { exchangeIndex: number; exchangeGeneration: number }): { index: number; generation: number } {
  return { index: reader.exchangeIndex, generation: reader.exchangeGeneration };
}

/** Bytes of an address as our readers write it. */
function octets(address: string): number[] {
  if (!address.includes(':')) return address.split('.').map(Number);
  const [front, back] = address.split('::').map((half) => half.split(':').filter((group) => group !== ''));
  const zeros = back === undefined ? 0 : 8 - front!.length - back.length;
  const groups = [...front!, ...Array.from({ length: zeros }, () => '0'), ...(back ?? [])];
  return groups.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255]);
}
