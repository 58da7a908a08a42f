/**
 * A full disk costs log lines, never traffic: an output that cannot be written must neither end the process, as an error nobody hears would,
 * nor hold it when it wants to end. That a pipe's reader has gone pino notices by itself and falls silent.
 */
import type { pino } from 'pino';

type Output = ReturnType<typeof pino.destination>;

/** Keeps errors of an output from doing more than losing lines. */
export function outliveErrors(output: Output): void {
  output.on('error', () => {
    // It would try for ever; what can still be written goes out with the next write that succeeds.
    output.flushSync = () => {};
  });
}
