/**
 * Figures to read: the table, the JSON beside it, and the section of docs/performance.md between
 * its marks.
 */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { Case } from './cases.ts';

/** Every repetition of a case, by proxy; null where a repetition gave no figure. */
export type Figures = Record<string, Record<string, (number | null)[]>>;

/** One line of the table. */
export interface Row {
  readonly key: string;
  readonly title: string;
  readonly unit: string;
  readonly ours: Spread | null;
  readonly peer: Spread | null;
  /** Median of ours over median of the peer's. */
  readonly ratio: number | null;
  readonly goal: string;
  readonly isMet: boolean | null;
}

/** Least and median of the repetitions. */
export interface Spread {
  readonly least: number;
  readonly median: number;
}

/** Marks of a section of the page. */
const marks = (name: string): [begin: string, end: string] => [`<!-- ${name}:begin -->`, `<!-- ${name}:end -->`];

/** Compares ours with the peer's, case by case. */
export function compare(cases: readonly Case[], figures: Figures, ourName: string, peerName: string): Row[] {
  return cases.map(({ key, title, unit, goal }) => {
    const ours = spread(figures[ourName]?.[key] ?? []);
    const peer = spread(figures[peerName]?.[key] ?? []);
    const ratio = ours !== null && peer !== null ? ours.median / peer.median : null;
    const isMet = 'most' in goal ? ours && ours.median <= goal.most : ratio === null ? null : ratio <= goal.ratio;
    return { key, title, unit, ours, peer, ratio, goal: 'most' in goal ? `≤ ${goal.most} ${unit}` : `≤ ${goal.ratio} ×`, isMet };
  });
}

/** A Markdown table, least / median in each cell. */
export function table(rows: readonly Row[], ourName: string, peerName: string): string {
  const cell = (spread: Spread | null, unit: string): string =>
    spread === null ? '–' : `${number(spread.least)} / ${number(spread.median)} ${unit}`;
  const lines = rows.map(
    ({ title, unit, ours, peer, ratio, goal, isMet }) =>
      `| ${title} | ${cell(ours, unit)} | ${cell(peer, unit)} | ${ratio === null ? '–' : ratio.toFixed(2)} | ${goal} | ${isMet === null ? '–' : isMet ? 'yes' : 'no'} |`,
  );
  return [`| least / median | ${ourName} | ${peerName} | ratio | goal | met |`, '|---|---|---|---|---|---|', ...lines].join('\n');
}

/** Replaces what stands between the marks of a page; a page without marks is left alone. */
export function writeSection(path: string, section: string, name = 'bench'): boolean {
  const [first, last] = marks(name);
  const page = existsSync(path) ? readFileSync(path, 'utf8') : '';
  const [begin, end] = [page.indexOf(first), page.indexOf(last)];
  if (begin === -1 || end < begin) return false;
  writeFileSync(path, `${page.slice(0, begin + first.length)}\n\n${section}\n\n${page.slice(end)}`);
  return true;
}

function spread(values: readonly (number | null)[]): Spread | null {
  const sorted = values.filter((value) => value !== null).sort((a, b) => a - b);
  const least = sorted[0];
  if (least === undefined) return null;
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? least;
  const median = sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
  return { least, median };
}

function number(value: number): string {
  return value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0);
}
