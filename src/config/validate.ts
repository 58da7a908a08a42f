/**
 * Holds a value against the schema and says everything that is wrong in words of the configuration.
 * Where there are mistakes, the value is mended (bad keys dropped, bad values replaced by their
 * default or example), so that checks across keys can still run and all mistakes are listed at
 * once; a mended configuration is never used for anything else.
 */

import type { z } from 'zod';
import { movedTo } from './moved.ts';
import { type Complaint, formatPath, type KeyPath, showValue } from './problem.ts';
import { type Config, configSchema } from './schema/config.ts';
import { childOf, entryOf, factsOf, isRequired, itemOf, listFactsOf, namesFactsOf, shapeOf, shortFactsOf } from './schema/facts.ts';
import { NAME_RULE } from './schema/rules.ts';
import { suggest } from './suggest.ts';

/** What came of a value. */
export interface Validated {
  /**
   * As configured where there are no complaints, else as mended; absent when it cannot be mended.
   */
  readonly config?: Config;
  readonly complaints: readonly Complaint[];
  /**
   * True for keys at, above or below which something was mended: further complaints about them
   * would only confuse.
   */
  readonly isMended: (path: KeyPath) => boolean;
}

/** Mending one fault can show another below it; depth of the schema bounds the rounds. */
const MAX_ROUNDS = 12;

/** Checks a value against the schema. */
export function validate(value: unknown): Validated {
  const first = configSchema.safeParse(value);
  if (first.success) return { config: first.data, complaints: [], isMended: () => false };

  const complaints = first.error.issues.flatMap((issue) => complaintsOf(issue, value));
  const mended = new Set<string>();
  const isMended = (path: KeyPath): boolean => {
    const text = formatPath(path);
    const isWithin = path.some((_, depth) => mended.has(formatPath(path.slice(0, depth + 1))));
    return isWithin || [...mended].some((other) => other.startsWith(`${text}.`) || other.startsWith(`${text}[`));
  };
  const copy = structuredClone(value);
  let issues: readonly z.core.$ZodIssue[] = first.error.issues;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    for (const issue of issues) mend(copy, issue, mended);
    const again = configSchema.safeParse(copy);
    if (again.success) return { config: again.data, complaints, isMended };
    issues = again.error.issues;
  }
  return { complaints, isMended };
}

function complaintsOf(issue: z.core.$ZodIssue, root: unknown): Complaint[] {
  const path = writtenSteps(root, stepsOf(issue));
  const schema = schemaAt(path);
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey(path, key, schema));
  if (issue.code === 'invalid_key') {
    const told = issue.issues.find(({ code }) => code === 'custom');
    return [{ path, isAboutKey: true, message: told?.message ?? 'is not acceptable as a name', expected: ruleOfNames(path) }];
  }
  const expected = path.length < issue.path.length ? shortExpectation(schema, schemaAt(stepsOf(issue))) : expectationOf(schema);
  if (!hasValue(root, path)) return [{ path, message: 'is missing', expected }];
  const found = valueAt(root, path);
  const isSecret = schema !== undefined && factsOf(schema)?.isSecret === true;
  const message = found === null ? 'is empty' : messageOf(issue, found, schema);
  return [{ path, message, expected, ...(isSecret || found === null ? {} : { value: showValue(found) }) }];
}

function messageOf(issue: z.core.$ZodIssue, found: unknown, schema: z.core.$ZodType | undefined): string {
  const facts = schema === undefined ? undefined : factsOf(schema);
  if (issue.code === 'custom' && issue.message !== 'Invalid input') return issue.message;
  if (facts === undefined && isContainer(found)) return isEmptyContainer(found) ? 'has no entry' : 'is not acceptable';
  if (issue.code === 'too_small' || issue.code === 'too_big') return 'lies outside the range';
  return 'is not acceptable';
}

function unknownKey(path: KeyPath, key: string, schema: z.core.$ZodType | undefined): Complaint {
  const known = Object.keys((schema === undefined ? undefined : shapeOf(schema)) ?? {});
  const moved = movedTo([...path, key]);
  if (moved !== undefined) return { path: [...path, key], isAboutKey: true, message: 'is not a key any more', expected: moved };
  const near = suggest(key, known);
  const message = near === undefined ? 'is not a key here' : `is not a key here; did you mean ${near}?`;
  const complaint = { path: [...path, key], isAboutKey: true, message };
  return near === undefined ? { ...complaint, expected: `one of ${known.join(', ')}` } : complaint;
}

/** End of the sentence "expected …" for scalars and containers. */
function expectationOf(schema: z.core.$ZodType | undefined): string {
  if (schema === undefined) return 'something else';
  const facts = factsOf(schema);
  if (facts !== undefined) return facts.expected;
  const instead = listFactsOf(schema)?.insteadOfNone;
  if (instead !== undefined) return `a list with at least one entry; ${instead}`;
  if (itemOf(schema) !== undefined) return isRequired(schema) ? 'a list with at least one entry' : 'a list';
  if (entryOf(schema) !== undefined) return `a mapping of names${isRequired(schema) ? ' with at least one entry' : ''}`;
  const short = shortFactsOf(schema);
  return `${short === undefined ? '' : `${short.expected}, or `}a mapping with the keys ${Object.keys(shapeOf(schema) ?? {}).join(', ')}`;
}

/**
 * Where something was written shorter than it is: what the part takes that was made of it, or what
 * the whole takes.
 */
function shortExpectation(whole: z.core.$ZodType | undefined, part: z.core.$ZodType | undefined): string {
  const facts = part === undefined ? undefined : factsOf(part);
  const short = whole === undefined ? undefined : shortFactsOf(whole);
  return short?.expected ?? facts?.expected ?? expectationOf(whole);
}

function ruleOfNames(path: KeyPath): string {
  const schema = schemaAt(path.slice(0, -1));
  return (schema === undefined ? undefined : namesFactsOf(schema))?.expected ?? NAME_RULE.expected;
}

/** Makes the value at fault acceptable, the smallest change first. */
function mend(root: unknown, issue: z.core.$ZodIssue, mended: Set<string>): void {
  const path = writtenSteps(root, stepsOf(issue));
  if (issue.code === 'unrecognized_keys') {
    const container = valueAt(root, path) as Record<string, unknown>;
    for (const key of issue.keys) delete container[key];
    return;
  }
  const parent = valueAt(root, path.slice(0, -1)) as Record<string | number, unknown> | undefined;
  const step = path.at(-1);
  if (parent === undefined || step === undefined) return;
  mended.add(formatPath(path));
  const schema = schemaAt(path);
  if (issue.code === 'invalid_key' || schema === undefined) delete parent[step];
  else if (typeof step === 'string' && !isRequired(schema) && factsOf(schema)?.isRequired !== true) delete parent[step];
  else parent[step] = exampleOf(schema);
}

/** Something that fits, or that the next round can make fit. */
function exampleOf(schema: z.core.$ZodType): unknown {
  const facts = factsOf(schema);
  if (facts !== undefined) return facts.example ?? facts.fallback;
  if (itemOf(schema) !== undefined) return [exampleOf(itemOf(schema) as z.core.$ZodType)];
  const entry = entryOf(schema);
  return entry === undefined ? {} : { [namesFactsOf(schema)?.example ?? 'web']: exampleOf(entry) };
}

function schemaAt(path: KeyPath): z.core.$ZodType | undefined {
  let schema: z.core.$ZodType | undefined = configSchema;
  for (const step of path) schema = schema === undefined ? undefined : childOf(schema, step);
  return schema;
}

function stepsOf(issue: z.core.$ZodIssue): KeyPath {
  return issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step));
}

function valueAt(root: unknown, path: KeyPath): unknown {
  let at = root;
  for (const step of path) {
    if (at === null || typeof at !== 'object' || !Object.hasOwn(at, step)) return undefined;
    at = (at as Record<string | number, unknown>)[step];
  }
  return at;
}

/**
 * The steps up to the value that was written, where a scalar stands for a mapping or a list (its
 * short form).
 */
function writtenSteps(root: unknown, path: KeyPath): KeyPath {
  for (let depth = 1; depth < path.length; depth++) {
    const value = valueAt(root, path.slice(0, depth));
    if (value === undefined || value === null) return path;
    if (!isContainer(value)) return path.slice(0, depth);
  }
  return path;
}

function hasValue(root: unknown, path: KeyPath): boolean {
  return path.length === 0 || valueAt(root, path) !== undefined;
}

function isContainer(value: unknown): value is object {
  return value !== null && typeof value === 'object';
}

function isEmptyContainer(value: unknown): boolean {
  return isContainer(value) && Object.keys(value).length === 0;
}
