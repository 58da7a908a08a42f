/**
 * Plans on their way to the reactors: written once for all shards, in shared memory, in parts of so
 * many that a shard can take one between two turns. Ten thousand routes can have thousands, and a
 * setting that all of them have in common makes all of them new.
 */

import type { BindingEdit, BindingPlan, BindingPlans } from './binding.ts';

/** A plan as the lane numbers it. */
interface NumberedPlan {
  readonly number: number;
  readonly plan: Omit<BindingPlan, 'number' | 'request' | 'response'> & {
    readonly request: readonly BindingEdit[];
    readonly response: readonly BindingEdit[];
  };
}

/**
 * Plans, with each of their edits once: most of them have nearly all in common, as the same
 * objects.
 */
function toBindingPlans(numbered: readonly NumberedPlan[]): BindingPlans {
  const places = new Map<BindingEdit, number>();
  const placeOf = (edit: BindingEdit): number => {
    const place = places.get(edit) ?? places.size;
    places.set(edit, place);
    return place;
  };
  const plans = numbered.map(({ number, plan }) => ({
    ...plan,
    number,
    request: plan.request.map(placeOf),
    response: plan.response.map(placeOf),
  }));
  return { edits: [...places.keys()], plans };
}

/** Plans of a part: a shard takes some 15 µs for each. */
const PART = 64;

/** What can be posted. */
export interface PackedPlans {
  /** JSON of `BindingPlans`, part by part. */
  readonly text: Uint8Array;
  /** Where each part ends. */
  readonly ends: readonly number[];
}

export function packPlans(numbered: readonly NumberedPlan[]): PackedPlans {
  const parts: Buffer[] = [];
  const ends: number[] = [];
  let end = 0;
  for (let from = 0; from < numbered.length; from += PART) {
    const part = Buffer.from(JSON.stringify(toBindingPlans(numbered.slice(from, from + PART))), 'utf8');
    parts.push(part);
    end += part.length;
    ends.push(end);
  }
  const text = new Uint8Array(new SharedArrayBuffer(end));
  for (const [place, part] of parts.entries()) text.set(part, ends[place]! - part.length);
  return { text, ends };
}

/** Part by part. */
export function* unpackPlans({ text, ends }: PackedPlans): Generator<BindingPlans> {
  const all = Buffer.from(text.buffer, text.byteOffset, text.byteLength);
  let begin = 0;
  for (const end of ends) {
    yield JSON.parse(all.toString('utf8', begin, end)) as BindingPlans;
    begin = end;
  }
}
