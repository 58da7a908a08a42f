/** `upstreams.<name>.limits` and the budgets: how much an upstream is asked to do at once, and how much more retries may add to it. */

import { optional, section } from './groups.ts';
import { bulkheadKeys } from './limit.ts';
import { choice, decimal, duration, integer, share } from './values.ts';

const adaptive = optional('A limit of exchanges in flight that follows the latency, beside `in_flight`.', {
  algorithm: choice(['gradient', 'aimd'], {
    fallback: 'gradient',
    prose: '`gradient` compares the latency with the best it has seen; `aimd` grows by one and shrinks by a tenth when an answer is late.',
  }),
  initial: integer({ min: 1, max: 100_000, fallback: 32, prose: 'Limit to begin with.' }),
  min: integer({ min: 1, max: 100_000, fallback: 4, prose: 'Never less.' }),
  max: integer({ min: 1, max: 100_000, fallback: 1024, prose: 'Never more.' }),
  target: duration({ min: '1ms', max: '10m', fallback: '500ms', prose: 'For `aimd`: an answer that takes longer is late.' }),
  tolerance: decimal({
    min: 1,
    max: 10,
    fallback: 1.5,
    prose: 'For `gradient`: how many times the best latency is still good.',
  }),
  brownout: section('Where each priority begins to be turned away, as a share of the limit. `critical` only at the limit itself.', {
    low: share({ fallback: 0.7, prose: 'For `low`.' }),
    normal: share({ fallback: 0.9, prose: 'For `normal`.' }),
    high: share({ fallback: 0.95, prose: 'For `high`.' }),
  }),
});

export const limits = section('How many exchanges the upstream has at once, from all routes.', { ...bulkheadKeys, adaptive });

const budget = (prose: string, ratio: number, perSecond: number) =>
  section(prose, {
    ratio: share({ fallback: ratio, prose: 'Share of the requests of the window.' }),
    min_per_second: decimal({ min: 0, max: 100_000, fallback: perSecond, prose: 'So many a second are allowed whatever the share.' }),
    window: duration({ min: '1s', max: '5m', fallback: '10s', prose: 'The window.' }),
  });

export const retryBudget = budget(
  'Retries there may be, for all shards, so that a failing upstream is not asked several times as much as a sound one.',
  0.2,
  10,
);

export const hedgeBudget = budget('Hedges there may be, in the same way.', 0.05, 1);
