/**
 * Active health: asks every backend of the upstreams that want it how it is, on connections that
 * traffic never shares, and tells the lanes who is down. A full or stuck pool of traffic therefore
 * says nothing about a backend's health, and a check never waits behind a request.
 */

import { isDeepStrictEqual } from 'node:util';
import { noteNumber } from '../../base/notes.ts';
import { upstreamsOf } from '../../config/numbering/in-use.ts';
import type { Snapshot } from '../../config/snapshot/snapshot.ts';
import type { HealthSnapshot } from '../../config/snapshot/standing.ts';
import type { BackendSnapshot } from '../../config/snapshot/upstream.ts';
import type { HealthState } from '../../lane/standing/health.ts';
import type { BindingAddon } from '../../native/binding.ts';
import { createH3Ask } from './ask-h3.ts';
import { createHttpAsk } from './ask-http.ts';
import { type Checker, createChecker, type HealthStatus } from './checker.ts';
import { type Ask, faultOf, questionOf } from './question.ts';

export interface HealthParts {
  readonly addon: Pick<BindingAddon, 'askH3' | 'cancelH3'>;
  readonly snapshot: Pick<Snapshot, 'upstreams' | 'backends' | 'numbering'>;
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
  /**
   * Asks as `snapshot` wants it from now on. Backends that are asked as before keep what is known
   * of them; those that are asked no more are nobody's business.
   */
  apply(snapshot: HealthParts['snapshot']): void;
  /** Resolves when no check is under way and no timer is left. */
  stop(): Promise<void>;
  /** Undefined for backends that are not checked. */
  status(slot: number): HealthStatus | undefined;
}

interface Check {
  readonly checker: Checker;
  readonly backend: BackendSnapshot;
  readonly health: HealthSnapshot;
  readonly upstream: number;
}

const HEALTH_DOWN = noteNumber('health_down');
const HEALTH_UP = noteNumber('health_up');

/**
 * First checks of all backends are made within this time, or the interval where that is shorter.
 */
const FIRST_PASS_MS = 1_000;

export function createHealth(parts: HealthParts): Health {
  const random = parts.random ?? Math.random;
  let checks = checksOf(parts.snapshot, new Map());
  /** Checks of earlier snapshots that may still be under way. */
  const ending = new Set<Promise<void>>();

  return {
    start: () => startAll([...checks.values()]),
    apply(snapshot) {
      const before = checks;
      checks = checksOf(snapshot, before);
      for (const [slot, check] of before) {
        if (checks.get(slot) === check) continue;
        const ended = check.checker.stop().finally(() => ending.delete(ended));
        ending.add(ended);
        if (!checks.has(slot)) parts.publish(slot, 'unknown');
      }
      startAll([...checks].filter(([slot, check]) => before.get(slot) !== check).map(([, check]) => check));
    },
    async stop() {
      await Promise.all([...[...checks.values()].map(({ checker }) => checker.stop()), ...ending]);
    },
    status: (slot) => checks.get(slot)?.checker.status(),
  };

  /** Checks of every backend that wants them; of those known, the ones that ask the same. */
  function checksOf(snapshot: HealthParts['snapshot'], known: ReadonlyMap<number, Check>): Map<number, Check> {
    const found = new Map<number, Check>();
    for (const [upstream, { health, slots }] of upstreamsOf(snapshot)) {
      if (health === undefined) continue;
      for (const slot of slots) {
        const backend = snapshot.backends[slot] as BackendSnapshot;
        const before = known.get(slot);
        const isKnown = before?.upstream === upstream && isDeepStrictEqual([before.backend, before.health], [backend, health]);
        found.set(slot, isKnown ? before : { checker: checkerOf(backend, health, upstream), backend, health, upstream });
      }
    }
    return found;
  }

  function startAll(fresh: readonly Check[]): void {
    for (const [place, { checker, health }] of fresh.entries())
      checker.start((Math.min(FIRST_PASS_MS, health.intervalMs) * place) / fresh.length);
  }

  function checkerOf(backend: BackendSnapshot, health: HealthSnapshot, upstream: number): Checker {
    const { slot } = backend;
    const question = questionOf(backend, health);
    const ask = health.protocol === 'h3' ? createH3Ask(question, parts.addon) : createHttpAsk(question);
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
  // Not AbortSignal.any: the signal of the end lives as long as the edge and would remember every
  // check.
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
