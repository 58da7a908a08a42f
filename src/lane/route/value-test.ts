/** Tests one value against a condition: the kinds of `ConditionSnapshot`, on bytes in place. */

import type { ConditionSnapshot } from '../../config/snapshot/match.ts';
import { isAt } from '../head/fields.ts';
import { Pattern } from './pattern.ts';

const ANY = 0;
const EXACT = 1;
const PREFIX = 2;
const SUFFIX = 3;
const CONTAINS = 4;
const REGEX = 5;

/** `absent` looks for a value like `present`; the caller negates the result. */
const WAYS: Readonly<Record<ConditionSnapshot['kind'], number>> = {
  present: ANY,
  absent: ANY,
  exact: EXACT,
  prefix: PREFIX,
  suffix: SUFFIX,
  contains: CONTAINS,
  regex: REGEX,
};

export class ValueTest {
  private readonly way: number;
  private readonly text: Uint8Array;
  private readonly pattern: Pattern | undefined;
  /** Only for `contains`: where to continue in the text after a mismatch. */
  private readonly borders: Int32Array;

  constructor({ kind, value }: ConditionSnapshot) {
    this.way = WAYS[kind];
    this.text = Buffer.from(value, 'latin1');
    this.pattern = kind === 'regex' ? new Pattern(value) : undefined;
    this.borders = kind === 'contains' ? bordersOf(this.text) : new Int32Array(0);
  }

  takes(bytes: Uint8Array, start: number, length: number): boolean {
    const { way, text } = this;
    if (way === ANY) return true;
    if (way === REGEX) return this.pattern!.takes(bytes, start, length);
    if (length < text.length || (way === EXACT && length !== text.length)) return false;
    if (way === CONTAINS) return this.isIn(bytes, start, length);
    return isAt(bytes, way === SUFFIX ? start + length - text.length : start, text);
  }

  /** Knuth, Morris, Pratt: a client chooses the value, so the search must not be quadratic. */
  private isIn(bytes: Uint8Array, start: number, length: number): boolean {
    const { text, borders } = this;
    if (text.length === 0) return true;
    let matched = 0;
    for (let i = start; i < start + length; i++) {
      const byte = bytes[i]!;
      while (matched > 0 && text[matched] !== byte) matched = borders[matched - 1]!;
      if (text[matched] === byte) matched += 1;
      if (matched === text.length) return true;
    }
    return false;
  }
}

/**
 * For each prefix of the text: the length of its longest proper suffix that is a prefix as well.
 */
function bordersOf(text: Uint8Array): Int32Array {
  const borders = new Int32Array(text.length);
  for (let i = 1, matched = 0; i < text.length; i++) {
    while (matched > 0 && text[matched] !== text[i]) matched = borders[matched - 1]!;
    if (text[matched] === text[i]) matched += 1;
    borders[i] = matched;
  }
  return borders;
}
