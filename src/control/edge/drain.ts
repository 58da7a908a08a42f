/**
 * The drain: readiness false, a pause in which balancers notice, GOAWAY, then patience until the
 * last exchange has ended and its last bytes are acknowledged, or the deadline has come. It reports
 * what it sees and ends nothing itself; stopping is the edge's next step.
 */
import type { Logger } from '../../observe/log.ts';

const LOOK_EVERY_MS = 20;
const SAY_EVERY_MS = 1_000;
/**
 * How long connections may last after their last exchange. An exchange ends when its last byte is
 * handed to QUIC, not when the client has it; the reactor closes a connection once everything is
 * acknowledged. A client that has vanished acknowledges nothing, so this has a bound.
 */
const FAREWELL_MS = 3_000;

export interface DrainParts {
  /** Readiness turns false here. */
  readonly begin: () => void;
  /** GOAWAY on every connection; new connections and requests are refused from now on. */
  readonly goAway: () => void;
  /** Exchanges that are still open. */
  readonly exchanges: () => number;
  /** Connections that are not closed yet. */
  readonly connections: () => number;
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

/** Runs the drain once. Resolves at its end, at once when nothing is open. */
export async function drain(reason: string, parts: DrainParts, options: DrainOptions): Promise<DrainResult> {
  const { log, nowMs, sleep, exchanges, connections } = parts;
  const beganMs = nowMs();
  parts.begin();
  const { delayMs, timeoutMs } = options;
  log.info({ reason, exchanges: exchanges(), connections: connections(), delayMs, timeoutMs }, 'drain begins');
  if (delayMs > 0) await sleep(delayMs);

  parts.goAway();
  // The order is carried out on the shards' threads: without this look a request that is just
  // arriving would be missed.
  await sleep(LOOK_EVERY_MS);
  const deadlineMs = nowMs() + timeoutMs;
  await waitFor(() => exchanges() === 0, deadlineMs, 'drain waits for exchanges');
  const cut = exchanges();
  if (cut === 0) await waitFor(() => connections() === 0, Math.min(deadlineMs, nowMs() + FAREWELL_MS), 'drain waits for acknowledgements');

  const result: DrainResult = { cut, ms: Math.round(nowMs() - beganMs) };
  const facts = { ...result, connections: connections() };
  if (cut > 0) log.warn(facts, 'drain ended at its deadline; open exchanges are cut');
  else log.info(facts, 'drain complete');
  return result;

  async function waitFor(isOver: () => boolean, untilMs: number, message: string): Promise<void> {
    let saidMs = nowMs();
    while (!isOver() && nowMs() < untilMs) {
      await sleep(Math.min(LOOK_EVERY_MS, Math.max(1, untilMs - nowMs())));
      if (nowMs() - saidMs < SAY_EVERY_MS) continue;
      saidMs = nowMs();
      log.info({ exchanges: exchanges(), connections: connections(), leftMs: Math.max(0, Math.round(untilMs - nowMs())) }, message);
    }
  }
}
