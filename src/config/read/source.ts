/**
 * The configuration file as text: read, parsed as YAML 1.2 (core schema) and kept with the position
 * of every key, so that a mistake found much later can still name its line. Everything that can be
 * wrong with a file before its keys are looked at ends here as a problem.
 */

import { readFile, stat } from 'node:fs/promises';
import { type Document, isAlias, isMap, isNode, isScalar, isSeq, LineCounter, type Node, type ParsedNode, parseDocument } from 'yaml';
import type { KeyPath, Locate, Place, Problem } from '../problem.ts';
import { parsePlainYaml } from './plain-yaml.ts';

/**
 * Larger files are refused: a configuration of this size is a mistake or an attack on the parser.
 */
const MAX_FILE_BYTES = 16 * 2 ** 20;

/** How often anchors may be repeated altogether; ends "billion laughs" before they are expanded. */
const MAX_ALIASES = 100;

/** Syntax errors told at once; after the first few the parser only guesses. */
const MAX_SYNTAX_FAULTS = 10;

/** A file that could be parsed. */
export interface Source {
  /** The path as it was given. */
  readonly file: string;
  /** The root mapping, plain data. */
  readonly value: Readonly<Record<string, unknown>>;
  readonly locate: Locate;
  /** Of its text. */
  readonly bytes: number;
}

/**
 * Reads and parses a file: either its source or the problems that prevent it. One that is included
 * may be empty, and a list in it is one of routes.
 */
export async function readSource(file: string, isIncluded = false): Promise<{ source?: Source; problems: Problem[] }> {
  const read = await readText(file);
  return read.text === undefined ? { problems: [problemAt({ source: file }, read.message)] } : parseSource(file, read.text, isIncluded);
}

/**
 * Parses the text of a file; `file` only names it. The parser that knows where everything stands is
 * some six times as slow as the other, so it is asked only where that one gives up, or when the
 * place of a mistake is to be told.
 */
function parseSource(file: string, text: string, isIncluded = false): { source?: Source; problems: Problem[] } {
  const plain = parsePlainYaml(text)?.value;
  if (plain === undefined || (Array.isArray(plain) && !isIncluded)) return parseWhole(file, text, isIncluded);
  const value = (Array.isArray(plain) ? { routes: plain } : plain) as Record<string, unknown>;
  let whole: Source | undefined;
  const locate: Locate = (path, isAboutKey) => {
    whole ??= parseWhole(file, text, isIncluded).source;
    return whole?.locate(path, isAboutKey) ?? { source: file };
  };
  return { source: { file, value, locate, bytes: text.length }, problems: [] };
}

function parseWhole(file: string, text: string, isIncluded: boolean): { source?: Source; problems: Problem[] } {
  const lines = new LineCounter();
  const placeOf = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { source: file, line: Math.max(1, line), column: Math.max(1, col) };
  };
  try {
    const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true, version: '1.2', logLevel: 'error' });
    // A warning of the parser is an unknown tag or directive: nothing that a configuration means to
    // have.
    const faults = [...document.errors, ...document.warnings];
    if (faults.some(({ message }) => message.includes('call stack'))) throw new RangeError();
    if (faults.length > 0) {
      const told = faults.slice(0, MAX_SYNTAX_FAULTS);
      return { problems: told.map(({ code, message, pos }) => problemAt(placeOf(pos[0]), explainSyntax(code, message))) };
    }
    const { contents, directives } = document;
    if (directives.yaml.explicit === true && directives.yaml.version !== '1.2') {
      return { problems: [problemAt(placeOf(0), 'another version of YAML is asked for', '%YAML 1.2 or no such line')] };
    }
    if (contents === null || (isScalar(contents) && contents.value === null)) {
      if (isIncluded) return { source: { file, value: {}, locate: () => placeOf(0), bytes: text.length }, problems: [] };
      return { problems: [problemAt({ source: file }, 'the file is empty', 'a mapping that begins with version: 1')] };
    }
    const isList = isIncluded && isSeq(contents);
    if (!isMap(contents) && !isList) {
      const place = placeOf(contents.range[0]);
      const expected = isIncluded
        ? 'a list of routes, or keys such as routes, upstreams'
        : 'keys such as version, listeners, upstreams, routes';
      return { problems: [problemAt(place, isIncluded ? 'the file is no mapping and no list' : 'the file is no mapping', expected)] };
    }
    const data: unknown = document.toJS({ maxAliasCount: MAX_ALIASES });
    const value = (isList ? { routes: data } : data) as Record<string, unknown>;
    const locate: Locate = (path, isAboutKey) => placeOf(offsetOf(document, isList ? path.slice(1) : path, isAboutKey));
    return { source: { file, value, locate, bytes: text.length }, problems: [] };
  } catch (error) {
    return { problems: [problemAt({ source: file }, explainThrown(error))] };
  }
}

async function readText(file: string): Promise<{ text?: string; message: string }> {
  try {
    const facts = await stat(file);
    if (facts.isDirectory()) return { message: 'is a directory, not a file' };
    if (facts.size > MAX_FILE_BYTES) return { message: `the file has ${facts.size} bytes, more than the ${MAX_FILE_BYTES} that are read` };
    const bytes = await readFile(file);
    if (bytes.includes(0)) return { message: 'the file is binary, not text' };
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes), message: '' };
  } catch (error) {
    return { message: explainReading(error) };
  }
}

/** Why a file could not be read, in words rather than in the names of system calls. */
export function explainReading(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'ENOENT') return 'the file does not exist';
  if (code === 'EACCES' || code === 'EPERM') return 'the file may not be read (permissions)';
  if (code === 'ENOTDIR') return 'a part of the path is no directory';
  if (code === 'EISDIR') return 'is a directory, not a file';
  if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') return 'the file is not UTF-8 text';
  return `the file cannot be read (${code === '' ? String(error) : code})`;
}

function explainSyntax(code: string, message: string): string {
  switch (code) {
    case 'DUPLICATE_KEY':
      return 'this key stands twice in the same mapping';
    case 'MULTIPLE_DOCS':
      return 'the file holds more than one YAML document';
    case 'TAB_AS_INDENT':
      return 'a tab is used for indentation; YAML indents with spaces';
    case 'TAG_RESOLVE_FAILED':
      return 'YAML tags are not used here';
    case 'NON_STRING_KEY':
      return 'a key must be plain text';
    default:
      return `not valid YAML: ${message.split('\n', 1)[0] ?? code}`;
  }
}

function explainThrown(error: unknown): string {
  if (error instanceof RangeError) return 'the file is nested too deeply';
  if (error instanceof ReferenceError && error.message.startsWith('Unresolved alias'))
    return 'an alias stands before its anchor, or has none';
  if (error instanceof ReferenceError && error.message.includes('alias count'))
    return `anchors are repeated more than ${MAX_ALIASES} times`;
  return `not valid YAML: ${error instanceof Error ? error.message : String(error)}`;
}

/** Offset of the key or value at `path`, or of its nearest ancestor that exists. */
function offsetOf(document: Document.Parsed<ParsedNode>, path: KeyPath, isAboutKey: boolean): number {
  let node: Node | null = document.contents;
  let offset = node?.range?.[0] ?? 0;
  for (const [depth, step] of path.entries()) {
    const container: Node | null | undefined = isAlias(node) ? node.resolve(document) : node;
    const isLast = depth === path.length - 1;
    if (isMap(container)) {
      const pair = container.items.find((item) => isScalar(item.key) && String(item.key.value) === String(step));
      if (pair === undefined) return offset;
      const key = isNode(pair.key) ? pair.key.range?.[0] : undefined;
      node = isNode(pair.value) ? pair.value : null;
      offset = (isLast && isAboutKey ? key : (node?.range?.[0] ?? key)) ?? offset;
    } else if (isSeq(container) && typeof step === 'number') {
      const item: unknown = container.items[step];
      if (!isNode(item)) return offset;
      node = item;
      offset = node.range?.[0] ?? offset;
    } else return offset;
  }
  return offset;
}

function problemAt(place: Place, message: string, expected?: string): Problem {
  const base = { severity: 'error', place, path: [], message } as const;
  return expected === undefined ? base : { ...base, expected };
}
