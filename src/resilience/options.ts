/**
 * Options are looked at once, where a part is made: a mistake is an error there and not a strange
 * behaviour later.
 */

import { createError } from '../base/errors.ts';

/** `options` with `defaults` where it says nothing; `undefined` says nothing. */
export function withDefaults<Defaults extends object>(options: Partial<Defaults>, defaults: Defaults): Defaults {
  const all = { ...defaults };
  for (const key of Object.keys(defaults) as (keyof Defaults)[]) {
    const given = options[key];
    if (given !== undefined) all[key] = given as Defaults[keyof Defaults];
  }
  return all;
}

/**
 * Throws `config_not_valid` unless every named number is one and lies within its bounds, which are
 * included.
 */
export function checkNumbers<Options extends object>(
  part: string,
  options: Options,
  bounds: Readonly<Partial<Record<keyof Options, readonly [min: number, max: number]>>>,
): void {
  const mistakes: string[] = [];
  for (const [key, bound] of Object.entries(bounds) as [string, readonly [number, number]][]) {
    const value = (options as Readonly<Record<string, unknown>>)[key];
    if (typeof value === 'number' && value >= bound[0] && value <= bound[1]) continue;
    mistakes.push(`${key} must be a number from ${bound[0]} to ${bound[1]}, not ${String(value)}`);
  }
  if (mistakes.length > 0) throw createError('config_not_valid', `${part}: ${mistakes.join('; ')}`, { part });
}

/** Memory of another part of the same kind, or new one. */
export function memoryFor(part: string, given: SharedArrayBuffer | undefined, create: () => SharedArrayBuffer): SharedArrayBuffer {
  const made = create();
  if (given === undefined) return made;
  if (given.byteLength === made.byteLength) return given;
  throw createError('config_not_valid', `${part}: memory must be that of one with the same options`, { part });
}
