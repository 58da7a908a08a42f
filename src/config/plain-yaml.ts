/**
 * The YAML that configurations are written in, read in one pass and without positions: block mappings and lists, flow ones on one line (or as
 * the whole document, as JSON is), plain and quoted scalars, literal blocks. Everything else, and everything that is not quite right, is left to the
 * parser that knows all of YAML and says what is wrong. So this one may give up whenever it likes, but what it gives is what the other would.
 */

/** Deeper is left to the other. */
const MAX_DEPTH = 48;
/** Texts that are the same are one string, up to this length. */
const MAX_SHARED = 64;

const LINE = 0x0a;
const SPACE = 0x20;
const QUOTE = 0x22;
const HASH = 0x23;
const APOSTROPHE = 0x27;
const COMMA = 0x2c;
const DASH = 0x2d;
const COLON = 0x3a;
const LIST = 0x5b;
const LIST_END = 0x5d;
const PIPE = 0x7c;
const MAPPING = 0x7b;
const MAPPING_END = 0x7d;

/** Line ends and blanks of other kinds, tabs, what is no text, and the mark of an encoding. */
const UNUSUAL = /[^\n -~\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd]/;
const KEY = /[A-Za-z_][\w./-]*(?=:[ \n])/y;
/** What a plain scalar may begin with here; a dash or a colon only before something else than a blank. */
const PLAIN_BEGIN = /[\w./$^(+~\\=<]|[-:](?![ \n,[\]{}])/y;
const NUMBER = /^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/;
const WORDS: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ...['~', 'null', 'Null', 'NULL'].map((word) => [word, null] as const),
  ...['true', 'True', 'TRUE'].map((word) => [word, true] as const),
  ...['false', 'False', 'FALSE'].map((word) => [word, false] as const),
]);
/** Escapes that YAML has from JSON; it has more. */
const JSON_ESCAPES = /^(?:[^\\]|\\(?:["\\/bfnrt]|u(?!d[89a-f])[0-9a-f]{4}))*$/i;

/** Thrown to give up. */
const OTHER = Symbol('left to the other parser');

/** What a text says, or undefined where it is left to the other parser. The root is a mapping or a list. */
export function parsePlainYaml(text: string): { readonly value: unknown } | undefined {
  if (UNUSUAL.test(text)) return undefined;
  try {
    return { value: new Reader(text).document() };
  } catch (error) {
    if (error === OTHER) return undefined;
    throw error;
  }
}

class Reader {
  private readonly text: string;
  private at = 0;
  /** Column of the line that is read, or of the next one, after `nextLine`; -1 at the end. */
  private indent: number = 0;
  private depth = 0;
  private readonly shared = new Map<string, string>();

  constructor(text: string) {
    // One end for the last line, so that no look ahead runs out of the text.
    this.text = text.endsWith('\n') ? text : `${text}\n`;
  }

  document(): unknown {
    if (this.text.startsWith('---\n')) this.at = 4;
    this.nextLine();
    if ((this.indent as number) !== 0) throw OTHER;
    const first = this.code();
    let value: unknown;
    if (first === MAPPING || first === LIST) {
      value = this.flow(true);
      this.skipFlow(true);
      if (this.at < this.text.length) throw OTHER;
      return value;
    }
    value = this.block(0);
    if (this.indent !== -1) throw OTHER;
    return value;
  }

  private code(ahead = 0): number {
    return this.text.charCodeAt(this.at + ahead);
  }

  /** Goes to the first character of the next line that says something; `at` is at the beginning of a line. */
  private nextLine(): void {
    const { text } = this;
    for (;;) {
      if (this.at >= text.length) {
        this.indent = -1;
        return;
      }
      const begin = this.at;
      while (text.charCodeAt(this.at) === SPACE) this.at += 1;
      const code = text.charCodeAt(this.at);
      if (code === LINE) this.at += 1;
      else if (code === HASH) this.at = text.indexOf('\n', this.at) + 1;
      else {
        this.indent = this.at - begin;
        // Marks of documents; a directive is no key.
        if (this.indent === 0 && (text.startsWith('---', begin) || text.startsWith('...', begin))) throw OTHER;
        return;
      }
    }
  }

  /** What is left of a line must say nothing. */
  private endLine(): void {
    const { text } = this;
    while (text.charCodeAt(this.at) === SPACE) this.at += 1;
    const code = text.charCodeAt(this.at);
    if (code === HASH && text.charCodeAt(this.at - 1) === SPACE) this.at = text.indexOf('\n', this.at);
    else if (code !== LINE) throw OTHER;
    this.at += 1;
    this.nextLine();
  }

  /** A mapping or a list whose entries begin in column `indent`, at the first of them. */
  private block(indent: number): unknown {
    if (++this.depth > MAX_DEPTH) throw OTHER;
    const value = this.isDash() ? this.list(indent) : this.mapping(indent);
    this.depth -= 1;
    return value;
  }

  private isDash(): boolean {
    return this.code() === DASH && (this.code(1) === SPACE || this.code(1) === LINE);
  }

  private list(indent: number): unknown[] {
    const items: unknown[] = [];
    do {
      if (!this.isDash()) {
        // A mapping goes on behind a list that is as far in as its keys; anything else is a mistake.
        return items;
      }
      this.at += 1;
      const begin = this.at;
      while (this.code() === SPACE) this.at += 1;
      const code = this.code();
      if (code === LINE || code === HASH) items.push(this.below(indent, false));
      else if (this.isDash()) throw OTHER;
      else if (this.isKey()) {
        const column = indent + 1 + this.at - begin;
        this.indent = column;
        items.push(this.block(column));
      } else items.push(this.value(indent));
    } while (this.indent === indent);
    if (this.indent > indent) throw OTHER;
    return items;
  }

  private mapping(indent: number): Record<string, unknown> {
    const entries: Record<string, unknown> = {};
    do {
      const key = this.key();
      if (Object.hasOwn(entries, key)) throw OTHER;
      this.at += 1;
      while (this.code() === SPACE) this.at += 1;
      const code = this.code();
      if (code === LINE || (code === HASH && this.code(-1) === SPACE)) entries[key] = this.below(indent, true);
      else entries[key] = this.value(indent);
    } while (this.indent === indent && !this.isDash());
    if (this.indent > indent || (this.indent === indent && this.isDash())) throw OTHER;
    return entries;
  }

  /** What stands in the lines below a key or a dash. A list below a key may be as far in as the key. */
  private below(indent: number, isKey: boolean): unknown {
    this.endLine();
    const isList = isKey && this.indent === indent && this.isDash();
    if (this.indent > indent || isList) {
      if (!isList && !this.isDash() && !this.isKey()) throw OTHER;
      return this.block(this.indent);
    }
    return null;
  }

  private isKey(): boolean {
    KEY.lastIndex = this.at;
    return KEY.test(this.text);
  }

  private key(): string {
    if (!this.isKey()) throw OTHER;
    return this.take(KEY.lastIndex);
  }

  /** The text up to `end`; a key that a prototype has is left to the other. */
  private take(end: number): string {
    const text = this.share(this.text.slice(this.at, end));
    if (text === '__proto__') throw OTHER;
    this.at = end;
    return text;
  }

  /** A value that begins on this line, in a block of column `indent`; goes to the next line. */
  private value(indent: number): unknown {
    const code = this.code();
    if (code === PIPE) return this.literal(indent);
    const value =
      code === MAPPING || code === LIST ? this.flow(false) : code === QUOTE || code === APOSTROPHE ? this.quoted() : this.plain(false);
    this.endLine();
    // A plain scalar would go on there, and anything else is a mistake.
    if (this.indent > indent) throw OTHER;
    return value;
  }

  private plain(isFlow: boolean): unknown {
    PLAIN_BEGIN.lastIndex = this.at;
    if (!PLAIN_BEGIN.test(this.text)) throw OTHER;
    const { text } = this;
    let end = this.at;
    for (; ; end++) {
      const code = text.charCodeAt(end);
      if (code === LINE) break;
      if (code === HASH && text.charCodeAt(end - 1) === SPACE) break;
      if (code === COLON) {
        const next = text.charCodeAt(end + 1);
        if (next === SPACE || next === LINE) throw OTHER;
        if (isFlow && isFlowMark(next)) throw OTHER;
      }
      if (isFlow && isFlowMark(code)) break;
    }
    const stop = end;
    while (text.charCodeAt(end - 1) === SPACE) end -= 1;
    const word = text.slice(this.at, end);
    this.at = isFlow ? stop : end;
    return this.meaning(word);
  }

  /** YAML's core schema. */
  private meaning(word: string): unknown {
    const first = word.charCodeAt(0);
    // Digits, a sign or a dot: a number, or a text that begins like one.
    if ((first >= 0x30 && first <= 0x39) || first === 0x2b || first === DASH || first === 0x2e) {
      if (NUMBER.test(word)) {
        const number = Number(word);
        if (number === 0 || !Number.isFinite(number)) return word === '0' ? 0 : giveUp();
        return number;
      }
      if (/^(?:0[xo]|[-+]?\.(?:inf|nan))/i.test(word)) throw OTHER;
      return this.share(word);
    }
    return WORDS.has(word) ? WORDS.get(word) : this.share(word);
  }

  private quoted(): string {
    const { text } = this;
    const mark = this.code() === QUOTE ? '"' : "'";
    let end = this.at + 1;
    let isEscaped = false;
    for (; ; end++) {
      const code = text.charCodeAt(end);
      if (code === LINE) throw OTHER;
      if (mark === '"' && code === 0x5c) {
        isEscaped = true;
        end += 1;
        if (text.charCodeAt(end) === LINE) throw OTHER;
      } else if (code === mark.charCodeAt(0)) {
        if (mark === '"' || text.charCodeAt(end + 1) !== APOSTROPHE) break;
        isEscaped = true;
        end += 1;
      }
    }
    const inner = text.slice(this.at + 1, end);
    this.at = end + 1;
    if (!isEscaped) return this.share(inner);
    if (mark === "'") return this.share(inner.replaceAll("''", "'"));
    if (!JSON_ESCAPES.test(inner)) throw OTHER;
    return this.share(JSON.parse(`"${inner}"`) as string);
  }

  /** `|` or `|-` at the end of a line, and the lines below that are further in. */
  private literal(indent: number): string {
    const { text } = this;
    this.at += 1;
    const isStripped = this.code() === DASH;
    if (isStripped) this.at += 1;
    if (this.code() !== LINE) throw OTHER;
    this.at += 1;
    const lines: string[] = [];
    let column = -1;
    for (;;) {
      const end = text.indexOf('\n', this.at);
      if (end === -1) break;
      let first = this.at;
      while (text.charCodeAt(first) === SPACE) first += 1;
      const found = first - this.at;
      // Where lines are empty it depends on what is around them.
      if (first === end) throw OTHER;
      if (column === -1) column = found;
      if (found <= indent) break;
      if (found < column) throw OTHER;
      lines.push(text.slice(this.at + column, end));
      this.at = end + 1;
    }
    if (lines.length === 0) throw OTHER;
    this.nextLine();
    if (this.indent > indent) throw OTHER;
    return isStripped ? lines.join('\n') : `${lines.join('\n')}\n`;
  }

  /** `{…}` or `[…]`; over several lines where it is the whole document. */
  private flow(isWhole: boolean): unknown {
    if (++this.depth > MAX_DEPTH) throw OTHER;
    const isList = this.code() === LIST;
    const end = isList ? LIST_END : MAPPING_END;
    const items: unknown[] = [];
    const entries: Record<string, unknown> = {};
    this.at += 1;
    this.skipFlow(isWhole);
    while (this.code() !== end) {
      if (isList) items.push(this.flowValue(isWhole));
      else {
        const key = this.flowKey();
        if (Object.hasOwn(entries, key)) throw OTHER;
        this.skipFlow(isWhole);
        entries[key] = this.flowValue(isWhole);
      }
      this.skipFlow(isWhole);
      if (this.code() === COMMA) {
        this.at += 1;
        this.skipFlow(isWhole);
      } else if (this.code() !== end) throw OTHER;
    }
    this.at += 1;
    this.depth -= 1;
    return isList ? items : entries;
  }

  private flowKey(): string {
    if (this.code() === QUOTE) {
      const key = this.quoted();
      if (this.code() !== COLON || key === '__proto__' || key === '') throw OTHER;
      this.at += 1;
      return key;
    }
    const key = this.key();
    this.at += 1;
    return key;
  }

  private flowValue(isWhole: boolean): unknown {
    const code = this.code();
    if (code === MAPPING || code === LIST) return this.flow(isWhole);
    const value = code === QUOTE || code === APOSTROPHE ? this.quoted() : this.plain(true);
    // Of two entries without a comma, and of a pair in a list.
    if (this.code() === COLON) throw OTHER;
    return value;
  }

  private skipFlow(isWhole: boolean): void {
    for (;;) {
      const code = this.code();
      if (code !== SPACE && !(isWhole && code === LINE)) return;
      this.at += 1;
    }
  }

  private share(word: string): string {
    if (word.length > MAX_SHARED) return word;
    const known = this.shared.get(word);
    if (known !== undefined) return known;
    this.shared.set(word, word);
    return word;
  }
}

function isFlowMark(code: number): boolean {
  return code === COMMA || code === LIST || code === LIST_END || code === MAPPING || code === MAPPING_END;
}

function giveUp(): never {
  throw OTHER;
}
