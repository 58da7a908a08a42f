/** Breakers by the name of what they guard, made as they are asked for, all on the same terms. */

import { Breaker, type BreakerView } from './breaker.ts';
import type { BreakerOptions } from './breaker-options.ts';

/**
 * Names are those of a service's own resources, never of its clients: nothing is forgotten by
 * itself.
 */
export interface Breakers {
  /** The breaker of `name`, always the same. */
  get(name: string): Breaker;
  /** Forgets it; who holds it may go on with it. */
  delete(name: string): boolean;
  /** All of them, as they were made. */
  view(): BreakerView[];
}

export interface BreakersOptions extends Omit<BreakerOptions, 'name' | 'memory'> {
  /** Terms of single breakers that differ from the others. */
  readonly named?: Readonly<Record<string, Omit<BreakerOptions, 'name'>>>;
}

export function createBreakers({ named = {}, ...common }: BreakersOptions = {}): Breakers {
  const breakers = new Map<string, Breaker>();
  const make = (name: string) => {
    const own = Object.hasOwn(named, name) ? named[name] : undefined;
    const breaker = new Breaker({ ...common, ...own, name });
    breakers.set(name, breaker);
    return breaker;
  };
  for (const name of Object.keys(named)) make(name);
  return {
    get: (name) => breakers.get(name) ?? make(name),
    delete: (name) => breakers.delete(name),
    view: () => Array.from(breakers.values(), (breaker) => breaker.view()),
  };
}
