/**
 * A shard's ring memory as the lane sees it: typed arrays over the region that the reactor made,
 * and the two cursors the lane owns.
 *
 * Cursors count bytes for ever as u32 and wrap; positions are their low bits and distances are
 * differences modulo 2^32, so nothing special happens after four gigabytes of records. Reactor and
 * lane run on one thread, hence plain loads and stores. What a record means is left to `./read.ts`
 * and `./write.ts`.
 */

import {
  KIND_WRAP,
  LANE_HEAD_WORD,
  LANE_RING_BYTE,
  LANE_RING_BYTES,
  LANE_TAIL_WORD,
  MEMORY_BYTES,
  REACTOR_HEAD_WORD,
  REACTOR_RING_BYTE,
  REACTOR_RING_BYTES,
  REACTOR_TAIL_WORD,
} from './layout.ts';

/** The least multiple of 8 that is not less than `bytes`; records are padded to it. */
export function padded(bytes: number): number {
  return (bytes + 7) & ~7;
}

/** The same bytes under the views that records need. */
export class RecordMemory {
  readonly words: Uint32Array;
  readonly floats: Float64Array;
  readonly bytes: Uint8Array;
  /** For writing text, which only a Buffer can. */
  readonly text: Buffer;

  /** `buffer` is what `reactorAttach` gave. Throws a RangeError when it is too small to be one. */
  constructor(buffer: ArrayBuffer) {
    if (buffer.byteLength < MEMORY_BYTES) throw new RangeError(`ring memory has ${buffer.byteLength} bytes, ${MEMORY_BYTES} are needed`);
    this.words = new Uint32Array(buffer, 0, MEMORY_BYTES / 4);
    this.floats = new Float64Array(buffer, 0, MEMORY_BYTES / 8);
    this.bytes = new Uint8Array(buffer, 0, MEMORY_BYTES);
    this.text = Buffer.from(buffer, 0, MEMORY_BYTES);
  }

  /**
   * The bytes from `start` to `end` as Latin-1 text; header text is bytes to us and survives the
   * way through a string unchanged.
   */
  latin1(start: number, end: number): string {
    return this.text.toString('latin1', start, end);
  }
}

/** The lane's end of the ring towards it: peek at a record, then say that it was taken. */
export class LaneRing {
  private readonly words: Uint32Array;

  constructor(memory: RecordMemory) {
    this.words = memory.words;
  }

  /**
   * Word index of the next record in the memory, or -1 when all were taken. The record stays until
   * `take`.
   */
  peek(): number {
    const words = this.words;
    let head = words[LANE_HEAD_WORD]!;
    while (head !== words[LANE_TAIL_WORD]!) {
      const at = (LANE_RING_BYTE + (head & (LANE_RING_BYTES - 1))) >>> 2;
      if (words[at + 1]! !== KIND_WRAP) return at;
      head = (head + words[at]!) >>> 0;
      words[LANE_HEAD_WORD] = head;
    }
    return -1;
  }

  /**
   * Takes the record at `at`, as `peek` gave it; its bytes may be overwritten once `decide` has
   * returned.
   */
  take(at: number): void {
    this.words[LANE_HEAD_WORD] = this.words[LANE_HEAD_WORD]! + this.words[at]!;
  }
}

/** The lane's end of the ring towards the reactor: begin a record, fill it, publish it whole. */
export class ReactorRing {
  private readonly words: Uint32Array;

  constructor(memory: RecordMemory) {
    this.words = memory.words;
  }

  /**
   * Is there room for one record of `bytes` (a multiple of 8), counting the rest of the ring that a
   * wrap would lose?
   */
  hasRoom(bytes: number): boolean {
    const tail = this.words[REACTOR_TAIL_WORD]!;
    const free = REACTOR_RING_BYTES - ((tail - this.words[REACTOR_HEAD_WORD]!) >>> 0);
    const rest = REACTOR_RING_BYTES - (tail & (REACTOR_RING_BYTES - 1));
    return free >= (bytes <= rest ? bytes : rest + bytes);
  }

  /**
   * Starts a record whose room was asked for; writes size and kind and returns its first word's
   * index. Only `publish` makes it visible, so a record that was begun and not finished never was.
   */
  begin(bytes: number, kind: number): number {
    const words = this.words;
    const tail = words[REACTOR_TAIL_WORD]!;
    const position = tail & (REACTOR_RING_BYTES - 1);
    const rest = REACTOR_RING_BYTES - position;
    let at = (REACTOR_RING_BYTE + position) >>> 2;
    if (bytes > rest) {
      words[at] = rest;
      words[at + 1] = KIND_WRAP;
      words[REACTOR_TAIL_WORD] = tail + rest;
      at = REACTOR_RING_BYTE >>> 2;
    }
    words[at] = bytes;
    words[at + 1] = kind;
    return at;
  }

  publish(at: number): void {
    this.words[REACTOR_TAIL_WORD] = this.words[REACTOR_TAIL_WORD]! + this.words[at]!;
  }
}
