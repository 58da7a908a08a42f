/**
 * Heads as the lane reads them, one at a time, without a ring: for what is asked with a HeadReader.
 */

import { Lookups } from '../../src/lane/head/lookups.ts';
import { KIND_HEAD, MEMORY_BYTES } from '../../src/record/layout.ts';
import { HeadReader } from '../../src/record/read.ts';
import { RecordMemory } from '../../src/record/ring.ts';
import { headBytes, type SampleHead, sampleHead } from './records.ts';

export interface HeadDesk {
  /** Over the memory in which heads lie: what compiled parts are given. */
  readonly lookups: Lookups;
  /** The reader, pointed at a head; the same object each time. */
  read(given?: Partial<SampleHead>): HeadReader;
}

export function headDesk(): HeadDesk {
  const memory = new RecordMemory(new ArrayBuffer(MEMORY_BYTES));
  const reader = new HeadReader(memory);
  // Somewhere in the memory, so that places counted from the wrong start are noticed.
  const word = 4_096;
  return {
    lookups: new Lookups(memory.bytes),
    read(given = {}) {
      const body = headBytes(sampleHead(given));
      memory.bytes.set(body, word * 4);
      memory.words[word] = body.length;
      memory.words[word + 1] = KIND_HEAD;
      reader.read(word);
      return reader;
    },
  };
}
