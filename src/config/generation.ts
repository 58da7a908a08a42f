/** The generation: a name for a configuration and everything it points at, equal exactly when these are equal. */

import { createHash } from 'node:crypto';
import stringify from 'fast-json-stable-stringify';
import type { Config } from './schema/config.ts';

/** SHA-256, hex, of the canonical form: the configuration with its defaults, and the digests of its files by path. */
export function generationOf(config: Config, digests: Readonly<Record<string, string>>): string {
  return createHash('sha256').update(stringify({ config, digests })).digest('hex');
}
