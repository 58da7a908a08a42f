/**
 * The piscina pool that hosts the shards: each shard is one task that lasts until it is told to
 * end. The pool keeps one thread more than there are shards, with the code already loaded, so that
 * a successor need not be started while clients wait.
 */
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';

/**
 * The worker's file: TypeScript in a checkout, JavaScript in the package. The extension is this
 * file's own.
 */
const SHARD_FILE = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../../shard/shard.ts' : '../../shard/shard.js', import.meta.url),
);

/**
 * JavaScript heap of one shard, MiB. A lane keeps tables, not bodies; what outgrows this is a leak
 * and ends the worker.
 */
const MAX_HEAP_MIB = 512;

/**
 * Young generation of one shard, MiB. When a worker's heap is full Node ends the worker, provided
 * that what survives one collection fits into the 16 MiB it lends for that; the default young
 * generation is larger than the loan, and then the whole process would be aborted instead.
 */
const MAX_YOUNG_MIB = 12;

export interface PoolOptions {
  readonly shards: number;
  /** Another worker file, for tests. */
  readonly filename?: string;
  readonly maxHeapMib?: number;
}

/**
 * Starts the threads; they load their code at once and wait. `onError` hears of threads that die
 * while they have no task.
 */
export function createPool(options: PoolOptions, onError: (error: Error) => void): Piscina {
  const threads = options.shards + 1;
  const pool = new Piscina({
    filename: options.filename ?? SHARD_FILE,
    minThreads: threads,
    maxThreads: threads,
    idleTimeout: Number.POSITIVE_INFINITY,
    concurrentTasksPerWorker: 1,
    // A waiting thread must not sit in Atomics.wait: nothing else of it would run, and termination
    // would have to break it.
    atomics: 'disabled',
    recordTiming: false,
    resourceLimits: { maxOldGenerationSizeMb: options.maxHeapMib ?? MAX_HEAP_MIB, maxYoungGenerationSizeMb: MAX_YOUNG_MIB },
  });
  pool.on('error', onError);
  return pool;
}
