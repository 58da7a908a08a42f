/**
 * Values from outside the file. One rule names them: the key `admin.token_file` is the
 * environment's `LYCHGATE_ADMIN_TOKEN_FILE` and the flag `--admin-token-file`; a flag wins over the
 * environment, the environment over the file, the file over the default. Only keys that stand once
 * can be set so; listeners, upstreams and routes belong to the file.
 */

import { environmentName, flagName, type Key, settableKeys } from '../keys.ts';
import type { Complaint, KeyPath, Locate, Place } from '../problem.ts';
import { formatPath } from '../problem.ts';
import { suggest } from '../suggest.ts';

/** Where values beside the file come from. */
export interface Outside {
  /** The process's environment; only names of the rule are looked at. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Values of flags by the name of their key: `{ 'admin.address': '127.0.0.1:9902' }`. */
  readonly flags?: Readonly<Record<string, string | undefined>>;
}

/** The file's value with overrides laid over it, and where each of them came from. */
export interface Overridden {
  readonly value: Readonly<Record<string, unknown>>;
  /** Places of overridden keys, by path; anything else stands in the file. */
  readonly locate: Locate;
  readonly complaints: readonly Complaint[];
}

/** Variables of the same prefix that are no keys. */
const OTHER_VARIABLES = new Set(['LYCHGATE_CONFIG', 'LYCHGATE_CACHE', 'LYCHGATE_NODE', 'LYCHGATE_TEST_FAULTS']);

/** Lays environment and flags over the value of the file. */
export function applyOverrides(fileValue: Readonly<Record<string, unknown>>, outside: Outside, locateInFile: Locate): Overridden {
  // Only what is set is copied: the file's value is large, and its own.
  const value: Record<string, unknown> = { ...fileValue };
  const places = new Map<string, Place>();
  for (const key of settableKeys()) {
    const given = overrideOf(key, outside);
    if (given !== undefined && put(value, key.path, readWritten(key, given.text))) {
      places.set(formatPath(key.path), { source: given.source });
    }
  }
  const locate = (path: KeyPath, isAboutKey: boolean): Place => places.get(formatPath(path)) ?? locateInFile(path, isAboutKey);
  return { value, locate, complaints: [...misspelledVariables(outside.env ?? {}), ...secretFlags(outside)] };
}

function overrideOf(key: Key, { env = {}, flags = {} }: Outside): { text: string; source: string } | undefined {
  const fromFlag = flags[key.name];
  if (fromFlag !== undefined) return { text: fromFlag, source: `flag ${flagName(key)}` };
  const variable = environmentName(key);
  const fromEnvironment = givenIn(env, variable);
  return fromEnvironment === undefined ? undefined : { text: fromEnvironment, source: `environment ${variable}` };
}

/**
 * The value of a variable. One that is empty is not set: where variables can be listed but not
 * taken away, empty is how they are taken away.
 */
export function givenIn(env: Readonly<Record<string, string | undefined>>, variable: string): string | undefined {
  return env[variable] || undefined;
}

/** Command lines can be read by everyone on a machine. */
function secretFlags({ flags = {} }: Outside): Complaint[] {
  return settableKeys()
    .filter(({ name, facts }) => facts.isSecret && (flags[name] ?? '') !== '')
    .map((key) => ({
      severity: 'warning',
      source: `flag ${flagName(key)}`,
      path: key.path,
      message: 'is a secret, and everyone on the machine can read command lines (ps)',
      expected: `${flagName(key)}-file, or ${environmentName(key)}`,
    }));
}

/**
 * Text from outside as the value YAML would have made of it. What does not fit stays text, for the
 * schema to complain about.
 */
function readWritten({ facts }: Key, text: string): unknown {
  if (facts.kind === 'flag') return text === 'true' ? true : text === 'false' ? false : text;
  const isNumeric = facts.kind === 'integer' || facts.kind === 'number';
  return isNumeric && /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
}

/**
 * Sets a key, making or copying sections on the way; false when something other than a mapping is
 * in the way.
 */
function put(root: Record<string, unknown>, path: readonly string[], leaf: unknown): boolean {
  let at = root;
  for (const step of path.slice(0, -1)) {
    const next = Object.hasOwn(at, step) ? at[step] : {};
    if (next === null || typeof next !== 'object' || Array.isArray(next)) return false;
    const copy = { ...next };
    at[step] = copy;
    at = copy;
  }
  at[path.at(-1) ?? ''] = leaf;
  return true;
}

/** A variable that nearly is the name of a key would otherwise be ignored in silence. */
function misspelledVariables(env: Readonly<Record<string, string | undefined>>): Complaint[] {
  const known = new Set(settableKeys().map(environmentName));
  const complaints: Complaint[] = [];
  for (const name of Object.keys(env)) {
    if (!name.startsWith('LYCHGATE_') || env[name] === '' || known.has(name) || OTHER_VARIABLES.has(name)) continue;
    const near = suggest(name, known);
    if (near === undefined) continue;
    complaints.push({ severity: 'warning', source: `environment ${name}`, path: [], message: `sets nothing; did you mean ${near}?` });
  }
  return complaints;
}
