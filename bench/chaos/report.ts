/** The tables, for a terminal and for the page. */

import type { Figures } from './measure.ts';
import type { OverloadFigures } from './overload.ts';
import type { Peer } from './peers/peer.ts';
import type { Scenario } from './scenarios.ts';

/** All that a run came to, by proxy. */
export type Results = Record<
  string,
  { version: string; speaks: string; scenarios: Record<string, Figures>; overload: OverloadFigures | null }
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
    '| backend | proxy | kept | under 10 % after | errors | p50 ms | p99 ms | attempts a request | back after |',
    '|---|---|---|---|---|---|---|---|---|',
    ...lines,
  ].join('\n');
}

/** A row for each proxy. */
export function overloadTable(results: Results): string {
  const lines = Object.entries(results).flatMap(([name, { overload }]) => {
    if (overload === null) return [];
    const { peakPerSecond, goodPerSecond, goodShare, p99Ms, honestShare, honestP99Ms, answers } = overload;
    const said = Object.entries(answers).map(([answer, count]) => `${answer} × ${count}`);
    return [
      `| ${name} | ${peakPerSecond.toFixed(0)} | ${goodPerSecond.toFixed(0)} | ${percent(goodShare)} | ${p99Ms.toFixed(0)} | ${percent(honestShare)} | ${honestP99Ms.toFixed(0)} | ${said.join(', ')} |`,
    ];
  });
  return [
    '| proxy | good a second at 1 × | at 5 × | of the peak | p99 of good ms | low-rate client served | its p99 ms | answers to the flood |',
    '|---|---|---|---|---|---|---|---|',
    ...lines,
  ].join('\n');
}

/** Sheds and failures of lychgate under overload, by reason; null when there are none. */
export function reasonLine(results: Results): string | null {
  const reasons = Object.entries(results['lychgate']?.overload?.reasons ?? {});
  return reasons.length === 0 ? null : `lychgate by reason: ${reasons.map(([reason, count]) => `${reason} × ${count}`).join(', ')}`;
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
  const [kept, calm, errors, , p99, , back] = cells(figures);
  return `keeps ${kept}, under 10 % after ${calm}, errors ${errors}, p99 ${p99} ms, back after ${back}`;
}

function cells({ requests, errors, errorsBy, keptShare, attemptsPerRequest, p50Ms, p99Ms, calmAfterMs, backAfterMs }: Figures): string[] {
  const kinds = Object.entries(errorsBy).map(([kind, count]) => `${kind} × ${count}`);
  return [
    percent(keptShare),
    seconds(calmAfterMs),
    errors === 0 ? '0' : `${errors} of ${requests} (${kinds.join(', ')})`,
    p50Ms.toFixed(0),
    p99Ms.toFixed(0),
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
