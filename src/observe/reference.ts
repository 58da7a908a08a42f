/**
 * The reference pages that are made from code: docs/errors.md from the error registry,
 * docs/metrics.md from the metric families. A test compares the pages with these texts;
 * `WRITE_REFERENCE=1` makes it write them instead.
 */

import { ADMIN_ERRORS, PROCESS_ERRORS, REASONS, type Retry } from '../base/errors.ts';
import { filled } from '../base/fill.ts';
import { NOTES } from '../base/notes.ts';
import { FAMILIES } from './families.ts';

/** What the page says of a family. */
export interface DescribedFamily {
  readonly name: string;
  readonly kind: string;
  readonly help: string;
  readonly labels: readonly string[];
}

const RETRY: Record<Retry, string> = {
  never: 'never',
  'if-unsent': 'if nothing was sent',
  safe: 'if nothing was sent, or the method is idempotent',
};

/** Columns of a page. */
const COLUMNS = 120;

/** Text of docs/errors.md. */
export function errorsPage(): string {
  return `${[
    '# Errors',
    '',
    ...paragraph(
      'Made from `src/base/errors.ts`. The code of a reason stands in the `reason` of an access line, in the `reason` label of metrics and in the body of answers that',
      'the edge gives itself: `{"error":"route_not_found","status":404,"request_id":"…"}`. The number is its form in records and never changes.',
    ),
    '',
    '## Reasons of exchanges',
    '',
    ...paragraph(
      'A failed attempt is made again at another backend as long as its route allows (`retries`), if the request can be replayed and the last column agrees.',
      'A status of – is never sent: the client is gone, or the code says nothing about the answer.',
    ),
    '',
    '| code | number | side | status | what happened | another attempt |',
    '|---|---|---|---|---|---|',
    ...REASONS.filter((row) => row.number !== 0).map(
      (row) =>
        `| \`${row.code}\` | ${row.number} | ${row.side} | ${row.status === 0 ? '–' : row.status} | ${row.title} | ${RETRY[row.retry]} |`,
    ),
    '',
    '## Errors of the process',
    '',
    'These end a command or refuse a configuration; no client sees them.',
    '',
    '| code | side | what happened |',
    '|---|---|---|',
    ...PROCESS_ERRORS.map((row) => `| \`${row.code}\` | ${row.side} | ${row.title} |`),
    '',
    '## Errors of the admin API',
    '',
    ...paragraph(
      'Its refusals are `{"error":"value_not_valid","status":400,"detail":"weight: -1 lies outside the range; expected a whole number from 0 to 10000"}`;',
      '`detail` stands where there is more to say than the code does.',
    ),
    '',
    '| code | status | what happened |',
    '|---|---|---|',
    ...ADMIN_ERRORS.map((row) => `| \`${row.code}\` | ${row.status} | ${row.title} |`),
  ].join('\n')}\n`;
}

/** Text of docs/events.md. */
export function eventsPage(): string {
  const rows = (isEvent: boolean) =>
    NOTES.filter((note) => note.isEvent === isEvent).map(
      ({ code, title, isSampled }) => `| \`${code}\`${isSampled ? ' *' : ''} | ${title} |`,
    );
  return `${[
    '# Events and notes',
    '',
    ...paragraph(
      'Made from `src/base/notes.ts`. Every decision that is not the plain one, and every change in the standing of a backend, a limit or a budget has a code here.',
    ),
    '',
    '## Events',
    '',
    ...paragraph(
      'Rare enough for a line of their own. `GET /v1/events` of the admin API streams them (server-sent events; `Last-Event-ID` or `?after=` asks for what was missed, `?event=` and',
      '`?upstream=` narrow it), `lychgate events` shows them, the log has a line for each (target `events`), `lychgate_events_total` counts them, and code that embeds the edge subscribes',
      'to `edge.events` (`lychgate/edge`). The last 1,024 are kept. Those that would come with every request, marked *, are told of at most once a second, by shard and upstream; the families of',
      '[metrics.md](metrics.md) count all of them.',
    ),
    '',
    '    id: 7',
    '    event: breaker_opened',
    '    data: {"id":7,"at":"2026-01-01T12:00:00.000Z","event":"breaker_opened","upstream":"web","backend":"h2c://10.0.0.1:9000","reason":"connect_failed"}',
    '',
    '| event | what happened |',
    '|---|---|',
    ...rows(true),
    '',
    '## Notes',
    '',
    'Counted by upstream, in the families that [metrics.md](metrics.md) names.',
    '',
    '| note | what happened |',
    '|---|---|',
    ...rows(false),
  ].join('\n')}\n`;
}

/**
 * Text of docs/metrics.md; `reactor` are the families the addon describes, `main` those of the main
 * thread.
 */
export function metricsPage(reactor: readonly DescribedFamily[], main: readonly DescribedFamily[]): string {
  return `${[
    '# Metrics',
    '',
    ...paragraph(
      'Made from `src/observe/families.ts` and `native/core/src/base/counters.rs`. `GET /metrics` of the admin API gives them in the Prometheus text format. Counting costs no message and no',
      'lock: each shard adds to a table in shared memory, and a scrape reads the tables.',
    ),
    '',
    ...paragraph(
      'The unit stands in the name: `_seconds`, `_bytes`, `_ratio`; what has none is a number of things. Label values are names of the configuration, codes of [errors.md](errors.md) and shard numbers, so their number is bounded; routes beyond the',
      'first 512 are counted together as `(other)`, requests without a route as `(none)`. Series of a reason appear with its first failure, all others are there from the start.',
    ),
    '',
    '## Exchanges, attempts and the lane',
    '',
    ...table(Object.values(FAMILIES)),
    '',
    '## Reactor',
    '',
    ...table(reactor),
    '',
    '## Main thread',
    '',
    ...table(main),
  ].join('\n')}\n`;
}

function table(families: readonly DescribedFamily[]): string[] {
  return [
    '| metric | kind | labels | what |',
    '|---|---|---|---|',
    ...families.map(
      ({ name, kind, labels, help }) =>
        `| \`${name}\` | ${kind} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help.replaceAll('|', '\\|')} |`,
    ),
  ];
}

function paragraph(...parts: readonly string[]): string[] {
  return filled(parts.join(' '), COLUMNS, { first: '', rest: '' });
}
