/**
 * Overload: backends of a fixed capacity, asked for as much as they can do and then for five times
 * that. What counts is goodput: answers of status 200 within a second. Beside the flood a client of
 * low rate has a connection of its own.
 *
 * `overload` knows nothing of clients: all requests are alike, and the low-rate client shows how
 * many of them are served. In `flood` the proxies limit each client by name, and the low-rate
 * client must not feel the flood. In `defaults` nothing is configured for the case, the backends
 * are smaller, and the first seconds count.
 */

import { type Counters, grown, readCounters } from './counters.ts';
import { type LoadOrder, type LoadResult, send } from './load.ts';
import { quantile } from './measure.ts';
import type { Overload, Peer } from './peers/peer.ts';
import { type Props, type Stage, withScene } from './play.ts';

/** Without and with limits for each client, and with nothing configured. */
export type OverloadKind = 'overload' | 'flood' | 'defaults';

/** What overload came to. */
export interface OverloadFigures {
  /** What the backends can do together by their settings, requests a second. */
  readonly capacity: number;
  /**
   * Goodput with that much asked for, and with five times as much, and the latter beside the better
   * of the first and the capacity.
   */
  readonly peakPerSecond: number;
  readonly goodPerSecond: number;
  readonly goodShare: number;
  /** Of good answers under overload. */
  readonly p99Ms: number;
  /**
   * Answers to the flood by status; `late` are those of 200 after more than a second, `unanswered`
   * never came.
   */
  readonly answers: Readonly<Record<string, number>>;
  /** The client of low rate: share of its requests answered well within a second, and its p99. */
  readonly honestShare: number;
  readonly honestP99Ms: number;
  /** What the proxy says it did under the flood, where it is lychgate. */
  readonly counters: Counters;
}

/** Each backend works on so many requests at once, so long on each. */
const capacity = { concurrency: 4, serviceMs: 20 };
/** As many again may wait at a backend: less would leave it idle between two requests. */
const bounds: Overload = { concurrency: 2 * capacity.concurrency, waitMs: 200, clientRate: 0, clientBurst: 0 };
/** In `flood`: half of what three backends can do. */
const limitedBounds: Overload = { ...bounds, clientRate: 300, clientBurst: 30 };
const FACTOR = 5;
const GOOD_MS = 1_000;
const PEAK_SECONDS = 4;
/** The first moments belong to whatever adapts. */
const SETTLING_MS = 2_000;

/** How each kind is played. */
interface Terms {
  readonly capacity: { readonly concurrency: number; readonly serviceMs: number };
  readonly bounds?: Overload;
  readonly isDefault: boolean;
  readonly floodSeconds: number;
  readonly settlingMs: number;
}

const HONEST_PER_SECOND = 5;

const KINDS: Readonly<Record<OverloadKind, Terms>> = {
  overload: { capacity, bounds, isDefault: false, floodSeconds: 8, settlingMs: SETTLING_MS },
  flood: { capacity, bounds: limitedBounds, isDefault: false, floodSeconds: 8, settlingMs: SETTLING_MS },
  defaults: { capacity: { concurrency: 1, serviceMs: 20 }, isDefault: true, floodSeconds: 30, settlingMs: 0 },
};

/** Plays it on one proxy. */
export function overload(kind: OverloadKind, peer: Peer, stage: Stage): Promise<OverloadFigures> {
  const { capacity, bounds, isDefault, floodSeconds, settlingMs } = KINDS[kind];
  const props: Props = {
    key: kind,
    isDefault,
    overload: { ...(bounds && { bounds }), limit: (backend) => backend.limit(capacity.concurrency, capacity.serviceMs) },
  };
  return withScene(peer, props, stage, async ({ backends, running, folder }) => {
    const perSecond = Math.round((backends.length * capacity.concurrency * 1_000) / capacity.serviceMs);
    const order = { port: running.port, isHttp3: peer.isHttp3, folder, connections: 20, streams: 200, patienceMs: 7_000 };
    const flood = { ...order, fields: { 'x-client': 'flood' } };

    const peak = await timed({ ...flood, requestsPerSecond: perSecond, seconds: PEAK_SECONDS });
    const before = await readCounters(running.admin);
    const [burst, honest] = await Promise.all([
      timed({ ...flood, requestsPerSecond: perSecond * FACTOR, seconds: floodSeconds }),
      timed({
        ...{ ...order, fields: { 'x-client': 'honest' } },
        ...{ connections: 1, requestsPerSecond: HONEST_PER_SECOND, seconds: floodSeconds },
      }),
    ]);
    const after = await readCounters(running.admin);

    const peakPerSecond = goodput(peak, PEAK_SECONDS, SETTLING_MS);
    const goodPerSecond = goodput(burst, floodSeconds, settlingMs);
    const honestGood = honest.samples.filter(isGood);
    return {
      capacity: perSecond,
      peakPerSecond,
      goodPerSecond,
      goodShare: goodPerSecond / Math.max(perSecond, peakPerSecond),
      p99Ms: p99(burst.samples.filter(isGood)),
      answers: answersOf(burst),
      honestShare: honestGood.length / honest.planned,
      honestP99Ms: p99(honest.samples),
      counters: grown(before, after),
    };
  });
}

interface Timed extends LoadResult {
  readonly beganMs: number;
}

async function timed(order: LoadOrder): Promise<Timed> {
  const beganMs = Date.now();
  return { ...(await send(order)), beganMs };
}

/** Good answers a second that came once things had settled, while the load lasted. */
function goodput({ samples, beganMs }: Timed, seconds: number, settlingMs: number): number {
  const [from, to] = [beganMs + settlingMs, beganMs + seconds * 1_000];
  const inTime = samples.filter((sample) => {
    const endMs = sample.startMs + sample.durationMs;
    return isGood(sample) && endMs >= from && endMs < to;
  });
  return (inTime.length * 1_000) / (to - from);
}

function isGood({ status, durationMs }: { status: number; durationMs: number }): boolean {
  return status === 200 && durationMs <= GOOD_MS;
}

function p99(samples: readonly { durationMs: number }[]): number {
  return quantile(
    samples.map(({ durationMs }) => durationMs).sort((a, b) => a - b),
    0.99,
  );
}

function answersOf({ planned, samples }: LoadResult): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const sample of samples) {
    const name = sample.status === 0 ? 'reset' : sample.status === 200 && !isGood(sample) ? 'late' : String(sample.status);
    counts[name] = (counts[name] ?? 0) + 1;
  }
  if (planned > samples.length) counts['unanswered'] = planned - samples.length;
  return counts;
}
