/**
 * `upstreams.<name>.limits` and the budgets: how much an upstream is asked to do at once, and how
 * much more retries may add to it.
 */

import { optional, section } from './groups.ts';
import { bulkheadKeys } from './limit.ts';
import { choice, decimal, duration, flag, integer, share } from './values.ts';

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

const overload = section(
  'What is done when a queue stands before the backends: so many are in flight as they can work on, the others wait at the edge. Not where `in_flight` or `adaptive` says how many may be.',
  {
    enabled: flag({ fallback: true, prose: 'Whether anything is done.' }),
    target: duration({
      min: '1ms',
      max: '1m',
      fallback: '100ms',
      prose: 'A queue stands when the quickest answers take longer than without one by this and by half of what they take without.',
    }),
    queue: integer({
      min: 1,
      max: 100_000,
      fallback: 10_000,
      prose: 'Exchanges that may wait, in all shards together. Their bodies are not read meanwhile.',
    }),
    max_wait: duration({
      min: '10ms',
      max: '1m',
      fallback: '5s',
      prose:
        'Who waits longer gets 503. Those who wait are served in order; the line does not end when for two fifths of this nobody has waited less than a fifth, or when more leave it than are served.',
    }),
    standing_wait: duration({
      min: '1ms',
      max: '1m',
      fallback: '200ms',
      prose: 'The same while the line does not end: then those who came last are served first.',
    }),
  },
);

export const limits = section('How many exchanges the upstream has at once, from all routes.', { ...bulkheadKeys, adaptive, overload });

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
