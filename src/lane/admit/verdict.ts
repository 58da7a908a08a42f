/**
 * What whoever stands before a route or an upstream says of an exchange: that it passes, that it
 * waits, or the number of the reason for which it is refused (`src/base/errors.ts`).
 */

/** Nothing is against it. */
export const PASSES = 0;
/** It is to wait, and is asked about again. */
export const WAITS = -1;
