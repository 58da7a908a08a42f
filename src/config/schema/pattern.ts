/**
 * Patterns and what they are replaced by. Patterns are RE2: matched in linear time whatever the client sends, so without back-references and
 * look-around.
 */

import { RE2JS } from 're2js';
import type { TextRule } from './values.ts';

/** Longer patterns are a program, not a rule. */
const MAX_LENGTH = 2048;

/** An RE2 pattern. */
export const PATTERN_RULE: TextRule = {
  expected: 'a regular expression of RE2, which has no back-references and no look-around',
  range: 'RE2 pattern',
  normalise: (given) => (given !== '' && given.length <= MAX_LENGTH && faultOf(given) === undefined ? given : undefined),
  explain: (given) => (given === '' ? 'is empty' : given.length > MAX_LENGTH ? 'is too long' : `is no pattern: ${faultOf(given) ?? ''}`),
};

/** What takes the place of what a pattern matched; `$1` to `$9` are its groups. */
export const REPLACEMENT_RULE: TextRule = {
  expected: 'a path, with ? and a query or without, with $1 to $9 for the groups of the pattern',
  range: 'path, path?query, `$1` to `$9`',
  normalise: (given) =>
    /^(?:[\w\-.~!&'()*+,;=:@/?]|%[0-9A-Fa-f]{2}|\$[1-9])*$/.test(given) && given.length <= MAX_LENGTH ? given : undefined,
};

/** Groups of a pattern that compiles. */
export function groupsOf(pattern: string): number {
  return RE2JS.compile(pattern).groupCount();
}

/** The highest group a replacement asks for; 0 for none. */
export function highestGroup(replacement: string): number {
  return Math.max(0, ...[...replacement.matchAll(/\$(\d)/g)].map(([, digit]) => Number(digit)));
}

function faultOf(pattern: string): string | undefined {
  try {
    RE2JS.compile(pattern);
    return undefined;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return (text.split('\n', 1)[0] ?? '').replace(/^error parsing regexp: /, '');
  }
}
