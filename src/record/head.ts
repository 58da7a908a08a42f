/**
 * A Head written as the reactor writes it, for who asks the lane about a request that no reactor
 * has: `routes test`.
 */

import { HEAD_WORDS, KIND_HEAD, NONE } from './layout.ts';
import { HeadReader } from './read.ts';
import { padded, type RecordMemory } from './ring.ts';
import { writeHead } from './words.ts';

/** A request head. Text is Latin-1. */
export interface Head {
  /** HEAD_… bits. */
  readonly flags: number;
  /** 4 or 16 bytes in network order. */
  readonly peer: Uint8Array;
  readonly method: string;
  readonly scheme: string;
  readonly authority: string;
  /** With query. */
  readonly path: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
}

/**
 * Writes `head` at the front of `memory`, as one that listener 0 offers for the first time, and
 * gives a reader that points at it.
 */
export function placeHead(memory: RecordMemory, head: Head): HeadReader {
  const { method, scheme, authority, path, fields } = head;
  const { words, text } = memory;
  writeHead(memory, 0, FIRST_OFFER, {
    listener: 0,
    flags: head.flags,
    peerFamily: head.peer.length === 4 ? 4 : 6,
    peerPort: 0,
    peerAddress: head.peer,
    cipherSuite: 0,
    keyGroup: 0,
    connection: 0,
    contentLength: 0,
    methodLength: method.length,
    schemeLength: scheme.length,
    authorityLength: authority.length,
    pathLength: path.length,
    fieldCount: fields.length,
    requestIdLength: 0,
    ageUs: 0,
    certificateLength: 0,
  });
  for (const [place, [name, value]] of fields.entries()) words[HEAD_WORDS + place] = name.length | (value.length << 16);
  let byte = (HEAD_WORDS + fields.length) << 2;
  for (const part of [method, scheme, authority, path, ...fields.flat()]) byte += text.write(part, byte, 'latin1');
  words[0] = padded(byte);
  words[1] = KIND_HEAD;
  const reader = new HeadReader(memory);
  reader.read(0);
  return reader;
}

const FIRST_OFFER = { exchangeIndex: 0, exchangeGeneration: 0, tag: NONE, memo0: 0, memo1: 0, memo2: 0 };
