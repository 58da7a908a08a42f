/**
 * The kinds of values a configuration is made of. Each maker takes what the author of a key has to
 * say (prose, range, default) and returns a zod schema whose output is what the program works with:
 * milliseconds, bytes, plain text.
 *
 * A key is required when it has neither `fallback` nor `absent`. `fallback` is written as in YAML
 * and parsed like it; `absent` is what the program gets when the key is left out and has no
 * spelling of its own.
 */

import { z } from 'zod';
import { DURATION_PATTERN, formatDuration, formatSize, parseDuration, parseSize, SIZE_PATTERN } from '../units.ts';
import { type KeyFacts, type Written, withFacts } from './facts.ts';
import { absentOnce } from './once.ts';

interface Common {
  /** A sentence or two: what the key does and what it costs. */
  readonly prose: string;
  readonly example?: Written;
  readonly isSecret?: boolean;
  /** Stands in the example file though it may be left out. */
  readonly isUsual?: boolean;
}

/**
 * What a text key takes: a check that returns the normal form, or undefined when the text is not
 * acceptable.
 */
export interface TextRule {
  /** End of the sentence "expected …". */
  readonly expected: string;
  /** Short form for tables; `expected` when absent. */
  readonly range?: string;
  readonly normalise: (text: string) => string | undefined;
  /** What is wrong with a text that is not acceptable, where more can be said than that. */
  readonly explain?: (text: string) => string | undefined;
}

type Facts = Omit<KeyFacts, 'isRequired' | 'isSecret' | 'fallback' | 'example'>;

const FLAG_FACTS: Facts = { kind: 'flag', expected: 'true or false', range: 'true, false', write: Boolean };

/** Text obeying a rule. */
export function text(rule: TextRule, options: Common & { fallback?: string; absent?: string }): z.ZodType<string> {
  return finish(z.string().transform(obeying(rule)), options, factsOfRule(rule, String));
}

/**
 * Text obeying a rule where people also write numbers and truth values without quotes:
 * `x-canary: 1`, `statuses: [503]`.
 */
export function looseText(
  rule: TextRule,
  options: Common & { fallback?: string; absent?: string; write?: (value: unknown) => Written },
): z.ZodType<string> {
  const schema = z.union([z.string(), z.number(), z.boolean()]).transform((given, context) => obeying(rule)(String(given), context));
  return finish(schema, options, factsOfRule(rule, options.write ?? String));
}

/** Text obeying a rule; undefined where the key is left out, which is another thing than empty. */
export function textOrNothing(rule: TextRule, options: Common): z.ZodOptional<z.ZodType<string>> {
  const own: KeyFacts = { ...factsOfRule(rule, String), isRequired: false, isSecret: false, ...exampleOf(options) };
  const schema = z.union([z.string(), z.number(), z.boolean()]).transform((given, context) => obeying(rule)(String(given), context));
  return withFacts(withFacts(schema, own).describe(options.prose), own).optional();
}

/** `true` or `false`; undefined where the key is left out. */
export function flagOrNothing(options: Common): z.ZodOptional<z.ZodType<boolean>> {
  const own: KeyFacts = { ...FLAG_FACTS, isRequired: false, isSecret: false, ...exampleOf(options) };
  return withFacts(withFacts(z.boolean(), own).describe(options.prose), own).optional();
}

function obeying(rule: TextRule): (given: string, context: z.RefinementCtx) => string {
  return (given, context) => {
    const normal = rule.normalise(given);
    if (normal !== undefined) return normal;
    context.issues.push({ code: 'custom', input: given, message: rule.explain?.(given) ?? 'is not acceptable' });
    return z.NEVER;
  };
}

function factsOfRule(rule: TextRule, write: (value: unknown) => Written): Facts {
  return { kind: 'text', expected: rule.expected, range: rule.range ?? rule.expected, write };
}

function exampleOf({ example }: Common): { example?: Written } {
  return example === undefined ? {} : { example };
}

/** One of a few words. */
export function choice<const W extends string>(words: readonly [W, ...W[]], options: Common & { fallback?: W }): z.ZodType<W> {
  const list = words.map((word) => `\`${word}\``).join(', ');
  const expected = `one of ${words.join(', ')}`;
  return finish(z.enum(words), options, { kind: 'choice', expected, range: list, write: String });
}

/** One of a few numbers. */
export function oneOf<const N extends number>(numbers: readonly [N, ...N[]], options: Common & { fallback: N }): z.ZodType<N> {
  const facts = { kind: 'integer', expected: `one of ${numbers.join(', ')}`, range: numbers.join(', '), write: Number } as const;
  return finish(z.literal(numbers) as unknown as z.ZodType<N>, options, facts);
}

/** `true` or `false`. */
export function flag(options: Common & { fallback: boolean }): z.ZodType<boolean> {
  return finish(z.boolean(), options, FLAG_FACTS);
}

interface Range {
  readonly min: number;
  readonly max: number;
}

/** A whole number. With `none` that word is accepted and stands for this number. */
export function integer(options: Common & Range & { fallback?: number | 'none'; none?: number }): z.ZodType<number> {
  const { min, max, none } = options;
  const orNone = none === undefined ? '' : 'none or ';
  const facts = {
    kind: 'integer',
    expected: `${orNone}a whole number from ${min} to ${max}`,
    range: `${none === undefined ? '' : '`none`, '}${min} to ${max}`,
    write: (value: unknown): Written => (value === none ? 'none' : Number(value)),
    ...(none === undefined ? {} : { json: jsonOrNone({ type: 'integer', minimum: min, maximum: max }, none) }),
  } as const;
  return finish(orWord(z.int().min(min).max(max), none), options, facts);
}

/**
 * A whole number or the word `auto`. With `none` that word is accepted as well and stands for this
 * number.
 */
export function integerOrAuto(options: Common & Range & { fallback: 'auto'; none?: number }): z.ZodType<number | 'auto'> {
  const { min, max, none } = options;
  const schema = z.union([z.literal('auto'), orWord(z.int().min(min).max(max), none)]);
  const orNone = none === undefined ? '' : ', none';
  const expected = `auto${orNone} or a whole number from ${min} to ${max}`;
  const write = (value: unknown): Written => (value === 'auto' ? 'auto' : value === none ? 'none' : Number(value));
  const range = `\`auto\`, ${none === undefined ? '' : '`none`, '}${min} to ${max}`;
  const json =
    none === undefined ? {} : { json: { anyOf: [{ type: 'integer', minimum: min, maximum: max }, { enum: ['auto', 'none', none] }] } };
  return finish(schema, options, { kind: 'integer', expected, range, write, ...json });
}

/** A number that need not be whole. */
export function decimal(options: Common & Range & { fallback: number | 'none'; none?: number }): z.ZodType<number> {
  const { min, max, none } = options;
  const orNone = none === undefined ? '' : 'none or ';
  const range = `${none === undefined ? '' : '`none`, '}${min} to ${max}`;
  const write = (value: unknown): Written => (value === none ? 'none' : Number(value));
  const json = none === undefined ? {} : { json: jsonOrNone({ type: 'number', minimum: min, maximum: max }, none) };
  const facts = { kind: 'number', expected: `${orNone}a number from ${min} to ${max}`, range, write, ...json } as const;
  return finish(orWord(z.number().min(min).max(max), none), options, facts);
}

/**
 * A share, written as a number from 0 to 1 or in percent: `0.5`, `50%`. With `none` that word
 * stands for 0.
 */
export function share(options: Common & { fallback: number | 'none'; none?: 0 }): z.ZodType<number> {
  const { none } = options;
  const schema = z.union([z.number(), z.string()]).transform((given, context) => {
    if (none !== undefined && given === 'none') return none;
    const percent = /^(\d{1,3}(?:\.\d{1,6})?)%$/.exec(String(given))?.[1];
    const value = percent === undefined ? given : Number(percent) / 100;
    if (typeof value === 'number' && value >= 0 && value <= 1) return value;
    const message = typeof value === 'number' ? 'lies outside the range' : 'is not a share';
    context.issues.push({ code: 'custom', input: given, message });
    return z.NEVER;
  });
  const spelling = { type: 'string', pattern: `${none === undefined ? '' : '^none$|'}^[0-9]{1,3}(\\.[0-9]{1,6})?%$` };
  return finish(schema, options, {
    kind: 'number',
    expected: `${none === undefined ? '' : 'none or '}a number from 0 to 1, or 0% to 100%`,
    range: `${none === undefined ? '' : '`none`, '}0 to 1`,
    write: (value) => (none !== undefined && value === 0 ? 'none' : Number(value)),
    json: { anyOf: [spelling, { type: 'number', minimum: 0, maximum: 1 }] },
  });
}

/** The schema, or the word `none` (or its number) where there is one. */
function orWord(schema: z.ZodType<number>, none: number | undefined): z.ZodType<number> {
  if (none === undefined) return schema;
  return z.preprocess((given) => (given === 'none' ? none : given), z.union([z.literal(none), schema]));
}

function jsonOrNone(spelling: Record<string, unknown>, none: number): Record<string, unknown> {
  return { anyOf: [spelling, { enum: ['none', none] }] };
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

/** A size or the word `auto`. */
export function sizeOrAuto(options: Common & { min: string; max: string; fallback: 'auto' }): z.ZodType<number | 'auto'> {
  const { min, max } = options;
  const [least, most] = [parseSize(min), parseSize(max)];
  if (least === undefined || most === undefined) throw new TypeError(`range ${min} to ${max} is no size`);
  const schema = z.union([z.string(), z.number()]).transform((given, context) => {
    if (given === 'auto') return given;
    const value = parseSize(String(given));
    if (value !== undefined && value >= least && value <= most) return value;
    context.issues.push({ code: 'custom', input: given, message: explain('size', given, value, options) });
    return z.NEVER;
  });
  const expected = `auto or a size from ${min} to ${max} (such as 64KiB, 1MiB or 10MB)`;
  const write = (value: unknown): Written => (value === 'auto' ? value : formatSize(Number(value)));
  const json = {
    anyOf: [{ type: 'string', pattern: SIZE_PATTERN }, { type: 'integer', minimum: least, maximum: most }, { const: 'auto' }],
  };
  return finish(schema, options, { kind: 'size', expected, range: `\`auto\`, ${min} to ${max}`, write, json });
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

/**
 * Adds prose, default and facts. The default is parsed like a value of the file, so that it obeys
 * the same rules.
 */
function finish<T>(schema: z.ZodType<T, unknown>, options: Common & { fallback?: Written; absent?: T }, facts: Facts): z.ZodType<T> {
  const { prose, example, fallback, absent, isSecret = false, isUsual = false } = options;
  const own: KeyFacts = {
    ...facts,
    isSecret,
    isUsual,
    isRequired: fallback === undefined && absent === undefined,
    ...(fallback === undefined ? {} : { fallback }),
    ...(example === undefined ? {} : { example }),
  };
  const known = withFacts(schema, own).describe(prose);
  withFacts(known, own);
  if (fallback !== undefined) return absentOnce(known.prefault(fallback));
  // `default` and not `prefault`: what stands for an absent key has no spelling that could be
  // parsed.
  return absent === undefined ? known : (known.default(absent as never) as unknown as z.ZodType<T>);
}
