/**
 * How late the event loop of a shard is and how busy, and how full its heap: a timer that looks at
 * its own lateness, four times a second. Reactor and lane share this loop, so lateness here is what
 * every connection of the shard waits for.
 */

import { getHeapStatistics } from 'node:v8';
import { LATENESS_BUCKETS } from './buckets.ts';
import { SHARD_HEAP_BYTES, SHARD_LATENESS, SHARD_LOOP_UTILIZATION } from './counters.ts';

export interface EventLoopWatch {
  close(): void;
}

const INTERVAL_MS = 250;

/** Watches the calling thread's loop into `table`; keeps no process alive. */
export function watchEventLoop(table: Float64Array): EventLoopWatch {
  let last = performance.eventLoopUtilization();
  let dueMs = performance.now() + INTERVAL_MS;
  const timer = setInterval(() => {
    const nowMs = performance.now();
    LATENESS_BUCKETS.observe(table, SHARD_LATENESS, Math.max(0, Math.round((nowMs - dueMs) * 1_000)));
    dueMs = nowMs + INTERVAL_MS;
    const now = performance.eventLoopUtilization();
    table[SHARD_LOOP_UTILIZATION] = performance.eventLoopUtilization(now, last).utilization;
    table[SHARD_HEAP_BYTES] = getHeapStatistics().used_heap_size;
    last = now;
  }, INTERVAL_MS);
  timer.unref();
  return { close: () => clearInterval(timer) };
}
