/** The tables, for a terminal and for the page. */

import type { Counters } from './counters.ts';
import { type Figures, LATE_MS } from './measure.ts';
import type { OverloadFigures, OverloadKind } from './overload.ts';
import type { Peer } from './peers/peer.ts';
import type { Played } from './play.ts';
import type { Scenario } from './scenarios.ts';

/** All that a run came to, by proxy. */
export type Results = Record<
  string,
  { version: string; speaks: string; scenarios: Record<string, Played>; overload: Partial<Record<OverloadKind, OverloadFigures>> }
>;

/** A row for each scenario and proxy. */
export function scenarioTable(scenarios: readonly Scenario[], results: Results): string {
  const lines = scenarios.flatMap(({ key, title }) =>
    Object.entries(results).flatMap(([name, { scenarios: played }]) => {
      const figures = played[key];
      return figures === undefined ? [] : [`| ${title} | ${name} | ${cells(figures).join(' | ')} |`];
    }),
  );
  return [
    `| backend | proxy | kept | under 10 % after | errors | p50 ms | p99 ms | over ${LATE_MS} ms | attempts a request | back after |`,
    '|---|---|---|---|---|---|---|---|---|---|',
    ...lines,
  ].join('\n');
}

/** A row for each proxy: what is left of the peak when nobody is limited, and who is served when clients are. */
export function overloadTable(kind: OverloadKind, results: Results): string {
  const lines = Object.entries(results).flatMap(([name, { overload }]) => {
    const figures = overload[kind];
    return figures === undefined ? [] : [`| ${name} | ${(kind === 'flood' ? floodCells : overloadCells)(figures).join(' | ')} |`];
  });
  const head =
    kind === 'flood'
      ? ['flood', 'low-rate client served', 'its p99 ms', 'flood served a second', 'answers to the flood']
      : ['overload', 'good a second at 1 ×', 'at 5 ×', 'of capacity', 'p99 of good ms', 'low-rate client served', 'answers to the load'];
  return [`| ${head.join(' | ')} |`, `|${'---|'.repeat(head.length)}`, ...lines].join('\n');
}

function overloadCells({ peakPerSecond, goodPerSecond, goodShare, p99Ms, honestShare, answers }: OverloadFigures): string[] {
  const figures = [peakPerSecond.toFixed(0), goodPerSecond.toFixed(0), percent(goodShare), p99Ms.toFixed(0), percent(honestShare)];
  return [...figures, answersOf(answers)];
}

function floodCells({ goodPerSecond, honestShare, honestP99Ms, answers }: OverloadFigures): string[] {
  return [percent(honestShare), honestP99Ms.toFixed(0), goodPerSecond.toFixed(0), answersOf(answers)];
}

function answersOf(answers: OverloadFigures['answers']): string {
  return Object.entries(answers)
    .map(([answer, count]) => `${answer} × ${count}`)
    .join(', ');
}

/** Sheds and failures of lychgate, by reason; null when there are none. */
export function reasonLine(kind: OverloadKind, results: Results): string | null {
  const prefix = 'request_failures:';
  const reasons = Object.entries(results['lychgate']?.overload[kind]?.counters ?? {}).filter(([name]) => name.startsWith(prefix));
  if (reasons.length === 0) return null;
  return `${kind}, lychgate by reason: ${reasons.map(([name, count]) => `${name.slice(prefix.length)} × ${count}`).join(', ')}`;
}

/** Counters of lychgate in short, for the progress; empty for others. */
export function countersLine(counters: Counters): string {
  return Object.entries(counters)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
}

/** Who took part, and who could not. */
export function roll(peers: readonly Peer[], results: Results): string {
  const lines = peers.map(({ name, source }) => {
    const result = results[name];
    return result === undefined ? `- ${name}: missing (${source})` : `- ${name} ${result.version}: ${result.speaks}`;
  });
  return lines.join('\n');
}

/** One row in short, for the progress. */
export function summary(figures: Figures): string {
  const [kept, calm, errors, , p99, late, , back] = cells(figures);
  return `keeps ${kept}, under 10 % after ${calm}, errors ${errors}, p99 ${p99} ms, late ${late}, back after ${back}`;
}

function cells(figures: Figures): string[] {
  const { requests, errors, errorsBy, keptShare, attemptsPerRequest, p50Ms, p99Ms, late, calmAfterMs, backAfterMs } = figures;
  const kinds = Object.entries(errorsBy).map(([kind, count]) => `${kind} × ${count}`);
  return [
    percent(keptShare),
    seconds(calmAfterMs),
    errors === 0 ? '0' : `${errors} of ${requests} (${kinds.join(', ')})`,
    p50Ms.toFixed(0),
    p99Ms.toFixed(0),
    String(late),
    attemptsPerRequest.toFixed(2),
    seconds(backAfterMs),
  ];
}

function percent(share: number): string {
  return `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
}

function seconds(ms: number | null): string {
  return ms === null ? 'never' : `${(ms / 1_000).toFixed(1)} s`;
}
