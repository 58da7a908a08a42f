import t from 'tap';
import {
  KIND_ATTEMPT_FAILED,
  KIND_COMPLETION,
  KIND_HEAD,
  LANE_RING_BYTE,
  REACTOR_RING_BYTE,
  REACTOR_TAIL_WORD,
} from '../../src/record/layout.ts';
import { AttemptFailedReader, CompletionReader, HeadReader } from '../../src/record/read.ts';
import { RecordMemory } from '../../src/record/ring.ts';
import { DecisionWriter } from '../../src/record/write.ts';
import { addon, skip } from '../support/addon.ts';
import { attemptFailedBytes, completionBytes, headBytes, ReactorSide } from '../support/records.ts';

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
  t.strictSame([...new Set(kinds)].sort(), [KIND_HEAD, KIND_ATTEMPT_FAILED, KIND_COMPLETION]);
});

t.test('what the lane writes is what the reactor reads', { skip }, async (t) => {
  const memory = new RecordMemory(new ReactorSide().buffer);
  const writer = new DecisionWriter(memory);
  const terms = {
    flags: 3,
    connectTimeoutMs: 1_004,
    headTimeoutMs: 1_005,
    idleTimeoutMs: 1_006,
    exchangeTimeoutMs: 1_007,
    maxBodyBytes: 2 ** 33 + 1,
  };
  const answer = { status: 418, fields: [['x-one', 'first value']] as const, body: 'the body of it' };
  writer.forward(1_000, 1_001, 1_002, 1_003, 1_008, terms);
  writer.respond(2_000, 2_001, 17, 2_002, 2_003, answer);
  writer.reset(3_000, 3_001, 0x10c, 66);
  const text = addon!.recordDecode(new Uint8Array(memory.bytes.buffer, REACTOR_RING_BYTE, memory.words[REACTOR_TAIL_WORD]!));
  const read = leaves(JSON.parse(text));
  const forward = [1_000, 1_001, 1_002, 1_003, 1_004, 1_005, 1_006, 1_007, 1_008, 3, 2 ** 33 + 1];
  for (const value of [
    ...forward,
    2_000,
    2_001,
    418,
    17,
    2_002,
    2_003,
    'x-one',
    'first value',
    'the body of it',
    3_000,
    3_001,
    0x10c,
    66,
  ]) {
    t.ok(read.has(value), `${value}`);
  }
});

/** Reads a record with our readers and writes it with the encoders that tests have. */
function rewrite(memory: RecordMemory, at: number, kind: number): Buffer {
  if (kind === KIND_HEAD) return rewriteHead(memory, at);
  if (kind === KIND_COMPLETION) return rewriteCompletion(memory, at);
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
  });
}

function rewriteCompletion(memory: RecordMemory, at: number): Buffer {
  const done = new CompletionReader(memory);
  done.read(at);
  const text = done.text();
  const lengths = [done.requestIdLength, done.methodLength, done.authorityLength, done.pathLength, done.userAgentLength];
  let end = 0;
  const [requestId, method, authority, path, userAgent] = lengths.map((length) => {
    end += length;
    return text.slice(end - length, end);
  }) as [string, string, string, string, string];
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

/** Every number and text in a JSON value, whatever the keys are called. */
function leaves(value: unknown): Set<unknown> {
  if (typeof value !== 'object' || value === null) return new Set([value]);
  return new Set(Object.values(value).flatMap((inner) => [...leaves(inner)]));
}
