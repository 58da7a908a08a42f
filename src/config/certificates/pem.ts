/**
 * PEM as tools write it: Windows line ends, a byte order mark, text before and between blocks,
 * blanks at the ends of lines, parameters beside a key, certificates and keys in one file. What
 * comes out is clean, so that whoever parses it next meets one form.
 */

/** One block of a file. */
export interface PemBlock {
  /** Such as `CERTIFICATE`. */
  readonly label: string;
  /** From BEGIN to END, `\n` at the end of every line. */
  readonly text: string;
}

const BOUNDARY = /^-----(BEGIN|END) ([A-Z0-9 ]+)-----$/;

/**
 * Blocks in their order, or why the file cannot be all there is. Text outside of blocks is passed
 * over.
 */
export function readPem(text: string): PemBlock[] | string {
  // What UTF-8 makes of a DER sequence with a long length.
  if (/^0[\ufffd\u0080-\uffff]/.test(text)) return 'is binary (DER or PKCS#12), not PEM';
  const blocks: PemBlock[] = [];
  let open: { label: string; line: number; lines: string[] } | undefined;
  for (const [place, raw] of text
    .replace(/^\ufeff/, '')
    .split(/\r\n|\r|\n/)
    .entries()) {
    const line = raw.trim();
    const [, kind, label = ''] = BOUNDARY.exec(line) ?? [];
    if (kind === 'BEGIN' && open === undefined) open = { label, line: place + 1, lines: [line] };
    else if (open !== undefined) {
      if (kind === 'BEGIN') return cutOff(open);
      open.lines.push(line);
      if (kind !== 'END') continue;
      if (label !== open.label) return cutOff(open);
      blocks.push({ label, text: `${open.lines.join('\n')}\n` });
      open = undefined;
    }
  }
  return open === undefined ? blocks : cutOff(open);
}

function cutOff({ label, line }: { readonly label: string; readonly line: number }): string {
  return `the ${label} that begins on line ${line} has no end: the file is cut off`;
}
