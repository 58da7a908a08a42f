/**
 * Changes of a path as text: for redirects, for rewrites by pattern, and for explaining what a
 * route would do. Plain `prefix` edits of plans are done by the reactor in the same way
 * (`native/core/src/plan/edit.rs`). The result of a pattern is validated before it goes anywhere:
 * recombined pieces of a client's path must not become a path that the client could not have sent.
 */

import { RE2JS } from 're2js';
import type { PathEditSnapshot } from '../../config/snapshot/route.ts';

/** Longer paths are not changed. */
export const MAX_EDITED_BYTES = 16_384;

/** Everything else in a path or query, except `%`, is percent-encoded (RFC 3986 §3.3). */
const ENCODED = /[^!$&'()*+,\-./0-9:;=?@A-Z_a-z~%]/g;

/** Characters that end a value of a query or have another meaning there. */
const SEPARATORS = /[&=+;]/g;

export interface PathEdit {
  /** The changed path with query, or undefined if it does not change. */
  apply(target: string): string | undefined;
}

/** Undefined if the path is kept. */
export function compilePathEdit(edit: PathEditSnapshot): PathEdit | undefined {
  if (edit.kind === 'keep') return undefined;
  return edit.kind === 'prefix' ? new PrefixEdit(edit.prefix, edit.replacement) : new PatternEdit(edit.pattern, edit.replacement);
}

/** `/api` to `/v2`: `/api/x?q` becomes `/v2/x?q`; at segment borders only. */
class PrefixEdit implements PathEdit {
  private readonly prefix: string;
  private readonly replacement: string;

  constructor(prefix: string, replacement: string) {
    this.prefix = prefix.replace(/\/$/, '');
    this.replacement = replacement;
  }

  apply(target: string): string | undefined {
    if (!target.startsWith(this.prefix)) return undefined;
    const rest = target.slice(this.prefix.length);
    if (rest !== '' && rest[0] !== '/' && rest[0] !== '?') return undefined;
    if (rest[0] === '/') return this.replacement.replace(/\/+$/, '') + rest;
    return (this.replacement === '' ? '/' : this.replacement) + rest;
  }
}

class PatternEdit implements PathEdit {
  private readonly engine: ReturnType<RE2JS['re2']>;
  /** Literal text, and numbers of groups. */
  private readonly pieces: readonly (string | number)[];

  constructor(pattern: string, replacement: string) {
    this.engine = RE2JS.compile(pattern).re2();
    this.pieces = piecesOf(replacement);
  }

  apply(target: string): string | undefined {
    const mark = target.indexOf('?');
    const path = mark === -1 ? target : target.slice(0, mark);
    // A Matcher would run a second search for the groups.
    const places = this.engine.findSubmatchIndex(path) as number[] | null;
    if (places === null) return undefined;
    let changed = path.slice(0, places[0]);
    let isQuery = false;
    for (const piece of this.pieces) {
      if (typeof piece === 'string') {
        changed += piece;
        isQuery ||= piece.includes('?');
        continue;
      }
      // A group that did not take part has the index -1.
      if ((places[piece * 2] ?? -1) < 0) continue;
      const found = path.slice(places[piece * 2], places[piece * 2 + 1]);
      // A piece of a path becomes one query value: it must not begin another.
      changed += isQuery ? found.replace(SEPARATORS, encode) : found;
    }
    const rest = path.slice(places[1]);
    changed += isQuery ? rest.replace(SEPARATORS, encode) : rest;
    return validPath(changed, mark === -1 ? '' : target.slice(mark + 1), mark !== -1);
  }
}

/** `$1` to `$9` are groups, `$$` is a dollar. */
function piecesOf(replacement: string): (string | number)[] {
  return replacement
    .split(/(\$[$1-9])/)
    .map((piece) => (piece === '$$' ? '$' : /^\$[1-9]$/.test(piece) ? Number(piece[1]) : piece))
    .filter((piece) => piece !== '');
}

/** The path followed by the query; undefined if it could not be sent. */
function validPath(changed: string, query: string, hasQuery: boolean): string | undefined {
  const path = (changed.startsWith('//') ? changed.replace(/^\/+/, '/') : changed).replace(ENCODED, encode);
  if (!path.startsWith('/') || path.length + query.length > MAX_EDITED_BYTES) return undefined;
  const mark = path.indexOf('?');
  const segments = mark === -1 ? path : path.slice(0, mark);
  if ((path.includes('%') && /%(?![0-9A-Fa-f]{2})/.test(segments)) || hasDots(segments)) return undefined;
  if (!hasQuery) return path;
  return `${path}${mark === -1 ? '?' : '&'}${query}`;
}

/** A segment `.` or `..`, even escaped or with parameters, means the parent to some backends. */
function hasDots(path: string): boolean {
  return (path.includes('/.') || path.includes('%')) && /(?:\/|%2f|%5c)(?:\.|%2e){1,2}(?:[/;]|%2f|%5c|$)/i.test(path);
}

function encode(char: string): string {
  return `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}
