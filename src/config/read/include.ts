/**
 * Files that a configuration takes routes, upstreams and tenants from (`include`): found, read, and
 * put behind what the file itself has, in the order of the patterns and then by name. Each keeps
 * its own lines, so a mistake is told where it was made.
 */

import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { describePlace, type KeyPath, type Place, type Problem, showValue } from '../problem.ts';
import { INCLUDE_RULE } from '../schema/rules.ts';
import { explainReading, readSource, type Source } from './source.ts';

/** Files of all patterns together, and their bytes with those of the configuration itself. */
const MAX_FILES = 1_024;
const MAX_BYTES = 32 * 2 ** 20;

/** Names of one folder that are looked at. */
const MAX_NAMES = 65_536;

/** What an included file may have. */
const SECTIONS = ['routes', 'upstreams', 'tenants'] as const;
type Section = (typeof SECTIONS)[number];
const NOUNS = { upstreams: 'upstream', tenants: 'tenant' } as const;

/** A file that was read, and how many routes it has. */
export interface ReadFile {
  readonly file: string;
  readonly routes: number;
}

/** A configuration with everything it includes. */
export interface Sources {
  /** Absent where a file could not be read, or says what only the configuration itself may. */
  readonly source?: Source;
  readonly problems: readonly Problem[];
  /** The configuration first; also those in which something is wrong. */
  readonly files: readonly ReadFile[];
  /** Patterns of the files, as paths: where a change is to be looked for. */
  readonly includes: readonly string[];
}

/**
 * Reads a configuration and what it includes: either its source or the problems that prevent it.
 */
export async function readSources(file: string): Promise<Sources> {
  const { source: main, problems } = await readSource(file);
  if (main === undefined) return { problems, files: [{ file, routes: 0 }], includes: [] };
  const given = main.value['include'];
  const written = Array.isArray(given) ? given : [given];
  // What is none is told with the rest of the keys.
  const patterns = written.filter((one): one is string => typeof one === 'string' && INCLUDE_RULE.normalise(one) !== undefined);
  const own = { file, routes: lengthOf(main.value['routes']) };
  if (patterns.length === 0) return { source: main, problems, files: [own], includes: [] };

  const merge = new Merge(main);
  const found: Problem[] = [];
  const files = [own];
  const includes = patterns.map((pattern) => join(isAbsolute(pattern) ? '/' : dirname(file), pattern));
  const met = new Set<string>();
  let bytes = main.bytes;
  for (const [which, pattern] of includes.entries()) {
    const tell = (message: string, expected?: string): number => {
      const path = ['include', written.indexOf(patterns[which])];
      const value = showValue(patterns[which]);
      return found.push({
        severity: 'error',
        place: main.locate(path, false),
        path,
        value,
        message,
        ...(expected === undefined ? {} : { expected }),
      });
    };
    const names = await expand(pattern);
    if ('fault' in names) {
      tell(names.fault);
      continue;
    }
    for (const path of names.paths) {
      if (met.has(resolve(path))) continue;
      met.add(resolve(path));
      if (resolve(path) === resolve(file)) tell('takes in the configuration itself', 'files beside it, in a folder of their own');
      else if (met.size > MAX_FILES) tell(`is one of more than ${MAX_FILES} files`, 'fewer files with more routes each');
      else if (bytes > MAX_BYTES) tell(`is one of files with more than ${MAX_BYTES} bytes together`);
      else {
        const read = await readSource(path, true);
        found.push(...read.problems);
        bytes += read.source?.bytes ?? 0;
        files.push({ file: path, routes: read.source === undefined ? 0 : merge.add(read.source, found) });
        continue;
      }
      return { problems: found, files, includes };
    }
  }
  return found.length > 0 ? { problems: found, files, includes } : { source: merge.source(), problems, files, includes };
}

/**
 * What says whether the files that `includes` name are the same: their paths and the identities of
 * the files there, as `identify` has it. Empty where one is missing or cannot be looked at: it is
 * on its way.
 */
export async function identityOfIncludes(includes: readonly string[], identify: (path: string) => Promise<string>): Promise<string> {
  const parts: string[] = [];
  for (const include of includes) {
    const names = await expand(include);
    if ('fault' in names) return '';
    const identities = await Promise.all(names.paths.slice(0, MAX_FILES).map(identify));
    if (identities.includes('')) return '';
    parts.push(...names.paths.map((path, place) => `${path} ${identities[place]}`), '');
  }
  return parts.join('\n') || 'none';
}

/**
 * The files that a path with wildcards in its last part names, in the order of their names; one
 * without is itself.
 */
async function expand(path: string): Promise<{ readonly paths: readonly string[] } | { readonly fault: string }> {
  const pattern = basename(path);
  if (!/[*?]/.test(pattern)) return { paths: [path] };
  const folder = dirname(path);
  try {
    const names = await readdir(folder);
    if (names.length > MAX_NAMES)
      return { fault: `names a folder of ${names.length} files, more than the ${MAX_NAMES} that are looked at` };
    const paths: string[] = [];
    for (const name of names.filter(matcherOf(pattern)).sort(byCode)) {
      const found = join(folder, name);
      if (await isFolder(found)) continue;
      paths.push(found);
      if (paths.length > MAX_FILES) break;
    }
    return { paths };
  } catch (error) {
    return { fault: `${folder}: ${explainReading(error).replace('the file', 'the folder')}` };
  }
}

/**
 * `*` stands for any and `?` for one character. Names that begin with a dot are met only by
 * patterns that do: `..data` of Kubernetes and what editors leave behind is not meant.
 */
function matcherOf(pattern: string): (name: string) => boolean {
  // Written out and not as a regular expression, which a pattern of many stars makes slow.
  return (name) => (!name.startsWith('.') || pattern.startsWith('.')) && fits(pattern, name);
}

function fits(pattern: string, name: string): boolean {
  let [at, from] = [0, 0];
  let star = -1;
  let resume = 0;
  while (from < name.length) {
    if (pattern[at] === '*') {
      star = at++;
      resume = from;
    } else if (pattern[at] === '?' || pattern[at] === name[from]) {
      at += 1;
      from += 1;
    } else if (star !== -1) {
      at = star + 1;
      from = ++resume;
    } else return false;
  }
  while (pattern[at] === '*') at += 1;
  return at === pattern.length;
}

/** A link that leads nowhere is no folder; reading it says what is wrong. */
async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}

/** The same order whatever the locale. */
function byCode(a: string, b: string): number {
  return a < b ? -1 : 1;
}

/** One configuration made of several files. */
class Merge {
  private readonly main: Source;
  /** In the order in which they were read. */
  private readonly sources: Source[];
  /**
   * Undefined where the configuration has something else in their place, which is told with the
   * rest of its keys.
   */
  private readonly routes: unknown[] | undefined;
  /** Files with routes, by the number of their first; ascending. */
  private readonly owners: { readonly first: number; readonly source: Source }[] = [];
  private readonly named: Readonly<Record<'upstreams' | 'tenants', Map<string, Named> | undefined>>;

  constructor(main: Source) {
    this.main = main;
    this.sources = [main];
    const { routes = [], upstreams = {}, tenants = {} } = main.value;
    const namesOf = (own: unknown): Map<string, Named> | undefined =>
      isMapping(own) ? new Map(Object.entries(own).map(([name, entry]) => [name, { source: main, entry }])) : undefined;
    this.routes = Array.isArray(routes) ? [...routes] : undefined;
    this.named = { upstreams: namesOf(upstreams), tenants: namesOf(tenants) };
  }

  /**
   * Adds what an included file has and tells what it may not have; returns how many routes it has.
   */
  add(source: Source, problems: Problem[]): number {
    const tell = (path: KeyPath, message: string, more: Pick<Problem, 'expected' | 'value'>, isAboutKey = false): number =>
      problems.push({ severity: 'error', place: source.locate(path, isAboutKey), path, message, ...more });
    this.sources.push(source);
    let routes = 0;
    for (const [key, value] of Object.entries(source.value)) {
      if (key === 'include')
        tell([key], 'stands in a file that is included itself', { expected: 'include in the configuration only' }, true);
      else if (!isSection(key)) tell([key], 'is not a key of an included file', { expected: `one of ${SECTIONS.join(', ')}` }, true);
      else if (key === 'routes') {
        if (!Array.isArray(value)) tell([key], 'is not acceptable', { value: showValue(value), expected: 'a list of routes' });
        else routes = this.addRoutes(value, source);
      } else if (!isMapping(value)) tell([key], 'is not acceptable', { value: showValue(value), expected: 'a mapping of names' });
      else {
        for (const [name, entry] of Object.entries(value)) {
          const first = this.named[key]?.get(name);
          this.named[key]?.set(name, first ?? { source, entry });
          if (first === undefined) continue;
          const message = `stands already in ${describePlace(first.source.locate([key, name], true), [key, name])}`;
          tell([key, name], message, { expected: `each ${NOUNS[key]} to have its own name` }, true);
        }
      }
    }
    return routes;
  }

  source(): Source {
    const { main, routes, named } = this;
    const value: Record<string, unknown> = { ...main.value };
    if (routes !== undefined && (routes.length > 0 || Object.hasOwn(value, 'routes'))) value['routes'] = routes;
    for (const section of ['upstreams', 'tenants'] as const) {
      const entries = named[section];
      if (entries !== undefined && entries.size > 0) {
        value[section] = Object.fromEntries([...entries].map(([name, { entry }]) => [name, entry]));
      }
    }
    return { ...main, value, locate: (path, isAboutKey) => this.locate(path, isAboutKey) };
  }

  private addRoutes(items: readonly unknown[], source: Source): number {
    if (this.routes === undefined) return 0;
    this.owners.push({ first: this.routes.length, source });
    for (const item of items) this.routes.push(item);
    return items.length;
  }

  private numberOf(source: Source): number {
    return this.sources.indexOf(source);
  }

  private locate(path: KeyPath, isAboutKey: boolean): Place {
    const [section, step, ...rest] = path;
    if (section === 'routes' && typeof step === 'number') {
      const owner = this.owners.findLast(({ first }) => first <= step);
      const within = ['routes', step - (owner?.first ?? 0), ...rest];
      if (owner !== undefined) return { ...owner.source.locate(within, isAboutKey), path: within, file: this.numberOf(owner.source) };
    }
    if ((section === 'upstreams' || section === 'tenants') && step !== undefined) {
      const owner = this.named[section]?.get(String(step));
      if (owner !== undefined) return { ...owner.source.locate(path, isAboutKey), file: this.numberOf(owner.source) };
    }
    return this.main.locate(path, isAboutKey);
  }
}

interface Named {
  readonly source: Source;
  readonly entry: unknown;
}

function isSection(key: string): key is Section {
  return (SECTIONS as readonly string[]).includes(key);
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

function lengthOf(value: unknown): number {
  return Array.isArray(value) ? value.length : 0;
}
