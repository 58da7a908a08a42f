/**
 * Patterns of conditions and paths. They are RE2, so that matching takes linear time. The engine
 * needs text, which has to be allocated. So the literal prefix of the pattern is compared first, on
 * the bytes, and most requests that do not match get no further.
 */

import { RE2JS } from 're2js';
import { isAt, latin1 } from '../head/fields.ts';

/** Ends the literal prefix of a pattern. */
const SPECIAL = new Set('\\^$.|?*+()[]{}');

export class Pattern {
  /** As configured. */
  readonly text: string;
  /** Compiled on first use: of thousands of patterns most are rarely or never used. */
  private engine: RE2JS | undefined;
  private readonly front: Uint8Array;

  /**
   * The configuration refuses invalid patterns. Here they throw the error of re2js, at the latest
   * on first use.
   */
  constructor(text: string) {
    this.text = text;
    this.front = Buffer.from(literalFront(text), 'latin1');
  }

  /** Whether the pattern matches all of the `length` bytes at `start`. */
  takes(bytes: Uint8Array, start: number, length: number): boolean {
    const front = this.front;
    if (front.length > length || !isAt(bytes, start, front)) return false;
    this.engine ??= RE2JS.compile(this.text);
    return this.engine.testExact(latin1(bytes, start, length));
  }
}

/** Text that every match of `pattern` begins with; empty if that is not obvious. */
function literalFront(pattern: string): string {
  // With an alternative anywhere, the prefix may belong to one branch only.
  if (pattern.includes('|')) return '';
  let front = '';
  let i = pattern.startsWith('^') ? 1 : 0;
  while (i < pattern.length) {
    let char = pattern[i]!;
    let next = i + 1;
    if (char === '\\') {
      char = pattern[i + 1] ?? '';
      next = i + 2;
      // A backslash before a letter or digit is a class, an anchor or a quotation.
      if (!/^[!-/:-@[-`{-~]$/.test(char)) break;
    } else if (SPECIAL.has(char) || char > '~') break;
    const after = pattern[next];
    if (after === '?' || after === '*' || after === '{') break;
    front += char;
    i = next;
  }
  return front;
}
