/**
 * Where programs of other proxies are: named by the environment, on PATH, or where bench/peers.sh
 * has put them.
 */

import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { findProgram } from '../../../test/support/process.ts';

/** What bench/peers.sh has got. */
export const PEERS_BIN = join(process.env['LYCHGATE_CACHE'] || join(homedir(), '.cache/lychgate'), 'peers/bin');

export function findPeer(name: string, variable: string): string | undefined {
  const named = process.env[variable];
  if (named) return named;
  const cached = join(PEERS_BIN, name);
  return existsSync(cached) ? cached : findProgram(name);
}
