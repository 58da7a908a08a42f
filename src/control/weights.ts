/** Weights that people change while the edge runs: names to numbers, and the change told to whoever listens. */

import { noteNumber } from '../base/notes.ts';
import type { Snapshot } from '../config/snapshot.ts';
import { readWeights, setBackendWeight, setTargetWeight } from '../lane/balance/weights.ts';
import type { WeightOrder } from './admin/weights.ts';
import type { Events } from './events.ts';

export interface WeightsInForce {
  readonly backends: readonly {
    readonly upstream: string;
    readonly backend: string;
    readonly configured: number;
    readonly weight: number;
  }[];
  readonly routes: readonly {
    readonly route: string;
    readonly targets: readonly {
      readonly upstream: string;
      readonly subset: Readonly<Record<string, string>>;
      readonly configured: number;
      readonly weight: number;
    }[];
  }[];
}

export interface WeightControl {
  view(): WeightsInForce;
  /** Empty when done, else what is wrong with the order. */
  change(order: WeightOrder): string;
}

const WEIGHT_CHANGED = noteNumber('weight_changed');

export function createWeightControl(snapshot: Snapshot, table: SharedArrayBuffer, events: Pick<Events, 'note'>): WeightControl {
  return {
    view() {
      const now = readWeights(table);
      return {
        backends: snapshot.backends.map(({ upstream, url, weight, slot }) => ({
          upstream,
          backend: url,
          configured: weight,
          weight: now.backends[slot] ?? weight,
        })),
        // A route with one target has nothing to weigh.
        routes: snapshot.routes.flatMap(({ name, targets }, route) =>
          targets.length < 2
            ? []
            : [
                {
                  route: name,
                  targets: targets.map(({ upstream, subset, weight }, target) => ({
                    upstream: snapshot.upstreams[upstream]?.name ?? '',
                    subset,
                    configured: weight,
                    weight: now.targets[route]?.[target] ?? weight,
                  })),
                },
              ],
        ),
      };
    },
    change: (order) => ('route' in order ? changeRoute(order.route, order.weights) : changeBackend(order)),
  };

  function changeBackend({ upstream, backend, weight }: Exclude<WeightOrder, { route: string }>): string {
    const found = snapshot.backends.find((candidate) => candidate.upstream === upstream && candidate.url === backend);
    if (found === undefined) return 'no such backend';
    setBackendWeight(table, found.slot, weight);
    events.note({ note: WEIGHT_CHANGED, upstream: -1, slot: found.slot, detail: weight });
    return '';
  }

  function changeRoute(name: string, weights: readonly number[]): string {
    const route = snapshot.routes.findIndex((candidate) => candidate.name === name);
    const targets = snapshot.routes[route]?.targets ?? [];
    if (route === -1 || targets.length < 2) return 'no such split route';
    if (weights.length !== targets.length) return `the route has ${targets.length} targets`;
    if (weights.every((weight) => weight === 0)) return 'one weight must be above 0';
    for (const [target, weight] of weights.entries()) setTargetWeight(table, route, target, weight);
    events.note({ note: WEIGHT_CHANGED, upstream: -1, slot: -1, detail: 0, text: `${name}: ${weights.join(', ')}` });
    return '';
  }
}
