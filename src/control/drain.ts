/**
 * The drain: readiness false, a pause in which balancers notice, GOAWAY, then patience until the last exchange has ended or the deadline has
 * come. It reports what it sees and ends nothing itself; stopping is the edge's next step.
 */
import type { Logger } from '../observe/log.ts';

const LOOK_EVERY_MS = 20;
const SAY_EVERY_MS = 1_000;

export interface DrainParts {
  /** Readiness turns false here. */
  readonly begin: () => void;
  /** GOAWAY on every connection; new connections and requests are refused from now on. */
  readonly goAway: () => void;
  /** Exchanges that are still open. */
  readonly exchanges: () => number;
  readonly log: Logger;
  readonly nowMs: () => number;
  readonly sleep: (ms: number) => Promise<unknown>;
}

export interface DrainOptions {
  /** Pause before GOAWAY. */
  readonly delayMs: number;
  /** How long exchanges may go on after GOAWAY. */
  readonly timeoutMs: number;
}

export interface DrainResult {
  /** Exchanges that had not ended at the deadline. */
  readonly cut: number;
  readonly ms: number;
}

/** Runs the drain once. Resolves at its end, early when nothing is open. */
export async function drain(reason: string, parts: DrainParts, options: DrainOptions): Promise<DrainResult> {
  const { log, nowMs, sleep, exchanges } = parts;
  const beganMs = nowMs();
  parts.begin();
  log.info({ reason, exchanges: exchanges(), delayMs: options.delayMs, timeoutMs: options.timeoutMs }, 'drain begins');
  if (options.delayMs > 0) await sleep(options.delayMs);

  parts.goAway();
  // The order is carried out on the shards' threads: without this look a request that is just arriving would be missed.
  await sleep(LOOK_EVERY_MS);
  const deadlineMs = nowMs() + options.timeoutMs;
  let saidMs = nowMs();
  while (exchanges() > 0 && nowMs() < deadlineMs) {
    await sleep(Math.min(LOOK_EVERY_MS, Math.max(1, deadlineMs - nowMs())));
    if (nowMs() - saidMs < SAY_EVERY_MS) continue;
    saidMs = nowMs();
    log.info({ exchanges: exchanges(), leftMs: Math.max(0, Math.round(deadlineMs - nowMs())) }, 'drain waits for exchanges');
  }

  const result: DrainResult = { cut: exchanges(), ms: Math.round(nowMs() - beganMs) };
  if (result.cut > 0) log.warn({ ...result }, 'drain ended at its deadline; open exchanges are cut');
  else log.info({ ...result }, 'drain complete');
  return result;
}
