/**
 * Reload: the configuration is read again, checked, prepared and put in the place of the one in
 * force, whole or not at all. Everything that can fail does so before anything is changed, and the
 * answer says what was wrong, what changed, or what would have to wait for a restart. One at a
 * time.
 */

import { type Change, diffConfigs } from '../../config/describe/diff.ts';
import type { LoadedSnapshot } from '../../config/load.ts';
import { formatProblem, type Problem } from '../../config/problem.ts';
import type { Config } from '../../config/schema/config.ts';
import type { Snapshot } from '../../config/snapshot/snapshot.ts';
import type { Logger } from '../../observe/log.ts';
import { createHeap } from './heap.ts';
import { needingRestart } from './restart.ts';

/** How a reload can end. */
export const RELOAD_RESULTS = [
  'applied',
  'unchanged',
  'invalid',
  'needs_restart',
  'no_room',
  'cannot_listen',
  'busy',
  'not_serving',
  'failed',
] as const;
export type ReloadResult = (typeof RELOAD_RESULTS)[number];

/** What came of a reload, for people and programs. */
export interface ReloadAnswer {
  /** Of a dry run, what the result would be. */
  readonly result: ReloadResult;
  readonly isDryRun: boolean;
  /** In force now. */
  readonly generation: string;
  /** Of what was read; absent where it is no configuration. */
  readonly read?: string;
  /** What is different in what was read, by name. */
  readonly changes: readonly Change[];
  /** Those of them that a running edge cannot make. */
  readonly restart: readonly Change[];
  /** Every mistake of what was read, as `lychgate check` tells it; warnings too. */
  readonly problems: readonly string[];
  /** What else there is to say. */
  readonly detail?: string;
}

/** The last reloads, as the status shows them. */
export interface ReloadStatus {
  /** ISO 8601: when the configuration in force came into force. */
  readonly since: string;
  /** Which of the process's configurations it is, counted from 1. */
  readonly serial: number;
  readonly lastResult: ReloadResult | null;
  readonly lastAt: string | null;
  /** Since when what was read last is not what is in force; null where it is. */
  readonly staleSince: string | null;
}

/** A configuration and its snapshot. */
export interface Loaded {
  readonly config: Config;
  readonly snapshot: Snapshot;
}

/** What is ready to come into force. Exactly one of the two is to be called. */
export interface Ready {
  /**
   * Resolves when every shard decides by it. What can fail in here does so first, and then nothing
   * is changed.
   */
  commit(): Promise<void>;
  drop(): void;
}

/** Why something cannot come into force. */
export interface Unready {
  readonly result: 'no_room' | 'cannot_listen';
  readonly detail: string;
}

export interface ReloaderParts {
  /** Reads the configuration as it is now. */
  load(): Promise<Pick<LoadedSnapshot, 'config' | 'snapshot' | 'problems'>>;
  inForce(): Loaded;
  isServing(): boolean;
  /** Makes ready, or says why that cannot be. A dry run prepares nothing. */
  prepare(next: Loaded, isDryRun: boolean): Promise<Ready | Unready>;
  readonly log: Logger;
}

export interface ReloadOptions {
  readonly isDryRun?: boolean;
  /** For those who would not hear of a refusal. */
  readonly waits?: boolean;
}

export interface Reloader {
  /**
   * `trigger` says in the log who asked. Never rejects. While another is under way who `waits` is
   * next, once for all who wait, and others are refused.
   */
  reload(trigger: string, options?: ReloadOptions): Promise<ReloadAnswer>;
  status(): ReloadStatus;
  /** Resolves when none is under way. Whoever goes on at once is not overtaken. */
  idle(): Promise<void>;
  /** How many ended so; dry runs are none. */
  counts(): Readonly<Record<ReloadResult, number>>;
  /** Seconds since the epoch. */
  lastSuccess(): number;
}

/** Changes that a log line names. */
const MAX_LOGGED = 20;

export function createReloader(parts: ReloaderParts): Reloader {
  const { log } = parts;
  const heap = createHeap();
  const counts = Object.fromEntries(RELOAD_RESULTS.map((result) => [result, 0])) as Record<ReloadResult, number>;
  let underWay: Promise<ReloadAnswer> | undefined;
  let next: Promise<ReloadAnswer> | undefined;
  let serial = 1;
  let sinceMs = Date.now();
  let successMs = Date.now();
  let last: { result: ReloadResult; atMs: number } | undefined;
  let staleSinceMs: number | undefined;

  return {
    reload: ask,
    status: () => ({
      since: new Date(sinceMs).toISOString(),
      serial,
      lastResult: last?.result ?? null,
      lastAt: last === undefined ? null : new Date(last.atMs).toISOString(),
      staleSince: staleSinceMs === undefined ? null : new Date(staleSinceMs).toISOString(),
    }),
    async idle() {
      while (underWay !== undefined) await underWay;
    },
    counts: () => counts,
    lastSuccess: () => successMs / 1_000,
  };

  function ask(trigger: string, { isDryRun = false, waits = false }: ReloadOptions = {}): Promise<ReloadAnswer> {
    if (underWay === undefined) return start(trigger, isDryRun);
    if (!waits) {
      const answer = busy(isDryRun);
      if (!isDryRun) note(answer, trigger, 0);
      return Promise.resolve(answer);
    }
    next ??= underWay.then(() => {
      next = undefined;
      return ask(trigger, { waits });
    });
    return next;
  }

  /** Begins at once, so that whoever asks next finds it under way. */
  function start(trigger: string, isDryRun: boolean): Promise<ReloadAnswer> {
    const beganMs = performance.now();
    underWay = tried(isDryRun).then((answer) => {
      underWay = undefined;
      if (!isDryRun) note(answer, trigger, Math.round(performance.now() - beganMs));
      // Whoever asked has the answer first.
      setImmediate(() => heap.giveBack());
      return answer;
    });
    return underWay;
  }

  async function tried(isDryRun: boolean): Promise<ReloadAnswer> {
    try {
      return await run(isDryRun);
    } catch (error) {
      log.error({ err: error }, 'a reload failed; what was in force still is');
      return answerOf('failed', isDryRun, { detail: error instanceof Error ? error.message : String(error) });
    }
  }

  async function run(isDryRun: boolean): Promise<ReloadAnswer> {
    if (!parts.isServing()) return answerOf('not_serving', isDryRun, { detail: 'the edge starts or ends; ask again when it serves' });
    const { config, snapshot, problems } = await parts.load();
    if (config === undefined || snapshot === undefined) return answerOf('invalid', isDryRun, { problems });
    const before = parts.inForce();
    const changes = diffConfigs(before.config, config);
    const restart = needingRestart(changes);
    const facts = { problems, changes, restart, read: snapshot.generation };
    if (snapshot.generation === before.snapshot.generation) return answerOf('unchanged', isDryRun, facts);
    if (restart.length > 0) return answerOf('needs_restart', isDryRun, facts);
    const ready = await parts.prepare({ config, snapshot }, isDryRun);
    if ('result' in ready) return answerOf(ready.result, isDryRun, { ...facts, detail: ready.detail });
    if (isDryRun || !parts.isServing()) {
      ready.drop();
      return answerOf(isDryRun ? 'applied' : 'not_serving', isDryRun, facts);
    }
    await ready.commit();
    serial += 1;
    sinceMs = Date.now();
    return answerOf('applied', isDryRun, facts);
  }

  function busy(isDryRun: boolean): ReloadAnswer {
    return answerOf('busy', isDryRun, { detail: 'a reload is under way; ask again when it has ended' });
  }

  function answerOf(
    result: ReloadResult,
    isDryRun: boolean,
    { problems = [], ...facts }: Partial<Pick<ReloadAnswer, 'changes' | 'restart' | 'read' | 'detail'>> & { problems?: readonly Problem[] },
  ): ReloadAnswer {
    const { generation } = parts.inForce().snapshot;
    return { result, isDryRun, generation, changes: [], restart: [], problems: problems.map(formatProblem), ...facts };
  }

  function note(answer: ReloadAnswer, trigger: string, ms: number): void {
    const { result, generation, changes, restart, problems, detail } = answer;
    counts[result] += 1;
    const facts = { trigger, result, generation: generation.slice(0, 12), ms };
    // Who asks in the middle of another, or of a start, learns nothing about the file.
    if (result === 'busy' || result === 'not_serving') {
      log.warn({ ...facts, detail }, 'a reload was refused');
      return;
    }
    last = { result, atMs: Date.now() };
    if (result === 'applied' || result === 'unchanged') {
      successMs = last.atMs;
      staleSinceMs = undefined;
      const paths = changes.slice(0, MAX_LOGGED).map(({ path }) => path);
      log.info(
        { ...facts, serial, changes: changes.length, paths },
        result === 'applied' ? 'configuration reloaded' : 'configuration is as it was',
      );
      for (const problem of problems) log.warn({ problem }, 'the configuration has a weakness');
      return;
    }
    staleSinceMs ??= last.atMs;
    log.error(
      { ...facts, problems: problems.slice(0, MAX_LOGGED), restart: restart.map(({ path }) => path), detail },
      'the configuration was not reloaded; what was in force still is',
    );
  }
}
