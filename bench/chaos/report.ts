/** The tables, for a terminal and for the page. */

import type { CalmFigures } from './calm.ts';
import type { Counters } from './counters.ts';
import { type Figures, LATE_MS } from './measure.ts';
import type { OverloadFigures, OverloadKind } from './overload.ts';
import type { Peer } from './peers/peer.ts';
import type { Played } from './play.ts';
import type { Scenario } from './scenarios.ts';

/** All that a run came to, by proxy: every repetition, the bad ones too. */
export type Results = Record<
  string,
  {
    version: string;
    speaks: string;
    scenarios: Record<string, Played[]>;
    overload: Partial<Record<OverloadKind, OverloadFigures[]>>;
    calm?: CalmFigures[];
  }
>;

/** A row for each scenario and proxy; where repetitions differ, from the least to the most. */
export function scenarioTable(scenarios: readonly Scenario[], results: Results, repetitions: number): string {
  const lines = scenarios.flatMap(({ key, title }) =>
    Object.entries(results).flatMap(([name, { scenarios: played }]) => {
      const figures = played[key];
      return figures === undefined ? [] : [`| ${title} | ${name}${gap(figures, repetitions)} | ${cells(figures).join(' | ')} |`];
    }),
  );
  return [
    `| backend | proxy | kept | under 10 % after | errors | p50 ms | p99 ms | over ${LATE_MS} ms | attempts a request | back after |`,
    '|---|---|---|---|---|---|---|---|---|---|',
    ...lines,
  ].join('\n');
}

/**
 * A row for each proxy: what is left of the peak when nobody is limited, and who is served when
 * clients are.
 */
export function overloadTable(kind: OverloadKind, results: Results, repetitions: number): string {
  const lines = Object.entries(results).flatMap(([name, { overload }]) => {
    const figures = overload[kind];
    return figures === undefined
      ? []
      : [`| ${name}${gap(figures, repetitions)} | ${(kind === 'flood' ? floodCells : overloadCells)(figures).join(' | ')} |`];
  });
  const head =
    kind === 'flood'
      ? ['flood', 'low-rate client served', 'its p99 ms', 'flood served a second', 'answers to the flood']
      : [kind, 'good a second at 1 ×', 'at 5 ×', 'of capacity', 'p99 of good ms', 'low-rate client served', 'answers to the load'];
  return [`| ${head.join(' | ')} |`, `|${'---|'.repeat(head.length)}`, ...lines].join('\n');
}

function overloadCells(runs: readonly OverloadFigures[]): string[] {
  return [
    range(runs, ({ peakPerSecond }) => peakPerSecond, whole),
    range(runs, ({ goodPerSecond }) => goodPerSecond, whole),
    range(runs, ({ goodShare }) => goodShare, percent),
    range(runs, ({ p99Ms }) => p99Ms, whole),
    range(runs, ({ honestShare }) => honestShare, percent),
    tally(runs.map(({ answers }) => answers)),
  ];
}

function floodCells(runs: readonly OverloadFigures[]): string[] {
  return [
    range(runs, ({ honestShare }) => honestShare, percent),
    range(runs, ({ honestP99Ms }) => honestP99Ms, whole),
    range(runs, ({ goodPerSecond }) => goodPerSecond, whole),
    tally(runs.map(({ answers }) => answers)),
  ];
}

/** A row for each proxy: who was not served although there was room for all. */
export function calmTable(results: Results, repetitions: number): string {
  const lines = Object.entries(results).flatMap(([name, { calm }]) => {
    if (calm === undefined) return [];
    const cells = [
      range(calm, ({ refused }) => refused, whole),
      range(calm, ({ p50Ms }) => p50Ms, whole),
      range(calm, ({ p99Ms }) => p99Ms, whole),
      tally(calm.map(({ answers }) => answers)),
    ];
    return [`| ${name}${gap(calm, repetitions)} | ${cells.join(' | ')} |`];
  });
  return ['| calm | not served | p50 ms | p99 ms | answers |', '|---|---|---|---|---|', ...lines].join('\n');
}

/** Sheds and failures of lychgate, by reason, over all repetitions; null when there are none. */
export function reasonLine(kind: OverloadKind, results: Results): string | null {
  const prefix = 'request_failures:';
  const runs = results['lychgate']?.overload[kind] ?? [];
  const reasons = runs.map(({ counters }) =>
    Object.fromEntries(
      Object.entries(counters).flatMap(([name, count]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), count]] : [])),
    ),
  );
  const text = tally(reasons);
  return text === '' ? null : `${kind}, lychgate by reason: ${text}`;
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
  const [kept, calm, errors, , p99, late, , back] = cells([figures]);
  return `keeps ${kept}, under 10 % after ${calm}, errors ${errors}, p99 ${p99} ms, late ${late}, back after ${back}`;
}

function cells(runs: readonly Figures[]): string[] {
  const requests = runs.reduce((sum, run) => sum + run.requests, 0);
  const errors = runs.reduce((sum, run) => sum + run.errors, 0);
  return [
    range(runs, ({ keptShare }) => keptShare, percent),
    range(runs, ({ calmAfterMs }) => calmAfterMs ?? Number.POSITIVE_INFINITY, seconds),
    errors === 0 ? '0' : `${errors} of ${requests} (${tally(runs.map(({ errorsBy }) => errorsBy))})`,
    range(runs, ({ p50Ms }) => p50Ms, whole),
    range(runs, ({ p99Ms }) => p99Ms, whole),
    range(runs, ({ late }) => late, whole),
    range(
      runs,
      ({ attemptsPerRequest }) => attemptsPerRequest,
      (value) => value.toFixed(2),
    ),
    range(runs, ({ backAfterMs }) => backAfterMs ?? Number.POSITIVE_INFINITY, seconds),
  ];
}

/** Said where a repetition failed and gave no figures. */
function gap(runs: readonly unknown[], repetitions: number): string {
  return runs.length === repetitions ? '' : ` (${runs.length} of ${repetitions})`;
}

/** From the least to the most of all repetitions: a median would hide the one that went wrong. */
function range<Run>(runs: readonly Run[], pick: (run: Run) => number, format: (value: number) => string): string {
  const values = runs.map(pick);
  const [least, most] = [format(Math.min(...values)), format(Math.max(...values))];
  return least === most ? least : `${least} … ${most}`;
}

/** Counts by name, added up over the repetitions. */
function tally(runs: readonly Readonly<Record<string, number>>[]): string {
  const total: Record<string, number> = {};
  for (const run of runs) for (const [name, count] of Object.entries(run)) total[name] = (total[name] ?? 0) + count;
  return Object.entries(total)
    .map(([name, count]) => `${name} × ${count}`)
    .join(', ');
}

function whole(value: number): string {
  return value.toFixed(0);
}

function percent(share: number): string {
  return `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
}

function seconds(ms: number): string {
  return Number.isFinite(ms) ? `${(ms / 1_000).toFixed(1)} s` : 'never';
}
