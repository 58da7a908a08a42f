/**
 * `lychgate_events_total`: counted on the main thread, where all events come together, those of
 * lanes and its own.
 */
import type { Registry } from 'prom-client';
import { NO_UPSTREAM_LABEL } from '../../observe/counters.ts';
import type { Family } from '../../observe/families.ts';
import type { Events } from '../events.ts';
import { addFamily } from './add-family.ts';

/** The family as the reference page describes it. */
const EVENT_FAMILY: Family = {
  name: 'lychgate_events_total',
  kind: 'counter',
  help: 'Events, as /v1/events tells them.',
  labels: ['upstream', 'event'],
};

/** Adds the family to `registry`. Series appear with their first event. */
export function addEventMetric(registry: Registry, events: Pick<Events, 'counts'>): void {
  addFamily(registry, EVENT_FAMILY, (put) => {
    for (const { upstream, event, count } of events.counts()) put({ upstream: upstream || NO_UPSTREAM_LABEL, event }, count);
  });
}
