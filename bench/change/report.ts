/** Figures to read: a line for each play, and the tables of the page. */

import { stripVTControlCharacters } from 'node:util';
import type { Kind } from './peers/peer.ts';
import type { Figures } from './play.ts';

export type Results = { readonly name: string; readonly version: string | null; readonly figures: Partial<Record<Kind, Figures>> }[];

export function summary({ losses, seenAfter, changes, refused, refusal, broken }: Figures): string {
  const { gets, getsFailed, downloadsCut, downloadsHung, closed, hung, moved, connections, connectionsFailed } = losses;
  return [
    `GETs ${getsFailed} of ${gets} failed`,
    `downloads ${downloadsHung} hung, ${downloadsCut} cut`,
    `kept connection ${closed} closed, ${hung} dead, ${moved} moved`,
    `new ${connectionsFailed} of ${connections} failed`,
    `seen ${seenAfter.length} of ${changes} ${seconds(seenAfter)}`,
    ...(refused > 0 ? [`${refused} refused: ${refusal}`] : []),
    ...(broken === undefined ? [] : [`\n    broken: refused ${broken.isRefused}, old served ${broken.isOldServed}: ${broken.text}`]),
    ...(losses.examples.length === 0 ? [] : [`\n    ${losses.examples.join('\n    ')}`]),
  ].join('; ');
}

export function certificatesTable(results: Results): string {
  if (results.every(({ figures }) => figures.certificates === undefined)) return '';
  const lines = results.map(({ name, version, figures: { certificates: figures } }) => {
    if (figures === undefined) return `| ${name} | ${version === null ? 'not to be had' : 'failed'} | | | | | | |`;
    const { by, losses, broken } = figures;
    return `| ${[`${name} ${version}`, by, ...lossCells(figures), seenCell(figures), toldCell(losses === undefined ? undefined : broken)].join(' | ')} |`;
  });
  return [
    '| | by | GETs failed | downloads hung, cut | kept connection closed, dead, moved | new connections failed | new serial after | a pair that does not match |',
    '|---|---|---|---|---|---|---|---|',
    ...lines,
  ].join('\n');
}

export function changesTable(results: Results, kinds: readonly Kind[]): string {
  const lines = kinds.flatMap((kind) =>
    results.flatMap(({ name, version, figures }) => {
      if (version === null) return [];
      const found = figures[kind];
      if (found === undefined) return [`| ${kind} | ${name} | – | | | | | |`];
      const seen = kind === 'client CAs' || kind === 'ticket keys' ? '–' : seenCell(found);
      return [`| ${[kind, name, found.by, ...lossCells(found), seen].join(' | ')} |`];
    }),
  );
  if (lines.length === 0) return '';
  return [
    '| changed | | by | GETs failed | downloads hung, cut | kept connection closed, dead, moved | new connections failed | seen after |',
    '|---|---|---|---|---|---|---|---|',
    ...lines,
  ].join('\n');
}

/** Whether nothing of the edge's clients was lost. */
export function isNothingLost(results: Results): boolean {
  return results
    .filter(({ name }) => name === 'lychgate')
    .flatMap(({ figures }) => Object.values(figures))
    .every(
      ({ losses: { getsFailed, downloadsCut, downloadsHung, closed, hung, connectionsFailed }, refused }) =>
        getsFailed + downloadsCut + downloadsHung + closed + hung + connectionsFailed + refused === 0,
    );
}

function lossCells({ losses }: Figures): string[] {
  const { gets, getsFailed, downloads, downloadsCut, downloadsHung, closed, hung, moved, connections, connectionsFailed } = losses;
  return [
    `${getsFailed} of ${gets}`,
    `${downloadsHung}, ${downloadsCut} of ${downloads}`,
    `${closed}, ${hung}, ${moved}`,
    `${connectionsFailed} of ${connections}`,
  ];
}

function seenCell({ seenAfter, changes }: Figures): string {
  if (seenAfter.length === 0) return 'never in time';
  return `${seconds(seenAfter)}${seenAfter.length < changes ? `; ${changes - seenAfter.length} of ${changes} not before the next` : ''}`;
}

function seconds(values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted.length === 0
    ? ''
    : `${(sorted[Math.floor(sorted.length / 2)] ?? 0).toFixed(2)} s (worst ${(sorted.at(-1) ?? 0).toFixed(2)} s)`;
}

function toldCell(broken: Figures['broken']): string {
  if (broken === undefined) return '–';
  const { isRefused, wasOldServed, isOldServed, text } = broken;
  const said = saidOf(text);
  return `${isRefused ? 'refused' : 'not refused'}, the old one ${isOldServed ? 'serves' : wasOldServed ? '**does not serve**' : 'was not reached before either'}; told: ${said === '' ? 'nothing' : `\`${said}\``}`;
}

/** The line that says what is wrong, without colours, times and folders. */
function saidOf(text: string): string {
  const lines = stripVTControlCharacters(text)
    .split('\n')
    .filter((line) => line.trim() !== '');
  const line = lines.findLast((one) => /error|ERR|FATAL|emerg|match|inconsist|belong/.test(one)) ?? lines[0] ?? '';
  const plain = line
    .replaceAll(/^\W*[\d/T:.Z-]{8,}\W*/g, '')
    .replaceAll(/(?<![\w.])\/\S*\/(?=[^/\s])/g, '')
    .replaceAll('|', '\\|')
    .replaceAll('`', "'")
    .trim();
  return plain.length > 240 ? `…${plain.slice(-240)}` : plain;
}
