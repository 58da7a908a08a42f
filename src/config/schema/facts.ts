/**
 * What is known of a key beside its type: how it is told to people, written in YAML and shown in the reference. Facts are registered with the
 * key's zod schema, so that the reference page, the example file, the environment's names and the messages about mistakes all come from
 * the one place where the key is declared.
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
  /** Never shown: tokens and the places of keys. */
  readonly isSecret: boolean;
  /** The parsed value as it would be written. */
  readonly write: (value: unknown) => Written;
  /** JSON schema where zod's own says too little. */
  readonly json?: Readonly<Record<string, unknown>>;
}

const registry = z.registry<KeyFacts>();

/** Registers the facts of a key and gives the schema back. */
export function withFacts<S extends z.ZodType>(schema: S, facts: KeyFacts): S {
  registry.add(schema, facts);
  return schema;
}

/** Facts of a scalar key, looked for through defaults and optionality; undefined for mappings and lists. */
export function factsOf(schema: z.core.$ZodType): KeyFacts | undefined {
  for (let at: z.core.$ZodType | undefined = schema; at !== undefined; at = inner(at)) {
    const facts = registry.get(at as z.ZodType);
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
export function bare(schema: z.core.$ZodType): z.core.$ZodType {
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
  return undefined;
}
