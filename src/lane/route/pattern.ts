/**
 * Patterns of conditions and paths: RE2, so that no request can make one take longer than its
 * length allows. The engine wants text, which has to be made; so what every match must begin with
 * is compared first, on the bytes, and most requests that are not meant never get further.
 */

import { RE2JS } from 're2js';
import { isAt, latin1 } from '../head/fields.ts';

/** Ends the literal front of a pattern. */
const SPECIAL = new Set('\\^$.|?*+()[]{}');

export class Pattern {
  /** As configured. */
  readonly text: string;
  /**
   * Compiled when the first request comes that far: of thousands of patterns most are asked seldom
   * or never.
   */
  private engine: RE2JS | undefined;
  private readonly front: Uint8Array;

  /**
   * What is no pattern was refused by the configuration; here it throws, at the latest when it is
   * asked, what re2js throws.
   */
  constructor(text: string) {
    this.text = text;
    this.front = Buffer.from(literalFront(text), 'latin1');
  }

  /** Does the pattern take all of the `length` bytes at `start`? */
  takes(bytes: Uint8Array, start: number, length: number): boolean {
    const front = this.front;
    if (front.length > length || !isAt(bytes, start, front)) return false;
    this.engine ??= RE2JS.compile(this.text);
    return this.engine.testExact(latin1(bytes, start, length));
  }
}

/** Text with which everything that `pattern` takes begins; empty where that is not plain to see. */
function literalFront(pattern: string): string {
  // With an alternative anywhere the front may belong to one branch only.
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
