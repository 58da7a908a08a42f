/** The memory that there is for the process. */

import { totalmem } from 'node:os';

/** Part of it that may be held for peers where the configuration does not say how much. */
const HELD_SHARE = 1 / 4;

/** Bytes that may be held for peers by default. */
export function defaultMaxHeld(): number {
  // Of the control group, version 1 or 2; 0 or a number beyond all memory where it has no limit.
  const limit = process.constrainedMemory();
  const memory = limit > 0 ? Math.min(limit, totalmem()) : totalmem();
  return Math.floor(memory * HELD_SHARE);
}
