/**
 * Changes of a path, as text: for redirects, for paths rewritten by pattern, and for those who ask
 * what a route would do. What a plan does by itself (`prefix`) is done by the reactor in the same
 * way (`native/core/src/plan/edit.rs`).
 *
 * A path that comes out of a pattern is looked at before it goes anywhere: pieces of a client's
 * path, put together anew, must not become one that the client could not have sent.
 */

import { RE2JS } from 're2js';
import type { PathEditSnapshot } from '../../config/snapshot/route.ts';

/** Longer paths than this are left as they were. */
export const MAX_EDITED_BYTES = 16_384;

/**
 * What may stand in a path and in a query beside `%`; the rest is percent-encoded (RFC 3986 §3.3).
 */
const ENCODED = /[^!$&'()*+,\-./0-9:;=?@A-Z_a-z~%]/g;

/** What ends a value of a query, or is read as something else there. */
const SEPARATORS = /[&=+;]/g;

export interface PathEdit {
  /** The changed path with query, or undefined when it stays as it is. */
  apply(target: string): string | undefined;
}

/** Undefined where the path is kept. */
export function compilePathEdit(edit: PathEditSnapshot): PathEdit | undefined {
  if (edit.kind === 'keep') return undefined;
  return edit.kind === 'prefix' ? new PrefixEdit(edit.prefix, edit.replacement) : new PatternEdit(edit.pattern, edit.replacement);
}

/** `/api` to `/v2`: `/api/x?q` becomes `/v2/x?q`; on segment borders only. */
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
    // A Matcher would find the groups by a second search.
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
      // A group that takes no part stands at -1.
      if ((places[piece * 2] ?? -1) < 0) continue;
      const found = path.slice(places[piece * 2], places[piece * 2 + 1]);
      // A piece of a path is one value of a query: it must not begin another.
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

/** The path with the query behind it, undefined when it is none that could be sent. */
function validPath(changed: string, query: string, hasQuery: boolean): string | undefined {
  const path = (changed.startsWith('//') ? changed.replace(/^\/+/, '/') : changed).replace(ENCODED, encode);
  if (!path.startsWith('/') || path.length + query.length > MAX_EDITED_BYTES) return undefined;
  const mark = path.indexOf('?');
  const segments = mark === -1 ? path : path.slice(0, mark);
  if ((path.includes('%') && /%(?![0-9A-Fa-f]{2})/.test(segments)) || hasDots(segments)) return undefined;
  if (!hasQuery) return path;
  return `${path}${mark === -1 ? '?' : '&'}${query}`;
}

/**
 * A segment that is `.` or `..`, also written with escapes or followed by parameters, is a way up
 * for some backend.
 */
function hasDots(path: string): boolean {
  return (path.includes('/.') || path.includes('%')) && /(?:\/|%2f|%5c)(?:\.|%2e){1,2}(?:[/;]|%2f|%5c|$)/i.test(path);
}

function encode(char: string): string {
  return `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}
