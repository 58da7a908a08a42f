/**
 * Weights that people change while the edge runs: names to numbers, and the change told to whoever
 * listens.
 */

import { noteNumber } from '../base/notes.ts';
import { backendsOf, routesOf, upstreamsOf } from '../config/numbering/in-use.ts';
import { showValue } from '../config/problem.ts';
import { readWeights, setBackendWeight, setTargetWeight, type WeightState } from '../lane/balance/weights.ts';
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

/** What is asked for; exactly one of the two. */
export type WeightOrder =
  | { readonly upstream: string; readonly backend: string; readonly weight: number }
  | { readonly route: string; readonly weights: readonly number[] };

export interface WeightControl {
  view(): WeightsInForce;
  /** Undefined when done, else what is wrong with the order. */
  change(order: WeightOrder): WeightRefusal | undefined;
}

export interface WeightRefusal {
  readonly error: 'backend_not_found' | 'split_not_found' | 'value_not_valid';
  /** Which value it is about, and what is expected. */
  readonly detail: string;
}

const WEIGHT_CHANGED = noteNumber('weight_changed');

/** `inForce` gives the snapshot and its table. */
export function createWeightControl(inForce: () => WeightState, events: Pick<Events, 'note'>): WeightControl {
  return {
    view() {
      const { snapshot, weights: table } = inForce();
      const now = readWeights(table);
      return {
        backends: backendsOf(snapshot).map(({ upstream, url, weight, slot }) => ({
          upstream,
          backend: url,
          configured: weight,
          weight: now.backends[slot] ?? weight,
        })),
        // A route with one target has nothing to weigh.
        routes: routesOf(snapshot).flatMap(([route, { name, targets }]) =>
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

  function changeBackend({ upstream, backend, weight }: Exclude<WeightOrder, { route: string }>): WeightRefusal | undefined {
    const { snapshot, weights: table } = inForce();
    const found = backendsOf(snapshot).find((candidate) => candidate.upstream === upstream && candidate.url === backend);
    if (found === undefined) {
      const urls = backendsOf(snapshot)
        .filter((candidate) => candidate.upstream === upstream)
        .map(({ url }) => url);
      const detail =
        urls.length === 0
          ? `upstream: ${showValue(upstream)} is no upstream; expected one of ${upstreamsOf(snapshot)
              .map(([, { name }]) => name)
              .join(', ')}`
          : `backend: ${showValue(backend)} is no backend of ${upstream}; expected one of ${urls.join(', ')}`;
      return { error: 'backend_not_found', detail };
    }
    setBackendWeight(table, found.slot, weight);
    events.note({ note: WEIGHT_CHANGED, upstream: -1, slot: found.slot, detail: weight });
    return undefined;
  }

  function changeRoute(name: string, weights: readonly number[]): WeightRefusal | undefined {
    const { snapshot, weights: table } = inForce();
    const [route, { targets }] = routesOf(snapshot).find(([, candidate]) => candidate.name === name) ?? [-1, { targets: [] }];
    if (route === -1 || targets.length < 2) {
      const splits = routesOf(snapshot).flatMap(([, candidate]) => (candidate.targets.length < 2 ? [] : [candidate.name]));
      const expected = splits.length === 0 ? 'none: no route is split' : `one of ${splits.join(', ')}`;
      const why = route === -1 ? 'is no route' : 'is a route with one target';
      return { error: 'split_not_found', detail: `route: ${showValue(name)} ${why}; expected ${expected}` };
    }
    if (weights.length !== targets.length) {
      const detail = `weights: ${weights.length} are given, and the route has ${targets.length} targets; expected one for each`;
      return { error: 'value_not_valid', detail };
    }
    if (weights.every((weight) => weight === 0)) {
      return { error: 'value_not_valid', detail: `weights: ${weights.join(', ')} sends no request anywhere; expected one above 0` };
    }
    for (const [target, weight] of weights.entries()) setTargetWeight(table, route, target, weight);
    events.note({ note: WEIGHT_CHANGED, upstream: -1, slot: -1, detail: 0, text: `${name}: ${weights.join(', ')}` });
    return undefined;
  }
}
