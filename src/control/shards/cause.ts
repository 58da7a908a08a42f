/**
 * Why a worker's life ended, read from what piscina rejects with. The names are label values of
 * `lychgate_shard_restarts_total`, so they are few and never change.
 */

/** `told` is the one end that is no failure. */
export type EndCause = 'told' | 'throw' | 'exit' | 'memory' | 'stall' | 'start' | 'panic';

export const RESTART_CAUSES = ['throw', 'exit', 'memory', 'stall', 'start', 'panic'] as const satisfies readonly EndCause[];

/** The reason given to the abort signal that ends a worker. */
export class Ended extends Error {
  override readonly name = 'Ended';
  readonly endCause: 'stall' | 'start';

  constructor(endCause: 'stall' | 'start') {
    super(endCause === 'stall' ? 'the worker did not answer in time' : 'the worker was not ready in time');
    this.endCause = endCause;
  }
}

/** The cause behind the error with which a worker's task failed. */
export function causeOf(error: unknown): EndCause {
  if (!(error instanceof Error)) return 'throw';
  if (error.cause instanceof Ended) return error.cause.endCause;
  if ((error as NodeJS.ErrnoException).code === 'ERR_WORKER_OUT_OF_MEMORY') return 'memory';
  // Piscina has no code for a worker that left by process.exit().
  if (error.message.startsWith('worker exited with code')) return 'exit';
  // Whoever of the worker met it: the reactor has begun anew (`native/binding/src/shards.rs`).
  if (error.message === 'the reactor panicked and began anew') return 'panic';
  return 'throw';
}
