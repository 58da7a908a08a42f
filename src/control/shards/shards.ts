/**
 * The shards as one thing: started together, told together, watched by one timer. Reactors are made
 * and destroyed by the edge; here are the workers that decide for them.
 */
import { hash } from 'node:crypto';
import type { Piscina } from 'piscina';
import { usesCertificates } from '../../config/certificates/uses-certificates.ts';
import { backendsOf } from '../../config/numbering/in-use.ts';
import { packRoutes } from '../../config/route-table.ts';
import type { Snapshot } from '../../config/snapshot/snapshot.ts';
import { PlanBook, SHARD_PAGES } from '../../lane/plan/book.ts';
import type { SharedState } from '../../lane/shared.ts';
import { tablesOf } from '../../lane/tables.ts';
import type { BindingAddon } from '../../native/binding.ts';
import type { ListenerPlace } from '../../native/convert.ts';
import { packPlans } from '../../native/plans.ts';
import type { LaneEvent } from '../../observe/lane-observer.ts';
import type { Logger } from '../../observe/log.ts';
import type { Fault, Publication, ShardQuestion, ShardTerms } from '../../shard/port.ts';
import { RESTART_CAUSES } from './cause.ts';
import { createPool } from './pool.ts';
import { createSupervisor, type Supervisor, type SupervisorState } from './supervisor.ts';
import { startWorker } from './worker.ts';

/** What is made of a snapshot for shards. */
type OfSnapshot = 'backendsDigest' | 'snapshot' | 'routes' | 'tables' | 'plans' | 'isLaneTold';

/** The reactor's gauge of connections that are not closed. */
const CONNECTIONS_FAMILY = 'lychgate_connections';

export interface ShardsParts {
  readonly addon: Pick<BindingAddon, 'reactorLaneBusyMs' | 'reactorExchanges' | 'reactorCounters' | 'families' | 'takePanics'>;
  readonly snapshot: Snapshot;
  readonly shared: SharedState;
  /** One table of counters a shard. */
  readonly counters: readonly SharedArrayBuffer[];
  readonly log: Logger;
  /** Told of events that lanes noted. */
  readonly onEvent?: (event: LaneEvent) => void;
}

export interface ShardsOptions {
  readonly stallTimeoutMs: number;
  /** Obey orders to hurt a worker; tests only. */
  readonly areFaultsAllowed: boolean;
  /** Another worker file and heap limit, for tests. */
  readonly filename?: string;
  readonly maxHeapMib?: number;
}

/** One shard as the admin API shows it. */
export interface ShardStatus {
  readonly shard: number;
  readonly state: SupervisorState;
  readonly threadId: number;
  /** How long it has been in this state. */
  readonly sinceMs: number;
  readonly restarts: number;
  readonly exchanges: number;
  readonly connections: number;
}

export interface Shards {
  /** Resolves when every shard decides; rejects with the first failure. */
  start(publication: Publication, places?: readonly ListenerPlace[]): Promise<void>;
  /** Hands new endpoint sets to every lane and reactor; workers that start later get the latest. */
  publish(publication: Publication): void;
  /**
   * Has every lane decide by another snapshot. Resolves when all do: those that obeyed, and workers
   * that were started with it in the place of others. Workers that start later start with it.
   * Without
   * `places` they listen where they did.
   */
  apply(next: Omit<ShardTerms, 'serial' | 'places' | Exclude<OfSnapshot, 'snapshot'>> & Partial<Pick<ShardTerms, 'places'>>): Promise<void>;
  /** Has every shard listen in other places. */
  listen(places: readonly ListenerPlace[]): void;
  drain(): void;
  /** Asks every shard; shards without a worker are left out. */
  ask<Row>(order: ShardQuestion): Promise<{ shard: number; rows: Row }[]>;
  hurt(shard: number, fault: Fault, at: string): boolean;
  /** Exchanges open in all shards. */
  exchanges(): number;
  /** Connections of clients in all shards. */
  connections(): number;
  /** Deaths so far, a row for each shard and cause. */
  restarts(): { shard: number; cause: string; count: number }[];
  status(): ShardStatus[];
  /**
   * Workers get so long to end what is open, a stall timeout unless told otherwise; then they are
   * ended.
   */
  stop(patienceMs?: number): Promise<void>;
}

export function createShards(parts: ShardsParts, options: ShardsOptions): Shards {
  const { addon, log } = parts;
  const shards = parts.counters.map((_, shard) => shard);
  const connectionsPlace = addon.families().find(({ name }) => name === CONNECTIONS_FAMILY)?.offset ?? -1;
  const deaths = shards.map(() => new Map<string, number>(RESTART_CAUSES.map((cause) => [cause, 0])));
  let pool: Piscina | undefined;
  const book = new PlanBook(SHARD_PAGES);
  let terms: ShardTerms = {
    serial: 1,
    ...ofSnapshot(parts.snapshot),
    shared: parts.shared,
    publication: { number: 0, addresses: [] },
    places: [],
  };
  /** By shard: the terms that its worker has taken. */
  const taken = shards.map(() => 0);
  /** By shard: the terms that its worker was started with. */
  const started = shards.map(() => 0);
  let whenAllHave: { readonly serial: number; resolve(): void }[] = [];
  let { stallTimeoutMs } = options;
  let isDraining = false;
  let watch: NodeJS.Timeout | undefined;

  const supervisors: Supervisor[] = shards.map((shard) =>
    createSupervisor({
      shard,
      hire: (onReady) => {
        const { areFaultsAllowed } = options;
        const { serial } = terms;
        started[shard] = serial;
        return startWorker(
          pool as Piscina,
          { ...withAllPlans(terms), shard, counters: parts.counters[shard] as SharedArrayBuffer, areFaultsAllowed },
          {
            onReady() {
              onReady();
              has(shard, serial);
            },
            onApplied: (applied) => has(shard, applied),
            onLaneError: (error) => log.error({ shard, error }, 'a rule threw; its exchange was answered with lane_failed'),
            onEvent: parts.onEvent ?? (() => {}),
          },
        );
      },
      laneBusyMs: () => addon.reactorLaneBusyMs(shard),
      onReady() {
        // What was said while the worker started went past it.
        if (started[shard] !== terms.serial) supervisors[shard]?.tell({ kind: 'apply', terms: withAllPlans(terms) });
        else {
          supervisors[shard]?.tell({ kind: 'publish', publication: terms.publication });
          supervisors[shard]?.tell({ kind: 'listen', places: terms.places });
        }
        if (isDraining) supervisors[shard]?.tell({ kind: 'drain' });
      },
      onDeath: (cause) => deaths[shard]?.set(cause, (deaths[shard].get(cause) ?? 0) + 1),
      log,
      nowMs: () => performance.now(),
    }),
  );

  return {
    async start(publication, places = []) {
      terms = { ...terms, publication, places };
      pool = createPool({ ...options, shards: shards.length }, (error) => log.error({ err: error }, 'a thread that had no shard died'));
      const started = supervisors.map((supervisor) => supervisor.start());
      watch = watchEvery(stallTimeoutMs, look);
      await Promise.all(started);
    },
    apply(next) {
      const serial = terms.serial + 1;
      terms = { ...terms, ...next, serial, ...ofSnapshot(next.snapshot) };
      if (next.snapshot.shards.stallTimeoutMs !== stallTimeoutMs && watch !== undefined) {
        ({ stallTimeoutMs } = next.snapshot.shards);
        clearInterval(watch);
        watch = watchEvery(stallTimeoutMs, look);
      }
      return new Promise((resolve) => {
        whenAllHave.push({ serial, resolve });
        for (const supervisor of supervisors) supervisor.tell({ kind: 'apply', terms });
      });
    },
    publish(publication) {
      terms = { ...terms, publication };
      for (const supervisor of supervisors) supervisor.tell({ kind: 'publish', publication });
    },
    listen(places) {
      terms = { ...terms, places };
      for (const supervisor of supervisors) supervisor.tell({ kind: 'listen', places });
    },
    drain() {
      isDraining = true;
      for (const supervisor of supervisors) supervisor.tell({ kind: 'drain' });
    },
    async ask<Row>(order: ShardQuestion) {
      const answers = await Promise.allSettled(supervisors.map((supervisor) => supervisor.ask(order)));
      return answers.flatMap((answer, shard) => (answer.status === 'fulfilled' ? [{ shard, rows: JSON.parse(answer.value) as Row }] : []));
    },
    hurt: (shard, fault, at) => supervisors[shard]?.tell({ kind: 'fault', fault, at }) ?? false,
    exchanges: () => shards.reduce((sum, shard) => sum + addon.reactorExchanges(shard), 0),
    connections: () => shards.reduce((sum, shard) => sum + connectionsOf(shard), 0),
    restarts: () => deaths.flatMap((causes, shard) => [...causes].map(([cause, count]) => ({ shard, cause, count }))),
    status: () =>
      supervisors.map((supervisor, shard) => ({
        shard,
        ...supervisor.status(),
        restarts: [...(deaths[shard]?.values() ?? [])].reduce((sum, count) => sum + count, 0),
        exchanges: addon.reactorExchanges(shard),
        connections: connectionsOf(shard),
      })),
    async stop(patienceMs = stallTimeoutMs) {
      clearInterval(watch);
      watch = undefined;
      // A worker that does not obey in time is ended by the pool.
      const stopped = Promise.all(supervisors.map((supervisor) => supervisor.stop()));
      const deadline = Promise.withResolvers<void>();
      const timer = setTimeout(deadline.resolve, patienceMs);
      await Promise.race([stopped, deadline.promise]);
      clearTimeout(timer);
      await pool?.destroy();
      await stopped;
      logPanics();
      for (const { resolve } of whenAllHave.splice(0)) resolve();
    },
  };

  function ofSnapshot(snapshot: Snapshot): Pick<ShardTerms, OfSnapshot> {
    const { plans, ...tables } = tablesOf(snapshot, book);
    return {
      backendsDigest: hash('sha256', JSON.stringify(backendsOf(snapshot))),
      snapshot: withoutSecrets(snapshot),
      routes: packRoutes(snapshot.routes),
      // Shards are told of them piece by piece.
      tables: { ...tables, plans: { ...plans, numbered: [] } },
      plans: packPlans(plans.numbered),
      isLaneTold: usesCertificates(snapshot),
    };
  }

  /** For a worker that knows none yet, or may have missed some. */
  function withAllPlans(terms: ShardTerms): ShardTerms {
    return { ...terms, plans: packPlans(book.all()) };
  }

  function look(): void {
    for (const supervisor of supervisors) supervisor.watch(stallTimeoutMs);
    logPanics();
  }

  function has(shard: number, serial: number): void {
    taken[shard] = Math.max(taken[shard] ?? 0, serial);
    const all = Math.min(...taken);
    for (const { resolve } of whenAllHave.filter((waiting) => waiting.serial <= all)) resolve();
    whenAllHave = whenAllHave.filter((waiting) => waiting.serial > all);
  }

  function logPanics(): void {
    for (const { shard, owner, place, message } of addon.takePanics()) {
      log.error({ shard, owner, place, message }, 'the native side panicked; what it happened in was ended');
    }
  }

  function connectionsOf(shard: number): number {
    return addon.reactorCounters(shard)[connectionsPlace] ?? 0;
  }
}

/**
 * Looks four times within a stall timeout. A round is left out when the main thread itself was
 * late: the answers are still in its queue.
 */
function watchEvery(stallTimeoutMs: number, look: () => void): NodeJS.Timeout {
  const intervalMs = Math.min(Math.max(stallTimeoutMs / 4, 25), 1_000);
  let dueMs = performance.now() + intervalMs;
  return setInterval(() => {
    const lateMs = performance.now() - dueMs;
    dueMs = performance.now() + intervalMs;
    if (lateMs < intervalMs) look();
  }, intervalMs);
}

function withoutSecrets(snapshot: Snapshot): Snapshot {
  return {
    ...snapshot,
    routes: [],
    listeners: snapshot.listeners.map((listener) => ({ ...listener, certificates: [], ticketKeys: [] })),
    admin: { ...snapshot.admin, token: '' },
  };
}
