/**
 * What is made of a part of the configuration that many routes have in common (`../schema/once.ts`)
 * is made once and is one object, in the snapshot, on its way to the shards and in them.
 */

import { freezeDeep } from '../schema/once.ts';

/** `make`, asked once for each part. A part does not change. */
export function madeOnce<P extends object, T>(make: (part: P) => T): (part: P) => T {
  const made = new WeakMap<P, { readonly value: T }>();
  return (part) => {
    const known = made.get(part);
    if (known !== undefined) return known.value;
    const value = freezeDeep(make(part));
    made.set(part, { value });
    return value;
  };
}
