/**
 * No overload: backends are asked for 0.7 times what they can do, with everything that could be
 * taken for one. Answers of 1 ms and of 2 s are mixed, event streams are opened and stay open, the
 * backends are cold at first, and one of them in turn does nothing for half a second. Nobody may be
 * turned away.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { type Counters, grown, readCounters } from './counters.ts';
import { send } from './load.ts';
import { quantile } from './measure.ts';
import type { Peer } from './peers/peer.ts';
import { type Props, type Stage, withScene } from './play.ts';
import { STREAM_PATH } from './terms.ts';

/** What it came to. */
export interface CalmFigures {
  readonly seconds: number;
  readonly requests: number;
  /** Answers by status, event streams that were not begun among them; `reset`, and `unanswered`. */
  readonly answers: Readonly<Record<string, number>>;
  /** Requests that were not answered 200. */
  readonly refused: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly counters: Counters;
}

/** Each backend works on so many requests at once; one in ten takes 2 s, the others 1 ms. */
const CONCURRENCY = 20;
const SLOW = { share: 0.1, ms: 2_000 };
const QUICK_MS = 1;
const COLD = { ms: 300, forMs: 3_000 };
const LOAD = 0.7;
const PAUSE = { ms: 500, everyMs: 10_000 };
const STREAMS_PER_SECOND = 1;

/** Plays it on one proxy. */
export function calm(peer: Peer, stage: Stage, seconds: number): Promise<CalmFigures> {
  const props: Props = {
    key: 'calm',
    isDefault: true,
    overload: {
      limit: (backend) => {
        backend.limit(CONCURRENCY, QUICK_MS);
        backend.mix(SLOW.share, SLOW.ms, COLD.ms, COLD.forMs);
      },
    },
  };
  return withScene(peer, props, stage, async ({ backends, running, folder }) => {
    const meanMs = SLOW.share * SLOW.ms + (1 - SLOW.share) * QUICK_MS;
    const requestsPerSecond = Math.round((LOAD * backends.length * CONCURRENCY * 1_000) / meanMs);
    const order = { port: running.port, isHttp3: peer.isHttp3, folder, seconds, streams: 200 };
    const before = await readCounters(running.admin);
    const over = new AbortController();
    const pauses = (async () => {
      for (let turn = 0; !over.signal.aborted; turn += 1) {
        await sleep(PAUSE.everyMs, undefined, { signal: over.signal }).catch(() => {});
        if (!over.signal.aborted) backends[turn % backends.length]?.pause(PAUSE.ms);
      }
    })();
    // Streams are still open when the load ends: those that are not answered then are as they
    // should be.
    const [load, streams] = await Promise.all([
      send({ ...order, connections: 4, requestsPerSecond, patienceMs: 10_000 }),
      send({ ...order, connections: 4, requestsPerSecond: STREAMS_PER_SECOND, path: STREAM_PATH, patienceMs: 0 }),
    ]);
    over.abort();
    await pauses;
    const answers: Record<string, number> = {};
    const add = (name: string, count = 1): void => {
      answers[name] = (answers[name] ?? 0) + count;
    };
    for (const { status } of load.samples) add(status === 0 ? 'reset' : String(status));
    // What is cut off at the end has a line too; a stream that ended otherwise was turned away.
    for (const { status } of streams.samples) if (status !== 0 && status !== 200) add(String(status));
    if (load.planned > load.samples.length) add('unanswered', load.planned - load.samples.length);
    const durations = load.samples.map(({ durationMs }) => durationMs).sort((a, b) => a - b);
    const total = Object.values(answers).reduce((sum, count) => sum + count, 0);
    return {
      seconds,
      requests: load.planned,
      answers,
      refused: total - (answers['200'] ?? 0),
      p50Ms: quantile(durations, 0.5),
      p99Ms: quantile(durations, 0.99),
      counters: grown(before, await readCounters(running.admin)),
    };
  });
}
