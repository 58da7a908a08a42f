/**
 * The reactor's half of the records, for tests and benchmarks of the lane: encoders of what a
 * reactor writes, decoders of what it reads, and a ring memory to hold both. It goes by the table
 * of records as it stands (`native/core/src/record/records.yaml`) and uses none of the code under
 * test but the constants.
 */

import { camel, readRecords } from '../../native/generate/table.ts';
import {
  COMPLETED_COMMITTED,
  FAILED_IDEMPOTENT,
  FAILED_REPLAYABLE,
  FAILED_UNSENT,
  HEAD_IDEMPOTENT,
  KIND_ATTEMPT_FAILED,
  KIND_COMPLETION,
  KIND_HEAD,
  KIND_LATE,
  KIND_WRAP,
  LANE_HEAD_WORD,
  LANE_RING_BYTE,
  LANE_RING_BYTES,
  LANE_TAIL_WORD,
  MEMORY_BYTES,
  NONE,
  REACTOR_HEAD_WORD,
  REACTOR_RING_BYTE,
  REACTOR_RING_BYTES,
  REACTOR_TAIL_WORD,
  WAITING_WORD,
} from '../../src/record/layout.ts';

export interface SampleHead {
  index: number;
  generation: number;
  listener: number;
  flags: number;
  family: 4 | 6;
  port: number;
  address: readonly number[];
  cipherSuite: number;
  keyGroup: number;
  connection: number;
  contentLength: number;
  requestId: string;
  method: string;
  scheme: string;
  authority: string;
  path: string;
  fields: readonly (readonly [string, string])[];
  tag: number;
  memo0: number;
  memo1: number;
  memo2: number;
  ageUs: number;
  /** As a reactor writes it. */
  certificate: string;
}

export interface SampleAttemptFailed {
  index: number;
  generation: number;
  attempts: number;
  slot: number;
  tag: number;
  reason: number;
  flags: number;
  durationUs: number;
  connection: number;
  plan: number;
  requestId: string;
  memo0: number;
  memo1: number;
  memo2: number;
  status: number;
  grpcStatus: number;
  retryAfterS: number;
  ageUs: number;
}

export interface SampleLate {
  index: number;
  generation: number;
  attempts: number;
  slot: number;
  tag: number;
  memo0: number;
  memo1: number;
  memo2: number;
  durationUs: number;
  ageUs: number;
  plan: number;
}

export interface SampleCompletion {
  index: number;
  generation: number;
  tag: number;
  slot: number;
  attempts: number;
  status: number;
  reason: number;
  flags: number;
  listener: number;
  family: 4 | 6;
  port: number;
  address: readonly number[];
  decideUs: number;
  openUs: number;
  sendUs: number;
  awaitUs: number;
  totalUs: number;
  rttUs: number;
  bytesIn: number;
  bytesOut: number;
  connection: number;
  startedMs: number;
  backendStatus: number;
  requestId: string;
  method: string;
  authority: string;
  path: string;
  userAgent: string;
  memo0: number;
  memo1: number;
  memo2: number;
  grpcStatus: number;
  retryAfterS: number;
  loserSlot: number;
  loserUs: number;
  certificate: string;
}

/** A plain GET from 127.0.0.1; tests name what matters to them. */
export function sampleHead(given: Partial<SampleHead> = {}): SampleHead {
  return {
    index: 1,
    generation: 1,
    listener: 0,
    flags: HEAD_IDEMPOTENT,
    family: 4,
    port: 50_000,
    address: [127, 0, 0, 1],
    cipherSuite: 0x1301,
    keyGroup: 29,
    connection: 7,
    contentLength: -1,
    requestId: '0123456789abcdef0123456789abcdef',
    method: 'GET',
    scheme: 'https',
    authority: 'a.test',
    path: '/',
    fields: [],
    tag: NONE,
    memo0: 0,
    memo1: 0,
    memo2: 0,
    ageUs: 0,
    certificate: '',
    ...given,
  };
}

export function sampleAttemptFailed(given: Partial<SampleAttemptFailed> = {}): SampleAttemptFailed {
  return {
    index: 1,
    generation: 1,
    attempts: 1,
    slot: 0,
    tag: 0,
    reason: 32,
    flags: FAILED_UNSENT | FAILED_IDEMPOTENT | FAILED_REPLAYABLE,
    durationUs: 500,
    connection: 7,
    plan: 0,
    requestId: '',
    memo0: 0,
    memo1: 0,
    memo2: 0,
    status: 0,
    grpcStatus: NONE,
    retryAfterS: NONE,
    ageUs: 500,
    ...given,
  };
}

export function sampleLate(given: Partial<SampleLate> = {}): SampleLate {
  return {
    index: 1,
    generation: 1,
    attempts: 1,
    slot: 0,
    tag: 0,
    memo0: 0,
    memo1: 0,
    memo2: 0,
    durationUs: 20_000,
    ageUs: 20_000,
    plan: 0,
    ...given,
  };
}

export function sampleCompletion(given: Partial<SampleCompletion> = {}): SampleCompletion {
  return {
    index: 1,
    generation: 1,
    tag: NONE,
    slot: NONE,
    attempts: 1,
    status: 200,
    reason: 0,
    flags: COMPLETED_COMMITTED,
    listener: 0,
    family: 4,
    port: 50_000,
    address: [127, 0, 0, 1],
    decideUs: 12,
    openUs: 30,
    sendUs: 5,
    awaitUs: 800,
    totalUs: 1_000,
    rttUs: 250,
    bytesIn: 0,
    bytesOut: 1_024,
    connection: 7,
    startedMs: 1_700_000_000_000,
    backendStatus: 200,
    requestId: '0123456789abcdef0123456789abcdef',
    method: 'GET',
    authority: 'a.test',
    path: '/',
    userAgent: 'probe/1',
    memo0: 0,
    memo1: 0,
    memo2: 0,
    grpcStatus: NONE,
    retryAfterS: NONE,
    loserSlot: NONE,
    loserUs: 0,
    certificate: '',
    ...given,
  };
}

/** A decision as the reactor would read it. */
export type Decision =
  | {
      kind: 'forward';
      index: number;
      generation: number;
      plan: number;
      slot: number;
      tag: number;
      flags: number;
      connectTimeoutMs: number;
      placeTimeoutMs: number;
      clientLow: number;
      clientHigh: number;
      headTimeoutMs: number;
      idleTimeoutMs: number;
      exchangeTimeoutMs: number;
      maxBodyBytes: number;
      attemptTimeoutMs: number;
      hedgeDelayMs: number;
      memo: [number, number, number];
      replayBytes: number;
      /** Undefined keeps an earlier one. */
      values: (string | undefined)[];
    }
  | {
      kind: 'respond';
      index: number;
      generation: number;
      status: number;
      reason: number;
      tag: number;
      plan: number;
      memo: [number, number, number];
      fields: [string, string][];
      body: string;
    }
  | { kind: 'wait'; index: number; generation: number; tag: number; memo: [number, number, number]; waitMs: number; reason: number }
  | { kind: 'wake'; index: number; generation: number }
  | { kind: 'commit'; index: number; generation: number; tag: number; memo: [number, number, number]; reason: number }
  | { kind: 'reset'; index: number; generation: number; errorCode: number; reason: number };

/** Both rings, worked from the reactor's side. */
export class ReactorSide {
  readonly buffer: ArrayBuffer = new ArrayBuffer(MEMORY_BYTES);
  private readonly view = new DataView(this.buffer);
  private readonly bytes = Buffer.from(this.buffer);
  private readonly allWords = new Uint32Array(this.buffer);

  /**
   * Starts all cursors at `cursor` (a multiple of 8), so that wraps of ring and of u32 come soon.
   */
  constructor(cursor = 0) {
    for (const word of [LANE_TAIL_WORD, LANE_HEAD_WORD, REACTOR_TAIL_WORD, REACTOR_HEAD_WORD]) this.set(word, cursor >>> 0);
  }

  /** Bytes in the ring towards the lane that were not read. */
  get waiting(): number {
    return (this.get(LANE_TAIL_WORD) - this.get(LANE_HEAD_WORD)) >>> 0;
  }

  offerHead(head: SampleHead): boolean {
    return this.write(KIND_HEAD, headBytes(head));
  }

  offerAttemptFailed(failed: SampleAttemptFailed): boolean {
    return this.write(KIND_ATTEMPT_FAILED, attemptFailedBytes(failed));
  }

  offerCompletion(completion: SampleCompletion): boolean {
    return this.write(KIND_COMPLETION, completionBytes(completion));
  }

  offerLate(late: SampleLate): boolean {
    return this.write(KIND_LATE, lateBytes(late));
  }

  /** How many exchanges the lane says are waiting. */
  get waitingWord(): number {
    return this.get(WAITING_WORD);
  }

  /**
   * Writes an encoded record; false when the ring has no room. For benchmarks, which encode once.
   */
  write(kind: number, record: Buffer): boolean {
    const tail = this.get(LANE_TAIL_WORD);
    const position = tail % LANE_RING_BYTES;
    const rest = LANE_RING_BYTES - position;
    const isWrapped = record.length > rest;
    if (LANE_RING_BYTES - this.waiting < record.length + (isWrapped ? rest : 0)) return false;
    if (isWrapped) {
      this.view.setUint32(LANE_RING_BYTE + position, rest, true);
      this.view.setUint32(LANE_RING_BYTE + position + 4, KIND_WRAP, true);
    }
    const start = LANE_RING_BYTE + (isWrapped ? 0 : position);
    record.copy(this.bytes, start);
    this.view.setUint32(start, record.length, true);
    this.view.setUint32(start + 4, kind, true);
    this.set(LANE_TAIL_WORD, (tail + record.length + (isWrapped ? rest : 0)) >>> 0);
    return true;
  }

  /** Takes every decision there is. */
  decisions(): Decision[] {
    const found: Decision[] = [];
    for (let at = this.nextDecision(); at !== -1; at = this.nextDecision()) {
      found.push(decodeDecision(this.bytes, at));
      this.set(REACTOR_HEAD_WORD, (this.get(REACTOR_HEAD_WORD) + this.view.getUint32(at, true)) >>> 0);
    }
    return found;
  }

  /**
   * Takes every decision there is, undecoded: `visit` gets the words of the memory and where the
   * record's first one is. For benchmarks.
   */
  visitDecisions(visit: (words: Uint32Array, at: number) => void): void {
    for (let at = this.nextDecision(); at !== -1; at = this.nextDecision()) {
      visit(this.allWords, at / 4);
      this.set(REACTOR_HEAD_WORD, (this.get(REACTOR_HEAD_WORD) + this.view.getUint32(at, true)) >>> 0);
    }
  }

  /** Throws every decision away, unread. For benchmarks. */
  skipDecisions(): void {
    this.set(REACTOR_HEAD_WORD, this.get(REACTOR_TAIL_WORD));
  }

  private nextDecision(): number {
    for (;;) {
      const head = this.get(REACTOR_HEAD_WORD);
      if (head === this.get(REACTOR_TAIL_WORD)) return -1;
      const at = REACTOR_RING_BYTE + (head % REACTOR_RING_BYTES);
      if (this.view.getUint32(at + 4, true) !== KIND_WRAP) return at;
      this.set(REACTOR_HEAD_WORD, (head + this.view.getUint32(at, true)) >>> 0);
    }
  }

  private get(word: number): number {
    return this.view.getUint32(word * 4, true);
  }

  private set(word: number, value: number): void {
    this.view.setUint32(word * 4, value, true);
  }
}

export function headBytes(head: SampleHead): Buffer {
  const table = head.fields.map(([name, value]) => (value.length << 16) | name.length);
  return encode('Head', numbersOf(head), table, [
    head.certificate,
    head.requestId,
    head.method,
    head.scheme,
    head.authority,
    head.path,
    ...head.fields.flat(),
  ]);
}

export function attemptFailedBytes(failed: SampleAttemptFailed): Buffer {
  return encode('AttemptFailed', numbersOf(failed), [], [failed.requestId]);
}

export function lateBytes(late: SampleLate): Buffer {
  return encode('Late', numbersOf(late), [], []);
}

export function completionBytes(done: SampleCompletion): Buffer {
  const texts = [done.requestId, done.method, done.authority, done.path, done.userAgent, done.certificate];
  return encode('Completion', numbersOf(done), [], texts);
}

type Numbers = Readonly<Record<string, number | readonly number[]>>;

/**
 * What a sample says, by the names of the table: lengths stand for texts, and a count for fields.
 */
function numbersOf(sample: SampleHead | SampleAttemptFailed | SampleLate | SampleCompletion): Numbers {
  const numbers: Record<string, number | readonly number[]> = { exchangeIndex: sample.index, exchangeGeneration: sample.generation };
  for (const [name, value] of Object.entries(sample) as [string, number | string | readonly number[]][]) {
    if (typeof value !== 'string' && (name === 'family' || name === 'port' || name === 'address'))
      numbers[`peer${name[0]!.toUpperCase()}${name.slice(1)}`] = value;
    else if (name === 'fields') numbers['fieldCount'] = (value as SampleHead['fields'] | readonly number[]).length;
    else if (typeof value === 'string') numbers[`${name}Length`] = value.length;
    else numbers[name] = value;
  }
  return numbers;
}

const TABLES = new Map(readRecords().records.map((record) => [record.name, record]));
const BY_KIND = new Map([...TABLES.values()].map((record) => [record.kind, record]));

/** The first word of a value in a record. */
export function wordOf(record: string, name: string): number {
  return TABLES.get(record)!.rows.find(({ names }) => names.includes(name))!.at;
}

/**
 * A record as its table says, with what stands behind its words. Size and kind are the ring's to
 * write.
 */
function encode(name: string, numbers: Numbers, table: readonly number[], texts: readonly string[]): Buffer {
  const { rows, words } = TABLES.get(name)!;
  const text = Buffer.from(texts.join(''), 'latin1');
  const bytes = (words + table.length) * 4 + text.length;
  const record = Buffer.alloc(bytes + ((8 - (bytes % 8)) % 8));
  const number = (of: string): number => {
    const value = numbers[of];
    if (typeof value !== 'number') throw new Error(`a ${name} needs ${of}, which is ${value}`);
    return value;
  };
  const word = (at: number, value: number) => record.writeUInt32LE(value >>> 0, at * 4);
  word(2, number('exchangeIndex'));
  word(3, number('exchangeGeneration'));
  for (const { at, type, names } of rows) {
    const [first, second] = names.map(camel);
    if (type === 'u32') word(at, number(first!));
    else if (type === 'f64') record.writeDoubleLE(number(first!), at * 4);
    else if (type === 'memo') for (let i = 0; i < 3; i++) word(at + i, number(`${first}${i}`));
    else if (type === 'address') record.set(numbers[first!] as readonly number[], at * 4);
    else if (type === 'pair') word(at, number(first!) | (number(second!) << 16));
    else if (type !== 'zero') throw new Error(`a ${name} has a ${type}, which only decisions have`);
  }
  for (const [i, value] of table.entries()) word(words + i, value);
  record.set(text, (words + table.length) * 4);
  return record;
}

function decodeDecision(bytes: Buffer, at: number): Decision {
  const word = (place: number) => bytes.readUInt32LE(at + place * 4);
  const table = BY_KIND.get(word(1));
  const numbers: Record<string, number> = {};
  for (const { at: place, type, names } of table?.rows ?? []) {
    const [name] = names.map(camel);
    if (type === 'f64') numbers[name!] = bytes.readDoubleLE(at + place * 4);
    else if (type === 'memo') for (let i = 0; i < 3; i++) numbers[`${name}${i}`] = word(place + i);
    else if (type === 'u64') [numbers[`${name}Low`], numbers[`${name}High`]] = [word(place), word(place + 1)];
    else if (type === 'u32') numbers[name!] = word(place);
    else if (word(place) !== 0) throw new Error(`word ${place} of a ${table!.name} is ${word(place)}, and says nothing yet`);
  }
  const { memo0, memo1, memo2, valueCount, fieldCount, bodyLength, ...own } = numbers;
  const kind = table?.name.toLowerCase();
  const said = { kind, index: word(2), generation: word(3), ...own, ...(memo0 === undefined ? {} : { memo: [memo0, memo1, memo2] }) };
  const lengths = Array.from({ length: valueCount ?? fieldCount ?? 0 }, (_, i) => word(table!.words + i));
  let byte = at + (table!.words + lengths.length) * 4;
  const take = (length: number) => {
    byte += length;
    return bytes.toString('latin1', byte - length, byte);
  };
  if (kind === 'forward') return { ...said, values: lengths.map((length) => (length === NONE ? undefined : take(length))) } as Decision;
  if (kind !== 'respond') return said as Decision;
  const fields = lengths.map((length) => [take(length & 0xffff), take(length >>> 16)]);
  return { ...said, fields, body: take(bodyLength!) } as Decision;
}
