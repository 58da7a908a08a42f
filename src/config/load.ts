/**
 * The way in: a file, the environment and flags become a configuration, and on request a snapshot.
 * Mistakes of every kind (YAML, keys, agreement between keys, files pointed at) are collected and
 * come back as one list.
 */

import { dirname, resolve } from 'node:path';
import type { IsMended } from './agreement/agreement.ts';
import { type InUse, prepareSnapshot } from './prepare.ts';
import { hasErrors, type Locate, type Problem, placeComplaints, sortProblems } from './problem.ts';
import { type ReadFile, readSources } from './read/include.ts';
import { applyOverrides, type Outside } from './read/override.ts';
import type { Config } from './schema/config.ts';
import type { Snapshot } from './snapshot/snapshot.ts';
import { validate } from './validate.ts';

/** A configuration where there is no error; warnings may stand beside it. */
export interface LoadedConfig {
  readonly config?: Config;
  readonly problems: readonly Problem[];
  /** Folder relative paths start from, absolute. */
  readonly baseDir: string;
  /** Where keys stand. */
  readonly locate: Locate;
}

/** A configuration and its snapshot where there is no error. */
export interface LoadedSnapshot {
  readonly config?: Config;
  readonly snapshot?: Snapshot;
  readonly problems: readonly Problem[];
  /** What was read of the configuration itself: the file, then those that it includes. */
  readonly files: readonly ReadFile[];
  /** Patterns of what it includes, as paths; also where there are mistakes. */
  readonly includes: readonly string[];
}

/** Reads a configuration and checks its keys one by one. Never rejects for a mistake in it. */
export async function loadConfig(file: string, outside: Outside = {}): Promise<LoadedConfig> {
  const { config, problems, baseDir, locate } = await readAll(file, outside);
  return config === undefined || hasErrors(problems) ? { problems, baseDir, locate } : { config, problems, baseDir, locate };
}

/**
 * Reads a configuration and prepares its snapshot. Where keys are wrong the rest is checked all the
 * same, so that the list of problems is complete. Never rejects for a mistake in it. `inUse` tells
 * the chains that certificates would take the place of: one that is worse is a mistake then.
 */
export async function loadSnapshot(file: string, outside: Outside = {}, inUse?: InUse): Promise<LoadedSnapshot> {
  const { config, problems, baseDir, locate, isMended, files, includes } = await readAll(file, outside);
  const read = { files, includes };
  if (config === undefined) return { problems, ...read };
  const prepared = await prepareSnapshot(config, baseDir, locate, isMended, inUse);
  if (!hasErrors(problems)) {
    const all = sortProblems([...problems, ...prepared.problems]);
    return prepared.snapshot === undefined ? { problems: all, ...read } : { config, snapshot: prepared.snapshot, problems: all, ...read };
  }
  // Of a mended configuration only errors about what the author wrote are worth telling.
  const further = prepared.problems.filter(({ severity }) => severity === 'error');
  return { problems: sortProblems([...problems, ...further]), ...read };
}

interface ReadAll extends LoadedConfig {
  readonly isMended: IsMended;
  readonly files: readonly ReadFile[];
  readonly includes: readonly string[];
}

async function readAll(file: string, outside: Outside): Promise<ReadAll> {
  const baseDir = dirname(resolve(file));
  const { source, problems, files, includes } = await readSources(file);
  if (source === undefined) return { problems, baseDir, locate: () => ({ source: file }), isMended: () => false, files, includes };
  const { value, locate, complaints } = applyOverrides(source.value, outside, source.locate);
  const validated = validate(value);
  const found = sortProblems(placeComplaints([...complaints, ...validated.complaints], locate));
  const rest = { problems: found, baseDir, locate, isMended: validated.isMended, files, includes };
  return validated.config === undefined ? rest : { config: validated.config, ...rest };
}
