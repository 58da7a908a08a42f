/**
 * Active health: asks every backend of the upstreams that want it how it is, on connections that traffic never shares, and tells the lanes who is down. A full or
 * stuck pool of traffic therefore says nothing about a backend's health, and a check never waits behind a request.
 */

import { noteNumber } from '../../base/notes.ts';
import type { BackendSnapshot, HealthSnapshot, Snapshot } from '../../config/snapshot.ts';
import type { HealthState } from '../../lane/standing/health.ts';
import { createH3Ask } from './ask-h3.ts';
import { createHttpAsk } from './ask-http.ts';
import { type Checker, createChecker, type HealthStatus } from './checker.ts';
import { type Ask, faultOf, questionOf } from './question.ts';

export interface HealthParts {
  readonly snapshot: Pick<Snapshot, 'upstreams' | 'backends'>;
  /** The first address of the backend's name, without port; undefined while it has none. */
  readonly addressOf: (slot: number) => string | undefined;
  /** Tells the lanes. */
  readonly publish: (slot: number, state: HealthState) => void;
  /** Tells them when a backend that is down can be up again. */
  readonly expect: (slot: number, upAtMs: number) => void;
  /** A backend went down or came up again. `text` is what was wrong. */
  readonly onEvent: (event: { note: number; upstream: number; slot: number; detail: number; text?: string }) => void;
  readonly random?: () => number;
}

export interface Health {
  start(): void;
  /** Resolves when no check is under way and no timer is left. */
  stop(): Promise<void>;
  /** Undefined for backends that are not checked. */
  status(slot: number): HealthStatus | undefined;
}

const HEALTH_DOWN = noteNumber('health_down');
const HEALTH_UP = noteNumber('health_up');

/** First checks of all backends are made within this time, or the interval where that is shorter. */
const FIRST_PASS_MS = 1_000;

export function createHealth(parts: HealthParts): Health {
  const { snapshot } = parts;
  const random = parts.random ?? Math.random;
  const checkers = new Map<number, { readonly checker: Checker; readonly intervalMs: number }>();

  for (const [number, { health, slots }] of snapshot.upstreams.entries()) {
    if (health === undefined) continue;
    for (const slot of slots) {
      const backend = snapshot.backends[slot] as BackendSnapshot;
      checkers.set(slot, { checker: checkerOf(backend, health, number), intervalMs: health.intervalMs });
    }
  }

  return {
    start() {
      let place = 0;
      for (const { checker, intervalMs } of checkers.values()) {
        checker.start((Math.min(FIRST_PASS_MS, intervalMs) * place++) / checkers.size);
      }
    },
    async stop() {
      await Promise.all([...checkers.values()].map(({ checker }) => checker.stop()));
    },
    status: (slot) => checkers.get(slot)?.checker.status(),
  };

  function checkerOf(backend: BackendSnapshot, health: HealthSnapshot, upstream: number): Checker {
    const { slot } = backend;
    const question = questionOf(backend, health);
    const ask = health.protocol === 'h3' ? createH3Ask(question) : createHttpAsk(question);
    return createChecker({
      health,
      check: async (ending) => {
        const ip = parts.addressOf(slot);
        return ip === undefined ? undefined : check(ask, ip, health.port === 0 ? backend.port : health.port, health, ending);
      },
      onChange(state, before, failure) {
        parts.publish(slot, state);
        // That a backend is up when first asked is no news.
        if (state === 'down') parts.onEvent({ note: HEALTH_DOWN, upstream, slot, detail: 0, text: failure });
        else if (before === 'down') parts.onEvent({ note: HEALTH_UP, upstream, slot, detail: 0 });
      },
      onExpected: (upAtMs) => parts.expect(slot, upAtMs),
      random,
      nowMs: () => performance.timeOrigin + performance.now(),
      after: (ms, call) => {
        const timer = setTimeout(call, ms);
        timer.unref();
        return () => clearTimeout(timer);
      },
    });
  }
}

/** One check within its time: what was wrong, empty when nothing was. */
async function check(ask: Ask, ip: string, port: number, health: HealthSnapshot, ending: AbortSignal): Promise<string> {
  const late = new AbortController();
  const end = (): void => late.abort(ending.reason);
  const timer = setTimeout(() => late.abort(new Error(`no answer within ${health.timeoutMs} ms`)), health.timeoutMs);
  timer.unref();
  // Not AbortSignal.any: the signal of the end lives as long as the edge and would remember every check.
  ending.addEventListener('abort', end);
  try {
    return faultOf(await ask(ip, port, late.signal), health);
  } catch (error) {
    return textOf(late.signal.aborted ? late.signal.reason : error);
  } finally {
    clearTimeout(timer);
    ending.removeEventListener('abort', end);
  }
}

/** The innermost cause says most: undici and TLS wrap it. */
function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof AggregateError && error.errors[0] instanceof Error) return textOf(error.errors[0]);
  if (error.cause instanceof Error) return textOf(error.cause);
  return error.message === '' ? ((error as NodeJS.ErrnoException).code ?? error.name) : error.message;
}
