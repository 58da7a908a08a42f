/**
 * What is known of a key beside its type: how it is told to people, written in YAML and shown in
 * the reference. Facts are registered with the key's zod schema, so that the reference page, the
 * example file, the environment's names and the messages about mistakes all come from the one place
 * where the key is declared.
 */

import { z } from 'zod';

/** How a value is written and overridden. */
export type KeyKind = 'text' | 'integer' | 'number' | 'flag' | 'choice' | 'duration' | 'size';

/** A value as it stands in YAML. */
export type Written = string | number | boolean;

/** Facts of one scalar key. */
export interface KeyFacts {
  readonly kind: KeyKind;
  /** What the key takes, as the end of the sentence "expected …". */
  readonly expected: string;
  /** What the key takes, short, for the column of a table. */
  readonly range: string;
  /** Default as written; absent for keys that are required or may be left out. */
  readonly fallback?: Written;
  /** A value that stands in examples where there is no default. */
  readonly example?: Written;
  readonly isRequired: boolean;
  /** Stands in the example file though it may be left out. */
  readonly isUsual?: boolean;
  /** Never shown: tokens and the places of keys. */
  readonly isSecret: boolean;
  /** The parsed value as it would be written. */
  readonly write: (value: unknown) => Written;
  /** JSON schema where zod's own says too little. */
  readonly json?: Readonly<Record<string, unknown>>;
}

/** Facts of a list of scalars that may be left out. */
export interface ListFacts {
  /** Items as written. */
  readonly fallback: readonly Written[];
  /** Items that stand in examples where there is no default. */
  readonly example?: readonly Written[];
  /** What to write in the place of an empty list, which is a mistake then. */
  readonly insteadOfNone?: string;
}

/** Facts of a mapping whose keys are names. */
export interface NamesFacts {
  /** What a name must be, as the end of the sentence "expected …". */
  readonly expected: string;
  /** A name that stands in examples. */
  readonly example: string;
  /** Stands in the example file though it may be left out. */
  readonly isUsual?: boolean;
}

/** Facts of a mapping that may be written as a scalar. */
export interface ShortFacts {
  /** What the short form takes, as the end of the sentence "expected …". */
  readonly expected: string;
  /** JSON schema of the short form. */
  readonly json: Readonly<Record<string, unknown>>;
}

const registry = z.registry<KeyFacts>();
const lists = z.registry<ListFacts>();
const names = z.registry<NamesFacts>();
const shorts = z.registry<ShortFacts>();

/** Registers the facts of a key and gives the schema back. */
export function withFacts<S extends z.ZodType>(schema: S, facts: KeyFacts): S {
  registry.add(schema, facts);
  return schema;
}

export function withListFacts<S extends z.ZodType>(schema: S, facts: ListFacts): S {
  lists.add(schema, facts);
  return schema;
}

export function withNamesFacts<S extends z.ZodType>(schema: S, facts: NamesFacts): S {
  names.add(schema, facts);
  return schema;
}

export function withShortFacts<S extends z.ZodType>(schema: S, facts: ShortFacts): S {
  shorts.add(schema, facts);
  return schema;
}

/**
 * Facts of a scalar key, looked for through defaults and optionality; undefined for mappings and
 * lists.
 */
export function factsOf(schema: z.core.$ZodType): KeyFacts | undefined {
  return lookUp(schema, (at) => registry.get(at));
}

/** Facts of a list that may be left out; undefined for anything else. */
export function listFactsOf(schema: z.core.$ZodType): ListFacts | undefined {
  return lookUp(schema, (at) => lists.get(at));
}

/** Facts of a mapping of names; undefined for anything else, and where names need no telling. */
export function namesFactsOf(schema: z.core.$ZodType): NamesFacts | undefined {
  return lookUp(schema, (at) => names.get(at));
}

/** Facts of the short form of a mapping; undefined where there is none. */
export function shortFactsOf(schema: z.core.$ZodType): ShortFacts | undefined {
  return lookUp(schema, (at) => shorts.get(at));
}

/**
 * True for groups that are off where they are left out, and for lists and mappings of groups that
 * are empty then.
 */
export function isOffByDefault(schema: z.core.$ZodType): boolean {
  if (schema instanceof z.ZodOptional) return true;
  if (namesFactsOf(schema)?.isUsual === true) return false;
  const group = itemOf(schema) ?? entryOf(schema);
  return schema instanceof z.ZodPrefault && group !== undefined && factsOf(group) === undefined;
}

function lookUp<F>(schema: z.core.$ZodType, find: (at: z.ZodType) => F | undefined): F | undefined {
  for (let at: z.core.$ZodType | undefined = schema; at !== undefined; at = inner(at)) {
    const facts = find(at as z.ZodType);
    if (facts !== undefined) return facts;
  }
  return undefined;
}

/** Prose of a key or section. */
export function proseOf(schema: z.core.$ZodType): string {
  for (let at: z.core.$ZodType | undefined = schema; at !== undefined; at = inner(at)) {
    const prose = (at as z.ZodType).description;
    if (prose !== undefined) return prose;
  }
  return '';
}

/** A schema without what is wrapped around it: defaults, optionality. */
function bare(schema: z.core.$ZodType): z.core.$ZodType {
  const next = inner(schema);
  return next === undefined ? schema : bare(next);
}

/** Keys of a mapping with fixed keys; undefined for anything else. */
export function shapeOf(schema: z.core.$ZodType): Readonly<Record<string, z.core.$ZodType>> | undefined {
  const core = bare(schema);
  return core instanceof z.ZodObject ? core.shape : undefined;
}

/** Schema of a list's items. */
export function itemOf(schema: z.core.$ZodType): z.core.$ZodType | undefined {
  const core = bare(schema);
  return core instanceof z.ZodArray ? core.element : undefined;
}

/** Schema of the values of a mapping whose keys are names. */
export function entryOf(schema: z.core.$ZodType): z.core.$ZodType | undefined {
  const core = bare(schema);
  return core instanceof z.ZodRecord ? core.valueType : undefined;
}

/** Schema of a key below `schema`, by name or place. */
export function childOf(schema: z.core.$ZodType, step: string | number): z.core.$ZodType | undefined {
  if (typeof step === 'number') return itemOf(schema);
  const shape = shapeOf(schema);
  if (shape === undefined) return entryOf(schema);
  return Object.hasOwn(shape, step) ? shape[step] : undefined;
}

/** True for keys that must be given. */
export function isRequired(schema: z.core.$ZodType): boolean {
  return !(schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional || schema instanceof z.ZodDefault);
}

function inner(schema: z.core.$ZodType): z.core.$ZodType | undefined {
  if (schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) return schema.def.innerType;
  // What is only rewritten before it is looked at (short forms) is still what it is.
  if (schema instanceof z.ZodPipe && schema.def.in instanceof z.ZodTransform) return schema.def.out;
  return undefined;
}
