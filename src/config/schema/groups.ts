/**
 * The containers a configuration is made of: mappings with fixed keys, mappings of names, lists.
 * Each is told in prose; some may be written shorter than they are, and what comes out is always
 * the long form.
 */

import { z } from 'zod';
import { type ListFacts, type NamesFacts, type ShortFacts, withListFacts, withNamesFacts, withShortFacts } from './facts.ts';
import { absentOnce, writtenOnce } from './once.ts';
import type { TextRule } from './values.ts';

type Shape = z.core.$ZodLooseShape;
type Mapping<S extends Shape> = z.ZodObject<S, z.core.$strict>;

/**
 * A mapping with fixed keys, every one of which has a default, so that the whole section may be
 * left out.
 */
export function section<S extends Shape>(prose: string, shape: S): z.ZodPrefault<Mapping<S>> {
  return writtenOnce(
    z
      .strictObject(shape)
      .describe(prose)
      .prefault({} as never),
  );
}

/** A mapping with fixed keys of which some must be given. */
export function mapping<S extends Shape>(prose: string, shape: S): Mapping<S> {
  return z.strictObject(shape).describe(prose);
}

/** A mapping with fixed keys that is undefined where it is left out: what it describes is off. */
export function optional<S extends Shape>(prose: string, shape: S): z.ZodOptional<Mapping<S>> {
  return writtenOnce(z.strictObject(shape).describe(prose).optional());
}

/** A schema whose value may also be written shorter; `expand` gives the long form. */
export function orShort<S extends z.ZodType>(
  schema: S,
  short: ShortFacts & { expand: (given: unknown) => unknown },
): z.ZodType<z.output<S>> {
  const known = z.preprocess((given) => (isContainer(given) || given === undefined ? given : short.expand(given)), schema);
  return withShortFacts(known, short) as unknown as z.ZodType<z.output<S>>;
}

/** A list with at least one item. */
export function list<I extends z.ZodType>(prose: string, item: I): z.ZodArray<I> {
  return z.array(item).min(1).max(100_000).describe(prose);
}

/** A list of mappings that is empty where it is left out. */
export function someOf<I extends z.ZodType>(prose: string, item: I): z.ZodPrefault<z.ZodArray<I>> {
  return absentOnce(
    z
      .array(item)
      .max(100_000)
      .describe(prose)
      .prefault([] as never),
  );
}

/**
 * A list of mappings with a short form that is empty where it is left out; a single short one may
 * stand without brackets.
 */
export function someOrOne<I extends z.ZodType>(prose: string, item: I): z.ZodType<z.output<I>[]> {
  const listed = z.array(item).max(10_000).describe(prose);
  const known = z.preprocess((given) => (isContainer(given) || given === undefined ? given : [given]), listed).describe(prose);
  return writtenOnce(known.prefault([] as never)) as unknown as z.ZodType<z.output<I>[]>;
}

/**
 * A list of scalars; a single one may stand without brackets. Where it is left out it is
 * `fallback`, empty unless that is given. Where being left out means everything, an empty list is a
 * mistake that `insteadOfNone` mends: nobody writes "none of these" to get all.
 */
export function words<I extends z.ZodType>(
  prose: string,
  item: I,
  {
    fallback = [],
    example,
    insteadOfNone,
  }: { fallback?: readonly (string | number)[]; example?: readonly (string | number)[]; insteadOfNone?: string } = {},
): z.ZodType<z.output<I>[]> {
  const facts: ListFacts = {
    fallback,
    ...(example === undefined ? {} : { example }),
    ...(insteadOfNone === undefined ? {} : { insteadOfNone }),
  };
  const listed = z
    .array(item)
    .min(insteadOfNone === undefined ? 0 : 1)
    .max(10_000)
    .describe(prose);
  const known = z.preprocess((given) => (isContainer(given) || given === undefined ? given : [given]), listed).describe(prose);
  withListFacts(known, facts);
  // `default` and not `prefault`: what stands for a list that was left out is not what may be
  // written.
  if (insteadOfNone !== undefined) return writtenOnce(known.default([...fallback] as never)) as unknown as z.ZodType<z.output<I>[]>;
  return writtenOnce(known.prefault([...fallback] as never)) as unknown as z.ZodType<z.output<I>[]>;
}

/** A mapping of names that is empty where it is left out. Names are kept in their normal form. */
export function named<V extends z.ZodType>(
  prose: string,
  rule: TextRule,
  value: V,
  example: string,
): z.ZodType<Readonly<Record<string, z.output<V>>>> {
  const facts: NamesFacts = { expected: rule.expected, example };
  const name = z.string().transform((given, context) => {
    const normal = rule.normalise(given);
    if (normal !== undefined) return normal;
    context.issues.push({ code: 'custom', input: given, message: rule.explain?.(given) ?? 'is not acceptable as a name' });
    return z.NEVER;
  });
  const known = z.record(name as unknown as z.ZodString, value).describe(prose);
  withNamesFacts(known, facts);
  return writtenOnce(known.prefault({} as never)) as unknown as z.ZodType<Readonly<Record<string, z.output<V>>>>;
}

function isContainer(value: unknown): boolean {
  return value !== null && typeof value === 'object';
}
