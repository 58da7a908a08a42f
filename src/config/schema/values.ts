/**
 * The kinds of values a configuration is made of. Each maker takes what the author of a key has to say (prose, range, default) and returns a zod
 * schema whose output is what the program works with: milliseconds, bytes, plain text.
 *
 * A key is required when it has neither `fallback` nor `absent`. `fallback` is written as in YAML and parsed like it; `absent` is what the
 * program gets when the key is left out and has no spelling of its own.
 */

import { z } from 'zod';
import { DURATION_PATTERN, formatDuration, formatSize, parseDuration, parseSize, SIZE_PATTERN } from '../units.ts';
import { type KeyFacts, type Written, withFacts } from './facts.ts';

interface Common {
  /** A sentence or two: what the key does and what it costs. */
  readonly prose: string;
  readonly example?: Written;
  readonly isSecret?: boolean;
}

/** What a text key takes: a check that returns the normal form, or undefined when the text is not acceptable. */
export interface TextRule {
  /** End of the sentence "expected …". */
  readonly expected: string;
  /** Short form for tables; `expected` when absent. */
  readonly range?: string;
  readonly normalise: (text: string) => string | undefined;
}

/** Text obeying a rule. */
export function text(rule: TextRule, options: Common & { fallback?: string; absent?: string }): z.ZodType<string> {
  const schema = z.string().transform((given, context) => {
    const normal = rule.normalise(given);
    if (normal !== undefined) return normal;
    context.issues.push({ code: 'custom', input: given, message: 'is not acceptable' });
    return z.NEVER;
  });
  return finish(schema, options, { kind: 'text', expected: rule.expected, range: rule.range ?? rule.expected, write: String });
}

/** One of a few words. */
export function choice<const W extends string>(words: readonly [W, ...W[]], options: Common & { fallback: W }): z.ZodType<W> {
  const list = words.map((word) => `\`${word}\``).join(', ');
  const expected = `one of ${words.join(', ')}`;
  return finish(z.enum(words), options, { kind: 'choice', expected, range: list, write: String });
}

/** `true` or `false`. */
export function flag(options: Common & { fallback: boolean }): z.ZodType<boolean> {
  return finish(z.boolean(), options, { kind: 'flag', expected: 'true or false', range: 'true, false', write: Boolean });
}

interface Range {
  readonly min: number;
  readonly max: number;
}

/** A whole number. */
export function integer(options: Common & Range & { fallback?: number }): z.ZodType<number> {
  const { min, max } = options;
  const facts = { kind: 'integer', expected: `a whole number from ${min} to ${max}`, range: `${min} to ${max}`, write: Number } as const;
  return finish(z.int().min(min).max(max), options, facts);
}

/** A whole number or the word `auto`. */
export function integerOrAuto(options: Common & Range & { fallback: 'auto' }): z.ZodType<number | 'auto'> {
  const { min, max } = options;
  const schema = z.union([z.literal('auto'), z.int().min(min).max(max)]);
  const expected = `auto or a whole number from ${min} to ${max}`;
  const write = (value: unknown): Written => (value === 'auto' ? 'auto' : Number(value));
  return finish(schema, options, { kind: 'integer', expected, range: `\`auto\`, ${min} to ${max}`, write });
}

/** A share between 0 and 1. */
export function share(options: Common & { fallback: number }): z.ZodType<number> {
  return finish(z.number().min(0).max(1), options, { kind: 'number', expected: 'a number from 0 to 1', range: '0 to 1', write: Number });
}

interface Quantity extends Common {
  /** Smallest and largest value, as written. */
  readonly min: string;
  readonly max: string;
  readonly fallback: string;
  /** The word `none` is accepted and stands for this number. */
  readonly none?: number;
}

/** A duration; output in milliseconds. */
export function duration(options: Quantity): z.ZodType<number> {
  return quantity('duration', options, parseDuration, formatDuration, DURATION_PATTERN, 'such as 250ms, 10s, 5m or 1h');
}

/** A size; output in bytes. */
export function size(options: Quantity): z.ZodType<number> {
  return quantity('size', options, parseSize, formatSize, SIZE_PATTERN, 'such as 64KiB, 1MiB or 10MB');
}

function quantity(
  kind: 'duration' | 'size',
  options: Quantity,
  parse: (text: string) => number | undefined,
  format: (value: number) => string,
  pattern: string,
  such: string,
): z.ZodType<number> {
  const { min, max, none } = options;
  const least = parse(min);
  const most = parse(max);
  if (least === undefined || most === undefined) throw new TypeError(`range ${min} to ${max} is no ${kind}`);
  const schema = z.union([z.string(), z.number()]).transform((given, context) => {
    if (none !== undefined && given === 'none') return none;
    const value = parse(String(given));
    if (value !== undefined && ((value >= least && value <= most) || value === none)) return value;
    context.issues.push({ code: 'custom', input: given, message: explain(kind, given, value, options) });
    return z.NEVER;
  });
  const orNone = none === undefined ? '' : 'none or ';
  return finish(schema, options, {
    kind,
    expected: `${orNone}a ${kind} from ${min} to ${max}, ${such}`,
    range: `${none === undefined ? '' : '`none`, '}${min} to ${max}`,
    write: (value) => (value === none ? 'none' : format(Number(value))),
    json: jsonOfQuantity(kind, pattern, none !== undefined),
  });
}

function explain(kind: 'duration' | 'size', given: string | number, value: number | undefined, { min, max }: Quantity): string {
  if (value !== undefined) return `lies outside ${min} to ${max}`;
  if (kind === 'duration' && /^[\d.]+$/.test(String(given))) return 'is a duration without a unit';
  return `is not a ${kind}`;
}

function jsonOfQuantity(kind: 'duration' | 'size', pattern: string, isNoneAllowed: boolean): Record<string, unknown> {
  const spelling = { type: 'string', pattern: isNoneAllowed ? `^none$|${pattern}` : pattern };
  return { anyOf: [spelling, kind === 'size' ? { type: 'integer', minimum: 0 } : { const: 0 }] };
}

/** Adds prose, default and facts. The default is parsed like a value of the file, so that it obeys the same rules. */
function finish<T>(
  schema: z.ZodType<T, unknown>,
  options: Common & { fallback?: Written; absent?: T },
  facts: Omit<KeyFacts, 'isRequired' | 'isSecret' | 'fallback' | 'example'>,
): z.ZodType<T> {
  const { prose, example, fallback, absent, isSecret = false } = options;
  const own: KeyFacts = {
    ...facts,
    isSecret,
    isRequired: fallback === undefined && absent === undefined,
    ...(fallback === undefined ? {} : { fallback }),
    ...(example === undefined ? {} : { example }),
  };
  const known = withFacts(schema, own).describe(prose);
  withFacts(known, own);
  if (fallback !== undefined) return known.prefault(fallback);
  // `default` and not `prefault`: what stands for an absent key has no spelling that could be parsed.
  return absent === undefined ? known : (known.default(absent as never) as unknown as z.ZodType<T>);
}

/** A mapping with fixed keys, every one of which has a default, so that the whole section may be left out. */
export function section<S extends z.core.$ZodLooseShape>(prose: string, shape: S): z.ZodPrefault<z.ZodObject<S, z.core.$strict>> {
  return z
    .strictObject(shape)
    .describe(prose)
    .prefault({} as never);
}

/** A mapping with fixed keys of which some must be given. */
export function mapping<S extends z.core.$ZodLooseShape>(prose: string, shape: S): z.ZodObject<S, z.core.$strict> {
  return z.strictObject(shape).describe(prose);
}

/** A list with at least one item. */
export function list<I extends z.ZodType>(prose: string, item: I): z.ZodArray<I> {
  return z.array(item).min(1).max(100_000).describe(prose);
}
