/**
 * Maps paths of sites (hosts) to numbers. Exact paths and prefixes are in hash tables, looked up at
 * each segment border in one walk over the path; patterns are in one list per site. The router
 * defines what the numbers mean.
 */

import { inSharedMemory } from '../../base/views.ts';
import type { MatchSnapshot } from '../../config/snapshot/match.ts';
import { ByteTable, HASH_START, hashByte, type PackedBytes } from './byte-table.ts';
import { Pattern } from './pattern.ts';

/** One path of a site. No two entries are equal. */
export interface PathEntry {
  readonly site: number;
  readonly kind: MatchSnapshot['pathKind'];
  /** As returned by `pathKey`. */
  readonly path: string;
  readonly value: number;
}

/** A pattern of a site, in the order of the entries. */
export interface PathPattern {
  readonly pattern: Pattern;
  readonly value: number;
}

/** No path matches. */
export const NO_PATH = -1;

const SLASH = 0x2f;
const QUERY = 0x3f;
const NO_PATTERNS: readonly PathPattern[] = [];

/** A table that can be posted: its memory is shared. */
export interface PackedPaths {
  readonly exact: PackedBytes;
  readonly prefix: PackedBytes;
  readonly longestOfSite: Int32Array;
  readonly rootOfSite: Int32Array;
  readonly deepest: number;
  /**
   * Patterns by site: the index where each site's patterns begin (and the end), their values, and
   * their texts in a row.
   */
  readonly patternsOfSite: Int32Array;
  readonly patternValues: Int32Array;
  readonly patternEnds: Uint32Array;
  readonly patternText: Uint8Array;
}

export class PathTable {
  /**
   * Result of the last `walk`: the exact path, and the prefixes from the shortest to the longest.
   */
  exact = NO_PATH;
  readonly prefixes: Int32Array;
  prefixCount = 0;
  /** Patterns of its site. */
  patterns: readonly PathPattern[] = NO_PATTERNS;
  /** Length of the path without query; set only if the site has patterns. */
  length = 0;

  private readonly exactTable: ByteTable;
  private readonly prefixTable: ByteTable;
  /** Longest path of a site: the walk ends there. */
  private readonly longestOfSite: Int32Array;
  /** Value of the prefix `/`, by site: the most common path, known without a look-up. */
  private readonly rootOfSite: Int32Array;
  /** By site. If the table is packed, only the sites used so far. */
  private readonly patternsOfSite: (readonly PathPattern[] | undefined)[];
  private readonly packed: PackedPaths | undefined;
  private readonly deepest: number;
  /** Values below it end the search: less specific ones cannot be reached. */
  private readonly plainValues: number;

  constructor(entries: readonly PathEntry[] | PackedPaths, sites: number, plainValues: number) {
    if (!isList(entries)) {
      this.packed = entries;
      this.exactTable = new ByteTable(entries.exact);
      this.prefixTable = new ByteTable(entries.prefix);
      this.longestOfSite = entries.longestOfSite;
      this.rootOfSite = entries.rootOfSite;
      this.patternsOfSite = new Array<undefined>(sites).fill(undefined);
      this.plainValues = plainValues;
      this.deepest = entries.deepest;
      this.prefixes = new Int32Array(entries.deepest + 2);
      return;
    }
    this.packed = undefined;
    const patterns = new Array<PathPattern[] | undefined>(sites).fill(undefined);
    this.exactTable = new ByteTable(entries.length);
    this.prefixTable = new ByteTable(entries.length);
    this.longestOfSite = new Int32Array(sites);
    this.rootOfSite = new Int32Array(sites).fill(NO_PATH);
    this.patternsOfSite = patterns;
    this.plainValues = plainValues;
    let deepest = 0;
    for (const entry of entries) {
      this.add(entry, patterns);
      deepest = Math.max(deepest, entry.path.split('/').length);
    }
    this.deepest = deepest;
    this.prefixes = new Int32Array(deepest + 2);
  }

  pack(): PackedPaths {
    const { exactTable, prefixTable, longestOfSite, rootOfSite, deepest } = this;
    const sites = longestOfSite.length;
    const all = Array.from({ length: sites }, (_, site) => this.patternsOfSite[site] ?? NO_PATTERNS);
    const starts = new Int32Array(sites + 1);
    for (const [site, patterns] of all.entries()) starts[site + 1] = starts[site]! + patterns.length;
    const patterns = all.flat();
    const texts = patterns.map(({ pattern }) => Buffer.from(pattern.text, 'utf8'));
    const ends = new Uint32Array(texts.length);
    for (const [place, text] of texts.entries()) ends[place] = (ends[place - 1] ?? 0) + text.length;
    return {
      exact: exactTable.pack(),
      prefix: prefixTable.pack(),
      longestOfSite: inSharedMemory(longestOfSite),
      rootOfSite: inSharedMemory(rootOfSite),
      deepest,
      patternsOfSite: inSharedMemory(starts),
      patternValues: inSharedMemory(Int32Array.from(patterns, ({ value }) => value)),
      patternEnds: inSharedMemory(ends),
      patternText: inSharedMemory(new Uint8Array(Buffer.concat(texts))),
    };
  }

  /** Finds all entries of `site` that match the path at `start`, which may have a query. */
  walk(site: number, bytes: Uint8Array, start: number, length: number): void {
    const longest = this.longestOfSite[site]!;
    const { prefixTable, prefixes, plainValues } = this;
    const root = this.rootOfSite[site]!;
    let count = 0;
    if (root !== NO_PATH) prefixes[count++] = root;
    let hash = HASH_START;
    let i = 0;
    for (; i < length && i <= longest; i++) {
      const byte = bytes[start + i]!;
      if (byte === QUERY) break;
      if (byte === SLASH && i > 0) {
        const value = prefixTable.find(hash, site, bytes, start, i);
        if (value !== NO_PATH) {
          if (value < plainValues) count = 0;
          prefixes[count++] = value;
        }
      }
      hash = hashByte(hash, byte);
    }
    this.exact = NO_PATH;
    if (i <= longest) {
      this.exact = this.exactTable.find(hash, site, bytes, start, i);
      const value = prefixTable.find(hash, site, bytes, start, i);
      if (value !== NO_PATH) {
        if (value < plainValues) count = 0;
        prefixes[count++] = value;
      }
    }
    this.prefixCount = count;
    const patterns = this.patternsOfSite[site] ?? (this.packed === undefined ? undefined : this.unpack(this.packed, site));
    if (patterns === undefined) this.patterns = NO_PATTERNS;
    else {
      this.patterns = patterns;
      while (i < length && bytes[start + i] !== QUERY) i += 1;
      this.length = i;
    }
  }

  private unpack(
    { patternsOfSite, patternValues, patternEnds, patternText }: PackedPaths,
    site: number,
  ): readonly PathPattern[] | undefined {
    const first = patternsOfSite[site]!;
    const last = patternsOfSite[site + 1]!;
    if (first === last) return undefined;
    const texts = Buffer.from(patternText.buffer, patternText.byteOffset, patternText.byteLength);
    const patterns = Array.from(patternValues.subarray(first, last), (value, place) => {
      const at = first + place;
      return { pattern: new Pattern(texts.toString('utf8', patternEnds[at - 1] ?? 0, patternEnds[at])), value };
    });
    this.patternsOfSite[site] = patterns;
    return patterns;
  }

  private add({ site, kind, path, value }: PathEntry, patterns: (PathPattern[] | undefined)[]): void {
    if (kind === 'regex') {
      patterns[site] ??= [];
      patterns[site].push({ pattern: new Pattern(path), value });
      return;
    }
    const text = Buffer.from(path, 'latin1');
    if (kind === 'prefix' && text.length === 0) {
      this.rootOfSite[site] = value;
      return;
    }
    (kind === 'exact' ? this.exactTable : this.prefixTable).set(text.reduce(hashByte, HASH_START), site, text, value);
    this.longestOfSite[site] = Math.max(this.longestOfSite[site]!, text.length);
  }
}

function isList(entries: readonly PathEntry[] | PackedPaths): entries is readonly PathEntry[] {
  return Array.isArray(entries);
}

/**
 * Normalises the path of a match, so that equal ones compare equal: as a prefix, `/a/` means the
 * segment, as `/a` does.
 */
export function pathKey({ path, pathKind }: MatchSnapshot): string {
  return pathKind === 'prefix' ? path.replace(/\/+$/, '') : path;
}
