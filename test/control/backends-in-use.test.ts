import { Registry } from 'prom-client';
import t from 'tap';
import { addStandingMetrics } from '../../src/control/metrics/standing.ts';
import { viewUpstreams } from '../../src/control/view/upstreams.ts';
import { setBackendWeight } from '../../src/lane/balance/weights.ts';
import { createSharedState } from '../../src/lane/shared.ts';
import { setHealth } from '../../src/lane/standing/health.ts';
import { sampleSnapshot } from '../support/snapshots.ts';

/**
 * What the admin API and a scrape say of `web`, whose two backends have addresses unless
 * `unresolved` says otherwise.
 */
function stand(unresolved: readonly number[] = []) {
  const snapshot = sampleSnapshot();
  const shared = createSharedState(snapshot);
  const addresses = snapshot.backends.map(({ slot, port }) => (unresolved.includes(slot) ? [] : [`127.0.0.1:${port}`]));
  const registry = new Registry();
  addStandingMetrics(registry, { snapshot, shared, addresses: (slot) => addresses[slot]!.length });
  const parts = {
    snapshot,
    shared,
    discovery: {
      publication: () => ({ number: 1, addresses }),
      status: (slot: number) => ({ addresses: addresses[slot]!, resolvedAtMs: 0, failure: '' as const }),
    },
    health: { status: () => undefined },
    trust: { view: () => new Map() },
  };
  return {
    shared,
    seen: async () => {
      const view = viewUpstreams(parts, [])[0]!;
      const { values } = await registry.getSingleMetric('lychgate_upstream_backends_admitted')!.get();
      return {
        admitted: view.admitted,
        scraped: values.find(({ labels }) => labels['upstream'] === view.name)?.value,
        states: view.backends.map(({ state }) => state),
      };
    },
  };
}

t.test('backends that are fit, have an address and a weight are in use', async (t) => {
  t.strictSame(await stand().seen(), { admitted: 2, scraped: 2, states: ['up', 'up'] });
});

t.test('a drained backend is not in use', async (t) => {
  const { shared, seen } = stand();
  setBackendWeight(shared.weights, 0, 0);
  t.strictSame(await seen(), { admitted: 1, scraped: 1, states: ['drained', 'up'] });
});

t.test('nor is one without an address, or one that active checks found down', async (t) => {
  const { shared, seen } = stand([0]);
  t.strictSame(await seen(), { admitted: 1, scraped: 1, states: ['unresolved', 'up'] });
  setHealth(shared.standing, 1, 'down');
  t.strictSame(await seen(), { admitted: 0, scraped: 0, states: ['unresolved', 'down'] });
});
